"""A perceptual hash: 64 bits that survive what changes a picture's details.

The discrete cosine transform of the picture at 32 x 32 grey values; a bit says whether one of
the 64 lowest frequencies lies above their median (Zauner, "Implementation and benchmarking of
perceptual image hash functions", 2010, section 3.2.1). It holds where a small network is
weak, under blur and heavy compression, and fails where one is strong, under crops and turns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 32
LOWEST = 8

BITS = LOWEST * LOWEST


def hash_bits(grey: NDArray[np.floating], *, mirrored: bool = False) -> NDArray[np.bool_]:
    """bool [n, 64]: the hashes of `grey` [n, 32, 32], with `mirrored` of the pictures mirrored."""
    basis = _cosines()
    low = basis @ grey.astype(np.float64) @ basis.T
    if mirrored:
        # A mirrored picture has the same frequencies, the odd ones across with the sign turned.
        low[:, :, 1::2] *= -1
    # What rounding leaves of a frequency that is not there must not be a bit by chance.
    flat = np.round(low.reshape(len(grey), BITS), 6)
    # The first is the mean brightness: it says nothing of what is where.
    median = np.median(flat[:, 1:], axis=1, keepdims=True)
    return np.asarray(flat > median, dtype=bool)


def as_signs(bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 [n, 64] of +-1/8, unit rows: their products are 1 - distance / 32."""
    return np.where(bits, np.float32(1 / LOWEST), np.float32(-1 / LOWEST)).astype(np.float32)


def product_at(distance: int) -> float:
    """The product of `as_signs` rows whose hashes differ in `distance` bits of 64."""
    return 1 - 2 * distance / BITS


def _cosines() -> NDArray[np.float64]:
    """float64 [8, 32]: the lowest rows of the orthonormal DCT-II."""
    place = (2 * np.arange(SIDE) + 1) * np.pi / (2 * SIDE)
    basis = np.cos(np.arange(LOWEST)[:, None] * place) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)
