"""The FAISS IVF index over the CLS vectors: a fast, derived copy that may be lost.

The vectors in the segments are the truth. This file holds all rows of the segments that
the catalog lists for it, in that order, so that *position* p of FAISS is row p of their
concatenation: no second table of ids can drift from it. Rows no item points to any more
stay in it until the next build and are left out of every search by a selector.

Ways of FAISS that decide how it is called (seen with 1.15.1): a selector with nprobe 8 of
128 lists returned 2 of the 10 rows that matched; a file with flipped bytes is often read
without an error, so its checksum is compared first; a search that finds too little pads
with -1.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.catalog import VectorIndexRow
from dinosearch.storage.folder import Folder, Sealed, read_sealed, seal

SMALLEST = 1_000
"""Below this many rows an exact scan takes less than a millisecond, and no file is made."""

RECALL_TARGET = 0.99
RECALL_AT = 10
RECALL_QUERIES = 200

# FAISS warns below 39 training points a centroid; more than 256 teach it nothing.
_POINTS_PER_LIST = 39
_TRAINING_POINTS_PER_LIST = 128
_EXACT_BLOCK_BYTES = 32 << 20


@dataclass(frozen=True)
class Built:
    """A FAISS file at rest and how well it answers."""

    sealed: Sealed
    rows: int
    nlist: int
    nprobe: int
    recall: float
    recall_queries: int


def lists_for(rows: int) -> int:
    """Number of inverted lists for so many rows: 4 sqrt(n), with enough points in each."""
    return max(1, min(round(4 * math.sqrt(rows)), rows // _POINTS_PER_LIST))


def build(
    folder: Folder,
    blocks: Sequence[NDArray[np.float32]],
    live: NDArray[np.bool_],
    *,
    seed: int = 0,
    recall_target: float = RECALL_TARGET,
    progress: Callable[[str], None] = lambda step: None,
) -> Built:
    """Build, tune and seal the index of some segments' CLS vectors.

    `blocks`: float32 [n_i, D] unit rows per segment, in the order of positions; `live`:
    bool [sum n_i], the rows that items point to. nprobe is the smallest whose recall@10
    against exact search, for up to 200 of the index's own vectors with each vector's
    own row left out, reaches `recall_target`.
    """
    rows = sum(len(block) for block in blocks)
    dim = blocks[0].shape[1]
    nlist = lists_for(int(live.sum()))
    rng = np.random.default_rng(seed)
    progress("training")
    quantizer = faiss.IndexFlatIP(dim)
    # Half precision ranks as single does, in half the bytes, and is faster to scan.
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, nlist, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = seed + 1
    wanted = min(int(live.sum()), nlist * _TRAINING_POINTS_PER_LIST)
    sample = np.sort(rng.choice(np.flatnonzero(live), wanted, replace=False))
    index.train(gather(blocks, sample))
    progress("adding")
    for block in blocks:
        index.add(np.ascontiguousarray(block))
        progress("adding")
    progress("measuring recall")
    nprobe, recall, queries = _tune(index, blocks, live, rng, recall_target)
    index.nprobe = nprobe
    progress("saving")
    sealed = seal(folder.derived / f"{uuid.uuid4().hex}.faiss", faiss.serialize_index(index).data)
    return Built(sealed, rows, nlist, nprobe, recall, queries)


def _tune(
    index: faiss.IndexIVF,
    blocks: Sequence[NDArray[np.float32]],
    live: NDArray[np.bool_],
    rng: np.random.Generator,
    target: float,
) -> tuple[int, float, int]:
    """(nprobe, its recall, number of queries measured)."""
    alive = np.flatnonzero(live)
    picked = np.sort(rng.choice(alive, min(RECALL_QUERIES, len(alive)), replace=False))
    queries = gather(blocks, picked)
    truth, _ = exact(blocks, queries, RECALL_AT + 1, live)
    tried: dict[int, float] = {}

    def recall_at(nprobe: int) -> float:
        if nprobe not in tried:
            selector, _bits = _selector(live)
            parameters = faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
            _, found = index.search(queries, RECALL_AT + 1, params=parameters)
            tried[nprobe] = recall(blocks, queries, picked, truth, found)
        return tried[nprobe]

    low, high = 0, 1
    while recall_at(high) < target and high < index.nlist:
        low, high = high, min(index.nlist, high * 2)
    while high - low > max(1, high // 16):  # finer than that is noise of the sample
        middle = (low + high) // 2
        if recall_at(middle) >= target:
            high = middle
        else:
            low = middle
    return high, recall_at(high), len(picked)


def recall(
    blocks: Sequence[NDArray[np.float32]],
    queries: NDArray[np.float32],
    own: NDArray[np.intp],
    truth: NDArray[np.float32],
    found: NDArray[np.int64],
) -> float:
    """Share of the k true neighbours that were found, ties allowed.

    `truth` [q, k + 1]: the exact best scores, each query's own row among them; `found`
    [q, k + 1] positions, -1 for none; `own` [q]: the queries' own positions. A found row
    counts when its exact score is no worse than that of the k-th true neighbour.
    """
    hits = wanted = 0
    for query, position, scores, row in zip(queries, own, truth, found, strict=True):
        others = row[(row >= 0) & (row != position)]
        available = int(np.isfinite(scores).sum()) - 1
        k = min(RECALL_AT, available)
        if k <= 0:
            continue
        # The own row scores 1 and comes first, or ties with copies of it.
        bar = scores[k] - 1e-5
        wanted += k
        if len(others):
            hits += min(k, int((gather(blocks, others) @ query >= bar).sum()))
    return hits / wanted if wanted else 1.0


def gather(
    blocks: Sequence[NDArray[np.float32]], positions: NDArray[np.integer]
) -> NDArray[np.float32]:
    """float32 [len(positions), D]: the rows at some positions, in that order."""
    starts = np.cumsum([0, *(len(block) for block in blocks)])
    which = np.searchsorted(starts, positions, side="right") - 1
    out = np.empty((len(positions), blocks[0].shape[1]), dtype=np.float32)
    for block_number in np.unique(which):
        here = which == block_number
        out[here] = blocks[block_number][positions[here] - starts[block_number]]
    return out


def exact(
    blocks: Sequence[NDArray[np.float32]],
    queries: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best allowed rows of each query by a full scan.

    Returns scores float32 [q, k], best first, and positions int64 [q, k]; -inf and -1
    where there are fewer. Equal scores are ordered by position.
    """
    count = len(queries)
    best = np.full((count, k), -np.inf, dtype=np.float32)
    where = np.full((count, k), -1, dtype=np.int64)
    start = 0
    for block in blocks:
        step = max(1, _EXACT_BLOCK_BYTES // (block.shape[1] * 4))
        for low in range(0, len(block), step):
            part = block[low : low + step]
            rows = np.flatnonzero(allowed[start + low : start + low + len(part)])
            if not len(rows):
                continue
            part = part if len(rows) == len(part) else part[rows]
            scores = queries @ part.T
            positions = np.broadcast_to(rows + start + low, scores.shape)
            best, where = _merge(best, where, scores, positions, k)
        start += len(block)
    return best, where


def _merge(
    best: NDArray[np.float32],
    where: NDArray[np.int64],
    scores: NDArray[np.float32],
    positions: NDArray[np.integer],
    k: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best of what was found so far and what is new, best first."""
    all_scores = np.concatenate([best, scores], axis=1)
    all_where = np.concatenate([where, positions], axis=1)
    # Missing rows go last even among equal scores.
    order = np.lexsort((np.where(all_where < 0, np.iinfo(np.int64).max, all_where), -all_scores))
    order = order[:, :k]
    return np.take_along_axis(all_scores, order, 1), np.take_along_axis(all_where, order, 1)


def _selector(allowed: NDArray[np.bool_]) -> tuple[faiss.IDSelector, NDArray[np.uint8]]:
    """A selector and the bits it points into, which must live as long as it does."""
    bits = np.packbits(allowed, bitorder="little")
    return faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits)), bits


class VectorIndex:
    """The FAISS file of one catalog row, loaded."""

    def __init__(self, folder: Folder, row: VectorIndexRow) -> None:
        """Raises ValueError for a file that is missing or not what the catalog says."""
        path = folder.derived / row.name
        data = read_sealed(path, row.bytes, row.sha256)
        self._index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        if self._index.ntotal != row.rows:
            raise ValueError(f"{path} holds {self._index.ntotal} rows instead of {row.rows}")
        self.row = row

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        allowed: NDArray[np.bool_] | None,
        nprobe: int | None = None,
    ) -> NDArray[np.int64]:
        """int64 [q, k]: positions of likely best rows, -1 where the probed lists had fewer.

        `allowed`: bool [rows of the index], None for all.
        """
        parameters = faiss.SearchParametersIVF(
            nprobe=min(nprobe or self.row.nprobe, self.row.nlist)
        )
        bits = None
        if allowed is not None:
            parameters.sel, bits = _selector(allowed)
        _, found = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        del bits
        return np.asarray(found, dtype=np.int64)
