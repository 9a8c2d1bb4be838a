"""Jobs: what takes minutes and goes on without its page, one after the other.

They live in the memory of the server. What an indexing job has committed is safe whatever
becomes of the server, and the same job asked again goes on where it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from dinosearch import AddProgress, DinoSearchError
from dinosearch.errors import IndexLocked, InvalidInput

from .problems import Problem, of_trouble

log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]

LOG_LINES = 20
KEPT = 100
"""Ended jobs that are remembered."""

LOG_EVERY_S = 5.0


@dataclass
class Job:
    """One job and how far it is. Times are seconds since 1970; None for not yet."""

    id: int
    kind: str
    index: str
    params: dict[str, Any]
    work: Callable[[Job], dict[str, Any]] = field(repr=False)
    state: State = "queued"
    step: str = ""
    done: int = 0
    total: int = 0
    committed: int = 0
    rate: float | None = None
    message: str = ""
    errors: list[str] = field(default_factory=list)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    ended_at: float | None = None
    result: dict[str, Any] | None = None
    cancelling: bool = False
    _counting_from: tuple[float, int] = (0.0, 0)
    _logged_at: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def eta_s(self) -> float | None:
        """Seconds that are probably left."""
        if self.state != "running" or not self.rate or not self.total:
            return None
        return max(0.0, (self.total - self.done) / self.rate)

    def say(self, text: str) -> None:
        """A line for the log."""
        self.log.append(f"{time.strftime('%H:%M:%S')} {text}")

    def take(self, progress: AddProgress) -> None:
        """Where a run of indexing stands; comes from two threads."""
        now = time.monotonic()
        if progress.step != self.step:
            self.step, self._counting_from = progress.step, (now, progress.done)
            self.say(progress.step)
        self.done, self.total, self.committed = progress.done, progress.total, progress.committed
        since, first = self._counting_from
        if progress.done > first and now - since > 0.5:
            self.rate = (progress.done - first) / (now - since)
        if now - self._logged_at > LOG_EVERY_S and progress.total:
            self._logged_at = now
            self.say(f"{progress.done} of {progress.total}, {progress.committed} safe")


class Jobs:
    """The queue of jobs and the thread that does them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._jobs: dict[int, Job] = {}
        self._last = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="dinosearch-jobs", daemon=True)
        self._thread.start()

    def add(
        self,
        kind: str,
        index: str,
        params: dict[str, Any],
        work: Callable[[Job], dict[str, Any]],
    ) -> Job:
        """Put a job at the end of the queue. `work` gives its result, and asks `cancelling`."""
        with self._lock:
            self._last += 1
            job = Job(self._last, kind, index, params, work)
            self._jobs[job.id] = job
            ended = [one.id for one in self._jobs.values() if one.ended]
            for old in ended[: max(0, len(ended) - KEPT)]:
                del self._jobs[old]
            self._wake.notify()
        return job

    def all(self, index: str) -> list[Job]:
        """The jobs of an index, newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.index == index]

    def get(self, job_id: int) -> Job:
        """Raises `Problem`."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise Problem("job-not-found", f"there is no job {job_id}")
        return job

    def retry(self, job_id: int) -> Job:
        """The same once more. Raises `Problem` for a job that has not ended."""
        job = self.get(job_id)
        if not job.ended:
            raise Problem("conflict", f"job {job_id} has not ended yet")
        return self.add(job.kind, job.index, job.params, job.work)

    def drop(self, job_id: int) -> None:
        """Cancel a job that is queued or running; remove one that has ended."""
        job = self.get(job_id)
        with self._lock:
            if job.ended:
                self._jobs.pop(job_id, None)
            elif job.state == "queued":
                job.state, job.ended_at = "cancelled", time.time()
                job.say("cancelled before it began")
            else:
                job.cancelling = True
                job.say("stopping after the pictures in hand")

    def close(self, wait_s: float = 10.0) -> None:
        """Ask the running job to stop, and wait for its last commit."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                job.cancelling = True
            self._wake.notify()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            with self._lock:
                job = self._next()
                while job is None and not self._closed:
                    self._wake.wait()
                    job = self._next()
                if self._closed or job is None:
                    return
                job.state, job.started_at = "running", time.time()
            self._do(job)

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "queued"), None)

    def _do(self, job: Job) -> None:
        state: State = "failed"
        try:
            job.result = job.work(job)
            state = "cancelled" if job.result.get("stopped") else "done"
        except IndexLocked:
            job.message = "another process is writing to this index: try again when it is done"
        except DinoSearchError as error:
            log.error("job %d: %s", job.id, error)
            job.message = _in_words(error)
        except Exception:
            log.exception("job %d", job.id)
            job.message = "an error that should not happen; the server's log has it"
        if state == "failed":
            job.errors.append(job.message)
        job.say(job.message or state)
        with self._lock:
            job.state, job.ended_at = state, time.time()


def _in_words(error: DinoSearchError) -> str:
    """Why a job failed, without the paths that the core's messages hold."""
    if isinstance(error, InvalidInput):
        return "a folder is gone, or is not as it was asked for; the server's log says more"
    return of_trouble(error).detail
