"""The patch index: which pictures may hold a part, told from a few tokens of each.

A FAISS IVF index of 4-bit product-quantised codes over the chosen tokens of every picture
(`chosen.py`). Like the FAISS file over the CLS vectors it is derived from the segments that
the catalog lists for it, in that order: token j of row p of their concatenation is number
p * per_item + j. Rows that no item points to any more are left out by a selector. New
pictures are added to the lists there are; only when the corpus has grown several times over
are the lists learned anew.

Ways of FAISS that decide how it is called (seen with 1.15.1): a fast-scan index takes a
selector, and can be added to after it was read back; its scores are those of the codes, so
that two patches a hair apart may change places.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.catalog import PatchIndexRow
from dinosearch.storage.folder import Folder, Sealed, read_sealed, seal

SMALLEST = 1_000
"""Below this many pictures their chosen tokens are compared one and all, which is as fast."""

NPROBE = 32
RETRAIN_AT = 4
"""Times as many pictures as the lists were learned from, from which on they are too few."""

_POINTS_PER_LIST = 48
_ITERATIONS = 8
_SMALLEST_CODED = 16
"""Tokens of fewer numbers than that are kept as 8-bit numbers: 4 bits for two lose too much."""

Blocks = Sequence[Callable[[], NDArray[np.float32]]]
"""Per segment a function that gives its chosen tokens, float32 [n_i, T, Dp], unit rows."""


@dataclass(frozen=True)
class BuiltPatches:
    """A patch index at rest. `trained_on` is the number of pictures its lists were learned from."""

    sealed: Sealed
    rows: int
    per_item: int
    nlist: int
    trained_on: int


def lists_for(tokens: int) -> int:
    """Number of inverted lists for so many tokens: 4 sqrt(n), with enough points in each."""
    return max(1, min(round(4 * math.sqrt(tokens)), tokens // _POINTS_PER_LIST))


def build(
    folder: Folder,
    blocks: Blocks,
    rows: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> BuiltPatches:
    """Learn lists and codes from the chosen tokens of `rows` pictures, add all, and seal.

    At most `_POINTS_PER_LIST` tokens a list are looked at for learning.
    """
    progress("learning patches")
    per_item, dim = blocks[0]().shape[1:]
    nlist = lists_for(rows * per_item)
    wanted = min(rows * per_item, nlist * _POINTS_PER_LIST)
    sample = _sample(blocks, rows, wanted, np.random.default_rng(seed))
    quantizer = faiss.IndexFlatIP(dim)
    if dim < _SMALLEST_CODED or dim % 2:
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, dim, nlist, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
    else:
        index = faiss.IndexIVFPQFastScan(
            quantizer, dim, nlist, dim // 2, 4, faiss.METRIC_INNER_PRODUCT
        )
    index.cp.seed = seed
    index.cp.niter = _ITERATIONS
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _POINTS_PER_LIST
    index.train(sample)
    del sample
    return _filled(folder, index, blocks, rows, per_item, rows, progress)


def grow(
    folder: Folder,
    row: PatchIndexRow,
    blocks: Blocks,
    rows: int,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> BuiltPatches:
    """The index of `row` with the pictures of some more segments, `rows` of them, added.

    Nothing is learned anew and no list is built again. Raises ValueError for a file that
    is missing or damaged.
    """
    index = PatchIndex(folder, row).index
    return _filled(folder, index, blocks, rows, row.per_item, row.trained_on, progress)


def _filled(
    folder: Folder,
    index: faiss.IndexIVF,
    blocks: Blocks,
    rows: int,
    per_item: int,
    trained_on: int,
    progress: Callable[[str], None],
) -> BuiltPatches:
    done, before = 0, index.ntotal // per_item
    for block in blocks:
        tokens = block()
        progress(f"adding patches of picture {done} of {rows}")
        index.add(tokens.reshape(-1, tokens.shape[2]))
        done += len(tokens)
    progress("saving")
    sealed = seal(folder.derived / f"{uuid.uuid4().hex}.faiss", faiss.serialize_index(index).data)
    return BuiltPatches(sealed, before + rows, per_item, index.nlist, trained_on)


def _sample(
    blocks: Blocks, rows: int, wanted: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """float32 [wanted, Dp]: tokens drawn evenly from all pictures."""
    parts = []
    left, missing = rows, wanted
    for block in blocks:
        tokens = block()
        flat = tokens.reshape(-1, tokens.shape[2])
        share = min(len(flat), round(missing * len(tokens) / left)) if left else 0
        parts.append(flat[rng.choice(len(flat), share, replace=False)])
        left, missing = left - len(tokens), missing - share
    return np.concatenate(parts)


class PatchIndex:
    """The patch index of one catalog row, loaded."""

    def __init__(self, folder: Folder, row: PatchIndexRow) -> None:
        """Raises ValueError for a file that is missing or not what the catalog says."""
        path = folder.derived / row.name
        data = read_sealed(path, row.bytes, row.sha256)
        self.index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        if self.index.ntotal != row.rows * row.per_item:
            raise ValueError(
                f"{path} holds {self.index.ntotal} tokens instead of {row.rows * row.per_item}"
            )
        self.row = row

    def search(
        self,
        queries: NDArray[np.float32],
        depth: int,
        *,
        allowed: NDArray[np.bool_] | None,
        nprobe: int = NPROBE,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The `depth` best chosen tokens for each query token, with the row they are of.

        `queries` [q, Dp]; `allowed`: bool [rows], None for all. Returns scores float32
        [q, depth], best first, and rows int64 [q, depth], -1 where the probed lists had fewer.
        """
        parameters = faiss.SearchParametersIVF(nprobe=min(nprobe, self.row.nlist))
        bits = None
        if allowed is not None:
            each = np.repeat(allowed, self.row.per_item)
            bits = np.packbits(each, bitorder="little")
            parameters.sel = faiss.IDSelectorBitmap(len(each), faiss.swig_ptr(bits))
        scores, found = self.index.search(np.ascontiguousarray(queries), depth, params=parameters)
        del bits
        return scores, np.where(found < 0, -1, found // self.row.per_item)


def scan(
    queries: NDArray[np.float32], blocks: Iterator[tuple[NDArray[np.int8], NDArray[np.floating]]]
) -> NDArray[np.float32]:
    """float32 [q, n]: the best cosine of each query token among the chosen ones of n pictures.

    `queries` [q, Dp]; blocks of codes int8 [b, T, Dp] and their scales [b, T].
    """
    parts = [np.empty((len(queries), 0), np.float32)]
    for codes, scales in blocks:
        tokens = codes.astype(np.float32) * scales.astype(np.float32)[..., None]
        cosines = queries @ tokens.reshape(-1, tokens.shape[2]).T
        parts.append(cosines.reshape(len(queries), len(codes), -1).max(axis=2))
    return np.concatenate(parts, axis=1)
