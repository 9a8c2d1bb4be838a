"""Showing how far a run of indexing has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from dinosearch.cli.output import note

if TYPE_CHECKING:
    from dinosearch.indexing import Progress

PLAIN_EVERY_S = 5.0
NOTE_EVERY_S = 2.0

Told = Callable[[str, int, int], None]
"""Told a step, how much of it is done, and of how much."""


class ProgressDisplay:
    """A bar on a terminal, a line now and then elsewhere. Called from two threads."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._step = ""
        self._committed = 0
        self._started = self._last = time.monotonic()
        self._first_done = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[safe]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, rate="", safe="")
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.step != self._step:
            self._step, self._started = progress.step, now
            self._first_done = progress.done
            if self._bar is not None:
                self._bar.reset(self._task, total=None)
        pace = (progress.done - self._first_done) / max(now - self._started, 1e-6)
        rate = f"{pace:.1f}/s" if progress.done > self._first_done else ""
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=progress.step,
                total=progress.total or None,
                completed=progress.done,
                rate=rate,
                safe=f"{progress.committed} safe" if progress.committed else "",
            )
            return
        committed = progress.committed > self._committed
        if not committed and now - self._last < PLAIN_EVERY_S:
            return
        self._committed, self._last = progress.committed, now
        if not progress.total:
            note(f"{progress.step} ...")
            return
        left = (progress.total - progress.done) / pace if pace > 0 else 0
        note(
            f"{progress.step}: {progress.done} of {progress.total}"
            + (f", committed {progress.committed}" if progress.step == "indexing" else "")
            + (f", {rate}, {left:.0f} s left" if rate else "")
        )


def told_in_steps(display: ProgressDisplay) -> Told:
    """What shows on `display` the steps it is told."""
    from dinosearch.indexing import Progress

    return lambda step, done, total: display(Progress(step, total, done))


class StepNotes:
    """Says on stderr now and then how far a long work has come, where no bar is drawn."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, step: str, done: int, total: int) -> None:
        if time.monotonic() - self._last >= NOTE_EVERY_S:
            self._last = time.monotonic()
            note(f"{step}: {done} of {total}" if total else f"{step} ...")
