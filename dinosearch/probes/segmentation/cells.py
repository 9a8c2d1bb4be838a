"""Masks become cells and cells become masks. Arrays in, arrays out.

A mask is uint8 [height, width] in pixels of the upright picture: 0 is background, k the k-th
class, 255 what nobody knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid

IGNORE = 255
"""The value of pixels of which nothing is known: not labelled, or not shown to the model."""

MOST_CLASSES = 254

_STRIP_PIXELS = 4_000_000
"""Pixels of a mask that are made at once, so that a huge picture needs no huge arrays."""


def target_shares(
    mask: NDArray[np.uint8], grid: PatchGrid, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What part of each cell is what: float32 [P, 1 + classes] and how much is known, [P].

    Shares are of the known pixels of a cell and add up to 1, background first; a pixel that
    a cell's edge cuts counts by its part. The second array is the share of the cell that is
    known picture, in [0, 1], 0 where the grid shows padding.
    """
    down, across = _overlap(grid.height, *_edges(grid)[0]), _overlap(grid.width, *_edges(grid)[1])
    area = grid.cell_width * grid.cell_height
    covered = np.stack(
        [down @ (mask == value).astype(np.float32) @ across.T for value in range(classes + 1)]
    )
    covered = covered.reshape(classes + 1, -1).T / area
    known = covered.sum(axis=1) * grid.shown.ravel()
    shares = covered / np.maximum(covered.sum(axis=1, keepdims=True), 1e-12)
    return shares.astype(np.float32), np.clip(known, 0, 1).astype(np.float32)


def upsampled(cells: NDArray[np.floating], grid: PatchGrid) -> NDArray[np.float32]:
    """float32 [height, width]: values of cells [rows, cols] at every pixel, bilinear.

    A pixel's value is interpolated between the centres of the cells around it; beyond the
    outermost centres it is the outermost cell's. Padding takes no part. NaN where the model
    was shown nothing.
    """
    down, across = _bilinear(grid)
    values: NDArray[np.float32] = down @ cells.astype(np.float32) @ across.T
    values[~shown_pixels(grid)] = np.nan
    return values


def mask_of(
    probabilities: NDArray[np.floating], grid: PatchGrid, thresholds: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """uint8 [height, width]: the class of every pixel.

    `probabilities` [1 + classes, rows, cols], background first, are upsampled; a pixel is of
    the class whose probability exceeds its threshold ([classes], above 0) the most times
    over, and background where none reaches its own; `IGNORE` where the model was shown
    nothing.
    """
    down, across = _bilinear(grid)
    ratios = (
        probabilities[1:].astype(np.float32) / np.asarray(thresholds, np.float32)[:, None, None]
    )
    half = [ratio @ across.T for ratio in ratios]
    mask = np.empty((grid.height, grid.width), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // grid.width)
    for top in range(0, grid.height, rows):
        part = down[top : top + rows]
        best = np.full((len(part), grid.width), 1.0, dtype=np.float32)
        found = np.zeros(best.shape, dtype=np.uint8)
        for number, one in enumerate(half, 1):
            ratio = part @ one
            # A hair of tolerance: a probability that is its threshold on paper counts.
            better = ratio >= best - 1e-6
            found[better] = number
            np.maximum(best, ratio, out=best)
        mask[top : top + rows] = found
    mask[~shown_pixels(grid)] = IGNORE
    return mask


def shown_pixels(grid: PatchGrid) -> NDArray[np.bool_]:
    """bool [height, width]: the pixels whose centre the model was shown."""
    window = grid.window
    y, x = np.arange(grid.height) + 0.5, np.arange(grid.width) + 0.5
    down, across = (y > window.y0) & (y < window.y1), (x > window.x0) & (x < window.x1)
    shown: NDArray[np.bool_] = down[:, None] & across[None, :]
    return shown


def _edges(grid: PatchGrid) -> tuple[tuple[float, float, int], tuple[float, float, int]]:
    """(where the first cell begins, its length, how many) in picture pixels: down, across."""
    window = grid.window
    return (window.y0, grid.cell_height, grid.rows), (window.x0, grid.cell_width, grid.cols)


def _overlap(pixels: int, start: float, length: float, cells: int) -> NDArray[np.float32]:
    """float32 [cells, pixels]: how much of each pixel, in [0, 1], lies in each cell."""
    low = start + np.arange(cells)[:, None] * length
    pixel = np.arange(pixels)[None, :]
    common = np.minimum(low + length, pixel + 1) - np.maximum(low, pixel)
    clipped: NDArray[np.float32] = np.clip(common, 0, 1).astype(np.float32)
    return clipped


def _bilinear(grid: PatchGrid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32 [height, rows] and [width, cols]: the weights of cells at each pixel's centre."""
    return (
        _weights(grid.height, *_edges(grid)[0], np.flatnonzero(grid.shown.any(axis=1))),
        _weights(grid.width, *_edges(grid)[1], np.flatnonzero(grid.shown.any(axis=0))),
    )


def _weights(
    pixels: int, start: float, length: float, cells: int, shown: NDArray[np.integer]
) -> NDArray[np.float32]:
    first, last = int(shown[0]), int(shown[-1])
    place = np.clip((np.arange(pixels) + 0.5 - start) / length - 0.5, first, last)
    low = np.minimum(np.floor(place).astype(np.int64), max(last - 1, first))
    rest = place - low
    weights = np.zeros((pixels, cells), dtype=np.float32)
    weights[np.arange(pixels), low] = 1 - rest
    weights[np.arange(pixels), np.minimum(low + 1, last)] += rest
    return weights
