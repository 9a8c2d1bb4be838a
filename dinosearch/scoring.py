"""The array kernels that answers rest on. Numbers in, numbers out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

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


_PAIR_BLOCK = 2_048

HALF_MARGIN = 0.006
"""Most by which a product of two unit rows in bfloat16 is off: 2 ** -8 for rounding both rows
(Cauchy-Schwarz), and 2 ** -9 for rounding the product."""


def pairs_above(
    vectors: NDArray[np.float32],
    threshold: float,
    *,
    others: NDArray[np.float32] | None = None,
    lowered: NDArray[np.float32] | None = None,
    half: bool | None = None,
    block: int = _PAIR_BLOCK,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """All pairs of rows that score at least `threshold`: where they are, and the score.

    `vectors` [n, D]: pairs i < j of them; or with `others` [m, D], i of `vectors` and j of
    `others`. The score is the product, less `lowered` [n] of both rows where given (without
    `others`). Returns int64 [pairs], int64 [pairs], float32 [pairs], ordered by i, then j.

    Exact: with `half`, which wants rows of length 1 at most, blocks are multiplied in
    bfloat16, and what comes within `HALF_MARGIN` of the threshold once more in single
    precision. None takes half precision where torch is loaded and the processor has it.
    """
    columns = vectors if others is None else others
    half = _multiplies_halves() if half is None else half
    products = _halves(vectors, columns) if half else _singles(vectors, columns)
    margin = HALF_MARGIN if half else _ROUNDING * max(1.0, abs(threshold))
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for low in range(0, len(vectors), block):
        rows = slice(low, low + block)
        for left in range(low if others is None else 0, len(columns), block):
            across = slice(left, left + block)
            first, second = products(
                rows,
                across,
                threshold - margin,
                None if lowered is None else (lowered[rows], lowered[across]),
            )
            first, second = first + low, second + left
            if others is None and left == low:
                upper = first < second
                first, second = first[upper], second[upper]
            scores = row_products(vectors, columns, first, second)
            if lowered is not None:
                scores -= lowered[first] + lowered[second]
            kept = scores >= threshold
            parts.append((first[kept], second[kept], scores[kept]))
    if not parts:
        none = np.empty(0, np.int64)
        return none, none, np.empty(0, np.float32)
    first, second, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((second, first))
    return first[order], second[order], scores[order]


def row_products(
    vectors: NDArray[np.float32],
    columns: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float32]:
    """float32 [pairs]: products of rows `first` of `vectors` and rows `second` of `columns`.

    Each by itself, so that none depends on what else is in its block.
    """
    found = np.empty(len(first), dtype=np.float32)
    for low in range(0, len(first), _GATHERED):
        part = slice(low, low + _GATHERED)
        found[part] = np.einsum("ij,ij->i", vectors[first[part]], columns[second[part]])
    return found


_GATHERED = 16_384
"""Pairs whose rows are copied at once."""

_ROUNDING = 1e-5
"""A product in single precision may come out so much lower in another order of adding."""

_Lowered = tuple[NDArray[np.float32], NDArray[np.float32]]
_Above = Callable[
    [slice, slice, float, _Lowered | None], tuple[NDArray[np.int64], NDArray[np.int64]]
]


def _singles(vectors: NDArray[np.float32], columns: NDArray[np.float32]) -> _Above:
    def above(
        rows: slice, across: slice, least: float, lowered: _Lowered | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        scores = vectors[rows] @ columns[across].T
        if lowered is not None:
            scores -= lowered[0][:, None] + lowered[1]
        first, second = np.nonzero(scores >= least)
        return first.astype(np.int64), second.astype(np.int64)

    return above


def _halves(vectors: NDArray[np.float32], columns: NDArray[np.float32]) -> _Above:
    import torch

    def ready(array: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))

    with torch.inference_mode():
        left = ready(vectors).bfloat16()
        right = left if columns is vectors else ready(columns).bfloat16()

    def above(
        rows: slice, across: slice, least: float, lowered: _Lowered | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        with torch.inference_mode():
            scores = left[rows] @ right[across].T
            if lowered is not None:
                # In single precision, or what is taken off would be rounded too.
                scores = scores.float() - ready(lowered[0])[:, None] - ready(lowered[1])
            first, second = (scores >= least).nonzero(as_tuple=True)
            return first.numpy(), second.numpy()

    return above


def _multiplies_halves() -> bool:
    """Whether torch is loaded and the processor multiplies bfloat16 faster than single."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
