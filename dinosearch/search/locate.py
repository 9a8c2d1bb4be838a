"""Where in a picture a part lies: one box or several. Pure array functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.scoring import window_sums
from dinosearch.search.regions import RegionQuery

LAYOUT_EXPLAINS = 0.9
"""Share of what the best matches lie above the average that the layout must reach to decide."""

FINER = 2
"""Steps to a cell in which places are tried."""

_TRIED = 18
_REACH = 1.45
"""How far beyond the smallest and the largest span sizes are tried."""

SIZE_COUNTS = 0.4
"""What a size e times larger or smaller than that which fits best costs, as a share."""

SOFTNESS = 3.0
"""Spreads that one size must fit better than another to say e times as much."""

LEAST_SHARE = 0.02
"""A size that says less than this of where the part lies is not asked."""

ALSO = 0.7
"""What another place must reach, of the best one, to be a box of its own."""

MOST_BOXES = 8


class CellBox(NamedTuple):
    """A rectangle: rows `row0..row1` and columns `col0..col1`, at fractions of a cell."""

    row0: float
    col0: float
    row1: float
    col1: float


class Look(NamedTuple):
    """A part at one size in a picture.

    `maps` float32 [m, rows * cols]: the cosines over the picture of each patch; `share`, in
    [0, 1]: how much this size says of where the part lies.
    """

    size: RegionQuery
    maps: NDArray[np.float32]
    share: float


def shares(deviations: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 [sizes], of sum 1: how much each size says, by how well it fits.

    `deviations` [sizes] as `Usual.deviations` has them.
    """
    share = np.exp((deviations.astype(np.float64) - float(deviations.max())) / SOFTNESS)
    share[share < LEAST_SHARE * share.sum()] = 0
    found: NDArray[np.float64] = share / share.sum()
    return found


def boxes_of(looks: Sequence[Look], aspect: float, rows: int, cols: int) -> list[CellBox]:
    """The places in a picture of rows x cols cells where a part lies, best first.

    `aspect`: the part's height over its width.

    Where one place has nearly every patch match at the very cell its layout expects, at one
    of the sizes, that is the place. Otherwise the part is turned, scaled or deformed. Then
    the maps, standardised so that a patch that matches everywhere says little, are summed
    with the patches' rarity and the shares of their sizes as weights, and rectangles of the
    part's aspect and of many sizes are tried: the sum inside over the root of the area (the
    matched filter of a rectangle in white noise; Turin, "An introduction to matched
    filters", 1960), less for a size far from those that fit.
    """
    for look in sorted(looks, key=lambda one: -one.share):
        box = _laid_out(look.size, look.maps, rows, cols)
        if box is not None:
            return [box]
    total = np.zeros((rows, cols))
    for look in looks:
        total += look.share * _summed(look.size, look.maps, rows, cols)
    spans = np.array([look.size.span for look in looks], dtype=np.float64)
    fitting = float(np.exp(sum(look.share * np.log(look.size.span) for look in looks)))
    tried = np.geomspace(float(spans.min()) / _REACH, float(spans.max()) * _REACH, _TRIED)
    finer = np.asarray(np.kron(total, np.ones((FINER, FINER))), dtype=np.float64)
    return _best_rectangles(finer, tried, fitting, aspect)


def best_box(query: RegionQuery, scores: NDArray[np.float32], rows: int, cols: int) -> CellBox:
    """Where in a picture of rows x cols cells the part lies best, at the part's own size.

    `scores` [m, rows * cols]: a map of cosines over the picture for each query patch. As
    `boxes_of` does it, but that the standardised maps are summed over the rectangle, and
    the best place of this sum and of the layout counts.
    """
    found = _laid_out(query, scores, rows, cols)
    if found is not None:
        return found
    height, width = min(query.rows, rows), min(query.cols, cols)
    maps = scores.reshape(-1, rows, cols)
    inside = window_sums(_summed(query, scores, rows, cols), height, width)
    score = _standardised(inside) + _standardised(_at_layout(maps, query.offsets, height, width))
    row, col = np.unravel_index(int(score.argmax()), score.shape)
    return CellBox(int(row), int(col), int(row) + height, int(col) + width)


def _laid_out(
    query: RegionQuery, scores: NDArray[np.float32], rows: int, cols: int
) -> CellBox | None:
    """The place where nearly every patch matches at its own cell of the layout, if there is one."""
    maps = scores.reshape(-1, rows, cols)
    height, width = min(query.rows, rows), min(query.cols, cols)
    at_layout = _at_layout(maps, query.offsets, height, width)
    best, average = float(maps.max(axis=(1, 2)).mean()), float(maps.mean())
    if at_layout.max() - average < LAYOUT_EXPLAINS * (best - average):
        return None
    row, col = np.unravel_index(int(at_layout.argmax()), at_layout.shape)
    return CellBox(int(row), int(col), int(row) + height, int(col) + width)


def _summed(
    query: RegionQuery, scores: NDArray[np.float32], rows: int, cols: int
) -> NDArray[np.float64]:
    """float64 [rows, cols]: the maps, standardised, weighed and summed."""
    spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-6)
    maps = (scores - scores.mean(axis=1, keepdims=True)) / spread
    summed: NDArray[np.float64] = (query.weights @ maps).reshape(rows, cols).astype(np.float64)
    return summed


def _best_rectangles(
    total: NDArray[np.float64], spans: NDArray[np.floating], fitting: float, aspect: float
) -> list[CellBox]:
    """The best rectangle of a map that is `FINER` than cells, and others of its size."""
    best, of_best, sides = -np.inf, None, (0, 0)
    longest = max(aspect, 1.0)
    for span in spans.tolist():
        height = max(1, round(span * aspect / longest * FINER))
        width = max(1, round(span / longest * FINER))
        if height > total.shape[0] or width > total.shape[1]:
            continue
        inside = window_sums(total, height, width) / np.sqrt(height * width)
        value = float(inside.max()) * (1 - SIZE_COUNTS * abs(np.log(span / fitting)))
        if value > best:
            best, of_best, sides = value, inside, (height, width)
    if of_best is None:
        return [CellBox(0, 0, total.shape[0] / FINER, total.shape[1] / FINER)]
    height, width = sides
    least = ALSO * float(of_best.max())
    kept: list[CellBox] = []
    while len(kept) < MOST_BOXES:
        row, col = (int(one) for one in np.unravel_index(of_best.argmax(), of_best.shape))
        if kept and of_best[row, col] < max(least, 1e-9):
            break
        kept.append(
            CellBox(row / FINER, col / FINER, (row + height) / FINER, (col + width) / FINER)
        )
        # What touches it is the same thing.
        low, left = max(0, row - height + 1), max(0, col - width + 1)
        of_best[low : row + height, left : col + width] = -np.inf
    return kept


def _at_layout(
    maps: NDArray[np.float32], offsets: NDArray[np.int64], height: int, width: int
) -> NDArray[np.float64]:
    """float64 [R - height + 1, C - width + 1]: mean of the maps, each at its patch's cell.

    `maps` [m, R, C]; `offsets` [m, 2] are rows and columns within the part's rectangle.
    """
    down, across = maps.shape[1] - height + 1, maps.shape[2] - width + 1
    total = np.zeros((down, across))
    for one, (row, col) in zip(maps, offsets, strict=True):
        row, col = min(int(row), height - 1), min(int(col), width - 1)
        total += one[row : row + down, col : col + across]
    return total / len(maps)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros_like(values)
