"""Strokes: a few lines drawn over a picture say what some of its cells show.

Strokes of one picture are a mapping from class names to lists of strokes; a stroke is
`{"line": [[x, y], ...]}`, in pixels of the upright picture (one point is a dot), or
`{"cells": [[row, col], ...]}`. The class `background` holds what is none of the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid

BACKGROUND = "background"

_STEPS_PER_CELL = 8
"""Points of a line that are looked at on the way through a cell."""


def classes_of(strokes: Mapping[Any, Mapping[str, Any]]) -> tuple[str, ...]:
    """The class names of strokes of several pictures, in order, without the background."""
    return tuple(sorted({name for one in strokes.values() for name in one} - {BACKGROUND}))


def stroke_shares(
    strokes: Mapping[str, Sequence[Mapping[str, Any]]], grid: PatchGrid, classes: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What strokes say of cells: float32 [P, 1 + classes] and which they touch, [P], 1 or 0.

    A cell touched by strokes of several classes belongs to each of them in equal parts.
    Raises `InvalidInput` for a class that is not known and for a stroke that is none, or
    that touches no cell the model is shown.
    """
    names = [BACKGROUND, *classes]
    touched = np.zeros((len(names), grid.rows, grid.cols), dtype=bool)
    for name, drawn in strokes.items():
        if name not in names:
            raise InvalidInput(
                f"a stroke is of the class {name!r}, but the classes are {', '.join(names)}"
            )
        for stroke in drawn:
            marked = cells_of_stroke(stroke, grid)
            if not marked.any():
                raise InvalidInput(
                    f"a stroke of {name!r} touches nothing that the model is shown of the picture"
                    f" ({grid.width} x {grid.height} pixels, fit={grid.fit}): draw it elsewhere"
                )
            touched[names.index(name)] |= marked
    flat = touched.reshape(len(names), -1).T.astype(np.float32)
    count = flat.sum(axis=1)
    return flat / np.maximum(count, 1)[:, None], (count > 0).astype(np.float32)


def cells_of_stroke(stroke: Mapping[str, Any], grid: PatchGrid) -> NDArray[np.bool_]:
    """bool [rows, cols]: the cells of the picture that a stroke touches.

    Raises `InvalidInput` for what is no stroke, and for cells outside the grid.
    """
    try:
        ((kind, given),) = stroke.items()
        points = np.array([[float(a), float(b)] for a, b in given])
        if kind not in ("line", "cells") or not len(points) or not np.isfinite(points).all():
            raise ValueError
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidInput(
            f'{str(stroke)[:60]!r} is not a stroke: write {{"line": [[x, y], ...]}} in pixels, or'
            ' {"cells": [[row, col], ...]}'
        ) from None
    if kind == "line":
        return _cells_of_line(points, grid) & grid.shown
    marked = np.zeros((grid.rows, grid.cols), dtype=bool)
    for row, col in points:
        if (
            row != int(row)
            or col != int(col)
            or not (0 <= row < grid.rows and 0 <= col < grid.cols)
        ):
            raise InvalidInput(
                f"a stroke holds the cell ({row:g}, {col:g}), which is outside the grid of"
                f" {grid.rows} rows and {grid.cols} columns"
            )
        marked[int(row), int(col)] = True
    return marked & grid.shown


def _cells_of_line(points: NDArray[np.float64], grid: PatchGrid) -> NDArray[np.bool_]:
    """The cells along a polyline of (x, y) picture pixels; what is outside marks nothing."""
    window = grid.window
    places = (points - (window.x0, window.y0)) / (grid.cell_width, grid.cell_height)
    along = [places[:1]]
    for start, end in pairwise(places):
        # Beyond the grid there is nothing to mark, however far a line may go there.
        length = min(float(np.abs(end - start).max()), 1e4)
        steps = max(1, math.ceil(_STEPS_PER_CELL * length))
        along.append(start + (end - start) * np.linspace(0, 1, steps + 1)[1:, None])
    col, row = np.floor(np.concatenate(along)).astype(np.int64).T
    inside = (row >= 0) & (row < grid.rows) & (col >= 0) & (col < grid.cols)
    marked = np.zeros((grid.rows, grid.cols), dtype=bool)
    marked[row[inside], col[inside]] = True
    return marked
