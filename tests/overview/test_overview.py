"""The overview: axes worked out by hand, places that stay, newcomers on the same plane."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.overview.drawing import draw_overview
from dinosearch.overview.overview import Overview
from dinosearch.overview.placing import among_neighbours, marks, to_unit_square
from dinosearch.overview.principal import fit_plane
from tests.painting import BLUE, RED, SIZE, noise, plain, save


def test_the_axes_are_those_of_the_largest_spread():
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(1000, 2))
    spread -= spread.mean(axis=0)
    u, _, _ = np.linalg.svd(spread, full_matrices=False)
    rows = u * [3, 1]  # variances 9 : 1, exactly, and nothing correlates
    vectors = np.zeros((1000, 4))
    vectors[:, 2], vectors[:, 0] = rows.T
    vectors += [5, 6, 7, 8]
    plane = fit_plane([vectors])
    assert plane.explained == pytest.approx([0.9, 0.1])
    assert plane.mean == pytest.approx([5, 6, 7, 8])
    # Turned so that the cubes add up to something positive: here, so that they point up.
    assert plane.axes == pytest.approx(np.array([[0, 0, 1, 0], [1, 0, 0, 0]]), abs=1e-9)
    assert fit_plane([-vectors]).axes == pytest.approx(plane.axes, abs=1e-9)
    assert plane.project(vectors) == pytest.approx(rows)


def test_blocks_change_nothing():
    vectors = (100 + np.random.default_rng(1).normal(size=(301, 6))).astype(np.float32)
    whole = fit_plane([vectors])
    parts = fit_plane([vectors[:0], vectors[:7], vectors[7:200], vectors[200:]])
    for one in ("mean", "axes", "explained"):
        assert getattr(parts, one) == pytest.approx(getattr(whole, one), abs=1e-9)
    covariance = np.cov(vectors.T.astype(float), bias=True)
    assert whole.explained[0] == pytest.approx(
        np.linalg.eigvalsh(covariance)[-1] / np.trace(covariance)
    )
    with pytest.raises(ValueError, match="no rows"):
        fit_plane([])


def test_places_fill_the_square_along_their_longer_side():
    middle, scale = to_unit_square(np.array([[0.0, 1], [8, 3]]))
    assert (middle.tolist(), scale) == ([4, 2], 0.25)
    assert to_unit_square(np.full((3, 2), 5.0))[1] == 1.0


def test_a_newcomer_lies_among_its_neighbours():
    known = np.eye(3, dtype=np.float32)
    xy = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    one = np.array([[0.6, 0.8, 0.0]], dtype=np.float32)
    assert among_neighbours(one, known, xy, neighbours=1).tolist() == [[1, 0]]
    assert among_neighbours(one, known, xy, neighbours=2)[0] == pytest.approx([0.8 / 1.4, 0])
    away = -np.ones((1, 3), dtype=np.float32)
    assert among_neighbours(away, known, xy)[0] == pytest.approx([1 / 3, 1 / 3])
    many = np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    places = many[:, :2]
    found = among_neighbours(one, many, places, neighbours=3)
    best = np.argsort(-(many @ one[0]))[:3]
    weights = many[best] @ one[0]
    assert found[0] == pytest.approx(weights @ places[best] / weights.sum(), abs=1e-6)


def test_a_changed_vector_is_known_by_its_mark():
    vectors = np.ones((2, 4), dtype=np.float32)
    before = marks(vectors)
    vectors[1, 2] = np.nextafter(np.float32(1), np.float32(2))
    assert (marks(vectors) == before).tolist() == [True, False]


@pytest.fixture
def place(tmp_path):
    for seed in range(24):
        save(tmp_path / "c" / f"{seed:02d}.png", noise(seed))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "c")
    return tmp_path


def test_the_map_stays_as_pictures_come_and_go(place):
    with dinosearch.open(place / "x") as index:
        first = index.map()
        vectors = index.cls(range(1, 25))
        plane = fit_plane([vectors])
        assert first.ids.tolist() == list(range(1, 25))
        expected = plane.project(vectors)
        assert np.corrcoef(first.xy[:, 0], expected[:, 0])[0, 1] == pytest.approx(1)
        assert np.ptp(first.xy, axis=0).max() == pytest.approx(2)
        assert np.abs(first.xy).max() == pytest.approx(1)
        assert first.explained == pytest.approx(plane.explained)
        index.add(save(place / "d" / "red.png", plain(RED)))
        index.remove(3)
        second = index.map()
        assert second.ids.tolist() == [1, 2, *range(4, 26)]
        assert second.later.tolist() == [False] * 23 + [True]
        assert np.array_equal(second.xy[:-1], first.xy[second.ids[:-1] - 1])
        # The newcomer is where the same plane and scale put it.
        middle, scale = to_unit_square(expected)
        there = (plane.project(index.cls([25])) - middle) * scale
        assert second.xy[-1] == pytest.approx(there[0], abs=1e-5)
        assert second.made_at == first.made_at
        index.add(save(place / "d" / "blue.png", plain(BLUE)))  # 3 of 24: more than a tenth
        third = index.map()
        assert not third.later.any()
        assert third.explained != pytest.approx(first.explained)


def test_a_changed_picture_moves_and_a_compaction_moves_none(place):
    with dinosearch.open(place / "x") as index:
        first = index.map()
        save(place / "c" / "05.png", plain(RED))
        index.add(place / "c")
        second = index.map()
        assert np.flatnonzero(second.later).tolist() == [5]
        assert not np.allclose(second.xy[5], first.xy[5], atol=0.01)
        index.compact()
        assert np.array_equal(index.map().xy, second.xy)
        fresh = index.map(refresh=True)
        assert not fresh.later.any()


def test_a_damaged_map_is_made_anew_and_an_empty_index_has_an_empty_one(place, tmp_path):
    with dinosearch.open(place / "x") as index:
        first = index.map()
        (file,) = (place / "x" / "maps").iterdir()
        file.write_bytes(b"nothing of the sort")
        assert np.array_equal(index.map().xy, first.xy)
        with pytest.raises(InvalidInput, match="use pca or umap"):
            index.map(method="tsne")
    with dinosearch.create(tmp_path / "e", encoder="colour", size=SIZE) as index:
        assert index.map().xy.shape == (0, 2)
        index.add(save(tmp_path / "one" / "a.png", noise(1)))
        assert index.map().xy.tolist() == [[0, 0]]


def test_without_umap_the_extra_is_named(place, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *rest):
        if name == "umap":
            raise ImportError("No module named 'umap'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with (
        dinosearch.open(place / "x") as index,
        pytest.raises(InvalidInput, match=r"dinosearch\[map\]"),
    ):
        index.map(method="umap")


def test_umap_is_repeatable_and_places_newcomers_among_their_neighbours(place):
    pytest.importorskip("umap")
    with dinosearch.open(place / "x") as index:
        first = index.map(method="umap", seed=3)
        assert np.abs(first.xy).max() == pytest.approx(1)
        assert first.explained is None
        assert np.array_equal(index.map(method="umap", seed=3, refresh=True).xy, first.xy)
        index.add(save(place / "d" / "copy.png", noise(7)))
        second = index.map(method="umap", seed=3)
        assert second.later.tolist() == [False] * 24 + [True]
        known, new = index.cls(range(1, 25)), index.cls([25])
        assert second.xy[-1] == pytest.approx(among_neighbours(new, known, first.xy)[0])
        assert not np.array_equal(index.map(method="umap", seed=4).xy[:24], first.xy)


def test_the_scatter_has_the_colours_of_the_labels(tmp_path):
    xy = np.array([[-1, -1], [1, 1], [1, -1], [-1, 1]], dtype=np.float32)
    shown = Overview(np.arange(4), xy, "pca", np.array([0.6, 0.3]), np.zeros(4, bool), "")
    labels = [("a$x$",), ("_b", "c"), (), ("a$x$",)]
    draw_overview(shown, labels, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        colours = set(map(tuple, np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()))
    assert {(31, 119, 180), (255, 127, 14), (184, 184, 184)} <= colours
    draw_overview(shown, labels, tmp_path / "map.svg")
    assert "component 1 (60%)" in (tmp_path / "map.svg").read_text()
    with pytest.raises(ValueError, match="xyz"):
        draw_overview(shown, labels, tmp_path / "map.xyz")
