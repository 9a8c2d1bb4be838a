"""A write, flush, rename or open that fails once: a typed error, and nothing half done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.scenarios import Build, Scenario, changing, compacting, creating, removing
from tests.crash.sweep import chosen, hold_to_promise, steps_of

SPARSE = {creating: 40, changing: 24, compacting: 80, removing: 6}

EXIT_CODE = {"ENOSPC": 74, "EIO": 4}


@pytest.fixture(params=[creating, changing, compacting, removing], ids=lambda b: b.__name__)
def build(request: pytest.FixtureRequest) -> Build:
    story: Build = request.param
    return story


@pytest.fixture
def scenario(build: Build, tmp_path: Path) -> Iterator[Scenario]:
    one = build(tmp_path)
    with one.forks:
        yield one


def can_fail(name: str, fault: str) -> bool:
    """No disk is too full to delete or to cut off."""
    return fault != "ENOSPC" or not any(word in name for word in ("unlink", "ftruncate"))


def fail_at(scenario: Scenario, step: int, name: str, fault: str) -> int:
    done = scenario.run(step, fault)
    assert "Traceback" not in done.err, done.err
    # Thumbnails, the name of the lock's holder and files to be deleted may cost nothing.
    codes = {0, EXIT_CODE[fault]}
    if name.endswith("-shm"):
        # SQLite does not say why it has no shared memory; on a disk that really is full
        # dinosearch looks for itself (test_full_disk).
        codes.add(4)
    assert done.code in codes, f"step {step} ({name}) ended with {done.code}: {done.err}"
    if done.code:
        assert done.err.splitlines()[-1].startswith("dinosearch: ")
        assert done.json["error"]["exit_code"] == done.code
    hold_to_promise(scenario, done.acknowledged)
    return done.code


def test_each_fault_is_a_typed_error(scenario, build):
    """The two faults take turns; `make soak` has both at every step."""
    steps = steps_of(scenario)
    codes = set()
    for turn, step in enumerate(chosen(steps, SPARSE[build])):
        fault = ("ENOSPC", "EIO")[turn % 2]
        if can_fail(steps[step - 1], fault):
            codes.add(fail_at(scenario, step, steps[step - 1], fault))
    assert codes == {0, 4, 74}


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
def test_each_fault_at_every_step(scenario, fault):
    steps = steps_of(scenario)
    for step in chosen(steps, 1):
        if can_fail(steps[step - 1], fault):
            fail_at(scenario, step, steps[step - 1], fault)
