"""What a cell's class is told from: its token, and if asked for, its surroundings.

Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid

CONTEXTS = ("around", "ring", "cls", "place")
"""`around`: mean token of the cells up to one away; `ring`: of those up to two away; `cls`: the
whole picture's vector; `place`: row and column, from -1 to 1."""


def check_context(context: Sequence[str]) -> tuple[str, ...]:
    """The contexts in their own order. Raises `InvalidInput` for one that is not known."""
    given = [context] if isinstance(context, str) else list(context)
    if unknown := [one for one in given if one not in CONTEXTS]:
        raise InvalidInput(f"the context {unknown[0]!r} is not known: use {', '.join(CONTEXTS)}")
    return tuple(one for one in CONTEXTS if one in given)


def cell_features(
    tokens: NDArray[np.floating],
    cls: NDArray[np.floating],
    grid: PatchGrid,
    context: Sequence[str] = (),
) -> NDArray[np.float32]:
    """float32 [P, F] of one picture's unit tokens [P, Dp] and CLS vector [D].

    Cells that show padding take part in no mean.
    """
    own: NDArray[np.float32] = tokens.astype(np.float32)
    parts: list[NDArray[np.float32]] = [own]
    shown = grid.shown.astype(np.float32)[..., None]
    square = own.reshape(grid.rows, grid.cols, -1) * shown
    for name, reach in (("around", 1), ("ring", 2)):
        if name in context:
            counts = np.maximum(_box_sum(shown, reach), np.float32(1))
            mean = _box_sum(square, reach) / counts
            parts.append(mean.reshape(own.shape).astype(np.float32))
    if "cls" in context:
        parts.append(np.tile(cls.astype(np.float32), (len(own), 1)))
    if "place" in context:
        places = np.meshgrid(
            np.linspace(-1, 1, grid.rows), np.linspace(-1, 1, grid.cols), indexing="ij"
        )
        place: NDArray[np.float32] = np.stack(places, axis=-1).reshape(-1, 2).astype(np.float32)
        parts.append(place)
    return np.concatenate(parts, axis=1)


def _box_sum(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """float32 [rows, cols, n]: sums of `values` over the cells up to `reach` away."""
    rows, cols = values.shape[:2]
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)))
    steps = range(2 * reach + 1)
    down = np.sum([padded[step : step + rows] for step in steps], axis=0)
    total: NDArray[np.float32] = np.sum([down[:, step : step + cols] for step in steps], axis=0)
    return total
