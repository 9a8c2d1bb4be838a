"""Tokens that speak for their neighbourhood, as PatchCore's do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smoothed(
    tokens: NDArray[np.floating], usable: NDArray[np.bool_], *, cols: int, around: int
) -> NDArray[np.float32]:
    """float32 [P, D]: each token averaged with the usable ones of its neighbourhood, unit again.

    The neighbourhood is `around` x `around` cells (odd; 1 leaves tokens as they are), cut off
    at the edges of the grid, which has `cols` columns. `tokens` [P, D] have unit rows,
    `usable` bool [P] says which take part; the others become zeros. PatchCore's locally aware
    patch features (Roth et al., 2022, equations 1 and 2) with the mean as aggregation.
    """
    full = np.where(usable[:, None], tokens, 0).astype(np.float32)
    if around == 1:
        return full
    grid = full.reshape(-1, cols, full.shape[1])
    reach = around // 2
    # Sums, not means: making the rows unit takes care of how many there were.
    for axis in (0, 1):
        total = grid.copy()
        for step in range(1, reach + 1):
            total[_part(axis, step, None)] += grid[_part(axis, None, -step)]
            total[_part(axis, None, -step)] += grid[_part(axis, step, None)]
        grid = total
    flat = grid.reshape(full.shape)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    found: NDArray[np.float32] = np.where(
        usable[:, None], flat / np.maximum(lengths, 1e-12), np.float32(0)
    )
    return found


def _part(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)
