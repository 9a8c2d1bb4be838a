"""The documents of `probe` and `labels`."""

from __future__ import annotations

import csv
import io

import pytest

from tests.cli.commands import ask, run
from tests.painting import BLUE, RED, SIZE, plain, save


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(12):
        save(folder / "red" / f"{number}.png", plain((255 - number, 0, 5 * number)))
        save(folder / "blue" / f"{number}.png", plain((5 * number, 0, 255 - number)))
    return folder


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    x = tmp_path_factory.mktemp("index") / "x"
    ask(*("index", corpus, "--to", x, "--encoder", "colour", "--size", SIZE, "--labels", "folders"))
    return x


def test_a_probe_is_trained_judged_listed_asked_and_forgotten(corpus, built, tmp_path):
    made = ask("probe", "train", "--in", built, "--name", "hue", "--head", "logistic")
    assert (made["classes"], made["trained_on"], made["held_out"]) == (["blue", "red"], 20, 4)
    found = ask("probe", "eval", "--in", built, "--name", "hue")
    assert (found["accuracy"], found["confusion"]) == (1.0, [[2, 0], [0, 2]])
    assert found["interval"] == pytest.approx([0.5101, 1.0], abs=1e-4)  # Wilson, 4 of 4
    assert "right      1.0000" in run("probe", "eval", "--in", built, "--name", "hue").stdout
    (listed,) = ask("probe", "list", "--in", built)["probes"]
    assert (listed["name"], listed["recipe"]["head"]) == ("hue", "logistic")

    save(tmp_path / "p" / "new.png", plain(RED))
    save(tmp_path / "p" / "other.png", plain(BLUE))
    (tmp_path / "p" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "p" / "link.png").symlink_to(tmp_path)
    document = ask("probe", "predict", tmp_path / "p", "--in", built, "--name", "hue", code=3)
    said = {one["path"].rsplit("/", 1)[1]: one["label"] for one in document["predictions"]}
    assert said == {"new.png": "red", "other.png": "blue"}
    refused = sorted(one["path"].rsplit("/", 1)[1] for one in document["refused"])
    assert refused == ["broken.png", "link.png"]
    whole = ask("probe", "predict", "--in", built, "--name", "hue", "--write")
    assert (len(whole["predictions"]), whole["written"]) == (24, 0)
    ask("probe", "predict", tmp_path, "--write", "--in", built, "--name", "hue", code=2)

    error = ask("probe", "eval", "--in", built, "--name", "none", code=2)["error"]
    assert "has no probe 'none'; there are: hue" in error["message"]
    assert ask("probe", "delete", "--in", built, "--name", "hue") == {"deleted": "hue"}
    assert ask("probe", "list", "--in", built) == {"probes": []}


def test_labels_are_set_listed_exported_imported_and_taken_back(corpus, built, tmp_path):
    path = corpus / "red" / "0.png"
    by = ("--in", built, "--author", "ann")
    assert ask("labels", "set", "=odd", path, 1, *by) == {"labelled": 2}
    assert ask("labels", "unset", 2, *by) == {"unlabelled": 1}
    listed = ask("labels", "list", "--in", built)
    assert (listed["labels"]["=odd"], listed["labels"]["red"]) == (2, 11)
    assert listed["changes"][0]["item"] == 2
    assert len(ask("probe", "queue", "--in", built)["queue"]) == 0, "all is labelled, or settled"

    out = tmp_path / "labels.csv"
    text = run("labels", "export", "--in", built, "--where", "label:=odd").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["label"], row["author"]) for row in rows] == [("'=odd", "ann")] * 2
    assert ask("labels", "export", "--in", built, "--to", out)["rows"] == 23
    assert len(ask("labels", "undo", *by)["undone"]) == 1
    assert len(ask("labels", "undo", *by)["undone"]) == 2
    assert ask("labels", "list", "--in", built)["labels"] == {"blue": 12, "red": 12}
    done = ask("labels", "import", out, "--in", built, "--author", "bob")
    assert (done["labelled"], done["unmatched"]) == (23, [])
    assert ask("labels", "list", "--in", built)["labels"]["=odd"] == 2
    assert len(ask("labels", "undo", "--in", built, "--author", "bob")["undone"]) == 23
    ask("labels", "set", "x", 999, "--in", built, code=2)
