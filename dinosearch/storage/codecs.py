"""Token codecs: how patch tokens lie in a segment, and what is read back.

    fp16       half precision: what was written, bit for bit
    int8       one byte a number: each token scaled to +-127 by its own largest number
    pca-int8   the same after a projection onto the directions that hold most of the energy
    pq         product quantisation: one byte for each few numbers

The last two learn a codebook from tokens; it belongs to every segment written with it.

A scale per token brings what was decoded to unit length. On features of photographs that
keeps cosines as well as the step of the rounding does (root mean square error of a cosine
of int8, 112 numbers wide: 0.00063, in float16 as in float32), and the rows that are read
have the length that a cosine takes for granted. A token of zeros, which is padding, has
scale 0 and is read as zeros.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

DEFAULT = "int8"
"""Half the bytes, and of the best ten photographs for a region 0.999 stay (`codec_report`; 95 %:
0.998 to 1; 150 regions, 250 pictures, `mini`)."""

TRAINING_LEAST = 4_096
"""Tokens that a codebook is learned from at the least."""

TRAINING_MOST = 16_384
"""64 for each of the 256 entries of a PQ codebook; FAISS warns below 39."""

PCA_ENERGY = 0.95
"""Share of the tokens' energy that the projection keeps."""

_CENTROIDS = 256
_ROUNDS = 12


@dataclass(frozen=True)
class Coded:
    """Tokens as a codec keeps them.

    `codes` [..., P, W] and `scales` float16 [..., P], None for fp16.
    """

    codes: NDArray[Any]
    scales: NDArray[np.float16] | None = None

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + (0 if self.scales is None else self.scales.nbytes)


@dataclass(frozen=True)
class Rows:
    """Tokens as they are compared: `tokens` [..., P, W], times `scales` [..., P] where given.

    With `basis` float32 [W, Dp] the query is projected on that first.
    """

    tokens: NDArray[Any]
    scales: NDArray[np.float16] | None = None
    basis: NDArray[np.float32] | None = None


class Codec(ABC):
    """Tokens to codes and back. `dim` is the width of a token, `width` that of its code."""

    name: ClassVar[str]
    dtype: ClassVar[str]
    dim: int
    width: int
    codebook: NDArray[np.float32] | None = None

    @abstractmethod
    def encode(self, tokens: NDArray[np.floating]) -> Coded:
        """The code of unit `tokens` [..., P, dim]; rows of zeros stay zeros."""

    @abstractmethod
    def decode(self, coded: Coded) -> NDArray[np.float16]:
        """float16 [..., P, dim]: the unit tokens of a code."""

    def rows(self, coded: Coded) -> Rows:
        """What a query is compared with: decoded no further than that takes."""
        return Rows(self.decode(coded))

    @property
    def scaled(self) -> bool:
        """Whether a code has scales."""
        return self.name != Exact.name

    @property
    def token_bytes(self) -> int:
        """Bytes of one token's code and scale."""
        return self.width * np.dtype(self.dtype).itemsize + (2 if self.scaled else 0)

    def writes_like(self, other: Codec) -> bool:
        """Whether codes of the other codec are codes of this one."""
        if self.name != other.name or self.dim != other.dim:
            return False
        mine, theirs = self.codebook, other.codebook
        return mine is None or theirs is None or np.array_equal(mine, theirs)


class Exact(Codec):
    """Half precision."""

    name = "fp16"
    dtype = "<f2"

    def __init__(self, dim: int) -> None:
        self.dim = self.width = dim

    def encode(self, tokens: NDArray[np.floating]) -> Coded:
        return Coded(np.ascontiguousarray(tokens, dtype="<f2"))

    def decode(self, coded: Coded) -> NDArray[np.float16]:
        return coded.codes


class Int8(Codec):
    """One byte a number."""

    name = "int8"
    dtype = "|i1"

    def __init__(self, dim: int) -> None:
        self.dim = self.width = dim

    def encode(self, tokens: NDArray[np.floating]) -> Coded:
        rows = np.asarray(tokens, dtype=np.float32)
        largest = np.abs(rows).max(axis=-1, keepdims=True)
        step = np.where(largest > 0, largest, np.float32(1)) / np.float32(127)
        codes = np.rint(rows / step)
        return Coded(codes.astype(np.int8), _inverse_lengths(codes))

    def decode(self, coded: Coded) -> NDArray[np.float16]:
        return self._unit(coded).astype(np.float16)

    def rows(self, coded: Coded) -> Rows:
        return Rows(coded.codes, coded.scales, self.codebook)

    @staticmethod
    def _unit(coded: Coded) -> NDArray[np.float32]:
        assert coded.scales is not None
        unit: NDArray[np.float32] = coded.codes * coded.scales[..., None].astype(np.float32)
        return unit


class PcaInt8(Int8):
    """int8 of the tokens' coordinates in a smaller space.

    `codebook` float32 [width, dim], orthonormal rows. The mean is not taken off: so a score
    against a code is that of the projected query, and padding stays zero. The axes are
    turned at random, which spreads the energy evenly over the numbers and makes the
    rounding finer (0.0006 instead of 0.0010 at full width).
    """

    name = "pca-int8"

    def __init__(self, codebook: NDArray[np.float32]) -> None:
        self.codebook = codebook
        self.width, self.dim = codebook.shape

    @classmethod
    def train(cls, sample: NDArray[np.float32], *, seed: int) -> PcaInt8:
        """Learn from unit tokens [n, dim]."""
        energy, axes = np.linalg.eigh(sample.T.astype(np.float64) @ sample)
        share = np.cumsum(energy[::-1]) / energy.sum()
        enough = int(np.searchsorted(share, PCA_ENERGY)) + 1
        width = min(sample.shape[1], -(-enough // 8) * 8)
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))
        return cls((turn @ axes[:, ::-1][:, :width].T).astype(np.float32))

    def encode(self, tokens: NDArray[np.floating]) -> Coded:
        assert self.codebook is not None
        return super().encode(np.asarray(tokens, dtype=np.float32) @ self.codebook.T)

    def decode(self, coded: Coded) -> NDArray[np.float16]:
        assert self.codebook is not None
        tokens: NDArray[np.float32] = self._unit(coded) @ self.codebook
        return tokens.astype(np.float16)


