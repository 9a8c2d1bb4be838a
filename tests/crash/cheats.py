"""Stores that keep less than they promise. The tests must see each of them fail."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from dinosearch.indexing import committer
from dinosearch.storage import folder, segment_file, statistics, vectors, writer
from dinosearch.storage.folder import Sealed


def seal_in_place() -> None:
    """Files are written under their final name: no temporary file, no rename."""

    def seal(path: Path, data: bytes | memoryview) -> Sealed:
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Sealed(path.name, len(data), hashlib.sha256(data).hexdigest())

    for module in (folder, segment_file, statistics, vectors):
        module.seal = seal  # type: ignore[attr-defined]


def commit_before_sealing() -> None:
    """The catalog names a segment before the segment is on disk."""
    later: list[tuple[Path, Any]] = []
    real_seal, real_commit = folder.seal, writer.Writer.commit

    def seal(path: Path, data: bytes | memoryview) -> Sealed:
        later.append((path, data))
        return Sealed(path.name, len(data), hashlib.sha256(data).hexdigest())

    def commit(self: writer.Writer, batch: writer.Batch) -> list[int]:
        ids = real_commit(self, batch)
        while later:
            real_seal(*later.pop())
        return ids

    segment_file.seal = seal  # type: ignore[attr-defined]
    writer.Writer.commit = commit  # type: ignore[method-assign]


def acknowledge_early() -> None:
    """A batch is called committed when it is handed over, before it is."""
    real = committer.Committer.hand_over

    def hand_over(self: committer.Committer, done: int) -> None:
        self._committed(done)
        real(self, done)

    committer.Committer.hand_over = hand_over  # type: ignore[method-assign]


def no_fsync() -> None:
    """Nothing is flushed to the disk but by chance."""
    os.fsync = lambda file: None  # type: ignore[assignment]
