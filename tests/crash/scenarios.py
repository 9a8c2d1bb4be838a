"""Small stories of a writer, each run again and again with another last step.

Twelve pictures or so in batches of four, so that a run has several commits; FAISS files
from eight vectors on, so that they are built; segments that nobody reads go at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.commands import Done, Forks
from tests.crash.corpus import SIZE, Truth, change, draw_many, pictures_in

CONSTANTS = {"BATCH_ROWS": 4, "batch_size": 4, "SMALLEST": 8, "DEAD_GRACE_S": 0.0}


@dataclass
class Scenario:
    """`before` is copied to `index`, then the command runs on it.

    `finish` is the command that completes the work after the run was broken off, `gone`
    the items that are left without a file then.
    """

    name: str
    forks: Forks
    truth: Truth
    pictures: Path
    index: Path
    before: Path | None
    command: tuple[str, ...]
    finish: tuple[str, ...]
    record: Path

    def reset(self) -> None:
        shutil.rmtree(self.index, ignore_errors=True)
        if self.before is not None:
            shutil.copytree(self.before, self.index)

    def run(self, at: int = 0, do: str = "count", **plan: Any) -> Done:
        """The command on a fresh copy; `do` happens at step `at`."""
        self.reset()
        whole = {"constants": CONSTANTS, "root": str(self.index), "at": at, "do": do, **plan}
        return self.forks.run(whole, *self.command)

    def complete(self, at: int = 0, do: str = "count") -> Done:
        """What a user would do next: the same again."""
        plan = {"constants": CONSTANTS, "root": str(self.index), "at": at, "do": do}
        return self.forks.run(plan, *self.finish)


Build = Callable[[Path], Scenario]


def index_arguments(pictures: Path, index: Path, *more: str) -> tuple[str, ...]:
    return (
        *("index", str(pictures), "--to", str(index), "--encoder", "colour"),
        *("--size", str(SIZE), "--min-free", "0", "--json", *more),
    )


def creating(folder: Path) -> Scenario:
    """A new index of new pictures."""
    pictures, index = folder / "pictures", folder / "index"
    truth = Truth().learn(draw_many(pictures, 12))
    command = index_arguments(pictures, index)
    forks = Forks(folder, decoded=pictures, size=SIZE)
    return Scenario(
        "creating", forks, truth, pictures, index, None, command, command, folder / "steps.json"
    )


def changing(folder: Path) -> Scenario:
    """Pictures have changed, moved, vanished and appeared since the index was made."""
    pictures, index, before = folder / "pictures", folder / "index", folder / "before"
    truth = Truth().learn(draw_many(pictures, 20))
    command = index_arguments(pictures, index, "--prune")
    with Forks(folder, decoded=pictures, size=SIZE) as forks:
        plan = {"constants": CONSTANTS}
        assert forks.run(plan, *command).code == 0
    shutil.move(index, before)
    change(pictures, seed=1)
    truth.learn(pictures_in(pictures))
    forks = Forks(folder, decoded=pictures, size=SIZE)
    return Scenario(
        "changing", forks, truth, pictures, index, before, command, command, folder / "steps.json"
    )


def compacting(folder: Path) -> Scenario:
    """An index of many small segments with unused rows is compacted."""
    one = changing(folder)
    one.run()
    one.before = folder / "changed"
    shutil.move(one.index, one.before)
    one.name = "compacting"
    one.command = one.finish = ("compact", "--in", str(one.index), "--json")
    return one


def removing(folder: Path) -> Scenario:
    """Two of twelve pictures are taken out, and taken in again."""
    one = creating(folder)
    one.run()
    one.before = folder / "before"
    shutil.move(one.index, one.before)
    one.name = "removing"
    one.command = ("remove", "3", "9", "--in", str(one.index), "--json")
    one.finish = index_arguments(one.pictures, one.index, "--readd")
    return one
