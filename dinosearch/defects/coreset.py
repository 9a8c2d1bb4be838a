"""A few tokens that stand for many: the coreset of a bank.

Greedy k-center (Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", 1985),
as PatchCore chooses its memory (Roth et al., "Towards Total Recall in Industrial Anomaly
Detection", 2022, algorithm 1): each choice is the token farthest from those chosen before.
The farthest token is then at most twice as far from its nearest choice as with the best
choice there is of so many. Pure array functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 64
"""Numbers of a token that distances are taken on, when it has more: a random projection, as
in PatchCore, keeps distances to within a few parts in a hundred and costs as much less."""


def k_center(
    points: NDArray[np.floating], count: int, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """int64 [min(count, n)]: rows of `points` [n, d], in the order in which they are chosen.

    The first is drawn, each further one is the farthest from all before (the first of
    equals). So the first m of an answer are the answer for m.
    """
    near = np.asarray(points, dtype=np.float32)
    count = min(count, len(near))
    chosen = np.empty(count, dtype=np.int64)
    if not count:
        return chosen
    squares = np.einsum("nd,nd->n", near, near)
    least = np.full(len(near), np.inf, dtype=np.float32)
    at = int(rng.integers(len(near)))
    for step in range(count):
        chosen[step] = at
        np.minimum(least, squares + (squares[at] - 2 * (near @ near[at])), out=least)
        # Below what rounding leaves between equal points, so that none is chosen twice.
        least[at] = -np.inf
        at = int(least.argmax())
    return chosen


def projected(
    points: NDArray[np.floating], *, rng: np.random.Generator, dimensions: int = DIMENSIONS
) -> NDArray[np.float32]:
    """float32 [n, min(d, dimensions)]: `points` [n, d] at about the distances they have.

    A random Gaussian matrix (Johnson and Lindenstrauss, 1984); points of few dimensions
    stay as they are.
    """
    full = np.asarray(points, dtype=np.float32)
    if full.shape[1] <= dimensions:
        return full
    matrix = rng.standard_normal((full.shape[1], dimensions), dtype=np.float32)
    found: NDArray[np.float32] = full @ (matrix / np.float32(np.sqrt(dimensions)))
    return found
