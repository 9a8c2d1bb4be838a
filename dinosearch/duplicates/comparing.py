"""Two pictures side by side: laid out alike, and alike in what look-alikes do not share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.duplicates.detail import Grey, agreement
from dinosearch.duplicates.layout import Patches, Placement, coverage, placed

LEAST_AGREEING = 10
LEAST_SHARE = 0.15
"""Matches that must agree on a placement, and their share of the weight of all."""

CLEAR = 0.4
"""A share at which nobody asks whether the picture is mirrored."""

WHOLE = 0.8
"""Share of a picture that must be seen in the other for it to be a copy, or a crop."""

MOST = 0.999
"""An agreement beyond this says no more: thumbnails are compressed."""


@dataclass(frozen=True)
class Shown:
    """A picture as it is compared.

    `common` gives float32 [h, w]: what its look-alikes have in common, in standard deviations.
    """

    patches: Patches
    grey: Grey
    common: Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """`detail` in [0, 1]: agreement in detail; `first_seen`, `second_seen` in [0, 1]: the
    share of each picture that the other one shows."""

    placement: Placement
    detail: float
    first_seen: float
    second_seen: float

    @property
    def kind(self) -> str | None:
        """`near`, `contains`, or None for two that merely overlap."""
        if min(self.first_seen, self.second_seen) >= WHOLE:
            return "near"
        return "contains" if max(self.first_seen, self.second_seen) >= WHOLE else None


def compare(first: Shown, second: Shown, rng: np.random.Generator) -> Comparison | None:
    """How two pictures agree; None where no layout, or nothing in the layout, agrees."""
    placement = placed(first.patches, second.patches, rng)
    if placement is None or placement.share < CLEAR:
        turned = placed(first.patches, second.patches, rng, mirrored=True)
        if turned is not None and (placement is None or turned.share > placement.share):
            placement = turned
    if placement is None or placement.agreeing < LEAST_AGREEING or placement.share < LEAST_SHARE:
        return None
    seen = coverage(placement, first.patches, second.patches)
    # Read across the one that is seen more of: a crop in full, not the picture around it.
    if seen[0] >= seen[1]:
        detail = agreement(first.grey, second.grey, first.common(), placement)
    else:
        detail = agreement(second.grey, first.grey, second.common(), placement.inverse())
    if detail is None:
        return None
    return Comparison(placement, float(np.clip(detail, 0, MOST)), *seen)


def score_of(detail: float, usual: float) -> float:
    """In [0, 1]: how much better two pictures agree than one of them does with look-alikes.

    Both agreements are correlations, so their difference is taken between Fisher's z
    ("On the probable error of a coefficient of correlation", 1921), and turned back.
    """
    z = np.arctanh(min(detail, MOST)) - np.arctanh(min(max(usual, 0.0), MOST))
    return float(np.tanh(max(0.0, z)))
