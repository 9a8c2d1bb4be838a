"""Copy detection: all (query, candidate) pairs of an evaluation in one ranking.

A copy detector answers "is this a copy, and of what?" with one threshold for every query, and
most queries are copies of nothing. So pairs of all queries are ranked together (micro-AP), as
in DISC21 (Douze et al., "The 2021 Image Similarity Dataset and Challenge", 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dinosearch.evaluation.metrics import (
    Estimate,
    bootstrap,
    micro_average_precision,
    normalised_scores,
)
from dinosearch.evaluation.truth import GroundTruth

if TYPE_CHECKING:
    from dinosearch.image_index import ImageIndex

NEAREST = 3
"""Background pictures whose mean score a query's scores are lowered by."""

BACKGROUND_SHARE, BACKGROUND_MOST = 0.1, 1_000
"""Of the pictures that are nobody's copy, set aside where the ground truth names none."""

_PAGE = 1_000


class Pairs:
    """The pairs that were predicted, query by query.

    `background` float32 [b, D]: unit CLS vectors of pictures that are no copy of any query.
    """

    def __init__(self, background: NDArray[np.float32]) -> None:
        self._background = background
        self._scores: list[NDArray[np.float64]] = []
        self._normalised: list[NDArray[np.float64]] = []
        self._right: list[NDArray[np.bool_]] = []
        self._positives: list[int] = []

    def add(
        self,
        cls: NDArray[np.float32],
        scores: NDArray[np.float64],
        right: NDArray[np.bool_],
        positives: int,
    ) -> None:
        """One query of unit CLS [D]: `scores` and `right` [n] of what was found for it.

        `positives` counts what there was to find.
        """
        self._scores.append(scores)
        self._right.append(right)
        self._positives.append(positives)
        if len(self._background) >= NEAREST:
            usual = (self._background @ cls)[None]
            self._normalised.append(normalised_scores(scores[None], usual, nearest=NEAREST)[0])

    def figures(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Micro-AP as scored; where there is a background also normalised, and what that gains.

        The intervals are those of drawing whole queries again, each with all its pairs; the
        gain is that of the same draw.
        """
        queries = np.arange(len(self._positives), dtype=np.float64)
        raw = self._micro_ap(self._scores)
        found = {"micro-AP": bootstrap(queries, rng=rng, statistic=raw)}
        if self._normalised:
            best = self._micro_ap(self._normalised)
            found["micro-AP, normalised"] = bootstrap(queries, rng=rng, statistic=best)
            found["gain of normalising"] = bootstrap(
                queries, rng=rng, statistic=lambda drawn: best(drawn) - raw(drawn)
            )
        return found

    def _micro_ap(
        self, scores: list[NDArray[np.float64]]
    ) -> Callable[[NDArray[np.float64]], float]:
        """Micro-AP of the queries of some numbers, each as often as it is among them."""
        owner = np.repeat(np.arange(len(scores)), [len(part) for part in scores])
        values, right = np.concatenate(scores), np.concatenate(self._right)
        # Sorted once; every draw only counts some pairs more often than others.
        order = np.argsort(-values, kind="stable")
        owner, values, right = owner[order], values[order], right[order]
        positives = np.array(self._positives)

        def of_draw(drawn: NDArray[np.float64]) -> float:
            often = np.bincount(drawn.astype(np.int64), minlength=len(positives))
            wanted = int((often * positives).sum())
            return micro_average_precision(values, right, wanted, times=often[owner])

        return of_draw


def choose_background(
    index: ImageIndex, truth: GroundTruth, ids: dict[str, int | None], rng: np.random.Generator
) -> list[int]:
    """Ids of pictures that are no copy of any query; they are set aside as no candidates.

    Those that the ground truth names, else a tenth, 1,000 at most, of the pictures that it
    does not name at all. Were they candidates too, a wrong one would be lowered by itself.
    """
    if truth.background:
        return sorted({found for name in truth.background if (found := ids.get(name))})
    named = {found for found in ids.values() if found}
    free: list[int] = []
    last = 0
    while page := index.items(after=last, limit=_PAGE):
        free += [item.id for item in page if item.id not in named]
        last = page[-1].id
    count = min(max(NEAREST, int(BACKGROUND_SHARE * len(free))), BACKGROUND_MOST, len(free))
    return sorted(rng.choice(free, count, replace=False).tolist()) if count >= NEAREST else []
