"""How well masks agree: intersection over union, and the threshold that makes it largest.

Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.probes.segmentation.cells import IGNORE

LEVELS = 200
"""Thresholds that are tried: 1/200 to 1."""

ROUNDS = 1_000


@dataclass(frozen=True)
class ClassIou:
    """Intersection over union of one class, pooled over pictures, in [0, 1].

    `low` and `high` are the 95 % interval of a bootstrap over pictures; all three are None
    where no picture holds the class and none was given it.
    """

    name: str
    iou: float | None
    low: float | None
    high: float | None
    pictures: int


def overlaps(found: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """int64 [classes, 2]: pixels in both and in either of two masks [h, w], per class.

    Pixels that are `IGNORE` in `truth` do not count; in `found` they are background, so that
    what the model was not shown is missed and not forgiven.
    """
    known = truth != IGNORE
    counts = []
    for value in range(1, classes + 1):
        a, b = (found == value) & known, truth == value
        counts.append([np.count_nonzero(a & b), np.count_nonzero(a | b)])
    return np.array(counts, dtype=np.int64).reshape(classes, 2)


def pooled_iou(
    counts: NDArray[np.int64], names: Sequence[str], *, rng: np.random.Generator
) -> list[ClassIou]:
    """The figure of each class from the `overlaps` of pictures [n, classes, 2].

    Pixels are summed over the pictures first, as in Pascal VOC; pictures are drawn again
    with replacement for the interval (Efron, 1979).
    """
    n = len(counts)
    drawn = counts[rng.integers(0, n, (ROUNDS, n))].sum(axis=1) if n else counts
    found = []
    for number, name in enumerate(names):
        inside, either = counts[:, number].sum(axis=0) if n else (0, 0)
        if not either:
            found.append(ClassIou(name, None, None, None, n))
            continue
        again = drawn[:, number]
        again = again[again[:, 1] > 0]
        low, high = np.percentile(again[:, 0] / again[:, 1], [2.5, 97.5])
        found.append(ClassIou(name, float(inside / either), float(low), float(high), n))
    return found


def histograms(
    probability: NDArray[np.floating], truth: NDArray[np.uint8], value: int
) -> NDArray[np.int64]:
    """int64 [2, LEVELS + 1]: pixels at each level of probability that are not, and are, `value`.

    Pixels that `truth` does not know, or whose probability is NaN, are left out.
    """
    known = (truth != IGNORE) & np.isfinite(probability)
    level = np.floor(probability[known] * LEVELS + 1e-4).astype(np.int64).clip(0, LEVELS)
    of_class = truth[known] == value
    both = np.bincount(level + of_class * (LEVELS + 1), minlength=2 * (LEVELS + 1))
    return both.reshape(2, LEVELS + 1)


def best_threshold(counts: NDArray[np.int64]) -> float:
    """The threshold whose pooled intersection over union is largest, in (0, 1].

    `counts` are the summed `histograms` of pictures. Of equally good thresholds the middle
    one; one half where the class occurs nowhere.
    """
    wrong, right = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    total = int(right[0])
    if not total:
        return 0.5
    values = right[1:] / (total + wrong[1:])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    # Of the first run of equals only: a far-off equal one would say nothing of the middle.
    run = best[: int(np.argmax(np.append(np.diff(best), 2) > 1)) + 1]
    return float(run[len(run) // 2] + 1) / LEVELS
