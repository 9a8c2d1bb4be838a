"""The reader: each question is asked of one whole generation, the newest there is."""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot

T = TypeVar("T")


class Reader:
    """Asks for any number of threads, from opening to `close`.

    Each question has a connection to the catalog of its own, and one transaction on it:
    whatever a writer commits meanwhile, snapshot and catalog belong together. A shared
    lock on the manifest tells compaction that somebody reads; it goes with the process,
    so a killed reader holds nothing back.
    """

    def __init__(self, folder: Folder, *, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._idle: list[Catalog] = []
        self._closed = False
        handle = os.open(folder.manifest, os.O_RDONLY | os.O_CLOEXEC)
        self._handle = handle
        # An index that is dropped without being closed must not count as a reader for ever.
        self._let_go = weakref.finalize(self, os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_SH)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._snapshot = None
            for catalog in self._idle:
                catalog.close()
            self._idle.clear()
            self._let_go()

    def ask(self, work: Callable[[Snapshot, Catalog], T]) -> T:
        """Do `work` on the newest generation.

        Files of a generation go ten minutes after they were replaced. A question that
        takes longer may miss one, and is asked once more, of the generation that replaced
        it; an error that no newer generation explains is real, and passes.
        """
        with self._catalog() as catalog:
            generation = -1
            try:
                with catalog.view():
                    generation = catalog.generation()
                    return work(self._snapshot_of(catalog), catalog)
            except UnusableIndex:
                if catalog.generation() == generation:
                    raise
            with catalog.view():
                return work(self._snapshot_of(catalog), catalog)

    def _snapshot_of(self, catalog: Catalog) -> Snapshot:
        """The snapshot of the generation that a transaction sees."""
        generation = catalog.generation()
        with self._lock:
            snapshot = self._snapshot
        if snapshot is None or snapshot.generation != generation:
            snapshot = Snapshot(
                self._folder, catalog, fingerprint=self._fingerprint, previous=snapshot
            )
            with self._lock:
                self._snapshot = snapshot
        return snapshot

    @contextmanager
    def _catalog(self) -> Iterator[Catalog]:
        """A connection that no other thread uses meanwhile."""
        with self._lock:
            catalog = self._idle.pop() if self._idle else None
        if catalog is None:
            catalog = Catalog.open(self._folder.catalog, writable=False)
        try:
            catalog.refresh()
            yield catalog
        finally:
            with self._lock:
                if not self._closed:
                    self._idle.append(catalog)
            if self._closed:
                catalog.close()

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
