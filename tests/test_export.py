"""Exports: what comes back is what went out, no formulas, no half files."""

from __future__ import annotations

import builtins
import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.export.guard import guarded
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.decisions import decide
from tests.painting import BLUE, RED, SIZE, noise, plain, save

BROKEN = os.fsdecode(b"caf\xe9.png")
"""A name that is not UTF-8."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    save(folder / "c" / "=red" / "a,b.png", plain(RED))
    save(folder / "c" / "blue" / "c.png", plain(BLUE))
    os.rename(save(folder / "c" / "blue" / "x.png", noise(1)), folder / "c" / "blue" / BROKEN)
    save(folder / "c" / "blue" / "copy.png", plain(BLUE))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c", labels="folders")
    return folder


@pytest.fixture
def index(place):
    with dinosearch.open(place / "x") as index:
        yield index


def rows_of(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_items_come_back_from_csv_and_json(index, tmp_path):
    assert index.export(tmp_path / "i.csv") == 4
    items = {item.id: item for item in index.items()}
    rows = rows_of(tmp_path / "i.csv")
    assert [int(row["id"]) for row in rows] == [1, 2, 3, 4]
    for row in rows:
        item = items[int(row["id"])]
        assert row["path"] == item.path
        assert (int(row["width"]), row["sha256"]) == (SIZE, item.sha256)
        assert row["labels"] == ("'=red" if item.labels == ("=red",) else "blue")
        assert json.loads(row["metadata"]) == item.metadata
    assert any(row["path"].endswith(BROKEN) for row in rows)
    assert b"caf\xe9.png" in (tmp_path / "i.csv").read_bytes()
    index.export(tmp_path / "i.jsonl", where="label:blue")
    lines = [json.loads(line) for line in (tmp_path / "i.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert line["path"] == items[line["id"]].path
        assert line["labels"] == ["blue"]
    assert b"caf\\udce9.png" in (tmp_path / "i.jsonl").read_bytes()
    index.export(tmp_path / "i.json", where="label:blue")
    assert json.loads((tmp_path / "i.json").read_text()) == lines
    assert index.export(tmp_path / "none.json", where="label:grey") == 0
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_labels_carry_their_author_and_time(place, tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(place / "c", labels="folders")
        index.label(2, "+sky", author="ada")
        assert index.export(tmp_path / "l.csv", what="labels") == 4
        rows = rows_of(tmp_path / "l.csv")
        mine = next(row for row in rows if row["id"] == "2")
        assert (mine["label"], mine["origin"], mine["author"]) == ("'+sky", "person:ada", "ada")
        assert mine["path"] == index.item(2).path
        assert mine["set_at"][:2] == "20"
        others = [row for row in rows if row["id"] != "2"]
        assert {(row["origin"], row["author"]) for row in others} == {("folders", "")}
        assert index.export(tmp_path / "m.csv", what="labels", where="label:+sky") == 1


def test_decisions_name_the_pictures_of_both_contents(place, tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(place / "c")
        red, blue = (index.item(index.id_of(place / "c" / one) or 0) for one in
                     ("=red/a,b.png", "blue/c.png"))  # fmt: skip
        catalog = Catalog.open(tmp_path / "x" / "catalog.sqlite", writable=True)
        decide(catalog, red.sha256, blue.sha256, "different", author="@ada")
        decide(catalog, red.sha256, "f" * 64, "same", author="bob")
        catalog.close()
        assert index.export(tmp_path / "d.json", what="decisions") == 2
        found = json.loads((tmp_path / "d.json").read_text())
        pair = next(one for one in found if one["author"] == "@ada")
        sides = {pair["first"]: pair["first_paths"], pair["second"]: pair["second_paths"]}
        assert sides[red.sha256] == [red.path]
        assert sorted(sides[blue.sha256]) == sorted(
            str(place / "c" / "blue" / one) for one in ("c.png", "copy.png")
        )
        assert next(one for one in found if one["author"] == "bob")["second_paths"] == []
        index.export(tmp_path / "d.csv", what="decisions")
        assert "'@ada" in {row["author"] for row in rows_of(tmp_path / "d.csv")}
        only = f"path:{place / 'c' / 'blue' / BROKEN}"
        assert index.export(tmp_path / "e.json", what="decisions", where=only) == 0


def test_vectors_come_back_to_the_bit(index, tmp_path):
    expected = index.cls([1, 2, 3, 4])
    index.export(tmp_path / "v.npz", what="vectors")
    with np.load(tmp_path / "v.npz", allow_pickle=False) as file:
        assert file["ids"].tolist() == [1, 2, 3, 4]
        assert np.array_equal(file["cls"], expected)
        assert file["cls"].dtype == np.float32
        assert [os.fsdecode(one) for one in file["paths"]] == [item.path for item in index.items()]
    index.export(tmp_path / "v.csv", what="vectors")
    rows = rows_of(tmp_path / "v.csv")
    again = np.array([[row[f"cls_{i}"] for i in range(8)] for row in rows], dtype=np.float32)
    assert np.array_equal(again, expected)
    index.export(tmp_path / "v.jsonl", what="vectors")
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert np.array_equal(np.array([one["cls"] for one in lines], dtype=np.float32), expected)
    with pytest.raises(InvalidInput, match="only vectors go there"):
        index.export(tmp_path / "i.npz")


def test_blocks_fit_together(index, tmp_path, monkeypatch):
    index.export(tmp_path / "a.npz", what="vectors")
    index.export(tmp_path / "a.json")
    monkeypatch.setattr("dinosearch.export.tables._BLOCK", 3)
    index.export(tmp_path / "b.npz", what="vectors")
    index.export(tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert all(np.array_equal(a[name], b[name]) for name in ("ids", "paths", "cls"))


def test_parquet(index, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    index.export(tmp_path / "i.parquet")
    table = parquet.read_table(tmp_path / "i.parquet").to_pylist()
    items = index.items()
    assert [row["path_bytes"] for row in table] == [os.fsencode(item.path) for item in items]
    assert [row["labels"] for row in table] == [list(item.labels) for item in items]
    assert any(row["path"].endswith("caf\\xe9.png") for row in table)
    index.export(tmp_path / "v.parquet", what="vectors")
    vectors = parquet.read_table(tmp_path / "v.parquet")["cls"].to_pylist()
    assert np.array_equal(np.array(vectors, dtype=np.float32), index.cls([1, 2, 3, 4]))


def test_without_pyarrow_the_extra_is_named(index, tmp_path, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InvalidInput, match=r"dinosearch\[parquet\]"):
        index.export(tmp_path / "i.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(text):
    assert guarded(text) == f"'{text}"
    assert guarded(f"a{text}") == f"a{text}"


def test_a_file_that_is_there_stays_and_mistakes_are_named(index, tmp_path):
    (tmp_path / "i.csv").write_text("mine")
    with pytest.raises(InvalidInput, match="is there already"):
        index.export(tmp_path / "i.csv")
    assert (tmp_path / "i.csv").read_text() == "mine"
    assert index.export(tmp_path / "i.csv", overwrite=True) == 4
    assert len(rows_of(tmp_path / "i.csv")) == 4
    for name, what, message in (
        ("i.xls", "items", r"does not end in one of \.csv, \.json, \.jsonl, \.npz, \.parquet"),
        ("i.csv", "tokens", "use items, labels, decisions, vectors"),
        ("no/i.csv", "items", "there is no folder"),
    ):
        with pytest.raises(InvalidInput, match=message):
            index.export(tmp_path / name, what=what, overwrite=True)
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(InvalidInput, match="is a folder"):
        index.export(tmp_path / "f.csv", overwrite=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.csv", "i.csv"]


def test_a_failed_export_leaves_the_old_file_and_nothing_else(index, tmp_path, monkeypatch):
    index.export(tmp_path / "i.csv")
    before = (tmp_path / "i.csv").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dinosearch.export.export.os.fsync", full)
    with pytest.raises(dinosearch.DinoSearchError, match="the disk is full"):
        index.export(tmp_path / "i.csv", what="labels", overwrite=True)
    assert (tmp_path / "i.csv").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["i.csv"]


def test_a_killed_export_leaves_no_file_under_the_name(place, tmp_path):
    # The writer waits in the middle of its file until it is killed.
    program = f"""
import time, dinosearch
from dinosearch.export import formats
real = formats._object
def slow(columns, row):
    if row[0] == 3:
        print("half", flush=True)
        time.sleep(60)
    return real(columns, row)
formats._object = slow
dinosearch.open({str(place / "x")!r}).export({str(tmp_path / "i.json")!r})
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "i.json").exists()
    assert [one.name[:5] for one in tmp_path.iterdir()] == [".tmp-"]
    with dinosearch.open(place / "x") as index:
        assert index.export(tmp_path / "i.json") == 4
