"""Pictures made ready for the page, kept in memory while they are likely to be asked again."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_BYTES = 64 << 20


class Previews:
    """JPEGs by tag, the least recently used dropped first; for any number of threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, tag: str) -> bytes | None:
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
            return self._kept.get(tag)

    def put(self, tag: str, jpeg: bytes) -> None:
        with self._lock:
            self._bytes += len(jpeg) - len(self._kept.pop(tag, b""))
            self._kept[tag] = jpeg
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
