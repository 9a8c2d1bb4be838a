"""verify: is everything that was committed still there, byte for byte?

Finds trouble and repairs nothing. The quick check reads the catalog and asks the file
system for names and sizes; the full one reads every byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dinosearch.errors import DinoSearchError
from dinosearch.storage.catalog import Catalog, SegmentRow
from dinosearch.storage.folder import KEPT, Folder, sha256_of
from dinosearch.storage.named_files import NamedFiles
from dinosearch.storage.segments import Segment
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.thumbnails import Thumbnails

SELF_SEARCHES = 1_000


@dataclass
class VerifyReport:
    """What was checked and what is wrong; `ok` when nothing is."""

    full: bool
    problems: list[str] = field(default_factory=list)
    items: int = 0
    segments: int = 0
    bytes_read: int = 0
    self_searches: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


def verify(
    folder: Folder,
    *,
    full: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> VerifyReport:
    """Check an index.

    quick  SQLite's own integrity and foreign keys; every file there, with its size; every
           row of every item within its segment
    full   also the SHA-256 of every file, shapes, ids and checksums of every row, vectors
           finite and of unit length, FAISS rows as many as the segments have, and up to
           1,000 stored vectors that must each find themselves
    """
    report = VerifyReport(full)
    try:
        catalog = Catalog.open(folder.catalog, writable=False)
    except DinoSearchError as error:
        report.problems.append(str(error))
        return report
    try:
        progress("catalog")
        report.problems += catalog.integrity_problems()
        if report.problems:  # what it says cannot be relied on
            return report
        _check_files(folder, catalog, report, progress)
        report.problems += Thumbnails(folder).problems()
        for kind in KEPT:
            report.problems += NamedFiles(folder, kind).problems()
        if full and report.ok:
            _search_for_itself(folder, catalog, report, seed, progress)
    except DinoSearchError as error:
        report.problems.append(str(error))
    finally:
        catalog.close()
    return report


def _check_files(
    folder: Folder, catalog: Catalog, report: VerifyReport, progress: Callable[[str], None]
) -> None:
    meta = catalog.meta()
    fingerprint = meta["fingerprint_digest"]
    if "manifest_sha256" in meta and sha256_of(folder.manifest) != meta["manifest_sha256"]:
        report.problems.append(f"{folder.manifest} has changed since it was written")
    with catalog.read():  # one generation, whatever is committed meanwhile
        places, rows = catalog.places(), catalog.live_segments()
        derived = (catalog.vector_index(), catalog.patch_index(), catalog.statistics())
    report.items, report.segments = len(places), len(rows)
    known = {row.id for row in rows}
    for item, segment, _ in places[~np.isin(places[:, 1], list(known))].tolist():
        report.problems.append(f"item {item} lies in segment {segment}, which is not there")
    # Sorted once: asking every item for every segment would take minutes at a million.
    places = places[np.argsort(places[:, 1], kind="stable")]
    for number, row in enumerate(rows):
        progress(f"segment {number + 1} of {len(rows)}")
        low, high = np.searchsorted(places[:, 1], [row.id, row.id + 1])
        mine = places[low:high]
        beyond = mine[(mine[:, 2] < 0) | (mine[:, 2] >= row.rows)]
        mine = mine[(mine[:, 2] >= 0) & (mine[:, 2] < row.rows)]
        report.problems += [f"item {i} has no row in {row.name}" for i in beyond[:, 0].tolist()]
        path = folder.segments / row.name
        if not path.is_file():
            report.problems.append(f"{path} is missing")
        elif path.stat().st_size != row.bytes:
            report.problems.append(f"{path} has {path.stat().st_size} bytes, not {row.bytes}")
        elif report.full:
            report.bytes_read += row.bytes
            if sha256_of(path) != row.sha256:
                report.problems.append(f"{path} has changed since it was sealed")
            else:
                _check_rows(folder, row, mine, report, fingerprint)
    for one in derived:
        if one is None:
            continue
        path = folder.derived / one.name
        remedy = "it is derived: the next `index` or `compact` builds it anew"
        if not path.is_file() or path.stat().st_size != one.bytes:
            report.problems.append(f"{path} is missing or cut short; {remedy}")
        elif report.full:
            report.bytes_read += one.bytes
            if sha256_of(path) != one.sha256:
                report.problems.append(f"{path} has changed since it was sealed; {remedy}")


def _check_rows(
    folder: Folder,
    row: SegmentRow,
    places: np.ndarray[Any, np.dtype[np.int64]],
    report: VerifyReport,
    fingerprint: str,
) -> None:
    try:
        segment = Segment(folder, row, fingerprint=fingerprint)
        try:
            if not np.array_equal(segment.ids[places[:, 2]], places[:, 0]):
                report.problems.append(f"{row.name}: its ids are not those of the catalog")
            lengths = np.linalg.norm(segment.cls, axis=1)
            if not np.allclose(lengths, 1, atol=1e-3):
                report.problems.append(f"{row.name}: a CLS vector is not of unit length")
            _ = segment.chosen
            for number in range(row.rows):  # reading checks each row against its CRC
                tokens = segment.tokens([number])[0]
                if not np.isfinite(tokens).all():
                    report.problems.append(f"{row.name}: row {number} is not finite")
                segment.norms([number])
        finally:
            segment.close()
    except DinoSearchError as error:
        report.problems.append(str(error))


def _search_for_itself(
    folder: Folder,
    catalog: Catalog,
    report: VerifyReport,
    seed: int,
    progress: Callable[[str], None],
) -> None:
    progress("searching for stored vectors")
    fingerprint = catalog.meta()["fingerprint_digest"]
    snapshot = Snapshot(folder, catalog, fingerprint=fingerprint, previous=None)
    if snapshot.vectors_damaged:
        report.problems.append("the FAISS file cannot be read; the next `index` builds it anew")
    alive = np.flatnonzero(snapshot.live)
    if not len(alive):
        return
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(alive, min(SELF_SEARCHES, len(alive)), replace=False))
    report.self_searches = len(picked)
    queries = snapshot.cls(picked)
    scores, _, _ = snapshot.search_cls(queries, 1)
    # A copy of the picture may come first, with the same score.
    lost = picked[scores[:, 0] < 1 - 1e-4]
    if len(lost):
        ids = snapshot.id_at[lost][:10].tolist()
        report.problems.append(f"{len(lost)} stored vectors do not find themselves, such as {ids}")
