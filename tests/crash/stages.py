"""Runs of the real command that are long enough to be hit at any moment."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.commands import Running, run, runner_command
from tests.crash.corpus import SIZE, Truth, change, draw_many, pictures_in

CONSTANTS = {"BATCH_ROWS": 16, "batch_size": 16, "SMALLEST": 64, "DEAD_GRACE_S": 0.0}


@dataclass(frozen=True)
class Stage:
    """One command on a copy of `before`, from the moment it says "at `mark`" on.

    `seconds` is how long that takes undisturbed.
    """

    name: str
    mark: str
    pictures: Path
    before: Path | None
    truth: Truth
    command: tuple[str, ...]
    seconds: float

    def start(self, index: Path) -> Running:
        """The command on a fresh copy, at its mark."""
        shutil.rmtree(index, ignore_errors=True)
        if self.before is not None:
            shutil.copytree(self.before, index)
        running = Running(runner_command(self._plan(), *self._on(index)))
        running.wait_for(lambda err: f"at {self.mark}\n" in err)
        return running

    def finish(self, index: Path) -> int:
        """The same command again, to its end; its exit code."""
        return run(runner_command(self._plan(), *self._on(index))).code

    def _plan(self) -> dict[str, Any]:
        return {"constants": CONSTANTS, "announce": [self.mark]}

    def _on(self, index: Path) -> list[str]:
        return [str(index) if part == "INDEX" else part for part in self.command]


def all_stages(
    folder: Path, count: int, *, encoder: str = "colour", size: int = SIZE, tolerance: float = 1e-6
) -> list[Stage]:
    """create, index, re-index changed pictures, build vectors, compact: the same corpus."""
    fresh, changed = folder / "fresh", folder / "changed"
    truth = Truth(encoder, size, tolerance).learn(draw_many(fresh, count))
    index = folder / "index"
    add = (
        *("index", str(fresh), "--to", "INDEX", "--encoder", encoder),
        *("--size", str(size), "--min-free", "0", "--json"),
    )
    stages = [_timed("creating", "create", fresh, None, truth, add, index)]
    stages.append(_timed("indexing", "commit", fresh, None, truth, add, index))
    stages.append(_timed("building", "build", fresh, None, truth, add, index))
    # The pictures keep their place, so that the index knows them: changed in a copy of all.
    shutil.copytree(fresh, changed)
    again = tuple(str(changed) if part == str(fresh) else part for part in add)
    before = folder / "before"
    assert run(runner_command({"constants": CONSTANTS}, *_filled(again, before))).code == 0
    change(changed, seed=3)
    truth.learn(pictures_in(changed))
    again = (*again, "--prune")
    stages.append(_timed("changing", "commit", changed, before, truth, again, index))
    wasteful = folder / "wasteful"
    shutil.copytree(index, wasteful)
    compact = ("compact", "--in", "INDEX", "--json")
    stages.append(_timed("compacting", "compact", changed, wasteful, truth, compact, index))
    return stages


def _filled(command: tuple[str, ...], index: Path) -> list[str]:
    return [str(index) if part == "INDEX" else part for part in command]


def _timed(
    name: str,
    mark: str,
    pictures: Path,
    before: Path | None,
    truth: Truth,
    command: tuple[str, ...],
    index: Path,
) -> Stage:
    stage = Stage(name, mark, pictures, before, truth, command, 0.0)
    running = stage.start(index)
    started = time.monotonic()
    done = running.wait()
    assert done.code == 0, done.err
    return Stage(name, mark, pictures, before, truth, command, time.monotonic() - started)
