"""How good a classifier is, and which labels look wrong. Pure array functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""Standard deviations on either side that hold 95 % of a normal distribution."""


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a proportion `right` / `of` (Wilson, 1927); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share = right / of
    middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of)) / (1 + Z * Z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def confusion(
    given: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """int64 [classes, classes]: how often a picture of the row's class was called the column's."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (given, predicted), 1)
    return table


def report(
    given: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> dict[str, Any]:
    """Accuracy with its 95 % interval, calibration, confusion and the figures of each class.

    `given` int64 [n], `probabilities` [n, C]. A figure that nothing was counted for is None.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == given).sum())
    table = confusion(given, predicted, len(classes))
    per_class: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(classes):
        hit = int(table[number, number])
        called, there = int(table[:, number].sum()), int(table[number].sum())
        precision = hit / called if called else None
        recall = hit / there if there else None
        per_class[name] = {
            "pictures": there,
            "precision": precision,
            "recall": recall,
            "recall_interval": list(wilson(hit, there)) if there else None,
            "f1": 2 * hit / (called + there) if called + there else None,
        }
    recalls = [one["recall"] for one in per_class.values() if one["recall"] is not None]
    return {
        "pictures": len(given),
        "accuracy": right / len(given) if len(given) else None,
        "interval": list(wilson(right, len(given))),
        "balanced_accuracy": float(np.mean(recalls)) if recalls else None,
        "ece": calibration_error(given, probabilities) if len(given) else None,
        "classes": list(classes),
        "confusion": table.tolist(),
        "per_class": per_class,
    }


def calibration_error(
    given: NDArray[np.int64], probabilities: NDArray[np.floating], *, bins: int = 15
) -> float:
    """Expected calibration error: how far confidence is from accuracy, on average.

    Over `bins` equal ranges of the highest probability, weighted by how many pictures fall in
    each (Guo et al., "On Calibration of Modern Neural Networks", 2017).
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == given
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(float(sure[place == one].mean()) - float(right[place == one].mean()))
        * int((place == one).sum())
        for one in np.unique(place)
    ]
    return sum(gaps) / len(given)


def suspects(
    given: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> list[tuple[int, int]]:
    """(position, class it rather is) of labels that look wrong, the likeliest error first.

    Confident learning (Northcutt, Jiang and Chuang, 2021): `probabilities` [n, C] come from
    probes that have not seen the picture. A label is suspect where another class is as
    probable as it is on average among pictures that carry that class. Ordered by how far the
    probability of the other class exceeds that of the given one.
    """
    classes = probabilities.shape[1]
    usual = np.array(
        [
            probabilities[given == one, one].mean() if (given == one).any() else np.inf
            for one in range(classes)
        ]
    )
    likely = np.where(probabilities >= usual, probabilities, -1.0)
    other = likely.argmax(axis=1)
    found = np.flatnonzero((likely.max(axis=1) >= 0) & (other != given))
    excess = probabilities[found, other[found]] - probabilities[found, given[found]]
    found = found[excess > 0]
    order = np.argsort(-excess[excess > 0], kind="stable")
    return [(int(one), int(other[one])) for one in found[order]]
