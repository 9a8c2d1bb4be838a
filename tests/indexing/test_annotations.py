from __future__ import annotations

import pytest

from dinosearch.errors import InvalidInput
from dinosearch.indexing.annotations import FromFolders, FromTable


@pytest.mark.parametrize(
    ("path", "labels", "split"),
    [
        ("/data/good/a.png", ("good",), ""),
        ("/data/train/good/a.png", ("good",), "train"),
        ("/data/good/Validation/a.png", ("Validation",), "val"),
        ("/data/test/a.png", (), "test"),
    ],
)
def test_folders_are_labels_and_some_are_splits(path, labels, split):
    annotation = FromFolders().annotation(path, "/data")
    assert annotation is not None
    assert (annotation.labels, annotation.split) == (labels, split)


def test_a_picture_directly_in_its_source_has_no_folder_that_labels_it():
    assert FromFolders().annotation("/data/a.png", "/data") is None


def test_a_table_gives_labels_split_and_metadata(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label,split,camera\n"
        "pics/a.png,scratch,train,A7\n"
        "pics/a.png,dent,train,A7\n"
        f"{tmp_path}/pics/b.png,,test,\n"
        "pics/gone.png,good,,\n"
    )
    read = FromTable.read(table)
    a = read.annotation(f"{tmp_path}/pics/a.png", str(tmp_path))
    b = read.annotation(f"{tmp_path}/pics/b.png", str(tmp_path))
    assert a is not None
    assert b is not None
    assert (a.labels, a.split, a.metadata) == (("scratch", "dent"), "train", {"camera": "A7"})
    assert (b.labels, b.split, b.metadata) == ((), "test", {})
    assert read.annotation("/elsewhere.png", "/") is None
    assert read.unmatched() == [f"{tmp_path}/pics/gone.png"]


def test_a_table_that_is_not_utf8_is_refused_with_the_line(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_bytes("path,label\na.png,good\nb.png,Müll\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match="line 3 is not UTF-8"):
        FromTable.read(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,b\n", "no column 'path'"),
        ("path\na\n", "no column 'label'"),
        ("", "names nothing"),
        ("path,label\na.png,x,y\n", "line 2 does not have a cell"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        FromTable.read(table)
    with pytest.raises(InvalidInput, match="No such file"):
        FromTable.read(tmp_path / "none.csv")
