"""Where a marked part occurs: exact MaxSim over stored tokens, and the best box.

Pure array functions; the engine brings the tokens.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid, Region
from dinosearch.scoring import similarities, window_sums

NEARBY = 0.1
"""How far from its place a patch may be found when position matters, in sides of the view."""


@dataclass(frozen=True)
class RegionQuery:
    """The patches of a marked part, taken out of its picture.

    `tokens` float32 [m, Dp], unit rows; `places` int64 [m, 2]: row and column of each patch
    in the query's grid; `offsets` the same within the part's bounding rectangle of
    `rows` x `cols` cells. `near` bool [m, P]: where in a picture each patch may be found;
    None for anywhere. `is_marked` is false for a whole picture.
    """

    tokens: NDArray[np.float32]
    places: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: int
    cols: int
    near: NDArray[np.bool_] | None = None
    is_marked: bool = True

    @classmethod
    def cut(
        cls,
        region: Region | None,
        grid: PatchGrid,
        patches: NDArray[np.floating],
        *,
        position: bool = False,
    ) -> RegionQuery:
        """The part of a picture whose tokens are `patches` [P, Dp] on `grid`; None for all of it.

        With `position` each patch is looked for only near its own place. Raises
        `InvalidInput` for a region that marks no patch.
        """
        places = np.argwhere(grid.shown if region is None else grid.cells(region))
        origin = places.min(axis=0)
        span = places.max(axis=0) - origin + 1
        index = places[:, 0] * grid.cols + places[:, 1]
        return cls(
            patches[index].astype(np.float32),
            places,
            places - origin,
            int(span[0]),
            int(span[1]),
            nearby(places, grid.rows, grid.cols) if position else None,
            region is not None,
        )

    def scores(self, tokens: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 [m, P]: cosine of each patch to each token of a picture, -1 where it may not be.

        `tokens` [P, Dp], unit rows.
        """
        cosines = similarities(self.tokens, tokens)
        return cosines if self.near is None else np.where(self.near, cosines, np.float32(-1))

    def digest(self, generation: int) -> bytes:
        """What a scan for this part depends on, but for which pictures are scanned."""
        parts = [self.tokens.tobytes(), b"" if self.near is None else self.near.tobytes()]
        return hashlib.sha256(b"%d %d " % (generation, len(parts[1])) + b"".join(parts)).digest()


def nearby(places: NDArray[np.int64], rows: int, cols: int) -> NDArray[np.bool_]:
    """bool [m, rows * cols]: the cells within `NEARBY` of each of `places` [m, 2].

    Counted in cells of the view, so that it holds across pictures of one aspect ratio,
    such as those of one camera on a line.
    """
    row, col = np.divmod(np.arange(rows * cols), cols)
    down = np.abs(row[None] - places[:, :1]) <= max(1, round(NEARBY * rows))
    across = np.abs(col[None] - places[:, 1:]) <= max(1, round(NEARBY * cols))
    close: NDArray[np.bool_] = down & across
    return close


@dataclass(frozen=True)
class CellBox:
    """A rectangle of cells: rows `row0..row1-1`, columns `col0..col1-1`."""

    row0: int
    col0: int
    row1: int
    col1: int


LAYOUT_EXPLAINS = 0.9
"""Share of what the best matches lie above the average that the layout must reach to decide."""


def best_box(query: RegionQuery, scores: NDArray[np.float32], rows: int, cols: int) -> CellBox:
    """Where in a picture of rows x cols cells the part lies best, at the part's own size.

    `scores` [m, rows * cols]: a map of cosines over the picture for each query patch.
    Where one place of the part's rectangle has nearly every patch match at the very cell
    its layout expects, that is the place. Otherwise (the part is turned, scaled or
    deformed) the maps, standardised so that a patch that matches everywhere says little,
    are summed over the rectangle as well, and the best place of both sums counts.
    """
    maps = scores.reshape(-1, rows, cols)
    height, width = min(query.rows, rows), min(query.cols, cols)
    at_layout = _at_layout(maps, query.offsets, height, width)
    best, average = float(maps.max(axis=(1, 2)).mean()), float(maps.mean())
    if at_layout.max() - average >= LAYOUT_EXPLAINS * (best - average):
        score = at_layout
    else:
        spread = maps.std(axis=(1, 2), keepdims=True)
        maps = (maps - maps.mean(axis=(1, 2), keepdims=True)) / np.maximum(spread, 1e-6)
        inside = window_sums(maps.mean(axis=0), height, width)
        score = _standardised(inside) + _standardised(
            _at_layout(maps, query.offsets, height, width)
        )
    row, col = np.unravel_index(int(score.argmax()), score.shape)
    return CellBox(int(row), int(col), int(row) + height, int(col) + width)


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
