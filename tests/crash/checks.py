"""What must hold of an index after anything at all has happened to its writer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dinosearch
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.segments import Segment
from tests.crash.corpus import Truth, pictures_in, sha256


@dataclass(frozen=True)
class State:
    """`items` in the index; `settled`: pictures of the folder that it holds as they are now."""

    items: int
    settled: int


def check(index: Path, pictures: Path, truth: Truth, *, acknowledged: int = 0) -> State:
    """Opens without a manual step, is sound, lost nothing it acknowledged, has no wrong row."""
    if not Folder(index).exists():
        assert acknowledged == 0, f"{acknowledged} were acknowledged and there is no index"
        return State(0, 0)
    with dinosearch.open(index) as opened:
        report = opened.verify(full=True)
        assert report.ok, report.problems
    folder = Folder(index)
    catalog = Catalog.open(folder.catalog, writable=False)
    try:
        with catalog.read():
            fingerprint = catalog.meta()["fingerprint_digest"]
            rows = {row.id: row for row in catalog.live_segments()}
            items = catalog.items(catalog.places()[:, 0].tolist())
    finally:
        catalog.close()
    assert len({item.id for item in items}) == len({item.path for item in items}) == len(items)
    segments = {
        key: Segment(folder, rows[key], fingerprint=fingerprint)
        for key in {item.segment for item in items}
    }
    wrong = []
    for item in items:
        segment = segments[item.segment]
        if not truth.agrees(item.sha256, segment.cls[item.row], segment.tokens([item.row])[0]):
            wrong.append(item.path)
    for segment in segments.values():
        segment.close()
    assert not wrong, f"wrong rows: {wrong}"
    held = {(item.path, item.sha256) for item in items}
    settled = sum((str(path), sha256(path)) in held for path in pictures_in(pictures))
    assert settled >= acknowledged, f"{acknowledged} were acknowledged, {settled} are there"
    return State(len(items), settled)


def check_complete(index: Path, pictures: Path, truth: Truth, *, gone: int = 0) -> State:
    """`check`, and: each picture is an item once (plus `gone` without a file), no litter."""
    wanted = len(pictures_in(pictures))
    state = check(index, pictures, truth, acknowledged=wanted)
    assert state == State(wanted + gone, wanted)
    assert litter(index) == []
    return state


def litter(index: Path) -> list[str]:
    """Files in an index that nothing names, by their path within it."""
    folder = Folder(index)
    catalog = Catalog.open(folder.catalog, writable=False)
    try:
        derived = (catalog.vector_index(), catalog.patch_index(), catalog.statistics())
        named = {f"segments/{row.name}" for row in catalog.live_segments()}
        named |= {f"segments/{name}" for _, name, _ in catalog.dead_segments()}
        named |= {f"derived/{row.name}" for row in derived if row}
        named |= {"manifest.json", "LOCK", "derived/thumbs.sqlite"}
        named |= {f"catalog.sqlite{end}" for end in ("", "-wal", "-shm")}
        found = {str(p.relative_to(index)) for p in index.rglob("*") if p.is_file()}
        return sorted(found - named)
    finally:
        catalog.close()
