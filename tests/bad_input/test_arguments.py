"""Commands that ask for what cannot be: exit 2, what is wrong, where, and the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bad_input.complaints import complains
from tests.crash.commands import dinosearch
from tests.crash.scenarios import index_arguments


def test_no_such_source(sound, tmp_path):
    missing = tmp_path / "nowhere"
    complains(
        *(2, f"there is no file or folder {missing}", "name one that exists"),
        command=("index", missing, "--to", tmp_path / "new", "--encoder", "colour"),
    )
    complains(2, str(missing), command=("index", missing, "--to", sound))
    assert dinosearch("verify", "--full", "--in", sound).code == 0


def test_source_that_is_no_picture(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    command = ("index", tmp_path / "notes.txt", "--to", tmp_path / "new", "--encoder", "colour")
    done = dinosearch(*command, "--size", "56", "--json")
    assert done.code == 3
    assert (done.json["seen"], done.json["refused"]) == (1, 1)


def test_without_json_nothing_goes_to_stdout(sound, tmp_path):
    done = dinosearch("search", tmp_path / "nowhere.jpg", "--in", sound)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"dinosearch: there is no file {tmp_path / 'nowhere.jpg'}\n"


def test_no_such_query(sound, tmp_path):
    missing = tmp_path / "nowhere.jpg"
    complains(2, str(missing), command=("search", missing, "--in", sound))


def test_query_that_is_no_picture(sound, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    complains(
        *(2, str(tmp_path / "text.jpg"), "unsupported-format"),
        command=("search", tmp_path / "text.jpg", "--in", sound),
    )
    (tmp_path / "cut.png").write_bytes(_first_of(sound).read_bytes()[:90])
    complains(2, "cut.png", command=("search", tmp_path / "cut.png", "--in", sound))
    complains(2, "not-a-file", command=("search", tmp_path, "--in", sound))


def test_query_is_nothing(sound):
    complains(2, "name a picture", "--id N", command=("search", "--in", sound))
    complains(2, "no picture with id 99", command=("search", "--id", "99", "--in", sound))


@pytest.mark.parametrize(
    ("region", "parts"),
    [
        ("100,100,200,200", ("100", "56 x 56")),
        ("-5,0,20,20", ("-5", "56 x 56")),
        ("0,0,3,3", ("patch",)),
        ("20,20,10,10", ("20",)),
        ("nan,0,10,10", ("not finite",)),
        ("1,2,3", ("'1,2,3' is not four numbers X0,Y0,X1,Y1",)),
        ("a,b,c,d", ("'a,b,c,d' is not four numbers",)),
        ("", ("is not four numbers",)),
    ],
)
def test_regions(sound, pictures, region, parts):
    query = _first_of(sound)
    complains(2, *parts, command=("search", query, "--in", sound, "--region", region))


def test_region_with_several_pictures(sound):
    query = _first_of(sound)
    command = ("search", query, query, "--in", sound, "--region", "0,0,28,28")
    complains(2, "one picture", command=command)


def test_mask_and_region(sound):
    query = _first_of(sound)
    command = ("search", query, "--in", sound, "--region", "0,0,28,28", "--mask", query)
    complains(2, "--region or --mask, not both", command=command)
    complains(2, "nowhere", command=("search", query, "--in", sound, "--mask", "nowhere.png"))


@pytest.mark.parametrize("k", ["0", "-1", "1001"])
def test_k(sound, k):
    complains(2, f"k is {k}", "1 to 1000", command=("search", "--id", "1", "--in", sound, "-k", k))


def test_k_that_is_no_number(sound):
    complains(2, "ten", command=("search", "--id", "1", "--in", sound, "-k", "ten"))


@pytest.mark.parametrize("command", ["search", "info", "failures", "verify", "compact", "remove"])
def test_no_index_there(tmp_path, command):
    query = {"search": ("--id", "1"), "remove": ("1",)}.get(command, ())
    for folder in (tmp_path, tmp_path / "nowhere"):
        complains(
            *(2, str(folder), "is not an index", "dinosearch index PHOTOS --to"),
            command=(command, *query, "--in", folder),
        )
    file = tmp_path / "file"
    file.write_text("")
    complains(2, str(file), "is a file", command=(command, *query, "--in", file))


def test_index_into_a_folder_of_other_things(tmp_path, pictures):
    (tmp_path / "thesis.tex").write_text("years of work")
    command = ("index", pictures, "--to", tmp_path, "--encoder", "colour", "--size", "56")
    complains(2, str(tmp_path), "thesis.tex", "empty or does not exist", command=command)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    complains(2, "is a file", command=(*command[:3], tmp_path / "thesis.tex", *command[4:]))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("colour:red", ("'colour' is not a key", "label, path, split, date, size or meta.NAME")),
        ("scratch", ("'scratch'", "[-]key:value")),
        ("label:", ("'label:'", "[-]key:value")),
        ("date:yesterday", ("'yesterday' is not a date", "2024-05")),
        ("size:huge", ("'huge' is not a number or a range",)),
        ("size:..", ("is not a number or a range",)),
    ],
)
def test_filters(sound, where, parts):
    complains(2, *parts, command=("search", "--id", "1", "--in", sound, "--where", where))


def test_encoder(tmp_path, pictures):
    command = ("index", pictures, "--to", tmp_path / "new", "--encoder")
    complains(2, "'dinov9'", "dinov2_vits14", "timm:NAME", command=(*command, "dinov9"))
    complains(2, "57", "multiple of 14", command=(*command, "colour", "--size", "57"))
    complains(2, "fit", command=(*command, "colour", "--fit", "tiles"))
    assert not (tmp_path / "new").exists()


def test_missing_weights(tmp_path, pictures):
    environment = os.environ | {"DINOSEARCH_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    command = ("index", pictures, "--to", tmp_path / "new", "--encoder", "dinov2_vits14")
    complains(
        *(4, "dinov2_vits14_pretrain.pth", str(tmp_path), "dinosearch encoders download"),
        command=command,
        env=environment,
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["99", "/nowhere/at/all.jpg"])
def test_remove_what_is_not_there(copy, what):
    complains(2, what, "nothing was removed", command=("remove", "1", what, "--in", copy))
    assert dinosearch("info", "--in", copy, "--json").json["items"] == 10


def test_save_where_nothing_can_be_written(sound, tmp_path):
    sheet = tmp_path / "nowhere" / "sheet.png"
    complains(2, str(sheet), command=("search", "--id", "1", "--in", sound, "--save", sheet))
    sheet = tmp_path / "sheet.xyz"
    complains(2, str(sheet), command=("search", "--id", "1", "--in", sound, "--save", sheet))


def test_options_that_do_not_exist(sound, pictures):
    complains(2, "--colour", command=("search", "--id", "1", "--in", sound, "--colour"))
    complains(2, "No such command", command=("serach",))
    complains(2, "--to", command=("index", pictures))


def test_labels(tmp_path, pictures):
    command = ("index", pictures, "--to", tmp_path / "new", "--encoder", "colour", "--size", "56")

    def table(content: bytes) -> Path:
        file: Path = tmp_path / "labels.csv"
        file.write_bytes(content)
        return file

    complains(
        *(2, "nowhere.csv", "No such file"),
        command=(*command, "--labels", tmp_path / "nowhere.csv"),
    )
    complains(
        *(2, "labels.csv", "no column 'path'", "it names file,label"),
        command=(*command, "--labels", table(b"file,label\na.jpg,x\n")),
    )
    complains(
        *(2, "no column 'label'"), command=(*command, "--labels", table(b"path,class\na.jpg,x\n"))
    )
    complains(
        *(2, "labels.csv, line 3", "cell for each column"),
        command=(*command, "--labels", table(b"path,label\na.jpg,x\nb.jpg,y,z,z\n")),
    )
    noise = bytes(range(256)) * 40
    complains(2, "labels.csv", command=(*command, "--labels", table(noise)))
    complains(2, "labels.csv", "nothing", command=(*command, "--labels", table(b"")))
    complains(2, str(tmp_path), command=(*command, "--labels", tmp_path))
    done = dinosearch("info", "--in", tmp_path / "new", "--json")
    assert done.code == 2 or done.json["items"] == 0


def test_the_sound_index_is_still_sound(sound, pictures):
    """After all of the above: nothing was lost, nothing was added."""
    assert dinosearch("verify", "--full", "--in", sound).code == 0
    done = dinosearch(*index_arguments(pictures, sound))
    assert (done.code, done.json["unchanged"], done.json["seen"]) == (0, 10, 10)


def _first_of(sound: Path) -> Path:
    return sound.parent / "pictures" / "0001.png"
