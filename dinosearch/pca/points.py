"""The patches of PCA maps as points in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.pca.maps import PcaMap

MOST = 20_000
"""Points drawn: more only hide each other."""


@dataclass(frozen=True)
class Points:
    """n patches: where they lie, their colours, and which patch of which map each is.

    `xyz` float32 [n, 3], `rgb` uint8 [n, 3], `picture` int64 [n], `cells` int64 [n, 2]
    (row, col).
    """

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    picture: NDArray[np.int64]
    cells: NDArray[np.int64]


def points_of(maps: Sequence[PcaMap], *, most: int = MOST, seed: int = 0) -> Points:
    """Every patch that shows picture and is no artefact, or `most` of them at random."""
    shown = [np.isfinite(one.xyz[..., 0]) for one in maps]
    xyz = np.concatenate([one.xyz[mask] for one, mask in zip(maps, shown, strict=True)])
    rgb = np.concatenate([one.rgb[mask] for one, mask in zip(maps, shown, strict=True)])
    picture = np.repeat(np.arange(len(maps)), [int(mask.sum()) for mask in shown])
    cells = np.concatenate([np.argwhere(mask) for mask in shown])
    if len(xyz) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(xyz), most, replace=False))
        xyz, rgb, picture, cells = xyz[kept], rgb[kept], picture[kept], cells[kept]
    return Points(xyz, rgb, picture, cells)
