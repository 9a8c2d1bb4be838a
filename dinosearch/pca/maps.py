"""PCA maps of pictures on one shared basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid
from dinosearch.pca.artefacts import artefacts_of
from dinosearch.pca.basis import PcaBasis, fit_basis, foreground_of


@dataclass(frozen=True)
class PcaMap:
    """What the model sees in one picture.

    rgb         uint8 [rows, cols, 3]: a colour for each patch; 0 where it shows padding or
                is an artefact
    xyz         float32 [rows, cols, 3]: its place along the three components, NaN there
    foreground  bool [rows, cols]: the probable subject; its (row, col) pairs are a region
    artefacts   bool [rows, cols]: patches that tell of something else than what they show
    grid        where the patches lie in the picture
    basis       shared with `others`, the maps of the pictures that were asked for along
    """

    rgb: NDArray[np.uint8]
    xyz: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    artefacts: NDArray[np.bool_]
    grid: PatchGrid
    basis: PcaBasis = field(repr=False)
    others: tuple[PcaMap, ...] = field(default=(), repr=False)

    @property
    def explained_variance_ratio(self) -> NDArray[np.float64]:
        """float64 [3]: the share of the variance that each component carries, in [0, 1]."""
        return self.basis.explained_variance_ratio


def pca_maps(
    pictures: Sequence[tuple[NDArray[np.floating], PatchGrid]],
    *,
    basis: PcaBasis | None = None,
    norms: Sequence[NDArray[np.floating] | None] | None = None,
) -> list[PcaMap]:
    """The maps of pictures, each of tokens [P, Dp] on its grid, on one basis.

    Without `basis` it is fitted to all of them together. `norms` [P] of each picture are the
    lengths of its tokens, by which artefacts are known. Patches that show padding, and
    artefacts, take no part. Raises `InvalidInput` for too few patches.
    """
    lengths = norms or [None] * len(pictures)
    found = [
        np.zeros(grid.patches, dtype=bool) if one is None else artefacts_of(one, grid.shown.ravel())
        for (_, grid), one in zip(pictures, lengths, strict=True)
    ]
    told = [grid.shown.ravel() & ~odd for (_, grid), odd in zip(pictures, found, strict=True)]
    if basis is None:
        basis = fit_basis(
            np.concatenate([tokens[mask] for (tokens, _), mask in zip(pictures, told, strict=True)])
        )
    maps = []
    for (tokens, grid), mask, odd in zip(pictures, told, found, strict=True):
        projected = basis.project(tokens)
        projected[~mask] = np.nan
        rgb = np.zeros((len(mask), 3), dtype=np.uint8)
        rgb[mask] = basis.colours(projected[mask])
        xyz = projected.reshape(grid.rows, grid.cols, 3)
        maps.append(
            PcaMap(
                rgb=rgb.reshape(grid.rows, grid.cols, 3),
                xyz=xyz,
                foreground=foreground_of(xyz[..., 0], grid.shown),
                artefacts=odd.reshape(grid.rows, grid.cols),
                grid=grid,
                basis=basis,
            )
        )
    return maps
