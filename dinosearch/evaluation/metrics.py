"""Figures of merit, as the field defines them. Pure array functions.

Every figure over queries comes with a bootstrap interval: a difference smaller than it says
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A mean over queries and its 95 % bootstrap interval; None where there is no query."""

    value: float | None
    low: float | None
    high: float | None
    queries: int


def bootstrap(
    values: Sequence[float] | NDArray[np.floating],
    *,
    rng: np.random.Generator,
    rounds: int = 1_000,
    statistic: Callable[[NDArray[np.float64]], float] = lambda part: float(part.mean()),
) -> Estimate:
    """`statistic` of the values, with the percentile bootstrap's 95 % interval.

    The queries are drawn again with replacement `rounds` times (Efron, "Bootstrap Methods",
    1979); values that are not finite are left out, and so are draws for which there is no
    figure (NaN).
    """
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        return Estimate(None, None, None, 0)
    drawn = rng.integers(0, len(kept), (rounds, len(kept)))
    found = np.array([statistic(kept[one]) for one in drawn])
    if np.isnan(found).all():
        return Estimate(None, None, None, 0)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(statistic(kept), float(low), float(high), len(kept))


def average_precision(
    ranked: Sequence[int],
    positives: set[int],
    junk: set[int] = frozenset(),  # type: ignore[assignment]
) -> float:
    """Average precision of a ranking; NaN where there is nothing to find.

    The rule of the revisited Oxford and Paris protocol (Radenovic et al., 2018): junk is
    taken out of the ranking first, and the area under precision over recall is summed by
    trapezoids, each step between the precision just before and just after a positive.
    Positives that the ranking does not reach count as never found.
    """
    if not positives:
        return float("nan")
    total, found, rank = 0.0, 0, 0
    for one in ranked:
        if one in junk:
            continue
        if one in positives:
            before = found / rank if rank else 1.0
            found += 1
            total += (before + found / (rank + 1)) / 2
        rank += 1
    return total / len(positives)


def recall_at(
    ranked: Sequence[int],
    positives: set[int],
    k: int,
    junk: set[int] = frozenset(),  # type: ignore[assignment]
) -> float:
    """Whether one of the first k, junk left out, is a positive: 1 or 0; NaN without positives.

    The recall@k of instance retrieval, where one right answer is enough.
    """
    if not positives:
        return float("nan")
    kept = [one for one in ranked if one not in junk][:k]
    return float(any(one in positives for one in kept))


def micro_average_precision(
    scores: NDArray[np.floating],
    right: NDArray[np.bool_],
    positives: int,
    *,
    times: NDArray[np.integer] | None = None,
) -> float:
    """Average precision of all predicted pairs of all queries in one ranking.

    The micro-AP of DISC21 (Douze et al., "The 2021 Image Similarity Dataset", 2021): it
    asks that one threshold serve every query. `scores` and `right` [n] belong to the
    predicted pairs, `positives` counts the pairs there are to find. Pairs of equal score
    enter together, so that their order does not matter. `times` int [n]: how often each pair
    counts, once by default; `positives` counts as often.
    """
    if positives < 1:
        return float("nan")
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order], right[order]
    last = np.append(np.flatnonzero(np.diff(values) != 0), len(values) - 1)
    often = np.ones(len(hits), np.int64) if times is None else times[order]
    found = np.cumsum(hits * often)[last]
    precision = found / np.maximum(1, np.cumsum(often)[last])
    gained = np.diff(found, prepend=0) / positives
    return float((precision * gained).sum())


def normalised_scores(
    scores: NDArray[np.floating], background: NDArray[np.floating], *, nearest: int = 3
) -> NDArray[np.float64]:
    """`scores` [q, n] less each query's mean score to its `nearest` background pictures.

    Score normalisation of SSCD (Pizzi et al., 2022): what is like everything is no copy of
    anything. `background` [q, b] holds the queries' scores to pictures that are known to
    be no match.
    """
    best = -np.sort(-background, axis=1)[:, :nearest]
    result: NDArray[np.float64] = np.asarray(scores, np.float64) - best.mean(axis=1, keepdims=True)
    return result


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties half.

    From ranks (Mann and Whitney, 1947); NaN where one of the classes is missing.
    """
    wins = int(positive.sum()) * int((~positive).sum())
    if not wins:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    ranks = middle[place]
    number = int(positive.sum())
    return float((ranks[positive].sum() - number * (number + 1) / 2) / wins)
