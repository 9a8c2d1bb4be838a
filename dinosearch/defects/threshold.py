"""Where good ends: a threshold from the scores of good pictures alone.

The scores are of good pictures that had no part in what judged them. One more good picture
is then as likely to fall into any of the gaps between them as into any other, whatever their
distribution, and the rate of false alarms of a threshold at one of them has a known (Beta)
distribution (Wilks, "Determination of Sample Sizes for Setting Tolerance Limits", 1941;
conformal prediction says the same). Pure numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Threshold:
    """A score beyond which a picture is called faulty.

    value       the score; None where no good picture could be judged by others
    asked       the rate of false alarms that was asked for
    promised    the rate to expect: at most `asked`, or the least that so few pictures allow
    low, high   the 95 % interval of the true rate, for all that so many pictures can tell
    pictures    how many good pictures it rests on
    """

    value: float | None
    asked: float
    promised: float | None
    low: float | None
    high: float | None
    pictures: int

    @property
    def enough(self) -> bool:
        """Whether there were pictures enough to promise what was asked for."""
        return self.promised is not None and self.promised <= self.asked + 1e-12


def threshold_of(
    scores: Sequence[float] | NDArray[np.floating], *, false_alarms: float
) -> Threshold:
    """The threshold at which a good picture is called faulty with the rate `false_alarms`.

    Of n scores, sorted, the one of rank ceil((n + 1) (1 - rate)): a further good picture
    exceeds it with the probability (n + 1 - rank) / (n + 1). Where n is too small for the
    rate, the largest score, which promises 1 / (n + 1).
    """
    ranked = np.sort(np.asarray(scores, dtype=np.float64))
    count = len(ranked)
    if not count:
        return Threshold(None, false_alarms, None, None, None, 0)
    # A hair of tolerance: 20 * 0.95 is 19, not a little more.
    rank = min(count, math.ceil((count + 1) * (1 - false_alarms) - 1e-9))
    beyond = count + 1 - rank
    tail = (1 - CONFIDENCE) / 2
    return Threshold(
        float(ranked[rank - 1]),
        false_alarms,
        beyond / (count + 1),
        beta_quantile(tail, beyond, rank),
        beta_quantile(1 - tail, beyond, rank),
        count,
    )


def rate_interval(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate that was seen as `hits` of `trials`.

    Exact (Clopper and Pearson, "The Use of Confidence or Fiducial Limits", 1934).
    """
    tail = (1 - CONFIDENCE) / 2
    low = beta_quantile(tail, hits, trials - hits + 1) if hits else 0.0
    high = beta_quantile(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return low, high


def beta_quantile(share: float, a: int, b: int) -> float:
    """The x at which the Beta(a, b) distribution has so much of its mass below; a, b >= 1.

    By bisection: for whole a and b the mass below x is the probability of a or more
    successes in a + b - 1 trials that each succeed with x.
    """
    trials = a + b - 1
    counts = np.arange(a, trials + 1)
    ways = np.array(
        [
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            for k in counts.tolist()
        ]
    )
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        logs = ways + counts * math.log(middle) + (trials - counts) * math.log1p(-middle)
        if float(np.exp(logs).sum()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
