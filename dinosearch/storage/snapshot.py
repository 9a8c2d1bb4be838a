"""A snapshot: one generation of the index, as a reader sees it.

Rows are numbered by *position*: the segments one after the other, those that the FAISS
file covers first and in its order. A snapshot never changes; a reader that finds a newer
generation takes a new one. Segments are opened when they are needed.
"""

from __future__ import annotations

import logging
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import Catalog, SegmentRow
from dinosearch.storage.codecs import Rows
from dinosearch.storage.folder import Folder
from dinosearch.storage.patch_index import PatchIndex, scan
from dinosearch.storage.segments import Segment
from dinosearch.storage.statistics import Statistics
from dinosearch.storage.vectors import VectorIndex, exact

log = logging.getLogger(__name__)

_SCANNED = 64
"""Pictures whose chosen tokens are compared at once: their scores stay in the cache."""

SCAN_BELOW = 20_000
"""A filter that leaves at most so many rows is answered by scanning them: a few milliseconds,
and no recall is lost in lists that hold few matching rows."""


@dataclass(frozen=True)
class TokenBlock:
    """Some pictures' tokens as they are compared: `positions` int64 [b], `rows` [b, P, W]."""

    positions: NDArray[np.int64]
    rows: Rows


@dataclass(frozen=True)
class Proposal:
    """What the chosen tokens of the pictures say of some query tokens.

    `positions` int64 [c]; `best` float32 [q, c]: the best cosine of each query token among a
    picture's chosen tokens; `floor` float32 [q]: no picture that is not named scores better.
    """

    positions: NDArray[np.int64]
    best: NDArray[np.float32]
    floor: NDArray[np.float32]


