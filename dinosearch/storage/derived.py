"""What is derived from the segments, kept up to date: lost or stale, it is made anew."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage import patch_index, statistics, vectors
from dinosearch.storage.catalog import PatchIndexRow, VectorIndexRow
from dinosearch.storage.folder import Folder, discard, sha256_of
from dinosearch.storage.patch_index import BuiltPatches
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.writer import Writer

UNCOVERED_SHARE = 0.1
"""A FAISS file is brought up to date when more than this share of the rows is not in it."""


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
        newer = sum(segment.rows for segment in live if segment.id not in covered)
        intact = _is_intact(folder, row)
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


def refresh_patches(
    writer: Writer, *, force: bool = False, progress: Callable[[str], None] = lambda step: None
) -> bool:
    """Bring the patch index up to date where it is missing, damaged or behind; True if written.

    What has been added since is added to it. It is learned anew when it is damaged, when a
    segment in it is no more, with `force`, or when the corpus has outgrown it.
    """
    folder, catalog = writer.folder, writer.catalog
    count, row = catalog.count(), catalog.patch_index()
    if count < patch_index.SMALLEST:
        if row is not None:
            with catalog.write() as db:
                db.execute("DELETE FROM patch_index")
            discard(folder.derived / row.name)
        return False
    live = {segment.id: segment.rows for segment in catalog.live_segments()}
    covered = () if row is None else row.segments
    newer = sum(rows for key, rows in live.items() if key not in set(covered))
    serves = row is not None and not force and set(covered) <= set(live)
    if row is not None and serves:
        intact = _is_intact(folder, row)
        if intact and newer <= UNCOVERED_SHARE * count:
            return False
        serves = intact and count < patch_index.RETRAIN_AT * row.trained_on
    seen = Snapshot(folder, catalog, fingerprint=writer.fingerprint, previous=None)
    built: BuiltPatches | None = None
    order = [key for key in live if key not in set(covered)]
    if row is not None and serves:
        folder.check_space(2 * row.bytes, min_free=writer.min_free)
        try:
            built = patch_index.grow(
                folder, row, [_chosen(seen, key) for key in order], newer, progress=progress
            )
            order = [*covered, *order]
        except ValueError:
            built = None
    if built is None:
        order = list(live)
        rows = sum(live.values())
        # About half a byte a number, and the numbers of the tokens.
        one = _chosen(seen, order[0])()
        folder.check_space(rows * one.shape[1] * (one.shape[2] // 2 + 8), min_free=writer.min_free)
        built = patch_index.build(
            folder, [_chosen(seen, key) for key in order], rows, progress=progress
        )
    with catalog.write() as db:
        db.execute("DELETE FROM patch_index")
        db.execute(
            "INSERT INTO patch_index VALUES(?,?,?,?,?,?,?,?)",
            [
                *(built.sealed.name, built.sealed.bytes, built.sealed.sha256),
                json.dumps(order),
                *(built.rows, built.per_item, built.nlist, built.trained_on),
            ],
        )
    if row is not None:
        discard(folder.derived / row.name)
    return True


def _is_intact(folder: Folder, row: VectorIndexRow | PatchIndexRow) -> bool:
    """Whether a file is there, byte for byte: readers go without one that is not."""
    path = folder.derived / row.name
    try:
        return path.stat().st_size == row.bytes and sha256_of(path) == row.sha256
    except OSError:
        return False


def _chosen(seen: Snapshot, segment: int) -> Callable[[], NDArray[np.float32]]:
    """A function that gives the chosen tokens of a segment, float32 [n, T, Dp]."""
    number = next(n for n, row in enumerate(seen.segment_rows) if row.id == segment)

    def tokens() -> NDArray[np.float32]:
        codes, scales = seen.segment(number).chosen
        return codes.astype(np.float32) * scales.astype(np.float32)[..., None]

    return tokens
