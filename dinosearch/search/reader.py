"""The reader: always the newest generation, and a second try when files were replaced."""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dinosearch.errors import GenerationMoved, UnusableIndex
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
        self._data_version: tuple[int, int] | None = None
        self._handle = os.open(folder.manifest, os.O_RDONLY | os.O_CLOEXEC)
        # An index that is dropped without being closed must not count as a reader for ever.
        self._let_go = weakref.finalize(self, os.close, self._handle)
        fcntl.flock(self._handle, fcntl.LOCK_SH)

    def close(self) -> None:
        with self._lock:
            self._snapshot = None
            self._let_go()

    def snapshot(self) -> Snapshot:
        """The newest generation; the same object until a writer has committed."""
        with self._lock:
            version = self._catalog.data_version()
            # Asked before reading: a commit in between shows as one more change.
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
        """Do `work` on the newest generation; again if a writer commits meanwhile.

        `work` says so by `GenerationMoved`, and files that were replaced under it show as
        `UnusableIndex`; an error that no newer generation explains is real, and passes.
        The last try holds one view of the catalog, which other threads then wait for.
        """
        for _ in range(_TRIES):
            snapshot = self.snapshot()
            try:
                return work(snapshot)
            except GenerationMoved:
                continue
            except UnusableIndex:
                if self.snapshot().generation == snapshot.generation:
                    raise
        with self._catalog.read():
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
