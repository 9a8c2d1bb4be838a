"""What a bank says of a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.defects.spots import boxes_of, in_pixels
from dinosearch.geometry import Box, PatchGrid

Cell = tuple[int, int]


class Nearest(NamedTuple):
    """What is most like a hot patch among all that is normal.

    `cell` (row, col) of the picture has the score `score` = 1 - `cosine` to the patch
    `good_cell` of the good picture with that `id`, `path`, where it covers `box` (pixels).
    """

    cell: Cell
    score: float
    id: int
    path: str
    good_cell: Cell
    box: Box
    cosine: float


@dataclass(frozen=True)
class DefectReport:
    """How far a picture is from what is normal, and where.

    score         mean of the highest scores of its patches, the hottest 1 in 100, in [0, 2]
    threshold     beyond which it is called faulty; None where the bank has too few good
                  pictures to set one
    heat          float32 [rows, cols] of `grid`: 1 - best cosine of each patch to the bank;
                  NaN where the picture is not shown, or an artefact of the encoder lies
    hottest       (row, col) of the patches that `score` is the mean of, hottest first
    nearest       for the hottest of them, what is most like them in the bank: the reason
    false_alarms  share of good pictures that the threshold is expected to call faulty
    path, id      where the picture lies and its item, as far as it has them
    picture       what to ask the index with about it
    """

    score: float
    threshold: float | None
    heat: NDArray[np.float32]
    grid: PatchGrid
    hottest: tuple[Cell, ...]
    nearest: tuple[Nearest, ...] = ()
    false_alarms: float | None = None
    path: str | None = None
    id: int | None = None
    picture: Any = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> Literal["good", "faulty", "unknown"]:
        """`faulty` beyond the threshold; `unknown` without one."""
        if self.threshold is None:
            return "unknown"
        return "faulty" if self.score > self.threshold else "good"

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool [rows, cols]: the patches beyond the threshold; a faulty picture has one at least.

        A good picture may have some too, too few to count. None are marked without a
        threshold.
        """
        limit = np.inf if self.threshold is None else self.threshold
        with np.errstate(invalid="ignore"):
            marked: NDArray[np.bool_] = self.heat > limit
        return marked

    @property
    def boxes(self) -> tuple[Box, ...]:
        """`[x0, y0, x1, y1]` in pixels around each spot of the mask, the hottest first."""
        return boxes_of(self.heat, self.mask, self.grid)

    def heat_in_pixels(self) -> NDArray[np.float32]:
        """float32 [height, width] of the upright picture; NaN as in `heat` and beyond the view."""
        return in_pixels(self.heat, self.grid, beyond=np.float32(np.nan))

    def mask_in_pixels(self) -> NDArray[np.bool_]:
        """bool [height, width] of the upright picture: `mask` in pixels."""
        return in_pixels(self.mask, self.grid, beyond=np.bool_(False))
