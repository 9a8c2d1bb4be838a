"""What is derived from the segments, kept up to date: lost or stale, it is made anew."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage import patch_index
from dinosearch.storage.folder import discard
from dinosearch.storage.patch_index import BuiltPatches
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.writer import Writer

UNCOVERED_SHARE = 0.1
"""A FAISS file is brought up to date when more than this share of the rows is not in it."""


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
        path = folder.derived / row.name
        intact = path.is_file() and path.stat().st_size == row.bytes
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


def _chosen(seen: Snapshot, segment: int) -> Callable[[], NDArray[np.float32]]:
    """A function that gives the chosen tokens of a segment, float32 [n, T, Dp]."""
    number = next(n for n, row in enumerate(seen.segment_rows) if row.id == segment)

    def tokens() -> NDArray[np.float32]:
        codes, scales = seen.segment(number).chosen
        return codes.astype(np.float32) * scales.astype(np.float32)[..., None]

    return tokens
