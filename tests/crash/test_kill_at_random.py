"""kill -9 of the real command at random moments, with and without its decoders."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.crash.checks import check, check_complete
from tests.crash.commands import all_gone
from tests.crash.stages import Stage, all_stages


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    return all_stages(tmp_path_factory.mktemp("stages"), 100)


def kill_once(stage: Stage, index: Path, rng: random.Random, *, everyone: bool) -> bool:
    """Kill at a random moment and hold the index to its promise; False if it was too late."""
    running = stage.start(index)
    time.sleep(rng.uniform(0, stage.seconds))
    decoders = running.kill(everyone=everyone)
    done = running.wait()
    assert done.code in (-9, 0), done.err
    # Nobody tells the decoders: they end because nobody holds the other end of the pipe.
    assert all_gone(decoders), f"decoders {decoders} outlived their owner"
    check(index, stage.pictures, stage.truth, acknowledged=done.acknowledged)
    assert stage.finish(index) == 0
    check_complete(index, stage.pictures, stage.truth)
    return done.code == -9


def kill_often(stages: list[Stage], index: Path, times: int, seed: int) -> int:
    """`times` for each stage, in turn the main process alone and all; returns the hits."""
    rng = random.Random(seed)
    return sum(
        kill_once(stage, index, rng, everyone=turn % 2 == 0)
        for stage in stages
        for turn in range(times)
    )


def test_25_kills(stages, tmp_path):
    assert kill_often(stages, tmp_path / "index", 5, seed=1) >= 15


@pytest.mark.soak
def test_100_kills(stages, tmp_path):
    assert kill_often(stages, tmp_path / "index", 20, seed=2) >= 60


@pytest.mark.soak
def test_10_kills_with_a_real_network(tmp_path):
    stages = all_stages(tmp_path, 80, encoder="mini", size=224, tolerance=0.02)
    assert kill_often(stages, tmp_path / "hit", 2, seed=3) >= 6