class Snapshot:
    """One generation: ids, vectors and tokens by position."""

    def __init__(
        self, folder: Folder, catalog: Catalog, *, fingerprint: str, previous: Snapshot | None
    ) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        with catalog.read():  # one transaction: all of it belongs to one generation
            self.generation = catalog.generation()
            live = {row.id: row for row in catalog.live_segments()}
            self.vector_row = catalog.vector_index()
            self.patch_row = catalog.patch_index()
            self.statistics_row = catalog.statistics()
            places = catalog.places()
            covered = self.vector_row.segments if self.vector_row else ()
            if self.vector_row and not set(covered) <= set(live):
                self.vector_row, covered = None, ()
            order = [*covered, *(key for key in live if key not in set(covered))]
            _check_counts(live, catalog)
            self.segment_rows: list[SegmentRow] = [live[key] for key in order]
            starts = np.cumsum([0, *(row.rows for row in self.segment_rows)]).astype(np.int64)
            self._starts = starts
            self.covered = int(starts[len(covered)])
            self._covered_segments = len(covered)
            _check_places(places, live, catalog)
            number_of = np.full(max(live, default=0) + 1, -1, dtype=np.int64)
            number_of[order] = np.arange(len(order))
            self.ids: NDArray[np.int64] = places[:, 0]
            self._position_of_id = starts[number_of[places[:, 1]]] + places[:, 2]
            self.id_at = np.full(int(starts[-1]), -1, dtype=np.int64)
            self.id_at[self._position_of_id] = self.ids
            self.live: NDArray[np.bool_] = self.id_at >= 0
        self._open: dict[str, Segment] = {}
        self._vectors: VectorIndex | None = None
        self._vectors_failed = False
        self._patches: PatchIndex | None = None
        self._patches_failed = False
        self._place_patches(order)
        self._statistics: Statistics | None = None
        self._statistics_failed = False
        self._copies: NDArray[np.int64] | None = None
        if previous is not None:
            self._inherit(previous)
        allow_open_files(len(self.segment_rows))

    def _inherit(self, previous: Snapshot) -> None:
        """Sealed files never change, so what the last generation opened serves this one."""
        names = {row.name for row in self.segment_rows}
        with previous._lock:
            self._open = {name: s for name, s in previous._open.items() if name in names}
            if previous._vectors and previous._vectors.row == self.vector_row:
                self._vectors = previous._vectors
            if previous._patches and previous._patches.row == self.patch_row:
                self._patches = previous._patches
            if previous.statistics_row == self.statistics_row:
                self._statistics = previous._statistics
                self._statistics_failed = previous._statistics_failed

    def _place_patches(self, order: list[int]) -> None:
        """Where the rows of the patch index lie here: -1 for those of a segment that is no more."""
        number_of = {key: number for number, key in enumerate(order)}
        covered = self.patch_row.segments if self.patch_row else ()
        if not set(covered) <= set(number_of):
            self.patch_row, covered = None, ()
        parts = [
            np.arange(self._starts[number_of[key]], self._starts[number_of[key] + 1])
            for key in covered
        ]
        self._patch_positions = np.concatenate([np.empty(0, np.int64), *parts])
        inside = {number_of[key] for key in covered}
        self._unpatched = [number for number in range(len(order)) if number not in inside]

    def __len__(self) -> int:
        return len(self.ids)

    def segment(self, number: int) -> Segment:
        """The segment of that number, opened if it is not yet."""
        row = self.segment_rows[number]
        with self._lock:
            if row.name not in self._open:
                self._open[row.name] = Segment(self._folder, row, fingerprint=self._fingerprint)
            return self._open[row.name]

    def positions_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [n]: positions of items, -1 for an id the index does not hold."""
        if not len(self.ids):
            return np.full(len(ids), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[place] == ids, self._position_of_id[place], -1)

    def allowed(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool [positions]: true where an item of `ids` lies."""
        mask = np.zeros(len(self.id_at), dtype=bool)
        positions = self.positions_of(ids)
        mask[positions[positions >= 0]] = True
        return mask

    def copies(self, catalog: Catalog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64 [n] twice: positions of the items of equal content, by id, and their groups.

        `catalog` sees the generation of this snapshot.
        """
        if self._copies is None:
            self._copies = catalog.copies()
        return self.positions_of(self._copies[:, 0]), self._copies[:, 1]

    def cls_blocks(self, start: int = 0) -> list[NDArray[np.float32]]:
        """float32 [n_i, D] per segment from number `start` on, mapped from the files."""
        return [self.segment(number).cls for number in range(start, len(self.segment_rows))]

    def cls(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [n, D]: the unit CLS vectors of some positions."""
        numbers = np.searchsorted(self._starts, positions, side="right") - 1
        out: NDArray[np.float32] | None = None
        for number in np.unique(numbers):
            here = numbers == number
            rows = self.segment(int(number)).cls[positions[here] - self._starts[number]]
            if out is None:
                out = np.empty((len(positions), rows.shape[1]), dtype=np.float32)
            out[here] = rows
        assert out is not None, "positions must not be empty"
        return out

    def tokens(self, position: int) -> NDArray[np.float16]:
        """float16 [P, Dp]: the unit tokens of one position."""
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        row = position - int(self._starts[number])
        tokens: NDArray[np.float16] = self.segment(number).tokens([row])[0]
        return tokens

    def norms(self, position: int) -> NDArray[np.float32] | None:
        """float32 [P]: lengths that the tokens of a position had; None where nobody knows."""
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        norms = self.segment(number).norms([position - int(self._starts[number])])[0]
        return None if np.isnan(norms).all() else norms

    def token_blocks(self, allowed: NDArray[np.bool_], size: int) -> Iterator[TokenBlock]:
        """The tokens of all allowed positions, at most `size` pictures at a time."""
        for number, row in enumerate(self.segment_rows):
            start = int(self._starts[number])
            rows = np.flatnonzero(allowed[start : start + row.rows])
            for low in range(0, len(rows), size):
                part = rows[low : low + size]
                segment = self.segment(number)
                yield TokenBlock(part + start, segment.codec.rows(segment.coded(part)))

    @property
    def vectors(self) -> VectorIndex | None:
        """The FAISS index, or None when there is none or it is damaged (then searches scan)."""
        with self._lock:
            if self._vectors is None and self.vector_row is not None and not self._vectors_failed:
                try:
                    self._vectors = VectorIndex(self._folder, self.vector_row)
                except ValueError as error:
                    self._vectors_failed = True
                    log.warning(
                        "%s; searching exactly, which is slower, until the next `index` or"
                        " `compact` builds it anew",
                        error,
                    )
            return self._vectors

    @property
    def patches(self) -> PatchIndex | None:
        """The patch index, or None when there is none or it is damaged."""
        with self._lock:
            if self._patches is None and self.patch_row is not None and not self._patches_failed:
                try:
                    self._patches = PatchIndex(self._folder, self.patch_row)
                except ValueError as error:
                    self._patches_failed = True
                    log.warning(
                        "%s; comparing the chosen patches of every picture, which is slower,"
                        " until the next `index` or `compact` builds it anew",
                        error,
                    )
            return self._patches

    def propose(
        self, queries: NDArray[np.float32], allowed: NDArray[np.bool_], depth: int
    ) -> Proposal:
        """Pictures whose chosen tokens match some query tokens best.

        queries: float32 [q, Dp], unit rows; `allowed`: bool [positions], live ones only;
        `depth`: how many chosen tokens are looked at for each query token.
        """
        index = self.patches
        floor = np.full(len(queries), -1.0, dtype=np.float32)
        parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        if index is not None:
            inside = allowed[self._patch_positions]
            scores, rows = index.search(queries, depth, allowed=None if inside.all() else inside)
            found = rows >= 0
            # Whatever was not returned scores no better than the last that was.
            floor = np.where(found, scores, np.inf).min(axis=1).astype(np.float32)
            floor[~found.any(axis=1)] = -1.0
            seen, places = np.unique(rows[found], return_inverse=True)
            best = np.repeat(floor[:, None], len(seen), axis=1)
            np.maximum.at(best, (np.nonzero(found)[0], places), scores[found])
            parts.append((self._patch_positions[seen], best))
        for number in self._unpatched if index is not None else range(len(self.segment_rows)):
            start = int(self._starts[number])
            rows = np.flatnonzero(allowed[start : start + self.segment_rows[number].rows])
            if len(rows):
                codes, scales = self.segment(number).chosen
                blocks = (
                    (codes[part], scales[part])
                    for part in np.split(rows, range(_SCANNED, len(rows), _SCANNED))
                )
                best = np.maximum(scan(queries, blocks), floor[:, None])
                parts.append((rows + start, best))
        if not parts:
            return Proposal(np.empty(0, np.int64), np.empty((len(queries), 0), np.float32), floor)
        return Proposal(
            np.concatenate([one for one, _ in parts]),
            np.concatenate([best for _, best in parts], axis=1),
            floor,
        )

    @property
    def token_sample(self) -> NDArray[np.float16] | None:
        """float16 [n, Dp]: tokens drawn from pictures of the index, where statistics are kept."""
        statistics = self.statistics
        return None if statistics is None else statistics.arrays.get("tokens")

    @property
    def statistics(self) -> Statistics | None:
        """What was measured of the corpus, or None when there is nothing or it is damaged."""
        with self._lock:
            row = self.statistics_row
            if self._statistics is None and row is not None and not self._statistics_failed:
                try:
                    self._statistics = Statistics(self._folder, row)
                except ValueError as error:
                    self._statistics_failed = True
                    log.warning(
                        "%s; measuring the corpus anew, which takes a moment, until the next"
                        " `index` or `compact` stores it",
                        error,
                    )
            return self._statistics

    @property
    def vectors_damaged(self) -> bool:
        """True when the catalog names a FAISS file that cannot be used."""
        return self.vector_row is not None and self.vectors is None

    def search_cls(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        exactly: bool = False,
        nprobe: int | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], bool]:
        """The k best rows of each query by cosine.

        queries: float32 [q, D] unit rows; `allowed`: bool [positions], None for all;
        `nprobe`: lists to look into, None for as many as the measured recall needs.
        Returns scores float32 [q, k], best first, and positions int64 [q, k], -inf and -1
        where fewer than k rows are allowed: the answer is full whenever it can be. The
        third value says whether every allowed row was compared with every query.
        """
        chosen = self.live if allowed is None else self.live & allowed
        matches = int(chosen.sum())
        filtered = allowed is not None and matches <= SCAN_BELOW
        index = None if exactly or filtered else self.vectors
        if index is None:
            return *exact(self.cls_blocks(), queries, k, chosen), True
        inside = chosen[: self.covered]
        # A filter, and rows no longer used, thin out every list alike at best: probe more,
        # as much as they thin.
        if nprobe is None:
            thinned = index.row.rows / max(1, int(inside.sum()))
            nprobe = int(np.ceil(index.row.nprobe * thinned))
        selector = None if inside.all() else inside
        # A few more than asked: their order by half-precision score is not quite the true one.
        found = index.search(queries, k + 10, allowed=selector, nprobe=nprobe)
        newer = self.cls_blocks(self._covered_segments)
        newer_scores, newer_found = exact(newer, queries, k, chosen[self.covered :])
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        where = np.full((len(queries), k), -1, dtype=np.int64)
        for row, query in enumerate(queries):
            near = found[row][found[row] >= 0]
            recent = newer_found[row] >= 0
            if len(near) + int(recent.sum()) < min(k, matches):
                part = exact(self.cls_blocks(), query[None], k, chosen)
                scores[row], where[row] = part[0][0], part[1][0]
                continue
            near_scores = self.cls(near) @ query if len(near) else np.empty(0, np.float32)
            candidates = np.concatenate([near, newer_found[row][recent] + self.covered])
            values = np.concatenate([near_scores, newer_scores[row][recent]])
            order = np.lexsort((candidates, -values))[:k]
            scores[row, : len(order)] = values[order]
            where[row, : len(order)] = candidates[order]
        return scores, where, False


