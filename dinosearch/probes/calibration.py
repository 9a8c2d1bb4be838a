"""Scores become probabilities that mean what they say. Pure array functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 1e-3, 1e3
"""Temperatures that are looked at; a set that is sorted without a fault would ask for zero."""


def softmax(scores: NDArray[np.floating], *, temperature: float = 1.0) -> NDArray[np.float64]:
    """float64 [n, C]: probabilities of `scores` [n, C] divided by a temperature."""
    scaled = np.asarray(scores, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def cross_entropy(probabilities: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Mean cross-entropy, in nats, of `probabilities` against `targets`, both [n, C]."""
    return float(-(targets * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1).mean())


def modest(targets: NDArray[np.floating]) -> NDArray[np.float64]:
    """`targets` [n, C] as sure as so few pictures allow.

    With m pictures of a class, the class itself gets (m + 1) / (m + 2) and the others share
    the rest: without that, held-out pictures without a fault would make a probe as sure as can
    be (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    classes = targets.shape[1]
    doubt = 1 / (np.asarray(targets, np.float64).sum(axis=0) + 2)
    rows = np.tile(doubt[:, None] / max(1, classes - 1), (1, classes))
    np.fill_diagonal(rows, 1 - doubt)
    found: NDArray[np.float64] = np.asarray(targets, np.float64) @ rows
    return found


def best_temperature(scores: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """The temperature that makes held-out `scores` [n, C] most probable.

    One number for all classes, so no decision changes (Guo et al., "On Calibration of Modern
    Neural Networks", 2017). By golden section over its logarithm, in which the cross-entropy
    has one valley.
    """
    low, high = np.log(COLDEST), np.log(HOTTEST)
    ratio = (np.sqrt(5) - 1) / 2

    def loss(at: float) -> float:
        return cross_entropy(softmax(scores, temperature=float(np.exp(at))), targets)

    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2))
