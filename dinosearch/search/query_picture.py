"""The features of a picture that is asked with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid


@dataclass(frozen=True)
class QueryPicture:
    """Features of one picture that is asked with.

    `cls` float32 [D] and `patches` [P, Dp], unit rows, on `grid`.
    """

    cls: NDArray[np.float32]
    patches: NDArray[np.floating]
    grid: PatchGrid
