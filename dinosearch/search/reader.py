"""The reader: always the newest generation, and a second try when files were replaced."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot

T = TypeVar("T")

_TRIES = 3


class Reader:
    """Snapshots of an index for any number of threads, from opening to `close`.

    A shared lock on the manifest tells compaction that somebody reads; it lets go with
    the process, so a killed reader holds nothing back.
    """

    def __init__(self, folder: Folder, catalog: Catalog, *, fingerprint: str) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._data_version = -1
        self._handle = os.open(folder.manifest, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def close(self) -> None:
        with self._lock:
            self._snapshot = None
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    def snapshot(self) -> Snapshot:
        """The newest generation; the same object until a writer has committed."""
        with self._lock:
            version = self._catalog.data_version()
            if self._snapshot is None or version != self._data_version:
                self._snapshot = Snapshot(
                    self._folder,
                    self._catalog,
                    fingerprint=self._fingerprint,
                    previous=self._snapshot,
                )
                self._data_version = version
            return self._snapshot

    def ask(self, work: Callable[[Snapshot], T]) -> T:
        """Do `work` on the newest generation; again if files were replaced under it.

        An error that no newer generation explains is real, and passes.
        """
        for _ in range(_TRIES):
            snapshot = self.snapshot()
            try:
                return work(snapshot)
            except UnusableIndex:
                if self.snapshot().generation == snapshot.generation:
                    raise
        return work(self.snapshot())

    @contextmanager
    def stepped_aside(self) -> Iterator[None]:
        """Not counted as a reader inside, so that our own compaction need not wait for us."""
        with self._lock:
            self._snapshot = None
            fcntl.flock(self._handle, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
