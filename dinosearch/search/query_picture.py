"""The features of a picture that is asked with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import Box, PatchGrid, Region

SPANS = (4.0, 6.0, 9.0)
"""Cells that the longest side of a zoomed part spans; chosen on the tuning half of the scenes."""

STEPS = 10_000
"""Steps along the longer side of a picture that the edges of a zoomed part lie on."""

MARGIN = 3
"""Cells of its surroundings that a zoomed part is encoded with, on each side."""


@dataclass(frozen=True)
class Zoom:
    """A part of a picture encoded at another size: `patches` [P, Dp], unit rows, on `grid`."""

    patches: NDArray[np.floating]
    grid: PatchGrid


@dataclass(frozen=True)
class QueryPicture:
    """Features of one picture that is asked with.

    `cls` float32 [D] and `patches` [P, Dp], unit rows, on `grid`; `norms` float32 [P], the
    lengths of the patch tokens before they were made unit, where they are known; `zooms`,
    the marked part of it at other sizes.
    """

    cls: NDArray[np.float32]
    patches: NDArray[np.floating]
    grid: PatchGrid
    norms: NDArray[np.floating] | None = None
    zooms: tuple[Zoom, ...] = ()


def zoom_grids(grid: PatchGrid, region: Region) -> tuple[PatchGrid, ...]:
    """The squares that show `region` spanning each of `SPANS` cells, with some surroundings.

    `grid` is that of the picture's view, on which a region of patches lies.
    """
    bounds = region.bounds()
    if bounds is None:
        rows, cols = np.nonzero(grid.cells(region))
        bounds = grid.box_of_cells(rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
    whole = Box(0, 0, grid.width, grid.height)
    # Rounded fractions, as an address has them, must look at the very same squares.
    step = max(grid.width, grid.height) / STEPS
    bounds = Box(*(round(float(edge) / step) * step for edge in bounds))
    return tuple(
        PatchGrid.zoomed(
            grid.width,
            grid.height,
            bounds.intersection(whole),
            span=span,
            cells=math.ceil(span) + 2 * MARGIN,
            cell=grid.cell,
        )
        for span in SPANS
    )


def marked_on(zoom: PatchGrid, region: Region, grid: PatchGrid) -> NDArray[np.bool_]:
    """bool [rows, cols]: the cells of a zoomed square that show what `region` marks.

    `grid` is that of the picture's view, on which a region of patches lies.
    """
    if not region.patches:
        return zoom.covered(region)
    rows, cols = np.nonzero(grid.cells(region))
    return zoom.covered_by(
        grid.box_of_cells(row, col, row + 1, col + 1)
        for row, col in zip(rows.tolist(), cols.tolist(), strict=True)
    )
