"""Facts about an index, for people and for scripts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.index_codec import codec_name
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.vectors import RECALL_AT


def facts(folder: Folder, catalog: Catalog, snapshot: Snapshot) -> dict[str, Any]:
    """What `info` tells, but for the encoder: counts, sizes, how searching is done.

    `recall` is the recall@10 that was measured when the FAISS file was built; without
    one every search is a full scan, which misses nothing. `grid` (rows, columns of
    patches), `dim` and `patch_dim` (numbers in a CLS vector, in a patch token) are None
    while the index is empty. `tokens` is the codec of the patch tokens.
    """
    row = snapshot.vector_row
    vectors: dict[str, Any] = {"kind": "exact scan"}
    recall, queries = 1.0, 0
    if row is not None:
        vectors = {
            "kind": "ivf",
            "rows": row.rows,
            "lists": row.nlist,
            "probes": row.nprobe,
            "newer_rows_scanned": len(snapshot.id_at) - snapshot.covered,
        }
        if snapshot.vectors_damaged:
            vectors["kind"] = "damaged: scanning exactly"
        else:
            recall, queries = row.recall, row.recall_queries
    failures = catalog.failures()
    segment = snapshot.segment(0) if snapshot.segment_rows else None
    return {
        "path": str(folder.root),
        "id": folder.read_manifest()["id"],
        "items": len(snapshot),
        "grid": list(segment.grid) if segment else None,
        "dim": segment.dim if segment else None,
        "patch_dim": segment.patch_dim if segment else None,
        "tokens": codec_name(catalog),
        "recall": recall,
        "recall_at": RECALL_AT,
        "recall_queries": queries,
        "vectors": vectors,
        "patches": _patches(snapshot),
        "bytes": _bytes_below(folder.root),
        "segments": len(snapshot.segment_rows),
        "dead_rows": int((~snapshot.live).sum()),
        "labels": catalog.label_counts(),
        "refused": sum(failure.state == "refused" for failure in failures),
        "failed": sum(failure.state == "failed" for failure in failures),
        "sources": catalog.sources(),
        "generation": snapshot.generation,
        "created": catalog.meta()["created"],
    }


def _patches(snapshot: Snapshot) -> dict[str, Any]:
    """How pictures are proposed for a region."""
    row = snapshot.patch_row
    if row is None:
        return {"kind": "scan of the chosen tokens"}
    newer = len(snapshot.id_at) - row.rows
    return {
        "kind": "ivf",
        "rows": row.rows,
        "tokens_per_picture": row.per_item,
        "lists": row.nlist,
        "newer_rows_scanned": newer,
    }


def _bytes_below(root: Path) -> int:
    total = 0
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):  # a writer beside us renames its files
            state = path.stat()
            total += state.st_size if S_ISREG(state.st_mode) else 0
    return total
