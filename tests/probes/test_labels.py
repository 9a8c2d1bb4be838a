"""Labels by people: they stand, they are logged, they can be taken back, and nobody waits."""

from __future__ import annotations

import csv
import getpass
import io
import os

import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.storage.folder import Folder
from dinosearch.storage.labels import set_labels, settled, write_predictions
from dinosearch.storage.writer import Annotation, Batch
from tests.painting import BLUE, GREEN, RED, SIZE, plain, save
from tests.storage.store import create, row, writer


@pytest.fixture
def index(tmp_path):
    """Ids 1 and 2 in the folder blue, 3 in red."""
    for name, colour in (("blue/a", BLUE), ("blue/b", GREEN), ("red/c", RED)):
        save(tmp_path / "p" / f"{name}.png", plain(colour))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p", labels="folders")
        yield index


def labels(index):
    return {item.id: item.labels for item in index.items()}


def test_a_label_counts_at_once_and_says_who_gave_it_and_when(index):
    ids = {os.path.basename(item.path): item.id for item in index.items()}
    path = index.item(ids["b.png"]).path
    assert index.label([path, ids["c.png"]], "scratch", author="ann") == 2
    assert index.count(where="label:scratch") == 2
    assert labels(index) == {
        ids["a.png"]: ("blue",),
        ids["b.png"]: ("scratch",),
        ids["c.png"]: ("scratch",),
    }
    newest = index.label_history(item=ids["b.png"])[0]
    assert (newest.before, newest.after, newest.author) == (("blue",), ("scratch",), "ann")
    assert newest.set_at.endswith("Z")
    assert index.label(1, "scratch") == index.label(1, "scratch") + 1, "nothing new, nothing done"
    assert index.label_history(item=1)[0].author == getpass.getuser()


def test_what_a_person_said_is_not_undone_by_folders_or_tables(index, tmp_path):
    index.label(1, "scratch", author="ann")
    index.unlabel(2, author="ann")
    index.label(3, "red", author="ann")  # confirmed: it is the person's now
    report = index.add(tmp_path / "p", labels="folders")
    assert (report.unchanged, report.relabelled) == (3, 0)
    table = tmp_path / "labels.csv"
    lines = [f"{item.path},from table" for item in index.items()]
    table.write_text("\n".join(["path,label", *lines]))
    index.add(tmp_path / "p", labels=table)
    assert labels(index) == {1: ("scratch",), 2: (), 3: ("red",)}


def test_a_person_who_takes_it_all_back_lets_the_table_speak_again(index, tmp_path):
    index.label([1, 2], "scratch", author="ann")
    index.undo_label(author="ann")
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{index.item(1).path},from table\n")
    index.add(tmp_path / "p", labels=table)
    assert labels(index) == {1: ("from table",), 2: ("blue",), 3: ("red",)}


def test_undo_goes_back_change_by_change_and_author_by_author(index):
    index.label([1, 2], "scratch", author="ann")
    index.label(1, ["dent", "scratch"], author="ann")
    index.label(3, "dirt", author="bob")
    undone = index.undo_label(author="ann")
    assert [(one.item, one.after, one.undoes) for one in undone] == [(1, ("scratch",), 2)]
    assert labels(index) == {1: ("scratch",), 2: ("scratch",), 3: ("dirt",)}
    assert [one.item for one in index.undo_label(author="ann")] == [1, 2]
    assert labels(index) == {1: ("blue",), 2: ("blue",), 3: ("dirt",)}
    assert index.undo_label(author="ann") == []
    flags = [(one.change, one.undone, one.undoes) for one in index.label_history(author="ann")]
    assert flags == [
        (-1, False, 1), (-1, False, 1), (-2, False, 2),
        (2, True, None), (1, True, None), (1, True, None),
    ]  # fmt: skip


def test_undo_does_not_trample_on_what_another_said_since(index):
    index.label([1, 2], "scratch", author="ann")
    index.label(2, "dirt", author="bob")
    with pytest.raises(InvalidInput, match="labels of picture 2 have been changed since"):
        index.undo_label(author="ann")
    assert labels(index) == {1: ("scratch",), 2: ("dirt",), 3: ("red",)}
    index.undo_label(author="bob")
    index.undo_label(author="ann")
    assert labels(index) == {1: ("blue",), 2: ("blue",), 3: ("red",)}


