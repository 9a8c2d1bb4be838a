"""`bank` and `defects`: the documents, the files and the exit codes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.commands import ask, run
from tests.painting import SIZE, cosine, plain, planted, save

RED = (150, 60, 0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(20):
        save(folder / "good" / f"{number:02d}.png", plain((0, 200 + number, 0)))
    red = planted((0, 207, 0), np.array([[RED]], dtype=np.uint8), 2, 6)
    save(folder / "bad" / "red.png", red)
    save(folder / "new" / "also red.png", np.roll(red, 1, axis=0))
    save(folder / "new" / "green.png", plain((0, 210, 0)))
    (folder / "new" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "x"
    shown = ("index", photos / "good", photos / "bad", "--to", folder, "--labels", "folders")
    run(*shown, "--encoder", "colour", "--size", SIZE)
    # Labels are the folders below a source, so the sources themselves are told apart by path.
    facts = ask("bank", "create", "good", "--in", folder, "--where", f"path:{photos}/good/")
    assert (facts["pictures"], facts["where"]) == (20, [f"path:{photos}/good/"])
    return folder


def test_files_are_judged_with_heat_maps_masks_and_a_table(photos, built, tmp_path):
    arguments = ("defects", photos / "new", photos / "bad" / "red.png", "--in", built)
    drawn, table = tmp_path / "drawn", tmp_path / "t.csv"
    answer = ask(*arguments, "--bank", "good", "--save", drawn, "--csv", table, code=3)
    names = [Path(one["path"]).name for one in answer["results"]]
    assert names == ["also red.png", "green.png", "red.png"]
    assert [one["verdict"] for one in answer["results"]] == ["faulty", "good", "faulty"]
    expected = 1 - cosine(RED, (0, 200, 0))
    assert [one["score"] for one in answer["results"]] == pytest.approx(
        [expected, 0, expected], abs=6e-3
    )
    assert [(Path(one["path"]).name, one["code"]) for one in answer["refused"]] == [
        ("broken.png", "header-corrupt")
    ]
    first = answer["results"][0]
    assert first["boxes"] == [[84, 42, 98, 56]]
    assert first["nearest"][0]["path"] == str(photos / "good" / "00.png")
    mask = np.asarray(Image.open(first["mask"]))
    assert mask.shape == (SIZE, SIZE)
    assert set(np.unique(mask)) == {0, 255}
    assert [edge.tolist() for edge in (np.argwhere(mask).min(0), np.argwhere(mask).max(0))] == [
        [42, 84],
        [55, 97],
    ]
    assert Image.open(first["heat"]).size == (SIZE, SIZE)
    assert len(list(drawn.iterdir())) == 6
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["faulty", "good", "faulty"]
    assert rows[1]["x0"] == ""


def test_stored_pictures_come_worst_first(photos, built):
    answer = ask("defects", "--in", built, "--bank", "good")
    assert answer["results"][0]["path"] == str(photos / "bad" / "red.png")
    assert len(answer["results"]) == 21
    scores = [one["score"] for one in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    some = ask("defects", "--in", built, "--bank", "good", "--where", f"path:{photos}/bad/")
    assert [one["id"] for one in some["results"]] == [answer["results"][0]["id"]]
    shown = run("defects", "--in", built, "--bank", "good")
    assert shown.stdout.startswith("faulty ")
    assert "1 of 21 faulty" in shown.stderr


def test_banks_are_told_of_and_deleted(photos, built):
    facts = ask("bank", "info", "good", "--in", built)
    assert facts["false_alarms"]["expected"] == pytest.approx(1 / 21)
    assert "20 good pictures" in run("bank", "info", "good", "--in", built).stdout
    where = ("--where", f"path:{photos}/good/0")
    few = run("bank", "create", "few", "--in", built, *where)
    assert "with 19 or more it can be promised" in few.stderr
    assert ask("bank", "list", "--in", built)["banks"] == ["few", "good"]
    assert ask("bank", "delete", "few", "--in", built) == {"deleted": "few"}
    assert run("bank", "list", "--in", built).stdout == "good\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("defects", "--bank", "godo"), "has no bank 'godo'; there are: good"),
        (("bank", "info", "godo"), "has no bank 'godo'"),
        (("bank", "create", "Not a name"), "cannot name a bank"),
        (("bank", "create", "x", "--where", "label:none"), "no picture of the index is good"),
        (("defects", "/nowhere.png", "--bank", "good"), "there is no file or folder"),
    ],
)
def test_what_cannot_be_is_bad_usage(built, arguments, words):
    assert words in run(*arguments, "--in", built, code=2).stderr
    assert not (built / "banks" / "x.safetensors").exists()


def test_files_and_filters_do_not_go_together(photos, built):
    arguments = ("defects", photos / "new", "--in", built, "--bank", "good", "--where", "label:x")
    assert "not both" in run(*arguments, code=2).stderr
