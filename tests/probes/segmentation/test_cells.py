"""Masks to cells and back: shares worked out by hand, borders, padding, what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.geometry import PatchGrid
from dinosearch.probes.segmentation.cells import (
    IGNORE,
    mask_of,
    shown_pixels,
    target_shares,
    upsampled,
)


def grid_of(width=28, height=28, *, size=28, fit="crop"):
    return PatchGrid.of(width, height, size=size, fit=fit)


def test_shares_are_the_covered_parts_of_each_cell():
    mask = np.zeros((28, 28), dtype=np.uint8)
    mask[:7, :14] = 1  # the upper half of cell 0
    mask[:, 14:] = 2  # cells 1 and 3
    mask[14:21, :7] = IGNORE  # a quarter of cell 2
    mask[21:, :7] = 1  # and another
    shares, known = target_shares(mask, grid_of(), 2)
    assert shares == pytest.approx(
        np.array([[0.5, 0.5, 0], [0, 0, 1], [2 / 3, 1 / 3, 0], [0, 0, 1]]), abs=1e-6
    )
    assert known == pytest.approx([1, 1, 0.75, 1])


def test_a_pixel_that_an_edge_cuts_counts_by_its_part():
    # 3 x 3 pixels under 2 x 2 cells: the middle pixel belongs to all four in equal parts.
    mask = np.zeros((3, 3), dtype=np.uint8)
    mask[1, 1] = 1
    shares, known = target_shares(mask, grid_of(3, 3), 1)
    assert shares[:, 1] == pytest.approx([0.25 / 2.25] * 4)
    assert known == pytest.approx([1] * 4)


def test_padding_is_not_known_and_a_cut_off_part_is_not_learned():
    wide = grid_of(56, 28, size=56, fit="pad")  # a row of padding above and below, 2 of 4 shown
    shares, known = target_shares(np.ones((28, 56), dtype=np.uint8), wide, 1)
    assert known.reshape(4, 4).tolist() == [[0] * 4, [1] * 4, [1] * 4, [0] * 4]
    assert shares.reshape(4, 4, 2)[1:3, :, 1].min() == pytest.approx(1)
    # A cell that is mostly padding has the token of padding, and teaches nothing.
    thin = grid_of(56, 30, size=56, fit="pad")  # one row of pixels in the first and last cells
    _, known = target_shares(np.ones((30, 56), dtype=np.uint8), thin, 1)
    assert known.reshape(4, 4).tolist() == [[0] * 4, [1] * 4, [1] * 4, [0] * 4]
    cropped = grid_of(56, 28)  # shows columns 14 to 42
    mask = np.zeros((28, 56), dtype=np.uint8)
    mask[:, :21] = 1
    shares, known = target_shares(mask, cropped, 1)
    assert shares[:, 1].tolist() == pytest.approx([0.5, 0, 0.5, 0])
    assert known.tolist() == [1] * 4


def test_cells_are_interpolated_between_their_centres_and_not_beyond_them():
    cells = np.array([[0.0, 1.0], [0.0, 1.0]])
    pixels = upsampled(cells, grid_of())
    # Centres lie at 7 and 21; the pixel centre x + 0.5 is (x + 0.5 - 7) / 14 of the way.
    expected = np.clip((np.arange(28) + 0.5 - 7) / 14, 0, 1)
    assert pixels == pytest.approx(np.tile(expected, (28, 1)), abs=1e-6)
    down = upsampled(cells.T, grid_of())
    assert down == pytest.approx(pixels.T, abs=1e-6)


def test_padding_takes_no_part_and_what_is_not_shown_has_no_value():
    grid = grid_of(56, 28, size=56, fit="pad")
    cells = np.full((4, 4), 9.0)
    cells[1:3] = 0.25
    assert upsampled(cells, grid) == pytest.approx(np.full((28, 56), 0.25))
    cropped = grid_of(56, 28)
    pixels = upsampled(np.ones((2, 2)), cropped)
    assert np.isnan(pixels[:, :14]).all()
    assert np.isnan(pixels[:, 42:]).all()
    assert (pixels[:, 14:42] == 1).all()
    assert np.array_equal(shown_pixels(cropped), np.isfinite(pixels))


def test_a_pixel_is_of_the_class_that_exceeds_its_threshold_most():
    half = np.full((2, 2), 0.5)
    cells = np.stack([half, half * 0.6, half * 0.4])  # background, 0.3, 0.2
    grid = grid_of()
    for thresholds, value in (((0.5, 0.5), 0), ((0.3, 0.5), 1), ((0.25, 0.1), 2), ((0.4, 0.2), 2)):
        assert set(np.unique(mask_of(cells, grid, np.array(thresholds)))) == {value}, thresholds
    assert set(np.unique(mask_of(cells, grid_of(56, 28), np.array([0.1, 0.9])))) == {1, IGNORE}


def test_strips_of_a_large_picture_fit_together(monkeypatch):
    cells = np.random.default_rng(0).dirichlet(np.ones(3), (10, 10)).transpose(2, 0, 1)
    grid, thresholds = grid_of(140, 140, size=140), np.array([0.4, 0.5])
    whole = mask_of(cells, grid, thresholds)
    monkeypatch.setattr("dinosearch.probes.segmentation.cells._STRIP_PIXELS", 140 * 9)
    assert np.array_equal(mask_of(cells, grid, thresholds), whole)
    # The rule, pixel by pixel.
    first, second = (upsampled(one, grid) for one in cells[1:])
    expected = np.where(first / 0.4 >= 1, 1, 0)
    expected = np.where((second / 0.5 >= 1) & (second / 0.5 > first / 0.4), 2, expected)
    assert (whole == expected).mean() > 0.999