class ProductQuantiser(Codec):
    """Jegou et al., "Product Quantization for Nearest Neighbor Search", 2011, by FAISS.

    `codebook` float32 [width, 256, numbers per code].
    """

    name = "pq"
    dtype = "|u1"

    def __init__(self, codebook: NDArray[np.float32]) -> None:
        self.codebook = codebook
        self.width = codebook.shape[0]
        self.dim = codebook.shape[0] * codebook.shape[2]
        self._quantiser = faiss.ProductQuantizer(self.dim, self.width, 8)
        faiss.copy_array_to_vector(codebook.ravel(), self._quantiser.centroids)

    @classmethod
    def train(cls, sample: NDArray[np.float32], *, seed: int) -> ProductQuantiser:
        """Learn from unit tokens [n, dim]."""
        dim = sample.shape[1]
        # Two numbers a code: four keep cosines three times worse (0.028 instead of 0.008).
        together = next(n for n in range(2, dim + 1) if dim % n == 0) if dim > 1 else 1
        quantiser = faiss.ProductQuantizer(dim, dim // together, 8)
        quantiser.cp.seed = seed + 1
        quantiser.cp.niter = _ROUNDS
        quantiser.train(np.ascontiguousarray(sample))
        centroids = faiss.vector_to_array(quantiser.centroids)
        return cls(centroids.reshape(dim // together, _CENTROIDS, together))

    def encode(self, tokens: NDArray[np.floating]) -> Coded:
        rows = np.ascontiguousarray(tokens, dtype=np.float32).reshape(-1, self.dim)
        codes = self._quantiser.compute_codes(rows)
        scales = _inverse_lengths(self._quantiser.decode(codes))
        scales[~rows.any(axis=1)] = 0
        shape = tokens.shape[:-1]
        return Coded(codes.reshape(*shape, self.width), scales.reshape(shape))

    def decode(self, coded: Coded) -> NDArray[np.float16]:
        assert coded.scales is not None
        codes = np.ascontiguousarray(coded.codes).reshape(-1, self.width)
        tokens: NDArray[np.float32] = self._quantiser.decode(codes)
        tokens = tokens * coded.scales.reshape(-1, 1).astype(np.float32)
        return tokens.astype(np.float16).reshape(*coded.scales.shape, self.dim)


_PLAIN: dict[str, type[Exact] | type[Int8]] = {"fp16": Exact, "int8": Int8}
_TRAINED: dict[str, type[PcaInt8] | type[ProductQuantiser]] = {
    "pca-int8": PcaInt8,
    "pq": ProductQuantiser,
}
NAMES = (*_PLAIN, *_TRAINED)


def is_trained(name: str) -> bool:
    """Whether a codec has a codebook."""
    return name in _TRAINED


def plain(name: str, dim: int) -> Codec:
    """The codec of that name, one without a codebook, for tokens of `dim` numbers."""
    return _PLAIN[name](dim)


def train(name: str, tokens: Sequence[NDArray[np.floating]], *, seed: int = 0) -> Codec | None:
    """The codec of that name with a codebook learned from pictures' `tokens` [P, dim] each.

    None where there are fewer than `TRAINING_LEAST` tokens that show something.
    """
    shown = [np.flatnonzero(one.any(axis=1)) for one in tokens]
    ends = np.cumsum([len(rows) for rows in shown])
    if ends[-1] < TRAINING_LEAST:
        return None
    rng = np.random.default_rng(seed)
    picked = rng.choice(ends[-1], min(int(ends[-1]), TRAINING_MOST), replace=False)
    # Out of each picture by itself: together they may be a quarter of a gigabyte.
    parts = np.split(np.sort(picked), np.searchsorted(np.sort(picked), ends[:-1]))
    starts = ends - [len(rows) for rows in shown]
    sample = np.concatenate(
        [
            one[rows[part - start]]
            for one, rows, part, start in zip(tokens, shown, parts, starts, strict=True)
        ]
    )
    return _TRAINED[name].train(sample.astype(np.float32), seed=seed)


def with_codebook(name: str, codebook: NDArray[np.float32]) -> Codec:
    """The codec of that name with a codebook that it was trained to."""
    return _TRAINED[name](codebook)


def fits_codebook(name: str, shape: tuple[int, ...], dim: int) -> bool:
    """Whether a codebook of the codec, for tokens of `dim` numbers, may have that shape."""
    if name == PcaInt8.name:
        return len(shape) == 2 and shape[1] == dim and 0 < shape[0] <= dim
    return len(shape) == 3 and shape[1] == _CENTROIDS and shape[0] * shape[2] == dim


def _inverse_lengths(rows: NDArray[np.floating]) -> NDArray[np.float16]:
    """float16 [...]: what brings each of `rows` [..., W] to unit length; 0 for zeros."""
    length = np.linalg.norm(rows, axis=-1)
    inverse: NDArray[np.floating] = np.where(length > 0, 1 / np.maximum(length, 1e-4), 0)
    return inverse.astype(np.float16)
