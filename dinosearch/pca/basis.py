"""Principal components of tokens: fitted, turned so that colours never flip, made colours.

Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput

COMPONENTS = 3
ROBUST = (2.0, 98.0)
"""Percentiles that become colour 0 and 255: a few odd patches must not make all else grey."""

LEAST_SPAN = 0.01
"""Of the widest component's span: less is no information in half-precision tokens."""

LEAST_TOKENS = 4


@dataclass(frozen=True)
class PcaBasis:
    """Three directions in token space and the scale of colours along them.

    mean                      float64 [Dp]
    components                float64 [3, Dp], unit rows, each turned by the rule of `fit_basis`
    explained_variance_ratio  float64 [3], shares of the variance, in [0, 1]
    low, high                 float64 [3]: projections that become colour 0 and 255
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    explained_variance_ratio: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def project(self, tokens: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 [n, 3] of `tokens` [n, Dp]."""
        centred = tokens.astype(np.float64) - self.mean
        projected: NDArray[np.float32] = (centred @ self.components.T).astype(np.float32)
        return projected

    def colours(self, projected: NDArray[np.floating]) -> NDArray[np.uint8]:
        """uint8 [..., 3]: red, green, blue of projections [..., 3].

        A component that hardly varies is rounding noise and stays at the middle.
        """
        span = self.high - self.low
        tells = span > LEAST_SPAN * span.max()
        share = np.where(tells, (projected - self.low) / np.where(tells, span, 1), 0.5)
        levels: NDArray[np.uint8] = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
        return levels


def fit_basis(tokens: NDArray[np.floating]) -> PcaBasis:
    """The basis of `tokens` [n, Dp]. Raises `InvalidInput` for fewer than four.

    A principal component has no sign of its own. Each is turned so that the cubes of its
    loadings add up to something positive: a rule that looks at the direction alone, so that
    a component which is found again in other pictures gets the same colours, and that hangs
    on no single loading.
    """
    if len(tokens) < LEAST_TOKENS:
        raise InvalidInput(
            f"{len(tokens)} patches are too few for principal components: {LEAST_TOKENS} at least"
        )
    rows = tokens.astype(np.float64)
    mean = rows.mean(axis=0)
    rows -= mean
    # Of the tokens' own size rather than their number: a thousand by a thousand at most.
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1].T
    components = vectors[:COMPONENTS]
    turn = np.where((components**3).sum(axis=1) < 0, -1.0, 1.0)
    components = components * turn[:, None]
    total = float(values.sum())
    ratio = values[:COMPONENTS] / total if total > 0 else np.zeros(COMPONENTS)
    low, high = np.percentile(rows @ components.T, ROBUST, axis=0)
    return PcaBasis(mean, components, ratio, low, high)


def foreground_of(first: NDArray[np.floating], shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [rows, cols]: the patches that probably show the subject rather than its ground.

    `first` [rows, cols] is the first component, NaN where it tells nothing, `shown` the
    patches that show picture. They are split where the variance between both parts is
    largest (Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979); the
    subject is the part that holds the smaller share of the picture's edge, or, where both
    hold as much, the smaller part.
    """
    known = shown & np.isfinite(first)
    values = first[known]
    if not len(values) or float(np.ptp(values)) < 1e-9:
        return np.zeros(first.shape, dtype=bool)
    above = (first > _otsu(values)) & known
    inside = np.zeros_like(shown)
    inside[1:-1, 1:-1] = (
        shown[1:-1, 1:-1] & shown[:-2, 1:-1] & shown[2:, 1:-1] & shown[1:-1, :-2] & shown[1:-1, 2:]
    )
    edge = known & ~inside
    on_edge = float(above[edge].mean())
    if on_edge == 0.5:
        on_edge = float(above[known].mean())
    subject: NDArray[np.bool_] = above if on_edge < 0.5 else ~above & known
    return subject


def _otsu(values: NDArray[np.floating]) -> float:
    """The level that splits the values best, of 256 between their least and greatest."""
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # A gap has many equally good levels: its middle is the one farthest from both parts.
    best = np.flatnonzero(between >= np.nanmax(between) * (1 - 1e-12))
    return float(edges[1:][best].mean())
