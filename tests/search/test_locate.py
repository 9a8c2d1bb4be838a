"""Boxes from maps of cosines: places, sizes, several of them. Numbers in, numbers out."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.geometry import PatchGrid
from dinosearch.search.locate import SOFTNESS, Look, boxes_of, shares
from dinosearch.search.regions import RegionQuery

ROWS, COLS = 24, 30


def size_of(rows: int, cols: int) -> RegionQuery:
    """A part of rows x cols cells, whose patches differ in nothing that matters here."""
    grid = PatchGrid.of(420, 420, size=420)
    marked = np.zeros((grid.rows, grid.cols), dtype=bool)
    marked[:rows, :cols] = True
    patches = np.random.default_rng(1).normal(size=(grid.patches, 8)).astype(np.float32)
    return RegionQuery.cut(None, grid, patches, marked=marked)


def maps_of(size: RegionQuery, places: list[tuple[int, int, int, int]], seed: int = 0):
    """Noise, and high cosines at random cells of each rectangle: turned, not laid out."""
    rng = np.random.default_rng(seed)
    maps = 0.05 * rng.normal(size=(len(size.tokens), ROWS, COLS))
    for row0, col0, row1, col1 in places:
        for one in maps:
            inside = rng.random((row1 - row0, col1 - col0)) < 0.5
            one[row0:row1, col0:col1] += 0.6 * inside
    return maps.reshape(len(maps), -1).astype(np.float32)


def iou(one, other) -> float:
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0, height) * max(0, width)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return float(common / (sum(areas) - common))


@pytest.mark.parametrize("place", [(2, 3, 8, 12), (17, 20, 23, 29), (0, 0, 4, 6), (10, 8, 18, 20)])
def test_the_box_has_place_and_size_of_what_matches(place):
    size = size_of(6, 9)
    (box, *_) = boxes_of([Look(size, maps_of(size, [place]), 1.0)], 6 / 9, ROWS, COLS)
    assert iou(box, place) > 0.75


def test_the_size_that_fits_decides_which_of_two_places_it_is():
    small, large = size_of(4, 4), size_of(10, 10)
    here, there = (2, 2, 6, 6), (12, 14, 22, 24)
    looks = [
        Look(small, maps_of(small, [here]), 0.98),
        Look(large, maps_of(large, [there], seed=1), 0.02),
    ]
    assert iou(boxes_of(looks, 1.0, ROWS, COLS)[0], here) > 0.6
    looks = [looks[0]._replace(share=0.02), looks[1]._replace(share=0.98)]
    assert iou(boxes_of(looks, 1.0, ROWS, COLS)[0], there) > 0.6


def test_what_is_there_three_times_has_three_boxes():
    size = size_of(5, 5)
    places = [(1, 1, 6, 6), (1, 20, 6, 25), (15, 10, 20, 15)]
    boxes = boxes_of([Look(size, maps_of(size, places), 1.0)], 1.0, ROWS, COLS)
    assert len(boxes) == 3
    for place in places:
        assert max(iou(box, place) for box in boxes) > 0.6


def test_where_the_layout_is_found_the_box_is_exact():
    size = size_of(3, 4)
    maps = np.zeros((12, ROWS, COLS), dtype=np.float32)
    for number, (row, col) in enumerate(size.offsets.tolist()):
        maps[number, 9 + row, 17 + col] = 1
    assert boxes_of([Look(size, maps.reshape(12, -1), 1.0)], 3 / 4, ROWS, COLS) == [(9, 17, 12, 21)]


def test_a_part_that_is_nowhere_still_has_a_box_within_the_picture():
    size = size_of(3, 3)
    flat = np.zeros((9, ROWS * COLS), dtype=np.float32)
    (box, *_) = boxes_of([Look(size, flat, 1.0)], 1.0, ROWS, COLS)
    assert 0 <= box.row0 < box.row1 <= ROWS
    assert 0 <= box.col0 < box.col1 <= COLS


def test_shares_are_those_of_a_softmax_without_what_says_next_to_nothing():
    found = shares(np.array([5.0, 5.0 - SOFTNESS, -9.0], np.float32))
    assert found == pytest.approx([np.e / (1 + np.e), 1 / (1 + np.e), 0])
