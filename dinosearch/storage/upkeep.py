"""Upkeep: what keeps an index fast and small.

The FAISS file and the statistics of the corpus are made anew when they are missing or far
behind; small segments, and those with many dead rows, are written together into new ones.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage import statistics, vectors
from dinosearch.storage.catalog import SegmentRow
from dinosearch.storage.codecs import Codec
from dinosearch.storage.folder import Folder, discard
from dinosearch.storage.segment_file import StoredPicture, picture_bytes, write_segment
from dinosearch.storage.segments import Segment
from dinosearch.storage.snapshot import Snapshot, allow_open_files
from dinosearch.storage.thumbnails import Thumbnails
from dinosearch.storage.writer import Writer

UNCOVERED_SHARE = 0.1
"""The FAISS file is built anew when more than this share of the live rows is not in it."""


MOST_AT_ONCE = 256
"""Segments merged in one go; each is an open file."""

TOKEN_BUDGET = 256 << 20
"""Bytes of tokens in one merged segment, which are held in memory while it is written."""

TRAINED_ON = 64
"""Pictures that a codebook is learned from where segments from before it are merged."""


def refresh_vectors(
    writer: Writer, *, force: bool = False, progress: Callable[[str], None] = lambda step: None
) -> bool:
    """Build the FAISS file where it is missing, damaged or far behind; True if built."""
    folder, catalog = writer.folder, writer.catalog
    live = catalog.live_segments()
    count = catalog.count()
    row = catalog.vector_index()
    if count < vectors.SMALLEST:
        if row is not None:
            _drop(writer, row.name)
        return False
    if row is not None and not force:
        covered = set(row.segments)
        path = folder.derived / row.name
        newer = sum(segment.rows for segment in live if segment.id not in covered)
        intact = path.is_file() and path.stat().st_size == row.bytes
        known = covered <= {segment.id for segment in live}
        if intact and known and newer <= UNCOVERED_SHARE * count:
            return False
    seen = Snapshot(folder, catalog, fingerprint=writer.fingerprint, previous=None)
    blocks = seen.cls_blocks()
    folder.check_space(sum(block.nbytes for block in blocks) // 2, min_free=writer.min_free)
    built = vectors.build(folder, blocks, seen.live, progress=progress)
    with catalog.write() as db:
        db.execute("DELETE FROM vector_index")
        db.execute(
            "INSERT INTO vector_index VALUES(?,?,?,?,?,?,?,?,?)",
            [
                *(built.sealed.name, built.sealed.bytes, built.sealed.sha256),
                json.dumps([segment.id for segment in seen.segment_rows]),
                *(built.rows, built.nlist, built.nprobe),
                *(built.recall, built.recall_queries),
            ],
        )
    if row is not None:
        discard(folder.derived / row.name)
    return True


def _drop(writer: Writer, name: str) -> None:
    with writer.catalog.write() as db:
        db.execute("DELETE FROM vector_index")
    discard(writer.folder.derived / name)


Measure = Callable[[Snapshot], statistics.Arrays]
"""What is measured of the corpus, by the layer that knows what it is good for."""


def refresh_statistics(
    writer: Writer,
    measure: Measure | None,
    *,
    forget: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> bool:
    """Measure the corpus where that was not done, was lost or has become stale; True if done.

    With `forget` also where something was measured in segments that are no more: it may be
    of a picture that was removed, and removed means gone. Without `measure` what must not
    stay is dropped.
    """
    folder, catalog = writer.folder, writer.catalog
    count = catalog.count()
    row = catalog.statistics()
    gone = forget and row and not set(row.segments) <= {s.id for s in catalog.live_segments()}
    if count >= statistics.SMALLEST and not gone and statistics.serve(folder, row, count):
        return False
    new: list[object] | None = None
    if measure is not None and count >= statistics.SMALLEST:
        seen = Snapshot(folder, catalog, fingerprint=writer.fingerprint, previous=None)
        progress("measuring the corpus")
        arrays = measure(seen)
        size = sum(array.nbytes for array in arrays.values())
        folder.check_space(size, min_free=writer.min_free)
        progress("saving")
        sealed = statistics.store(folder, arrays)
        segments = json.dumps([segment.id for segment in seen.segment_rows])
        new = [sealed.name, sealed.bytes, sealed.sha256, count, segments]
    if new or row:
        with catalog.write() as db:
            db.execute("DELETE FROM statistics")
            if new:
                db.execute("INSERT INTO statistics VALUES(?,?,?,?,?)", new)
    if row is not None:
        discard(folder.derived / row.name)
    return new is not None


@dataclass(frozen=True)
class Compaction:
    """What `compact` did; bytes of segments before and after it."""

    segments_before: int
    segments_after: int
    bytes_before: int
    bytes_after: int
    dead_rows: int
    waiting_for_readers: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def compact(
    writer: Writer,
    *,
    measure: Measure | None = None,
    token_budget: int = TOKEN_BUDGET,
    progress: Callable[[str], None] = lambda step: None,
) -> Compaction:
    """Merge small segments, drop dead rows for good, and rebuild what is derived.

    `measure` as in `refresh_statistics`.

    Old files go at once when no reader has the index open, else ten minutes later, with
    the next writer.
    """
    catalog = writer.catalog
    before = catalog.live_segments()
    highest = max((row.id for row in before), default=0)
    counts = np.bincount(catalog.places()[:, 1], minlength=highest + 1)
    dead = sum(row.rows - int(counts[row.id]) for row in before)
    for group in _groups(before, counts, token_budget):
        progress(f"merging {len(group)} segments")
        _merge(writer, group, token_budget)
    refresh_vectors(writer, force=dead > 0, progress=progress)
    refresh_statistics(writer, measure, forget=True, progress=progress)
    with catalog.read() as db:
        contents = {row[0] for row in db.execute("SELECT DISTINCT sha256 FROM items")}
    Thumbnails(writer.folder).keep_only(contents)
    with _no_reader(writer.folder) as alone:
        writer.bury(now=alone)
    catalog.shrink()
    after = catalog.live_segments()
    return Compaction(
        segments_before=len(before),
        segments_after=len(after),
        bytes_before=sum(row.bytes for row in before),
        bytes_after=sum(row.bytes for row in after),
        dead_rows=dead,
        waiting_for_readers=len(catalog.dead_segments()),
    )


def _groups(
    rows: Sequence[SegmentRow], live: NDArray[np.int64], token_budget: int
) -> list[list[SegmentRow]]:
    """Which segments to write together: runs that fit one new segment, and wasteful ones."""
    groups: list[list[SegmentRow]] = []
    group: list[SegmentRow] = []
    size = 0.0
    for row in rows:
        share = live[row.id] / row.rows
        kept = row.bytes * share
        if group and (size + kept > token_budget or len(group) >= MOST_AT_ONCE):
            groups.append(group)
            group, size = [], 0.0
        group.append(row)
        size += kept
    if group:
        groups.append(group)
    # A lone segment is worth writing anew only to be rid of rows: removed means gone.
    return [group for group in groups if len(group) > 1 or live[group[0].id] < group[0].rows]


def _merge(writer: Writer, rows: Sequence[SegmentRow], token_budget: int) -> None:
    """Write the live rows of some segments into new ones and retire the old.

    Each new segment is committed by itself; a kill between two leaves both whole.
    """
    allow_open_files(len(rows))
    opened = {row.id: Segment(writer.folder, row, fingerprint=writer.fingerprint) for row in rows}
    try:
        places = writer.catalog.places()
        mine = places[np.isin(places[:, 1], list(opened))]
        mine = mine[np.lexsort((mine[:, 2], mine[:, 1]))]
        one = next(iter(opened.values()))
        each = min(picture_bytes(one.patches, segment.codec) for segment in opened.values())
        step = max(1, token_budget // each)
        for low in range(0, len(mine), step):
            _rewrite(writer, mine[low : low + step], opened)
        writer.retire([row.id for row in rows])
    finally:
        for segment in opened.values():
            segment.close()


def _rewrite(writer: Writer, places: NDArray[np.int64], segments: dict[int, Segment]) -> None:
    cls = np.stack([segments[int(s)].cls[int(r)] for _, s, r in places])
    one = next(iter(segments.values()))
    some = places[:: max(1, len(places) // TRAINED_ON)][:TRAINED_ON].tolist()
    codec = writer.codec.choose(
        one.patch_dim, lambda: [segments[s].tokens([r])[0] for _, s, r in some]
    )
    size = len(places) * picture_bytes(one.patches, codec) + cls.nbytes
    writer.folder.check_space(size, min_free=writer.min_free)
    sealed = write_segment(
        writer.folder,
        places[:, 0],
        cls,
        (_again(segments[s], r, codec) for _, s, r in places.tolist()),
        codec=codec,
        fingerprint=writer.fingerprint,
        grid=writer.grid,
    )
    with writer.catalog.write() as db:
        segment = db.execute(
            "INSERT INTO segments(name, rows, bytes, sha256) VALUES(?, ?, ?, ?)",
            [sealed.name, len(places), sealed.bytes, sealed.sha256],
        ).lastrowid
        for number, (item, _, _) in enumerate(places.tolist()):
            db.execute(
                "UPDATE items SET segment = ?, row = ? WHERE id = ?", [segment, number, item]
            )


def _again(segment: Segment, row: int, codec: Codec) -> StoredPicture:
    """What a new segment holds of a picture; never coded twice where once is enough."""
    one = segment.stored(row)
    if segment.codec.writes_like(codec):
        return one
    return replace(one, coded=codec.encode(segment.codec.decode(one.coded)))


@contextmanager
def _no_reader(folder: Folder) -> Iterator[bool]:
    """True inside when no reader has the index open; new readers wait until we are done."""
    handle = os.open(folder.manifest, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
