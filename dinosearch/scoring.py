"""The array kernels that answers rest on. Numbers in, numbers out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def similarities(
    query: NDArray[np.float32],
    tokens: NDArray[np.number],
    scales: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """float32 [m, P]: cosine of m query tokens with the P tokens of one picture.

    `query` [m, Dp] and `tokens` [P, Dp] have unit rows; or rows of codes, which are unit
    once each is multiplied by its scale, `scales` [P].
    """
    # One picture at a time: its single-precision copy and the scores stay in the cache.
    torch = sys.modules.get("torch")
    if torch is None:
        cosines: NDArray[np.float32] = query @ tokens.astype(np.float32).T
        return cosines if scales is None else cosines * scales.astype(np.float32)
    # It widens and multiplies three times as fast as numpy, but takes seconds to load: so
    # those have it who needed it anyway, to encode.
    with torch.inference_mode():
        ready = torch.from_numpy(np.require(tokens, requirements=["C", "W"])).float()
        product = torch.from_numpy(query) @ ready.T
        if scales is not None:  # of the products, which are fewer than the codes
            product *= torch.from_numpy(np.require(scales, requirements=["C", "W"])).float()
    found: NDArray[np.float32] = product.numpy()
    return found


def best_cosines(
    query: NDArray[np.float32],
    tokens: NDArray[np.number],
    *,
    scales: NDArray[np.floating] | None = None,
    near: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """float32 [m, b]: the best cosine of each query token among the tokens of b pictures.

    Averaged over the query's tokens it is MaxSim (Khattab and Zaharia, "ColBERT", 2020,
    equation 3, divided by m). `query` [m, Dp], `tokens` [b, P, Dp], unit rows, or codes
    with their `scales` [b, P]; `near` bool [m, P]: the tokens that each query token may
    match, None for all.
    """
    best = np.empty((len(query), len(tokens)), dtype=np.float32)
    for column, one in enumerate(tokens):
        cosines = similarities(query, one, None if scales is None else scales[column])
        if near is not None:
            cosines = np.where(near, cosines, np.float32(-1))
        best[:, column] = cosines.max(axis=1)
    return best


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """int64 [min(k, finite scores)]: where the best scores are, best first.

    Equal scores keep their order. Scores of -inf do not take part.
    """
    found = np.flatnonzero(np.isfinite(scores))
    if len(found) > k:
        worst = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= worst]
    order = np.lexsort((found, -scores[found]))[:k]
    return found[order].astype(np.int64)


def window_sums(values: NDArray[np.floating], rows: int, cols: int) -> NDArray[np.float64]:
    """float64 [R - rows + 1, C - cols + 1]: sums over every window of rows x cols cells."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1)
    return total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]


def knee(scores: Sequence[float]) -> int | None:
    """How many of the descending `scores` come before they drop, None where none stand out.

    The point farthest below the straight line from the first score to the last
    (Satopaa et al., "Finding a Kneedle in a Haystack", 2011, for a falling convex curve),
    on scores and ranks scaled to [0, 1]; at least a fifth below it, or there is no drop.
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) < 3 or values[0] - values[-1] < 1e-9:
        return None
    fallen = (values[0] - values) / (values[0] - values[-1])
    gap = fallen - np.linspace(0, 1, len(values))
    rank = int(gap.argmax())
    return rank if rank > 0 and gap[rank] >= 0.2 else None
