"""A folder full of traps: one row for each file, the good ones found, memory in bounds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import dinosearch
from tests.bad_input.hostile import GOOD, Hostile, hostile, only_good
from tests.bad_input.memory import Watched
from tests.crash.commands import Done, Running, dinosearch_command
from tests.crash.commands import dinosearch as command
from tests.crash.scenarios import index_arguments

MB = 1 << 20


@dataclass
class Indexed:
    """The hostile folder, indexed once, and how that went."""

    hostile: Hostile
    index: Path
    done: Done
    main: int
    child: int
    main_on_good: int


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    folder = tmp_path_factory.mktemp("hostile")
    good = only_good(folder / "good")
    watched = Watched(Running(dinosearch_command(*index_arguments(good, folder / "calm"))))
    assert watched.wait().code == 0
    traps = hostile(folder / "traps")
    command_line = dinosearch_command(*index_arguments(traps.folder, folder / "index"))
    among_traps = Watched(Running(command_line))
    done = among_traps.wait()
    return Indexed(traps, folder / "index", done, among_traps.main, among_traps.child, watched.main)


def test_every_file_has_one_row(indexed):
    assert indexed.done.code == 3, indexed.done.err
    report = indexed.done.json
    assert report["seen"] == indexed.hostile.seen
    assert report["added"] == len(indexed.hostile.items) > GOOD
    assert report["refused"] == len(indexed.hostile.codes)
    assert report["failed"] == report["updated"] == report["unchanged"] == 0
    assert "see why: dinosearch failures" in indexed.done.err


def test_each_failure_has_its_code(indexed):
    done = command("failures", "--in", indexed.index, "--json")
    assert done.code == 0
    rows = done.json["failures"]
    assert {row["path"]: row["code"] for row in rows} == indexed.hostile.codes
    assert len(rows) == len(indexed.hostile.codes)
    assert all(row["state"] == "refused" and row["detail"] for row in rows)


def test_names_do_not_steer_the_terminal(indexed):
    done = command("failures", "--in", indexed.index)
    assert len(done.out.splitlines()) == len(indexed.hostile.codes)
    assert "\x1b" not in done.out
    assert r"\x1b[31mred" in done.out


def test_the_good_ones_are_found(indexed):
    with dinosearch.open(indexed.index) as index:
        hits = {hit.path: hit for hit in index.search(1, k=1000)}
        assert hits.keys() == indexed.hostile.items
        for hit in hits.values():
            best = index.search(hit.id, k=3)
            assert best[0].score > 0.9999
            assert hit.id in {one.id for one in best if one.score > 0.9999}


def test_searching_with_each_of_them(indexed):
    """The same files as queries, names and all."""
    folder = indexed.hostile.folder
    for raw in (b"two\nlines.png", b"caf\xe9 \xff.png", b"vast.png"):
        path = os.fsdecode(os.path.join(os.fsencode(folder), raw))
        done = command("search", path, "--in", indexed.index, "-k", "3", "--json")
        assert done.code == 0, done.err
        # The first frame of the animation is as black as the vast one.
        assert path in {hit["path"] for hit in done.json["hits"] if hit["score"] > 0.9999}
    for name in ("truncated.png", "empty.png", "self.png", "x.png"):
        done = command("search", folder / name, "--in", indexed.index, "--json")
        assert done.code == 2
        assert indexed.hostile.codes[str(folder / name)] in done.json["error"]["message"]


def test_what_lies_on_its_side_is_stood_up(indexed):
    with dinosearch.open(indexed.index) as index:
        # Three hold the same picture: this one, the one on its side, one in printing colours.
        hits = index.search(indexed.hostile.folder / "upright.png", k=3)
        assert {Path(hit.path).name for hit in hits} == {"upright.png", "lying.jpg", "cmyk.jpg"}
        assert hits[2].score > 0.9999
        lying = next(hit for hit in hits if hit.path.endswith("lying.jpg"))
        item = index.item(lying.id)
    assert (item.width, item.height) == (300, 200)
    assert "exif-orientation" in item.notes


def test_a_second_run_reads_nothing_again(indexed):
    arguments = index_arguments(indexed.hostile.folder, indexed.index)
    done = command(*arguments)
    assert done.code == 3
    report = done.json
    assert report["seen"] == indexed.hostile.seen
    assert (report["added"], report["encoded"]) == (0, 0)
    assert report["unchanged"] == len(indexed.hostile.items)
    assert report["refused"] == len(indexed.hostile.codes)
    assert command("verify", "--full", "--in", indexed.index).code == 0


def test_memory(indexed):
    assert 20 * MB < indexed.child < 1024 * MB
    assert indexed.main_on_good > 20 * MB
    assert indexed.main < indexed.main_on_good + 300 * MB
