"""The picture of why a hit answers: heat, line ends and box lie on what was planted."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dinosearch
from dinosearch.geometry import PATCH
from dinosearch.search.explanation import SIDE, colours
from dinosearch.search.sheet import FOUND
from tests.cli.commands import run
from tests.painting import BLUE, CELLS, GREEN, RED, SIZE, plain, planted, save

PART = np.array([[RED, GREEN], [BLUE, (255, 255, 0)]], dtype=np.uint8)
GROUND = (90, 90, 90)
QUERY_AT, HIT_AT = (4, 4), (6, 1)
HEAD, GAP = 44, 16


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    save(folder / "c" / "hit.png", planted(GROUND, PART, *HIT_AT))
    save(folder / "c" / "other.png", plain(GROUND))
    save(folder / "q.png", planted(GROUND, PART, *QUERY_AT))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


@pytest.fixture(scope="module")
def drawn(place):
    region = (4 * PATCH, 4 * PATCH, 6 * PATCH, 6 * PATCH)
    with dinosearch.open(place / "x") as index:
        hit = index.search(place / "q.png", k=1, region=region)[0]
        assert hit.path.endswith("hit.png")
        why = index.explain(place / "q.png", hit, region=region)
        sheet = index.explanation(place / "q.png", hit, why, title="why")
    return why, np.asarray(sheet, dtype=int)


def middle(panel: int, row: float, col: float) -> tuple[int, int]:
    """Pixels (y, x) of the middle of a cell in the left (0) or right (1) panel."""
    side = SIDE / CELLS
    left = GAP + panel * (SIDE + GAP)
    return round(HEAD + (row + 0.5) * side), round(left + (col + 0.5) * side)


def test_every_planted_patch_is_paired_with_itself(drawn):
    why, _ = drawn
    assert {(one.query, one.hit) for one in why.pairs} == {
        ((QUERY_AT[0] + r, QUERY_AT[1] + c), (HIT_AT[0] + r, HIT_AT[1] + c))
        for r in range(2)
        for c in range(2)
    }
    assert [one.score for one in why.pairs] == pytest.approx([1] * 4, abs=1e-3)


def test_lines_end_in_the_middle_of_the_planted_patches(drawn):
    _, pixels = drawn
    for panel, (row, col) in ((0, QUERY_AT), (1, HIT_AT)):
        for r in range(2):
            for c in range(2):
                y, x = middle(panel, row + r, col + c)
                assert tuple(pixels[y, x]) == FOUND


def test_the_box_runs_around_the_planted_part(drawn):
    _, pixels = drawn
    side = SIDE / CELLS
    top = round(HEAD + HIT_AT[0] * side)
    bottom = round(HEAD + (HIT_AT[0] + 2) * side) - 1
    left = round(2 * GAP + SIDE + HIT_AT[1] * side)
    for y in (top, bottom):
        row = pixels[y - 2 : y + 3, left + 8 : left + round(side) - 12]
        assert (row == FOUND).all(axis=2).any(axis=0).all()


def test_heat_covers_the_planted_part_and_nothing_else(drawn):
    why, pixels = drawn
    ground = np.array(GROUND)
    for row in range(CELLS):
        for col in range(CELLS):
            hot = 0 <= row - HIT_AT[0] < 2 and 0 <= col - HIT_AT[1] < 2
            assert (why.heat[row, col] > 0.99) == hot
            if not hot and col > 4:  # no line crosses there
                y, x = middle(1, row, col)
                assert np.abs(pixels[y, x] - ground).max() <= 2, (row, col)


def test_colours_run_from_nothing_to_bright():
    heat = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    rgba = np.asarray(colours(heat, 0, 1), dtype=int)[0]
    assert rgba[0, 3] == 0 == rgba[3, 3]
    assert rgba[1].tolist() == [188, 55, 84, round(255 * 0.85 * 0.25)]
    assert rgba[2].tolist() == [252, 255, 164, round(255 * 0.85)]


def test_the_command_says_and_draws_the_same(place, drawn, tmp_path):
    why, pixels = drawn
    region = ",".join(str(v * PATCH) for v in (4, 4, 6, 6))
    done = run(
        *("explain", place / "q.png", 1, "--in", place / "x", "--region", region, "--json"),
        *("--save", tmp_path / "why.png"),
    )
    told = json.loads(done.stdout)
    assert (told["id"], told["path"]) == (1, str(place / "c" / "hit.png"))
    assert told["score"] == pytest.approx(1, abs=5e-3)
    assert told["box"] == pytest.approx(list(why.box))
    assert [tuple(one["hit"]) for one in told["pairs"]] == [one.hit for one in why.pairs]
    assert np.array(told["heat"]) == pytest.approx(why.heat, abs=1e-5)
    from PIL import Image

    saved = np.asarray(Image.open(tmp_path / "why.png"), dtype=int)
    below = HEAD + SIDE  # the titles differ
    assert (saved[HEAD:below] == pixels[HEAD:below]).all()


def test_a_picture_whose_file_is_gone_is_drawn_from_its_thumbnail(place, tmp_path):
    save(tmp_path / "c" / "gone.png", planted(GROUND, PART, 1, 1))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "c")
        (tmp_path / "c" / "gone.png").unlink()
        region = (4 * PATCH, 4 * PATCH, 6 * PATCH, 6 * PATCH)
        why = index.explain(place / "q.png", 1, region=region)
        sheet = np.asarray(index.explanation(place / "q.png", 1, why), dtype=int)
    y, x = middle(1, 8, 8)
    assert np.abs(sheet[y, x] - np.array(GROUND)).max() <= 2


def test_an_id_that_is_not_there_is_told(place):
    done = run("explain", place / "q.png", 99, "--in", place / "x", code=2)
    assert "no picture with id 99" in done.stderr
