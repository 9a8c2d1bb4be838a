"""A second writer is turned away; readers go on beside a writer and see whole generations."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import dinosearch
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from tests.crash.checks import check_complete
from tests.crash.commands import Done, Running, run, runner_command
from tests.crash.commands import dinosearch as command
from tests.crash.corpus import Truth, change, draw, draw_many, pictures_in, sha256
from tests.crash.scenarios import index_arguments
from tests.crash.stages import CONSTANTS


def standing(pictures: Path, index: Path, place: str) -> Running:
    """A writer that has come to `place` and stands still there."""
    plan = {"constants": CONSTANTS, "stand": [place]}
    running = Running(runner_command(plan, *index_arguments(pictures, index)))
    running.wait_for(lambda err: f"at {place}\n" in err)
    return running


def go_on(running: Running) -> Done:
    """Let it go on whenever it stands still, to its end."""
    while running.process.poll() is None:
        running.process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    return running.wait()


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    pictures, index = tmp_path / "pictures", tmp_path / "index"
    truth = Truth().learn(draw_many(pictures, 100))
    first = standing(pictures, index, "commit")
    for arguments in (
        index_arguments(pictures, index),
        ("remove", "1", "--in", str(index), "--json"),
        ("compact", "--in", str(index), "--json"),
    ):
        second = command(*arguments)
        assert second.code == 75, second.err
        holder = f"pid {first.process.pid} on {socket.gethostname()} since 2"
        assert holder in second.err
        assert "wait until it has finished, or stop it" in second.err
        assert second.json["error"]["type"] == "IndexLocked"
        assert second.json["error"]["exit_code"] == 75
    assert command("info", "--in", index, "--json").json["items"] == 0
    assert go_on(first).code == 0
    check_complete(index, pictures, truth)


def test_two_that_create_at_once(tmp_path):
    """The first stands between catalog and manifest, where there is no index to see yet."""
    pictures, index = tmp_path / "pictures", tmp_path / "index"
    truth = Truth().learn(draw_many(pictures, 20))
    first = standing(pictures, index, "manifest")
    second = command(*index_arguments(pictures, index))
    assert second.code == 75, second.err
    assert f"pid {first.process.pid}" in second.err
    assert go_on(first).code == 0
    check_complete(index, pictures, truth)


def test_a_killed_holder_holds_nothing(tmp_path):
    pictures, index = tmp_path / "pictures", tmp_path / "index"
    draw_many(pictures, 40)
    first = standing(pictures, index, "commit")
    first.kill(everyone=True)
    first.wait()
    assert command(*index_arguments(pictures, index)).code == 0


class Versions:
    """Which contents each picture of a growing, changing folder has ever had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = Truth()
        self._of: dict[str, set[str]] = defaultdict(set)

    def note(self, paths: list[Path]) -> None:
        before = set(self.truth.features)
        self.truth.learn(paths)
        new = set(self.truth.features) - before
        for path in paths:
            digest = sha256(path)
            assert digest in new or digest in before
            self._of[str(path)].add(digest)

    def agree(self, query: str, hit: str, score: float) -> bool:
        """Whether the score is the cosine of any two contents that these had."""
        ours = np.stack([self.truth.features[d][0] for d in self._of[query]])
        theirs = np.stack([self.truth.features[d][0] for d in self._of[hit]])
        return bool(np.abs(ours @ theirs.T - score).min() < 1e-4)


class Writing(threading.Thread):
    """Adds, changes and compacts, one command after the other, until told to stop."""

    def __init__(self, versions: Versions, index: Path) -> None:
        super().__init__()
        self.versions, self.index = versions, index
        self.stop = threading.Event()
        self.failures: list[str] = []
        self.commands = 0

    def run(self) -> None:
        turn = 0
        while not self.stop.is_set():
            turn += 1
            new = [
                draw(self.versions.folder / f"{turn:03d}-{n}.png", turn * 1000 + n)
                for n in range(20)
            ]
            old = pictures_in(self.versions.folder)[turn % 7 :: 7]
            for number, path in enumerate(old):
                draw(path, 900_000 + turn * 1000 + number)
                os.utime(path, ns=(0, turn * 1_000_000_000))
            # Known before the writer can bring them into any reader's sight.
            self.versions.note([*new, *old])
            for arguments in (
                index_arguments(self.versions.folder, self.index),
                ("compact", "--in", str(self.index), "--json"),
            ):
                done = run(runner_command({"constants": CONSTANTS}, *arguments))
                self.commands += 1
                if done.code:
                    self.failures.append(done.err)


