"""Something derived from one generation of the index, kept until there is a newer one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from dinosearch.corpus import Corpus

T = TypeVar("T")


class OfGeneration(Generic[T]):
    """For any number of threads; who asks while it is made waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[int, T] | None = None

    def of(self, corpus: Corpus, make: Callable[[], T]) -> T:
        """What was made of the newest generation, made now if it was not."""
        with self._lock:
            generation = corpus.ask(lambda snapshot, catalog: snapshot.generation)
            if self._kept is None or self._kept[0] != generation:
                self._kept = None
                self._kept = generation, make()
            return self._kept[1]
