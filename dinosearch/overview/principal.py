"""The two directions in which vectors spread most, from blocks that are seen once.

Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plane:
    """A plane in the space of vectors.

    mean       float64 [D]
    axes       float64 [2, D], unit rows, each turned so that the cubes of its loadings add up
               to something positive, as for colours (pca/basis.py): a map never flips
    explained  float64 [2]: the share of the variance along each axis, in [0, 1]
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    explained: NDArray[np.float64]

    def project(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [n, 2] of `vectors` [n, D]."""
        placed: NDArray[np.float64] = (vectors.astype(np.float64) - self.mean) @ self.axes.T
        return placed


def fit_plane(blocks: Iterable[NDArray[np.floating]]) -> Plane:
    """The plane of the first two principal components of the rows of all `blocks` [b, D].

    Only sums and products are kept, D * D numbers, however many rows there are; taken about
    the first block's mean, so that nothing is lost where vectors are much alike. Raises
    ValueError for no rows at all.
    """
    about: NDArray[np.float64] | None = None
    for block in blocks:
        if not len(block):
            continue
        rows = block.astype(np.float64)
        if about is None:
            about = rows.mean(axis=0)
            count, total, products = 0, np.zeros_like(about), np.zeros((len(about), len(about)))
        rows -= about
        count += len(rows)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    if about is None:
        raise ValueError("no rows")
    shift = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(shift, shift))
    values, axes = np.maximum(values[::-1], 0), vectors[:, ::-1].T[:2]
    axes = axes * np.where((axes**3).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    whole = float(values.sum())
    explained = values[:2] / whole if whole > 0 else np.zeros(2)
    return Plane(about + shift, axes, explained)
