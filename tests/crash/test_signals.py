"""SIGTERM and SIGINT: a clean end at the first, an immediate one at the second."""

from __future__ import annotations

import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.crash.checks import check, check_complete
from tests.crash.commands import Running, all_gone, runner_command
from tests.crash.corpus import SIZE, Truth, draw_many
from tests.crash.scenarios import index_arguments
from tests.crash.stages import CONSTANTS

PICTURES = 600


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("signals") / "pictures"
    return folder, Truth(size=SIZE).learn(draw_many(folder, PICTURES))


def _has_commits(count: int, err: str) -> bool:
    return err.count("at commit\n") >= count


def start(pictures: Path, index: Path) -> Running:
    plan = {"constants": CONSTANTS, "announce": ["commit"]}
    return Running(runner_command(plan, *index_arguments(pictures, index)))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_five_signals(corpus, tmp_path, number, code):
    pictures, truth = corpus
    rng = random.Random(number)
    index = tmp_path / "index"
    for turn in range(5):
        stopped = tmp_path / f"{turn}"
        running = start(pictures, stopped)
        commits = rng.randrange(1, 20)
        running.wait_for(partial(_has_commits, commits))
        decoders = running.children()
        sent = time.monotonic()
        running.process.send_signal(number)
        done = running.wait(30)
        assert time.monotonic() - sent < 10
        assert done.code == code, done.err
        assert all_gone(decoders)
        report = done.json
        assert report["stopped"]
        assert report["seen"] < PICTURES
        assert "run the same command again to go on" in done.err
        # What the report counts is there, all of it: the open batch was finished.
        state = check(stopped, pictures, truth, acknowledged=done.acknowledged)
        assert state.items == report["added"]
        index = stopped
    again = start(pictures, index).wait()
    assert again.code == 0, again.err
    check_complete(index, pictures, truth)


def test_a_second_signal_ends_at_once(corpus, tmp_path):
    pictures, truth = corpus
    running = start(pictures, tmp_path / "index")
    running.wait_for(partial(_has_commits, 3))
    decoders = running.children()
    # Stopped, so that both signals wait for it and it sees them one after the other.
    running.process.send_signal(signal.SIGSTOP)
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGCONT)
    done = running.wait(5)
    assert done.code == 143
    assert done.out == ""
    assert all_gone(decoders)
    check(tmp_path / "index", pictures, truth, acknowledged=done.acknowledged)
    assert start(pictures, tmp_path / "index").wait().code == 0
    check_complete(tmp_path / "index", pictures, truth)
