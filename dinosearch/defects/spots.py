"""Where in a picture a heat map is hot: spots of cells, and the map in pixels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import Box, PatchGrid

Value = TypeVar("Value", bound=np.generic)


def spots_of(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The connected groups of marked cells, each int64 [n, 2] of (row, col).

    Cells are connected to their eight neighbours.
    """
    left = {(int(row), int(col)) for row, col in np.argwhere(mask)}
    found = []
    while left:
        reached = [left.pop()]
        for row, col in reached:
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    near = (row + down, col + across)
                    if near in left:
                        left.remove(near)
                        reached.append(near)
        found.append(np.array(sorted(reached), dtype=np.int64))
    return found


def boxes_of(
    heat: NDArray[np.floating], mask: NDArray[np.bool_], grid: PatchGrid
) -> tuple[Box, ...]:
    """A box in picture pixels around each group of marked cells, that with the hottest first."""
    spots = spots_of(mask)
    spots.sort(key=lambda spot: (-float(heat[spot[:, 0], spot[:, 1]].max()), spot[0].tolist()))
    boxes = []
    for spot in spots:
        (row0, col0), (row1, col1) = spot.min(axis=0), spot.max(axis=0) + 1
        boxes.append(grid.box_of_cells(int(row0), int(col0), int(row1), int(col1)))
    return tuple(boxes)


def in_pixels(values: NDArray[Value], grid: PatchGrid, *, beyond: Value) -> NDArray[Value]:
    """[height, width] of the picture: each pixel has the value [rows, cols] of its cell.

    `beyond` is the value of pixels that the model was not shown.
    """
    window = grid.window
    row = np.floor((np.arange(grid.height) + 0.5 - window.y0) / grid.cell_height).astype(np.int64)
    col = np.floor((np.arange(grid.width) + 0.5 - window.x0) / grid.cell_width).astype(np.int64)
    down, across = (row >= 0) & (row < grid.rows), (col >= 0) & (col < grid.cols)
    pixels = np.full((grid.height, grid.width), beyond, dtype=values.dtype)
    pixels[np.ix_(down, across)] = values[np.ix_(row[down], col[across])]
    return pixels
