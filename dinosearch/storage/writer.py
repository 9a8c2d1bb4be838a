"""The writer: the one process that changes an index, and how each change is committed.

Every change is one catalog transaction; files are sealed before the transaction that
names them. So whatever kills the writer, the index holds exactly what was committed, and
what lies about uncommitted is swept away when the next writer opens.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import DinoSearchError, UnusableIndex
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.database import SETTLED
from dinosearch.storage.folder import Folder, Sealed, discard
from dinosearch.storage.index_codec import IndexCodec
from dinosearch.storage.segment_file import picture_bytes, stored, write_segment
from dinosearch.storage.thumbnails import Thumbnails

log = logging.getLogger(__name__)

MIN_FREE = 1 << 30
"""Bytes that must stay free on the disk for a batch to start."""

DEAD_GRACE_S = 600.0
"""How long a replaced segment stays for readers of older generations."""


@dataclass(frozen=True)
class Origin:
    """Which file a picture is, and where it was found."""

    path: str
    source: str
    sha256: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Row:
    """One picture to be committed, with its features.

    `cls` float32 [D] and `tokens` float16 [P, Dp], unit length; `item` is the id of the
    item it updates, None for a new one; `norms` float32 [P]: lengths that the tokens had,
    None where nobody knows.
    """

    origin: Origin
    cls: NDArray[np.float32]
    tokens: NDArray[np.float16]
    width: int
    height: int
    format: str
    fit: str
    date: str
    notes: tuple[str, ...]
    thumbnail: bytes
    item: int | None = None
    norms: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Trouble:
    """One file that did not become an item."""

    path: str
    source: str
    state: str
    code: str
    detail: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Annotation:
    """Labels, split and metadata for the item of a path; None leaves a thing as it is."""

    path: str
    origin: str
    labels: tuple[str, ...] | None = None
    split: str | None = None
    metadata: dict[str, str] | None = None


@dataclass
class Batch:
    """What one commit brings: pictures, files that failed, files that only moved.

    `recovered` are paths whose failure no longer stands.
    """

    rows: list[Row] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    moved: list[tuple[int, Origin]] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        parts = (self.rows, self.troubles, self.moved, self.annotations, self.recovered)
        return any(parts)


class Writer:
    """Holds the writer lock of an index from `open` to `close`."""

    def __init__(
        self,
        folder: Folder,
        *,
        fingerprint: str,
        grid: tuple[int, int],
        min_free: int = MIN_FREE,
    ) -> None:
        """Take the lock, sweep what a killed writer left, check that every segment is there.

        `fingerprint` and `grid` (rows, columns) are the encoder's, for new segments.
        Raises `IndexLocked`, `UnusableIndex`.
        """
        self.folder = folder
        self.fingerprint = fingerprint
        self.grid = grid
        self.min_free = min_free
        self._stack = ExitStack()
        self._stack.enter_context(folder.writer_lock())
        try:
            self.catalog = Catalog.open(folder.catalog, writable=True)
            self._stack.callback(self.catalog.close)
            self._recover()
            self.codec = IndexCodec(folder, self.catalog, fingerprint=fingerprint)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the next writer in. The log is folded in, so that a copy of the folder is whole."""
        try:
            with suppress(DinoSearchError):  # what is committed is committed
                self.catalog.checkpoint()
        finally:
            self._stack.close()

    def _recover(self) -> None:
        live = self.catalog.live_segments()
        dead = self.catalog.dead_segments()
        derived = (
            self.catalog.vector_index(),
            self.catalog.patch_index(),
            self.catalog.statistics(),
        )
        swept = self.folder.sweep(
            segments={row.name for row in live} | {name for _, name, _ in dead},
            derived={row.name for row in derived if row},
        )
        if swept:
            log.info("cleared %d files that an interrupted run left", len(swept))
        for row in live:
            path = self.folder.segments / row.name
            if not path.is_file() or path.stat().st_size != row.bytes:
                raise UnusableIndex(
                    f"segment {path} is missing or cut short: nothing is written to a damaged"
                    f" index; run `dinosearch verify --in {self.folder.root}`, then restore the"
                    " file from a copy or index the pictures into a new folder"
                )
        self.bury(now=False)

    def bury(self, *, now: bool) -> int:
        """Unlink segments retired long enough ago, all of them with `now`; returns the bytes."""
        freed = 0
        for segment, name, since in self.catalog.dead_segments():
            if not now and time.time() - since < DEAD_GRACE_S:
                continue
            path = self.folder.segments / name
            size = path.stat().st_size if path.exists() else 0
            if not discard(path):
                continue
            freed += size
            with self.catalog.write() as db:
                db.execute("DELETE FROM segments WHERE id = ?", [segment])
        return freed

    def retire(self, segments: Sequence[int]) -> None:
        """Mark segments that no item lies in any more; `bury` deletes their files later."""
        with self.catalog.write() as db:
            db.executemany(
                "UPDATE segments SET dead_since = ? WHERE id = ?"
                " AND NOT EXISTS (SELECT 1 FROM items WHERE segment = segments.id)",
                [(time.time(), segment) for segment in segments],
            )

    # -- committing ------------------------------------------------------------------

    def commit(self, batch: Batch) -> list[int]:
        """Make a batch part of the index; returns the ids of its rows, in their order.

        When this returns the batch survives a kill and a power cut. When it raises
        (`DiskFull`, ...) nothing of the batch is in the index.
        """
        if not batch:
            return []
        ids: list[int] = []
        sealed: Sealed | None = None
        if batch.rows:
            patches, width = batch.rows[0].tokens.shape
            codec = self.codec.choose(width, lambda: [row.tokens for row in batch.rows])
            each = batch.rows[0].cls.nbytes + picture_bytes(patches, codec)
            self.folder.check_space(each * len(batch.rows), min_free=self.min_free)
            ids = self._ids_for(batch.rows)
            sealed = write_segment(
                self.folder,
                np.array(ids, dtype=np.int64),
                np.stack([row.cls for row in batch.rows]),
                (stored(row.tokens, row.norms, codec) for row in batch.rows),
                codec=codec,
                fingerprint=self.fingerprint,
                grid=self.grid,
            )
        try:
            if batch.rows:
                Thumbnails(self.folder).add(
                    (row.origin.sha256, row.thumbnail) for row in batch.rows if row.thumbnail
                )
            with self.catalog.write() as db:
                self._insert(db, batch, ids, sealed)
        except BaseException:
            # Whether SQLite committed is its word, not ours: only an unnamed file goes.
            if sealed and not self._is_named(sealed.name):
                discard(self.folder.segments / sealed.name)
            raise
        return ids

    def _is_named(self, segment: str) -> bool:
        try:
            return segment in {row.name for row in self.catalog.live_segments()}
        except Exception:
            return True

    def _ids_for(self, rows: Sequence[Row]) -> list[int]:
        # AUTOINCREMENT keeps the highest id ever given, so none is given twice.
        with self.catalog.read() as db:
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        following = (last[0] if last else 0) + 1
        ids = []
        for row in rows:
            if row.item is None:
                ids.append(following)
                following += 1
            else:
                ids.append(row.item)
        return ids

    def _insert(
        self, db: sqlite3.Connection, batch: Batch, ids: Sequence[int], sealed: Sealed | None
    ) -> None:
        now = timestamp()
        segment = None
        if sealed:
            segment = db.execute(
                "INSERT INTO segments(name, rows, bytes, sha256) VALUES(?, ?, ?, ?)",
                [sealed.name, len(ids), sealed.bytes, sealed.sha256],
            ).lastrowid
        for number, (item, row) in enumerate(zip(ids, batch.rows, strict=True)):
            origin = row.origin
            db.execute(
                "INSERT INTO items(id, path, source, segment, row, sha256, bytes, mtime_ns, width,"
                " height, format, fit, date, notes, added_at, updated_at)"
                " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                " ON CONFLICT(id) DO UPDATE SET path=excluded.path, source=excluded.source,"
                " segment=excluded.segment, row=excluded.row, sha256=excluded.sha256,"
                " bytes=excluded.bytes, mtime_ns=excluded.mtime_ns, width=excluded.width,"
                " height=excluded.height, format=excluded.format, fit=excluded.fit,"
                " date=excluded.date, notes=excluded.notes, updated_at=excluded.updated_at",
                [
                    *(item, os.fsencode(origin.path), self._source(db, origin.source)),
                    *(segment, number, origin.sha256, origin.bytes, origin.mtime_ns),
                    *(row.width, row.height, row.format, row.fit, row.date),
                    *(json.dumps(list(row.notes)), now, now),
                ],
            )
            self._forget_trouble(db, origin.path)
        for item, origin in batch.moved:
            db.execute(
                "UPDATE items SET path=?, source=?, bytes=?, mtime_ns=?, updated_at=? WHERE id=?",
                [
                    *(os.fsencode(origin.path), self._source(db, origin.source)),
                    *(origin.bytes, origin.mtime_ns, now, item),
                ],
            )
            self._forget_trouble(db, origin.path)
        for trouble in batch.troubles:
            db.execute(
                "INSERT INTO failures VALUES(?,?,?,?,?,?,?,1,?) ON CONFLICT(path) DO UPDATE SET"
                " source=excluded.source, state=excluded.state, code=excluded.code,"
                " detail=excluded.detail, bytes=excluded.bytes, mtime_ns=excluded.mtime_ns,"
                " attempts=attempts+1, failed_at=excluded.failed_at",
                [
                    *(os.fsencode(trouble.path), self._source(db, trouble.source)),
                    *(trouble.state, trouble.code, trouble.detail),
                    *(trouble.bytes, trouble.mtime_ns, now),
                ],
            )
        db.executemany(
            "DELETE FROM failures WHERE path = ?", [(os.fsencode(p),) for p in batch.recovered]
        )
        for annotation in batch.annotations:
            self._annotate(db, annotation, now)

    @staticmethod
    def _forget_trouble(db: sqlite3.Connection, path: str) -> None:
        db.execute("DELETE FROM failures WHERE path = ?", [os.fsencode(path)])
        db.execute("DELETE FROM removed WHERE path = ?", [os.fsencode(path)])

    @staticmethod
    def _source(db: sqlite3.Connection, root: str) -> int:
        raw = os.fsencode(root)
        db.execute("INSERT OR IGNORE INTO sources(root) VALUES(?)", [raw])
        return int(db.execute("SELECT id FROM sources WHERE root = ?", [raw]).fetchone()[0])

    @staticmethod
    def _annotate(db: sqlite3.Connection, annotation: Annotation, now: str) -> None:
        raw = os.fsencode(annotation.path)
        row = db.execute("SELECT id, metadata FROM items WHERE path = ?", [raw]).fetchone()
        if row is None:
            return
        item = row[0]
        settled = db.execute(f"SELECT 1 FROM label_log AS l {SETTLED} AND item = ?", [item])
        if annotation.labels is not None and settled.fetchone() is None:
            # What folders and tables say replaces what they said, and what a probe guessed.
            # Where a person has spoken they are not heard.
            db.execute(
                "DELETE FROM labels WHERE item = ?"
                " AND (origin IN ('folders', 'table') OR origin LIKE 'probe:%')",
                [item],
            )
            db.executemany(
                "INSERT OR IGNORE INTO labels VALUES(?, ?, ?, ?)",
                [(item, label, annotation.origin, now) for label in annotation.labels],
            )
        if annotation.split is not None:
            db.execute("UPDATE items SET split = ? WHERE id = ?", [annotation.split or None, item])
        if annotation.metadata is not None:
            merged = json.loads(row[1]) | annotation.metadata
            db.execute(
                "UPDATE items SET metadata = ? WHERE id = ?",
                [json.dumps(merged, sort_keys=True), item],
            )

    def remove(self, items: Iterable[Item], *, keep_out: bool = True) -> int:
        """Take items out of the index; returns how many. The pictures stay where they are.

        With `keep_out` their paths stay out until the files change.
        """
        now, count = timestamp(), 0
        with self.catalog.write() as db:
            for item in items:
                if not db.execute("DELETE FROM items WHERE id = ?", [item.id]).rowcount:
                    continue
                count += 1
                if keep_out:
                    db.execute(
                        "INSERT OR REPLACE INTO removed VALUES(?, ?, ?, ?, ?)",
                        [
                            *(os.fsencode(item.path), item.sha256, item.bytes),
                            *(item.mtime_ns, now),
                        ],
                    )
        return count


def timestamp() -> str:
    """The present moment in UTC, ISO 8601 to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
