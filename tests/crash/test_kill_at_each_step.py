"""SIGKILL, and the loss of power, at the exact steps of small runs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dinosearch.errors import DinoSearchError
from tests.crash.checks import State
from tests.crash.scenarios import Build, Scenario, changing, compacting, creating, removing
from tests.crash.sweep import KILLED, chosen, hold_to_promise, kill_at, steps_of

STORIES = [creating, changing, compacting, removing]
SPARSE = {creating: 24, changing: 16, compacting: 60, removing: 4}
"""Of SQLite's own steps one in so many is taken; `make soak` takes all of them."""

ENDS = ("kill", "power-cut")


@pytest.fixture(params=STORIES, ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Build:
    story: Build = request.param
    return story


@pytest.fixture
def scenario(build: Build, tmp_path: Path) -> Iterator[Scenario]:
    one = build(tmp_path)
    with one.forks:
        yield one


def test_nothing_is_lost_and_going_on_completes(scenario, build):
    steps = chosen(steps_of(scenario), SPARSE[build])
    kills = [kill_at(scenario, step, ENDS[turn % 2]).code for turn, step in enumerate(steps)]
    assert kills
    assert set(kills) == {KILLED}


@pytest.mark.soak
@pytest.mark.parametrize("do", ENDS)
def test_every_step(scenario, do):
    kills = [kill_at(scenario, step, do).code for step in chosen(steps_of(scenario), 1)]
    assert set(kills) == {KILLED}


@pytest.mark.soak
def test_every_step_of_going_on(scenario):
    """Killed once, and killed again somewhere in the run that was to finish the work."""
    rng = random.Random(1)
    for step in chosen(steps_of(scenario), 6):
        done = scenario.run(step, "kill")
        again = scenario.complete(rng.randrange(1, 60), "kill")
        assert again.code in (KILLED, 0), again.err
        hold_to_promise(scenario, max(done.acknowledged, again.acknowledged))


def test_kill_while_recovering(tmp_path):
    """The writer that sweeps up after a killed one is killed itself."""
    rng = random.Random(0)
    with (scenario := changing(tmp_path)).forks:
        steps = [n for n in chosen(steps_of(scenario), 10_000) if n > 10]
        for step in rng.sample(steps, 6):
            first = scenario.run(step, "kill")
            assert first.code == KILLED
            second = scenario.complete(rng.randrange(1, 25), "kill")
            assert second.code in (KILLED, 0), second.err
            hold_to_promise(scenario, max(first.acknowledged, second.acknowledged))


@pytest.mark.parametrize(
    ("cheat", "do", "step", "stride"),
    [
        # The manifest makes a folder an index: half of one makes it a broken index.
        ("seal_in_place", "kill", "write", 1),
        ("commit_before_sealing", "kill", "write", 1),
        ("acknowledge_early", "kill", "write", 1),
        # Only a power cut tells a flushed file from one that is not.
        ("no_fsync", "power-cut", "sqlite", 12),
    ],
)
def test_the_harness_sees_a_store_that_cheats(tmp_path, cheat, do, step, stride):
    with (scenario := creating(tmp_path)).forks:
        scenario.run(record=str(scenario.record), cheat=cheat)
        names = [name for name in _recorded(scenario) if name]
        places = [n for n, name in enumerate(names, 1) if name.startswith(step)][::stride]
        caught = [n for n in places if _is_caught(scenario, n, do, cheat)]
        assert caught, f"{cheat} went unseen at all of {len(places)} steps"
        honest = [n for n in caught[:3] if _is_caught(scenario, n, do, None)]
        assert not honest, "what was caught was not the cheating"


def _recorded(scenario: Scenario) -> list[str]:
    names: list[str] = json.loads(scenario.record.read_text())["steps"]
    return names


def _is_caught(scenario: Scenario, step: int, do: str, cheat: str | None) -> bool:
    try:
        kill_at(scenario, step, do, cheat)
    except (AssertionError, DinoSearchError):
        return True
    return False


def test_no_cheat_means_no_complaint(tmp_path):
    """The check of the check: an undisturbed run meets every demand."""
    with (scenario := creating(tmp_path)).forks:
        done = scenario.run()
        assert done.code == 0
        assert hold_to_promise(scenario, 12) == State(12, 12)
