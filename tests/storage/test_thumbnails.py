from __future__ import annotations

import sqlite3

import pytest

from dinosearch.storage import thumbnails
from dinosearch.storage.thumbnails import Thumbnails
from tests.storage.store import create


@pytest.fixture
def folder(tmp_path):
    return create(tmp_path / "x")


def test_what_is_kept_comes_back_and_the_rest_goes(folder):
    thumbs = Thumbnails(folder)
    thumbs.add([("a" * 64, b"one"), ("b" * 64, b"two")])
    assert thumbs.get("a" * 64) == b"one"
    assert thumbs.get("c" * 64) is None
    thumbs.keep_only({"b" * 64})
    assert thumbs.get("a" * 64) is None
    assert thumbs.get("b" * 64) == b"two"
    assert b"one" not in folder.thumbnails.read_bytes()


def test_a_busy_file_loses_nothing(folder, monkeypatch, caplog):
    monkeypatch.setattr(thumbnails, "BUSY_S", 0.05)
    thumbs = Thumbnails(folder)
    thumbs.add([("a" * 64, b"one")])
    busy = sqlite3.connect(folder.thumbnails, isolation_level=None)
    busy.execute("BEGIN EXCLUSIVE")
    thumbs.keep_only(set())
    thumbs.add([("b" * 64, b"two")])
    busy.execute("ROLLBACK")
    busy.close()
    assert thumbs.get("a" * 64) == b"one"
    assert "thumbnails" in caplog.text


def test_a_file_that_is_no_database_is_made_anew(folder):
    folder.thumbnails.write_bytes(b"no database" * 1000)
    thumbs = Thumbnails(folder)
    assert thumbs.get("a" * 64) is None
    assert thumbs.problems()
    thumbs.add([("a" * 64, b"one")])
    assert thumbs.get("a" * 64) == b"one"
    assert thumbs.problems() == []
