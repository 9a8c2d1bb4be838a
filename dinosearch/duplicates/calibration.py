"""A threshold with a meaning: how many false copies it is expected to let through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WANTED = 1.0
"""Expected false copies in a million pairs of pictures, by default."""

UNCALIBRATED = 0.6
"""The threshold where an index is too small to say anything of itself."""

LOWEST, HIGHEST = 0.4, 0.9
"""A threshold that is chosen by itself stays within these."""

FEWEST = 40
"""Pictures whose look-alikes must have been compared for the tail to be known."""


@dataclass(frozen=True)
class Calibration:
    """What look-alikes reach that are no copies.

    `mean`: of the margins, in Fisher's z, by which the most alike of some look-alikes stands
    out from the others; `pictures` that were looked at; `tail`: how often a pair that is
    looked at is one that stands out, times the pairs looked at in a million pairs.
    """

    mean: float
    tail: float
    pictures: int

    @classmethod
    def of(
        cls, margins: NDArray[np.floating], *, each: int, looked_at: int, pairs: int
    ) -> Calibration:
        """From `margins` [pictures], one of `each` look-alikes having stood out for each.

        `looked_at` of all `pairs` of the index are compared.
        """
        share = 1e6 * looked_at / max(1, pairs)
        mean = float(np.mean(margins)) if len(margins) else 0.0
        return cls(max(mean, 1e-3), share / max(1, each), len(margins))

    def expected(self, threshold: float) -> float:
        """False copies expected in a million pairs: the tail of the margins is exponential."""
        margin = np.arctanh(min(threshold, 1 - 1e-9))
        return float(self.tail * np.exp(-margin / self.mean))

    def threshold(self, wanted: float = WANTED) -> float:
        """The lowest at which no more than `wanted` are expected, within bounds."""
        if self.pictures < FEWEST:
            return UNCALIBRATED
        margin = self.mean * np.log(max(self.tail / wanted, 1.0))
        return float(np.clip(np.tanh(margin), LOWEST, HIGHEST))
