"""Artefact patches: those in which a large ViT keeps notes of its own instead of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIMES_MEDIAN = 4.0
"""Of 36 photographs and drawings the longest patch was 3.1 medians long (`mini`, which has
no artefacts); the artefacts of DINOv2 are said to be several times as long as its other patches."""

DEVIATIONS = 5.0
MOST = 0.1
"""More than this share of a picture is no exception any more, and nothing is left out."""


def artefacts_of(norms: NDArray[np.floating], shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [n]: the patches whose token was far longer than is usual in their picture.

    `norms` [n] are lengths before tokens were made unit, `shown` the patches that show
    picture. ViTs trained on much data have a few patches, on dull ground, whose tokens are
    very long and tell of the whole picture (Darcet et al., "Vision Transformers Need
    Registers", 2024, section 2). Long is: more than 4 medians, and more than 5 deviations
    (1.4826 times the median absolute deviation) above the median.
    """
    usual = norms[shown]
    if not len(usual):
        return np.zeros(norms.shape, dtype=bool)
    median = float(np.median(usual))
    deviation = 1.4826 * float(np.median(np.abs(usual - median)))
    limit = max(TIMES_MEDIAN * median, median + DEVIATIONS * deviation)
    found: NDArray[np.bool_] = (norms > limit) & shown
    return found if found.sum() <= MOST * len(usual) else np.zeros_like(found)
