"""Hot spots: groups of cells, their boxes, and maps in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.defects.spots import boxes_of, in_pixels, spots_of
from dinosearch.geometry import PatchGrid

ROWS = """
##...
##..#
....#
.#.#.
"""
MASK = np.array([[cell == "#" for cell in row] for row in ROWS.split()])


def test_cells_that_touch_at_a_corner_are_one_spot():
    found = sorted(spot.tolist() for spot in spots_of(MASK))
    assert found == [
        [[0, 0], [0, 1], [1, 0], [1, 1]],
        [[1, 4], [2, 4], [3, 3]],
        [[3, 1]],
    ]


def test_nothing_marked_is_no_spot():
    assert spots_of(np.zeros((3, 3), dtype=bool)) == []


def test_a_box_goes_round_each_spot_the_hottest_first():
    grid = PatchGrid.of(280, 280, size=140)  # cells of 28 x 28 pixels
    mask = np.zeros((10, 10), dtype=bool)
    heat = np.full((10, 10), np.nan, dtype=np.float32)
    mask[2:4, 3:6], heat[2:4, 3:6] = True, 0.5
    mask[8, 1], heat[8, 1] = True, 0.7
    hottest, other = boxes_of(heat, mask, grid)
    assert hottest == pytest.approx((28, 224, 56, 252))
    assert other == pytest.approx((84, 56, 168, 112))


def test_pixels_have_the_value_of_their_cell():
    grid = PatchGrid.of(280, 140, size=140)  # cropped: pixels 70 to 210, cells of 14 x 14
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    found = in_pixels(values, grid, beyond=np.float32(-1))
    assert found.shape == (140, 280)
    assert (found[:, :70] == -1).all()
    assert (found[:, 210:] == -1).all()
    assert np.array_equal(found[:, 70:210], np.kron(values, np.ones((14, 14))))


def test_padding_has_no_pixels():
    grid = PatchGrid.of(140, 70, size=140, fit="pad")
    values = np.arange(100).reshape(10, 10)
    found = in_pixels(values, grid, beyond=np.int64(-1))
    assert found.shape == (70, 140)
    assert found.min() == 20
    assert found.max() == 79
    # The picture begins 35 view pixels down: the last half of row 2 comes first.
    assert found[:7, 0].tolist() == [20] * 7
    assert found[7, 0] == 30
