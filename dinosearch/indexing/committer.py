"""The committer: what a run decides, collected into batches and committed in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from dinosearch.storage.writer import Batch, Row, Writer

BATCH_ROWS = 256
BATCH_TOKEN_BYTES = 256 << 20
BATCH_SECONDS = 10.0
BATCH_SECONDS_ROWS = 16
BATCH_SECONDS_MOST = 60.0
"""A batch closes at 256 pictures (or that many bytes of tokens), after 10 s with at least
16 pictures, or after 60 s: small enough to lose, large enough for the disk."""


class Committer:
    """One open batch, and at most one more that is being committed meanwhile.

    `committed(done)` is called, from the thread, when everything that was decided up to
    `done` files would survive a power cut. What the writer raises comes out of the next
    call here.
    """

    def __init__(self, writer: Writer, committed: Callable[[int], None]) -> None:
        self.batch = Batch()
        self._writer = writer
        self._committed = committed
        self._opened = time.monotonic()
        self._token_bytes = 0
        self._thread = ThreadPoolExecutor(1, "dinosearch-commit")
        self._running: Future[None] | None = None

    def close(self) -> None:
        """Wait for the commit that is under way; the open batch is dropped."""
        self._thread.shutdown(wait=True)

    def add(self, row: Row) -> None:
        self.batch.rows.append(row)
        self._token_bytes += row.tokens.nbytes

    def commit_if_due(self, done: int) -> None:
        age = time.monotonic() - self._opened
        rows = len(self.batch.rows)
        if (
            rows >= BATCH_ROWS
            or len(self.batch.troubles) >= BATCH_ROWS
            or self._token_bytes >= BATCH_TOKEN_BYTES
            or (age > BATCH_SECONDS and rows >= BATCH_SECONDS_ROWS)
            or (age > BATCH_SECONDS_MOST and self.batch)
        ):
            self.hand_over(done)

    def hand_over(self, done: int) -> None:
        """Have the open batch committed; waits for the one before it."""
        self._wait()
        batch, self.batch, self._token_bytes = self.batch, Batch(), 0
        self._opened = time.monotonic()

        def commit() -> None:
            self._writer.commit(batch)
            self._committed(done)

        self._running = self._thread.submit(commit)

    def finish(self, done: int) -> None:
        """Have the open batch committed, and wait until it is."""
        self.hand_over(done)
        self._wait()

    def _wait(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()
