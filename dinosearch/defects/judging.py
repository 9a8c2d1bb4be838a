"""A picture against a memory. Pure array functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.defects.memory import Memory, best_matches, picture_score, top_count

TOP = 0.01
"""Share of the patches, the hottest, whose mean is a picture's score."""


class Judged(NamedTuple):
    """`score` of a picture; `heat` float32 [P], NaN where nothing was compared.

    `hottest` int64 [t] are the cells that the score is the mean of, hottest first, and
    `matches` int64 [t] the rows of the memory that are most like them.
    """

    score: float
    heat: NDArray[np.float32]
    hottest: NDArray[np.int64]
    matches: NDArray[np.int64]


def judge(tokens: NDArray[np.float32], usable: NDArray[np.bool_], memory: Memory) -> Judged:
    """How far the usable patches `tokens` [P, D], unit rows, are from a memory, not empty."""
    cells = np.flatnonzero(usable)
    cosines, which = best_matches(tokens[cells], memory.tokens)
    scores = 1 - cosines
    heat = np.full(len(tokens), np.nan, dtype=np.float32)
    heat[cells] = scores
    hot = np.argsort(-scores, kind="stable")[: top_count(len(cells), TOP)]
    return Judged(picture_score(scores, share=TOP), heat, cells[hot], which[hot])