def read_beside(tmp_path: Path, seconds: float) -> tuple[int, int]:
    """Search while a writer changes everything; returns the numbers of searches and commands."""
    versions, index = Versions(tmp_path / "pictures"), tmp_path / "index"
    versions.note(draw_many(versions.folder, 100))
    plan = {"constants": CONSTANTS}
    assert run(runner_command(plan, *index_arguments(versions.folder, index))).code == 0
    writing = Writing(versions, index)
    writing.start()
    searches, most = 0, 0
    deadline = time.monotonic() + seconds
    rng = np.random.default_rng(0)
    try:
        with dinosearch.open(index) as reader:
            while time.monotonic() < deadline:
                answer = reader.answer(int(rng.integers(1, 101)), k=20)
                query = reader.item(answer.hits[0].id).path
                assert answer.searched >= most, "the number of items went back"
                most = answer.searched
                assert len(answer.hits) == 20
                _check_hits(versions, query, [(h.path, h.score) for h in answer.hits])
                searches += 1
                if searches % 40 == 0:
                    _search_from_outside(versions, index, most)
    finally:
        writing.stop.set()
        writing.join()
    assert not writing.failures, writing.failures
    return searches, writing.commands


def _check_hits(versions: Versions, query: str, hits: list[tuple[str, float]]) -> None:
    # The picture itself comes first, with 1, whichever version of it was seen.
    assert abs(hits[0][1] - 1) < 1e-4
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True)
    wrong = [path for path, score in hits if not versions.agree(query, path, score)]
    assert not wrong, f"scores that no two contents have: {wrong}"


def _search_from_outside(versions: Versions, index: Path, least: int) -> None:
    done = command("search", "--id", "7", "--in", index, "-k", "5", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["searched"] >= least
    assert found["hits"][0]["id"] == 7
    hits = [(hit["path"], hit["score"]) for hit in found["hits"]]
    _check_hits(versions, found["hits"][0]["path"], hits)


def test_readers_beside_a_writer(tmp_path):
    searches, commands = read_beside(tmp_path, 8)
    assert searches >= 50
    assert commands >= 4


@pytest.mark.soak
def test_readers_beside_a_writer_for_long(tmp_path):
    searches, commands = read_beside(tmp_path, 120)
    assert searches >= 1000
    assert commands >= 60


def test_a_reader_keeps_its_generation_until_it_asks_again(tmp_path):
    """Segments that were compacted away and deleted still serve a search in progress."""
    pictures, index = tmp_path / "pictures", tmp_path / "index"
    truth = Truth().learn(draw_many(pictures, 40))
    plan = {"constants": CONSTANTS}
    assert run(runner_command(plan, *index_arguments(pictures, index))).code == 0
    folder = Folder(index)
    catalog = Catalog.open(folder.catalog, writable=False)
    fingerprint = catalog.meta()["fingerprint_digest"]
    snapshot = Snapshot(folder, catalog, fingerprint=fingerprint, previous=None)
    before = {item.id: item.sha256 for item in catalog.items(snapshot.ids.tolist())}
    catalog.close()
    for number in range(len(snapshot.segment_rows)):
        snapshot.segment(number)
    change(pictures, seed=9)
    again = (*index_arguments(pictures, index), "--prune")
    assert run(runner_command(plan, *again)).code == 0
    assert run(runner_command(plan, "compact", "--in", index)).code == 0
    left = {path.name for path in (index / "segments").iterdir()}
    assert not {row.name for row in snapshot.segment_rows} & left
    positions = np.arange(len(before))
    stored = snapshot.cls(positions)
    for position in positions.tolist():
        digest = before[int(snapshot.id_at[position])]
        assert truth.agrees(digest, stored[position], snapshot.tokens(position))
