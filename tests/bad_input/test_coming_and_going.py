"""Pictures that change, move, vanish and come back; labels; and counts that add up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dinosearch
from tests.crash.commands import dinosearch as command
from tests.crash.corpus import draw, draw_many
from tests.crash.scenarios import index_arguments

COUNTS = ("added", "updated", "unchanged", "refused", "failed")


def index(pictures: Path, to: Path, *more: str | Path, code: int = 0) -> dict[str, Any]:
    """The report of a run, whose counts add up."""
    done = command(*index_arguments(pictures, to), *more)
    assert done.code == code, done.err
    report: dict[str, Any] = done.json
    assert all(isinstance(report[name], int) for name in (*COUNTS, "seen"))
    assert report["seen"] == sum(report[name] for name in COUNTS)
    return report


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in COUNTS)


def ids(folder: Path) -> dict[str, int]:
    with dinosearch.open(folder) as opened:
        return {Path(hit.path).name: hit.id for hit in opened.search(_any_id(folder), k=1000)}


def _any_id(folder: Path) -> int:
    import sqlite3

    connection = sqlite3.connect(folder / "catalog.sqlite")
    try:
        return int(connection.execute("SELECT min(id) FROM items").fetchone()[0])
    finally:
        connection.close()


def later(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


def test_the_life_of_a_folder(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(pictures, 8)
    assert counts(index(pictures, to)) == (8, 0, 0, 0, 0)
    first = ids(to)

    paths[0].rename(pictures / "renamed.jpg")
    report = index(pictures, to)
    assert counts(report) == (0, 1, 7, 0, 0)
    assert (report["moved"], report["vanished"], report["encoded"]) == (1, 0, 0)
    assert ids(to)["renamed.jpg"] == first["0000.jpg"]

    draw(paths[1], 999)
    later(paths[1])
    report = index(pictures, to)
    assert counts(report) == (0, 1, 7, 0, 0)
    assert (report["moved"], report["encoded"]) == (0, 1)
    assert ids(to)["0001.png"] == first["0001.png"]
    found = command("search", paths[1], "--in", to, "-k", "1", "--json").json["hits"][0]
    assert (found["id"], found["score"] > 0.9999) == (first["0001.png"], True)

    later(paths[2])  # touched, not changed
    report = index(pictures, to)
    assert (counts(report), report["encoded"]) == ((0, 0, 8, 0, 0), 0)

    paths[3].unlink()
    report = index(pictures, to)
    assert (counts(report), report["vanished"], report["pruned"]) == ((0, 0, 7, 0, 0), 1, 0)
    assert "0003.png" in ids(to)
    report = index(pictures, to, "--prune")
    assert (counts(report), report["vanished"], report["pruned"]) == ((0, 0, 7, 0, 0), 1, 1)
    assert "0003.png" not in ids(to)

    draw(paths[3], 3)  # an id is never given twice
    assert counts(index(pictures, to)) == (1, 0, 7, 0, 0)
    assert ids(to)["0003.png"] not in first.values()
    assert command("verify", "--full", "--in", to).code == 0


def test_a_picture_that_breaks_keeps_what_it_was(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(pictures, 3)
    index(pictures, to)
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[: len(good) // 2])
    later(paths[1])
    assert counts(index(pictures, to, code=3)) == (0, 0, 2, 1, 0)
    rows = command("failures", "--in", to, "--json").json["failures"]
    assert [row["path"] for row in rows] == [str(paths[1])]
    assert "keeps what it held before" in rows[0]["detail"]
    assert len(ids(to)) == 3
    paths[1].write_bytes(good)
    later(paths[1])
    assert counts(index(pictures, to)) == (0, 0, 3, 0, 0)
    assert command("failures", "--in", to, "--json").json["failures"] == []


def test_removed_stays_out(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(pictures, 6)
    index(pictures, to)
    done = command("remove", str(paths[0]), "2", "--in", to, "--json")
    assert (done.code, done.json["removed"]) == (0, 2)
    report = index(pictures, to)
    assert (counts(report), report["left_out"]) == ((0, 0, 6, 0, 0), 2)
    assert len(ids(to)) == 4
    draw(paths[0], 77)
    later(paths[0])
    report = index(pictures, to)
    assert (counts(report), report["left_out"]) == ((1, 0, 5, 0, 0), 1)
    report = index(pictures, to, "--readd")
    assert (counts(report), report["left_out"]) == ((1, 0, 5, 0, 0), 0)
    assert len(ids(to)) == 6
    assert all(path.exists() for path in paths)


def test_an_empty_folder_prunes_nothing(tmp_path):
    """A drive that is not mounted looks just so."""
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    draw_many(pictures, 3)
    index(pictures, to)
    pictures.rename(tmp_path / "unmounted")
    pictures.mkdir()
    done = command(*index_arguments(pictures, to), "--prune")
    assert done.code == 2
    assert "nothing is pruned" in done.err
    assert len(ids(to)) == 3


def test_copies_are_items_of_their_own(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(pictures, 2)
    (pictures / "copy.jpg").write_bytes(paths[0].read_bytes())
    assert counts(index(pictures, to)) == (3, 0, 0, 0, 0)
    assert len(set(ids(to).values())) == 3


def test_labels_from_folders(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    draw_many(pictures / "train" / "scratch", 2, seed=1)
    draw_many(pictures / "val" / "good", 2, seed=2)
    draw_many(pictures, 1, seed=3)
    index(pictures, to, "--labels", "folders")

    def found(*where: str) -> set[str]:
        filters = [part for one in where for part in ("--where", one)]
        done = command("search", "--id", "1", "--in", to, "--json", *filters)
        assert done.code == 0, done.err
        return {str(Path(hit["path"]).relative_to(pictures)) for hit in done.json["hits"]}

    scratches = {"train/scratch/0000.jpg", "train/scratch/0001.png"}
    assert found("label:scratch") == scratches
    assert found("split:val") == {"val/good/0000.jpg", "val/good/0001.png"}
    assert found("-label:good", "-split:train") == {"0000.jpg"}
    assert found("label:good", "split:train") == set()


def test_labels_from_a_table(tmp_path):
    pictures, to = tmp_path / "pictures", tmp_path / "index"
    paths = draw_many(pictures, 4)
    table = pictures / "labels.csv"
    table.write_text(
        "path,label,camera,shift\n"
        f"0000.jpg,scratch,A7,1\n0000.jpg,dent,A7,1\n{paths[1]},good,B2,2\nmissing.jpg,good,,\n"
    )
    report = index(pictures, to, "--labels", table)
    assert report["unmatched"] == [str(pictures / "missing.jpg")]
    done = command("search", "--id", "1", "--in", to, "--where", "meta.camera:A7", "--json")
    assert [(hit["id"], hit["labels"]) for hit in done.json["hits"]] == [(1, ["dent", "scratch"])]
    done = command("search", "--id", "1", "--in", to, "--where", "meta.shift:2..", "--json")
    assert [hit["labels"] for hit in done.json["hits"]] == [["good"]]
    assert index(pictures, to, "--labels", table)["relabelled"] == 0
    table.write_text("path,label\n0000.jpg,fine\n")
    assert index(pictures, to, "--labels", table)["relabelled"] == 1
    done = command("search", "--id", "1", "--in", to, "--where", "label:fine", "--json")
    assert [hit["labels"] for hit in done.json["hits"]] == [["fine"]]
