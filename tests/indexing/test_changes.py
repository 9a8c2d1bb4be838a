"""The drift: what came, changed and went since the index was made, counted by hand."""

from __future__ import annotations

import os
import shutil

import pytest

import dinosearch
from tests.painting import BLUE, GREEN, RED, SIZE, noise, plain, save


@pytest.fixture
def pictures(tmp_path):
    for seed in range(5):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
    save(tmp_path / "p" / "sub" / "red.png", plain(RED))
    return tmp_path / "p"


@pytest.fixture
def index(tmp_path, pictures):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(pictures)
        yield index


def counts(index):
    found = index.changes()
    return found.added, found.changed, found.missing, found.unchanged


def test_nothing_has_changed_right_after_indexing(index):
    assert counts(index) == (0, 0, 0, 6)
    assert index.changes().to_dict() == {
        "added": 0,
        "changed": 0,
        "missing": 0,
        "unchanged": 6,
        "unreachable": [],
        "stopped": False,
    }


def test_what_came_changed_and_went_is_counted_and_nothing_is_written(index, pictures):
    generation = index.answer(1).generation
    save(pictures / "sub" / "blue.png", plain(BLUE))
    save(pictures / "green.png", plain(GREEN))
    (pictures / "notes.txt").write_text("no picture")
    save(pictures / "0.png", plain(RED), scale=2)  # other bytes
    os.utime(pictures / "1.png", ns=(1, 1))  # the same bytes at another time
    (pictures / "2.png").unlink()
    (pictures / "3.png").unlink()
    (pictures / "4.png").rename(pictures / "moved.png")
    assert counts(index) == (3, 2, 3, 1)
    assert index.answer(1).generation == generation
    assert len(index) == 6


def test_after_the_next_run_nothing_has_changed_any_more(index, pictures):
    save(pictures / "green.png", plain(GREEN))
    save(pictures / "0.png", plain(RED), scale=2)
    assert counts(index) == (1, 1, 0, 5)
    index.add(pictures)
    assert counts(index) == (0, 0, 0, 7)


def test_a_file_that_was_refused_is_not_new_until_it_changes(index, pictures):
    (pictures / "bad.png").write_bytes(b"no picture")
    assert counts(index) == (1, 0, 0, 6)
    assert index.add(pictures).refused == 1
    assert counts(index) == (0, 0, 0, 6)
    (pictures / "bad.png").write_bytes(b"no picture, in other words")
    assert counts(index) == (1, 0, 0, 6)


def test_a_picture_that_was_removed_is_not_new_until_it_changes(index, pictures):
    index.remove(pictures / "0.png")
    assert counts(index) == (0, 0, 0, 5)
    save(pictures / "0.png", plain(RED), scale=3)
    assert counts(index) == (1, 0, 0, 5)


def test_links_are_never_new(index, pictures):
    (pictures / "link.png").symlink_to(pictures / "0.png")
    (pictures / "folder").symlink_to(pictures / "sub")
    assert counts(index) == (0, 0, 0, 6)


def test_a_source_that_is_not_there_is_named_and_its_pictures_are_not_missing(index, tmp_path):
    other = save(tmp_path / "drive" / "a.png", plain(GREEN)).parent
    index.add(other)
    shutil.move(other, tmp_path / "unplugged")
    found = index.changes()
    assert (found.unreachable, found.missing, found.unchanged) == ([str(other)], 0, 6)


def test_it_stops_when_told_to(index, pictures):
    save(pictures / "green.png", plain(GREEN))
    found = index.changes(stop=lambda: True)
    assert (found.stopped, found.added, found.unchanged) == (True, 0, 0)


def test_a_failure_knows_its_source(index, pictures):
    (pictures / "sub" / "bad.png").write_bytes(b"no picture")
    index.add(pictures)
    (failure,) = index.failures()
    assert (failure.source, failure.relative_path) == (str(pictures), "sub/bad.png")
    assert (failure.state, failure.code) == ("refused", "unsupported-format")
