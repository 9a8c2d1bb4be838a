"""One scenario, broken off at each of its steps."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.crash.checks import State, check, check_complete
from tests.crash.commands import Done
from tests.crash.scenarios import Scenario

KILLED = -9


def steps_of(scenario: Scenario) -> list[str]:
    """The names of the steps of an undisturbed run, in their order."""
    scenario.record.unlink(missing_ok=True)
    done = scenario.run(record=str(scenario.record))
    assert done.code == 0, done.err
    recorded = json.loads(scenario.record.read_text())
    assert recorded["complete"], "this Python hides SQLite's VFS: its steps cannot be counted"
    names: list[str] = recorded["steps"]
    return names


def chosen(steps: list[str], every: int) -> Iterator[int]:
    """Numbers of steps from 1: each of Python's own, and one in `every` of SQLite's."""
    seen = 0
    for number, name in enumerate(steps, 1):
        if name.startswith("sqlite"):
            seen += 1
            if seen % every:
                continue
        yield number


def kill_at(scenario: Scenario, step: int, do: str = "kill", cheat: str | None = None) -> Done:
    """Kill at a step and hold the index to its promise, before and after going on."""
    done = scenario.run(step, do, **({"cheat": cheat} if cheat else {}))
    assert done.code in (KILLED, 0), f"it ended with {done.code}: {done.err}"
    hold_to_promise(scenario, done.acknowledged)
    return done


def hold_to_promise(scenario: Scenario, acknowledged: int) -> State:
    state = check(scenario.index, scenario.pictures, scenario.truth, acknowledged=acknowledged)
    again = scenario.complete()
    assert again.code == 0, f"going on ended with {again.code}: {again.err}"
    check_complete(scenario.index, scenario.pictures, scenario.truth)
    return state
