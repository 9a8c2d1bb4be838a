"""Places in the plane: brought to one scale, and found for pictures that came later.

Arrays in, arrays out.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5

_BLOCK = 4096


def to_unit_square(xy: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """(middle float64 [2], scale): (xy - middle) * scale fills [-1, 1] along its longer side."""
    if not len(xy):
        return np.zeros(2), 1.0
    low, high = xy.min(axis=0).astype(np.float64), xy.max(axis=0).astype(np.float64)
    span = float((high - low).max())
    return (low + high) / 2, 2 / span if span > 1e-12 else 1.0


def among_neighbours(
    vectors: NDArray[np.floating],
    known: NDArray[np.floating],
    xy: NDArray[np.floating],
    *,
    neighbours: int = NEIGHBOURS,
) -> NDArray[np.float32]:
    """float32 [m, 2]: places for unit `vectors` [m, D] among `known` [n, D], n >= 1, at `xy`.

    Each lies at the mean place of its nearest known vectors, weighted by their cosine (one
    that is not above 0 does not count, unless all are).
    """
    count = min(neighbours, len(known))
    best = np.full((len(vectors), 0), -np.inf, dtype=np.float32)
    place = np.empty((len(vectors), 0), dtype=np.int64)
    for low in range(0, len(known), _BLOCK):
        cosines = vectors @ known[low : low + _BLOCK].T
        best = np.concatenate([best, cosines], axis=1)
        numbers = np.arange(low, low + cosines.shape[1])
        place = np.concatenate([place, np.tile(numbers, (len(vectors), 1))], axis=1)
        kept = np.argsort(-best, axis=1, kind="stable")[:, :count]
        best, place = np.take_along_axis(best, kept, 1), np.take_along_axis(place, kept, 1)
    weights = np.maximum(best, 0).astype(np.float64)
    weights[weights.sum(axis=1) <= 0] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    placed: NDArray[np.float32] = (xy[place] * weights[..., None]).sum(axis=1).astype(np.float32)
    return placed


def marks(vectors: NDArray[np.float32]) -> NDArray[np.uint32]:
    """uint32 [n]: a checksum of each vector, by which one that has changed is known."""
    rows = np.ascontiguousarray(vectors)
    return np.array([zlib.crc32(row.data) for row in rows], dtype=np.uint32)
