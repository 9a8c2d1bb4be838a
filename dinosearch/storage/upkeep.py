"""Upkeep: what keeps an index fast and small.

Small segments, and those with many dead rows, are written together into new ones, and what
is derived from them is brought up to date.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.catalog import SegmentRow
from dinosearch.storage.codecs import Codec
from dinosearch.storage.derived import (
    Measure,
    refresh_patches,
    refresh_statistics,
    refresh_vectors,
)
from dinosearch.storage.folder import Folder
from dinosearch.storage.segment_file import StoredPicture, picture_bytes, write_segment
from dinosearch.storage.segments import Segment
from dinosearch.storage.snapshot import allow_open_files
from dinosearch.storage.thumbnails import Thumbnails
from dinosearch.storage.writer import Writer

MOST_AT_ONCE = 256
"""Segments merged in one go; each is an open file."""

TOKEN_BUDGET = 256 << 20
"""Bytes of tokens in one merged segment, which are held in memory while it is written."""

TRAINED_ON = 64
"""Pictures that a codebook is learned from where segments from before it are merged."""


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
    refresh_patches(writer, force=dead > 0, progress=progress)
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