def test_undo_passes_over_what_was_removed(index):
    index.label([1, 2], "scratch", author="ann")
    index.remove(2)
    index.undo_label(author="ann")
    assert labels(index) == {1: ("blue",), 3: ("red",)}


def test_one_label_among_several_can_come_and_go(index):
    index.label(1, "scratch", author="ann")
    index.label([1, 3], "dent", author="bob", add=True)
    assert labels(index)[1] == ("dent", "scratch")
    assert labels(index)[3] == ("dent",), "with add, only what people gave stays"
    assert index.unlabel([1, 2, 3], "scratch", author="bob") == 1
    assert labels(index) == {1: ("dent",), 2: ("blue",), 3: ("dent",)}


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "x" * 201, "\x1b[2J"])
def test_what_is_no_label_is_refused(index, label):
    with pytest.raises(InvalidInput, match="cannot be a label"):
        index.label(1, label)


def test_a_change_happens_wholly_or_not_at_all(index):
    with pytest.raises(InvalidInput, match="no picture with id 99: nothing was changed"):
        index.label([1, 99], "scratch")
    with pytest.raises(InvalidInput, match=r"no picture .*none\.png"):
        index.label([1, "none.png"], "scratch")
    assert labels(index)[1] == ("blue",)
    assert index.label_history() == []


def test_tables_go_out_and_come_in_without_formulas(index, tmp_path):
    index.label(1, "=1+1", author="ann")
    index.label(2, ["dent", "scratch"], author="@ann")
    text = index.export_labels()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["label"], row["author"]) for row in rows] == [
        ("'=1+1", "ann"), ("dent", "'@ann"), ("scratch", "'@ann"), ("red", "folders"),
    ]  # fmt: skip
    assert rows[3]["path"] == index.item(3).path
    assert index.export_labels(where="label:dent").count("\r\n") == 3

    table = tmp_path / "out.csv"
    table.write_text(text + "/nowhere.png,dent,,\r\n" + f"{index.item(3).path},extra,,\r\n")
    before = labels(index)
    done = index.import_labels(table, author="bob")
    assert (done.labelled, done.unchanged, done.unmatched) == (1, 2, ("/nowhere.png",))
    assert labels(index) == before | {3: ("extra", "red")}


def test_a_label_is_written_while_an_indexer_is_at_work(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        store.commit(Batch(rows=[row(1)]))
        assert set_labels(folder, {1: ["scratch"]}, author="ann") == 1
        store.commit(
            Batch(rows=[row(2)], annotations=[Annotation(row(1).origin.path, "table", ("odd",))])
        )
        assert set_labels(folder, {2: ["dent"]}, author="ann") == 1
        assert [item.labels for item in store.catalog.items([1, 2])] == [("scratch",), ("dent",)]
        assert settled(store.catalog) == {1, 2}


def test_a_probe_speaks_only_where_nobody_has(index, tmp_path):
    folder = Folder(tmp_path / "x")
    index.unlabel(1, author="ann")
    index.label(2, "dent", author="ann")
    assert write_predictions(folder, "first", {1: "p", 2: "p", 3: "p"}) == 0
    index.undo_label(author="ann")
    save(tmp_path / "q" / "d.png", plain((9, 9, 9)))
    index.add(tmp_path / "q")
    (new,) = index.items(after=3)
    assert write_predictions(folder, "first", {3: "p", new.id: "p"}) == 1
    assert write_predictions(folder, "first", {new.id: "p"}) == 0, "no news"
    assert write_predictions(folder, "second", {new.id: "q"}) == 1
    assert index.item(new.id).labels == ("q",)
    assert index.label_history()[0].author == "probe:second"
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{new.path},said\n")
    index.add(tmp_path / "q", labels=table)
    assert index.item(new.id).labels == ("said",), "a guess makes way for what is known"
    with pytest.raises(InvalidInput, match="kept for probes"):
        index.label(1, "x", author="probe:first")
