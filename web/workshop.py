"""The workshop: heavy work done by few, in front of a queue of bounded length.

Encoding and scanning tokens keep every core busy, so two at once only make both late; what
takes milliseconds must not wait behind them; and a request that waits holds a thread of the
server. So each kind of work has a lane with its own few threads, and all lanes together
keep at most so many requests waiting: one more is sent away with a time to come back, and
thumbnails always find a free thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from .problems import Problem

T = TypeVar("T")
Lane = Literal["encode", "scan", "quick", "decode"]

_WORKERS: dict[Lane, int] = {"encode": 1, "scan": 1, "quick": 3, "decode": 2}


class Workshop:
    """Lanes of work; `heavy` requests may be inside, each for `deadline` seconds."""

    def __init__(self, heavy: int, deadline: float) -> None:
        self._heavy = heavy
        self._deadline = deadline
        self._lock = threading.Lock()
        self._lanes = {
            lane: ThreadPoolExecutor(workers, f"dinosearch-{lane}")
            for lane, workers in _WORKERS.items()
        }
        self.inside: dict[Lane, int] = dict.fromkeys(_WORKERS, 0)
        self.done: dict[Lane, int] = dict.fromkeys(_WORKERS, 0)
        self.sent_away = 0

    def do(self, lane: Lane, work: Callable[[], T]) -> T:
        """What `work` returns or raises.

        Raises `Problem` index-busy when too many wait already, timeout when it takes too
        long; what was begun is finished all the same, for who asks again.
        """
        with self._lock:
            if sum(self.inside.values()) >= self._heavy:
                self.sent_away += 1
                raise Problem(
                    "index-busy",
                    f"{self._heavy} requests wait for encoding and searching already",
                    headers={"Retry-After": "2"},
                )
            self.inside[lane] += 1
        try:
            future = self._lanes[lane].submit(work)
            try:
                return future.result(self._deadline)
            except TimeoutError:
                if future.done():  # the work's own, or it ended at this very moment
                    return future.result()
                future.cancel()
                raise Problem(
                    "timeout",
                    f"no answer within {self._deadline:g} s",
                    headers={"Retry-After": "5"},
                ) from None
        finally:
            with self._lock:
                self.inside[lane] -= 1
                self.done[lane] += 1

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)
