"""Principal components as colours: by another way of computing them, and on planted subjects."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.geometry import PATCH, View
from dinosearch.pca import fit_basis, foreground_of, pca_maps
from dinosearch.pca.drawing import SIDE, draw_maps
from tests.cli.commands import run
from tests.painting import BLUE, CELLS, GREEN, RED, SIZE, pixels, plain, planted, save

SUBJECT = np.tile(np.array(RED, dtype=np.uint8), (4, 3, 1))
WHERE = np.zeros((CELLS, CELLS), dtype=bool)
WHERE[3:7, 4:7] = True


def tokens(seed: int, count: int = 500, dim: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    spread = np.array([9.0, 5.0, 3.0, *np.ones(dim - 3)])
    turned = np.linalg.qr(np.random.default_rng(99).normal(size=(dim, dim)))[0]
    found: np.ndarray = (rng.normal(size=(count, dim)) * spread) @ turned + 2
    return found


def test_components_are_those_of_the_singular_value_decomposition():
    rows = tokens(0)
    basis = fit_basis(rows)
    _, sizes, directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    assert np.abs(basis.components @ directions[:3].T) == pytest.approx(np.eye(3), abs=1e-6)
    assert basis.explained_variance_ratio == pytest.approx((sizes**2 / (sizes**2).sum())[:3])
    assert np.var(basis.project(rows), axis=0) == pytest.approx(sizes[:3] ** 2 / 500, rel=1e-4)


def test_colours_do_not_flip_between_samples_orders_and_precisions():
    whole = fit_basis(tokens(0, 4_000))
    for other in (tokens(1), tokens(2)[::-1], tokens(3).astype(np.float32), tokens(4)[:200]):
        agreement = (fit_basis(other).components * whole.components).sum(axis=1)
        assert (agreement > 0.9).all()
    # A mirror image of the data has the same axes, and so the same directions.
    mirrored = fit_basis(-tokens(0, 4_000))
    assert (mirrored.components * whole.components).sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_few_odd_patches_do_not_make_all_else_grey():
    rows = tokens(0, 1_000)
    odd = rows.copy()
    odd[:10] = rows[:10] + 400 * fit_basis(rows).components[0]
    basis = fit_basis(odd)
    spread = np.ptp(basis.colours(basis.project(odd[10:]))[:, 0].astype(int))
    assert spread > 200
    assert basis.colours(np.full((1, 3), np.inf)).tolist() == [[255, 255, 255]]


def test_the_ends_of_the_scale_are_the_second_and_the_last_but_two_percent():
    rows = tokens(5, 1_000)
    basis = fit_basis(rows)
    colours = basis.colours(basis.project(rows))
    for channel in range(3):
        assert 15 <= (colours[:, channel] == 0).sum() <= 25
        assert 15 <= (colours[:, channel] == 255).sum() <= 25


def test_too_few_patches_are_refused():
    with pytest.raises(InvalidInput, match="3 patches are too few"):
        fit_basis(tokens(0)[:3])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_subject_is_what_touches_the_edge_less_whatever_its_sign(sign):
    rng = np.random.default_rng(0)
    first = sign * (np.where(WHERE, 3.0, 0.0) + rng.normal(0, 0.2, WHERE.shape))
    assert (foreground_of(first, np.ones_like(WHERE)) == WHERE).all()


def test_a_subject_larger_than_its_ground_is_still_the_subject():
    large = np.zeros((CELLS, CELLS), dtype=bool)
    large[1:-1, 1:-1] = True
    assert large.mean() > 0.5
    assert (foreground_of(np.where(large, -1.0, 1.0), np.ones_like(large)) == large).all()


def test_padding_takes_no_part():
    shown = np.ones((CELLS, CELLS), dtype=bool)
    shown[:, :2] = shown[:, -2:] = False
    first = np.where(WHERE, 5.0, 0.0)
    first[~shown] = np.nan
    assert (foreground_of(first, shown) == WHERE).all()
    assert not foreground_of(np.where(shown, 1.0, np.nan), shown).any(), "all the same"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pca")
    save(folder / "c" / "red.png", planted(BLUE, SUBJECT, 3, 4))
    save(folder / "c" / "green.png", planted(BLUE, np.tile(np.array(GREEN), (2, 2, 1)), 6, 1))
    save(folder / "c" / "plain.png", plain((10, 10, 10)))
    save(folder / "q.png", planted(GREEN, SUBJECT, 3, 4))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


def test_equal_things_have_equal_colours_on_a_shared_basis(place):
    with dinosearch.open(place / "x") as index:
        ids = [index.id_of(place / "c" / name) for name in ("red.png", "green.png")]
        one = index.pca(place / "q.png", with_hits=ids)
        hits = index.search(place / "q.png", k=2)
        assert len(index.pca(place / "q.png", with_hits=hits).others) == 2
    red, green = one.others
    subject = one.rgb[4, 5].tolist()
    assert red.rgb[4, 5].tolist() == subject
    assert green.rgb[6, 1].tolist() == one.rgb[0, 0].tolist() != subject
    assert green.rgb[0, 0].tolist() == red.rgb[0, 0].tolist()
    assert one.xyz[4, 5] == pytest.approx(red.xyz[4, 5], abs=1e-3)
    # Three colours lie in a plane.
    assert one.explained_variance_ratio.sum() == pytest.approx(1, abs=1e-4)
    assert one.explained_variance_ratio[2] == pytest.approx(0, abs=1e-4)


def test_the_subject_can_be_searched_for(place):
    with dinosearch.open(place / "x") as index:
        one = index.pca(place / "q.png")
        assert (one.foreground == WHERE).all()
        hit = index.search(place / "q.png", k=1, region=np.argwhere(one.foreground))[0]
        assert hit.path.endswith("red.png")
        assert hit.box == pytest.approx((4 * PATCH, 3 * PATCH, 7 * PATCH, 7 * PATCH))


def test_the_map_lies_where_the_model_saw_the_picture():
    """A landscape shown cropped: black left and right of its middle square."""
    grid = View(SIZE).grid(2 * SIZE, SIZE)
    rng = np.random.default_rng(0)
    (one,) = pca_maps([(rng.normal(size=(CELLS * CELLS, 8)), grid)])
    picture = Image.fromarray(pixels(plain((90, 90, 90)))).resize((2 * SIZE, SIZE))
    sheet = np.asarray(draw_maps([picture], [one], ["x"]))
    top, left = 40 + SIDE // 4, 14 + SIDE + 14
    tile = sheet[top : top + SIDE // 2, left : left + SIDE]
    quarter = SIDE // 4
    assert not tile[:, :quarter].any()
    assert not tile[:, -quarter:].any()
    cell = SIDE / 2 / CELLS
    for row in range(CELLS):
        for col in range(CELLS):
            y, x = int((row + 0.5) * cell), int(quarter + (col + 0.5) * cell)
            assert tile[y, x].tolist() == one.rgb[row, col].tolist()


def test_the_command_draws_and_tells(place, tmp_path):
    done = run(
        *("pca", place / "q.png", place / "c" / "red.png", "--in", place / "x", "--json"),
        *("--save", tmp_path / "map.png", "--scatter", tmp_path / "scatter.png"),
    )
    told = json.loads(done.stdout)
    with dinosearch.open(place / "x") as index:
        one = index.pca(place / "q.png", with_hits=[place / "c" / "red.png"])
    assert told["maps"][0]["rgb"] == one.rgb.tolist()
    assert told["maps"][1]["rgb"] == one.others[0].rgb.tolist()
    assert told["maps"][0]["foreground"] == WHERE.tolist()
    assert sum(told["explained_variance_ratio"]) == pytest.approx(1, abs=1e-3)
    drawn = np.asarray(Image.open(tmp_path / "scatter.png").convert("RGB")).reshape(-1, 3)
    for colour in {tuple(c) for c in one.rgb.reshape(-1, 3).tolist()}:
        assert (np.abs(drawn.astype(int) - colour).max(axis=1) < 12).any(), colour
    assert Image.open(tmp_path / "map.png").width > 3 * SIDE


def test_without_an_index_an_encoder_will_do(place, tmp_path):
    run("pca", place / "q.png", "--encoder", "colour", "--save", tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000
    done = run("pca", place / "q.png", "--encoder", "colour", code=2)
    assert "--save" in done.stderr
    done = run("pca", place / "q.png", "--in", place / "x", "--encoder", "mini", "--save", "m.png",
               code=2)  # fmt: skip
    assert "not both" in done.stderr
    done = run("pca", place / "q.png", "--encoder", "colour", "--scatter", tmp_path / "x.txt",
               code=2)  # fmt: skip
    assert "cannot write" in done.stderr