def _check_counts(live: dict[int, SegmentRow], catalog: Catalog) -> None:
    """Raise `UnusableIndex` for a count of rows that no file of that size can hold."""
    for row in live.values():
        if not 0 < row.rows <= row.bytes:  # a damaged count must not ask for terabytes
            raise UnusableIndex(
                f"{catalog.path} is damaged: it says that {row.name} holds {row.rows} rows; run"
                f" `dinosearch verify --in {catalog.path.parent}` and restore the folder from a"
                " copy"
            )


def _check_places(places: NDArray[np.int64], live: dict[int, SegmentRow], catalog: Catalog) -> None:
    """Raise `UnusableIndex` for an item that points to where no row is."""
    rows = np.zeros(max(live, default=0) + 2, dtype=np.int64)
    rows[list(live)] = [row.rows for row in live.values()]
    segment = np.clip(places[:, 1], 0, len(rows) - 1)
    wrong = (segment != places[:, 1]) | (places[:, 2] < 0) | (places[:, 2] >= rows[segment])
    if wrong.any():
        raise UnusableIndex(
            f"{catalog.path} is damaged: item {places[wrong][0, 0]} lies in a row that is not"
            f" there; run `dinosearch verify --in {catalog.path.parent}` and restore the folder"
            " from a copy"
        )


def allow_open_files(wanted: int) -> None:
    """Let this process hold a file open per segment, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 1 << 20)
    if wanted + 256 > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + 1024), hard))
