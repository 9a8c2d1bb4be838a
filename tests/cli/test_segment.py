"""`segment`, `map` and `export` at the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.geometry import PATCH
from tests.cli.commands import ask, run
from tests.painting import BLUE, RED, SIZE, noise, planted, save

SPOT = np.tile(np.array(RED, dtype=np.uint8), (4, 3, 1))
PLACES = {"a": (0, 0), "b": (2, 5), "c": (5, 1)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    (folder / "masks").mkdir()
    for name, (row, col) in PLACES.items():
        save(folder / "c" / "spots" / f"{name}.png", planted(BLUE, SPOT, row, col))
        cells = np.zeros((10, 10), dtype=np.uint8)
        cells[row : row + 4, col : col + 3] = 255
        mask = np.kron(cells, np.ones((PATCH, PATCH), dtype=np.uint8))
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    save(folder / "c" / "other" / "n.png", noise(1))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c", labels="folders")
    return folder


def test_masks_in_and_masks_out(place, tmp_path):
    x, masks = place / "x", place / "masks"
    done = run("segment", "train", "--in", x, "--name", "spot", "--masks", masks, code=2)
    assert "255 is what is not known" in done.stderr
    made = ask("segment", "train", "--in", x, "--name", "spot", "--masks", masks, "--white",
               "--class", "spot")  # fmt: skip
    assert (made["classes"], made["masks"], made["kind"]) == (["spot"], 3, "segmenter")
    assert made["iou"][0]["iou"] > 0.8
    assert ask("segment", "list", "--in", x)["segmenters"] == ["spot"]
    query = save(tmp_path / "q.png", planted(BLUE, SPOT, 6, 6))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    answer = ask("segment", "predict", query, tmp_path / "bad.png", "--in", x, "--name", "spot",
                 "--save", tmp_path / "out", code=3)  # fmt: skip
    (one,) = answer["results"]
    assert one["shares"]["spot"] == pytest.approx(0.12, abs=0.03)
    with Image.open(one["mask"]) as picture:
        assert np.asarray(picture)[8 * PATCH, 7 * PATCH] == 1
        assert np.asarray(picture)[2 * PATCH, 2 * PATCH] == 0
    assert answer["refused"][0]["path"] == str(tmp_path / "bad.png")
    whole = ask("segment", "predict", "--in", x, "--name", "spot", "--where", "label:spots",
                "--save", tmp_path / "all")  # fmt: skip
    assert [one["id"] is not None for one in whole["results"]] == [True] * 3
    judged = ask("segment", "eval", "--in", x, "--name", "spot", "--masks", masks, "--white")
    assert judged["pictures"] == 3
    assert judged["classes"][0]["iou"] > 0.85
    low, high = judged["classes"][0]["interval"]
    assert low <= judged["classes"][0]["iou"] <= high
    run("segment", "predict", query, "--where", "label:spots", "--in", x, "--name", "spot", code=2)
    run("segment", "predict", query, "--in", x, "--name", "none", code=2)


def test_strokes_come_from_a_file(place, tmp_path):
    path = place / "strokes.json"
    red = [{"line": [[7, 7], [7, 49]]}]
    path.write_text(json.dumps({"c/spots/a.png": {"spot": red}}))
    x = place / "x"
    made = ask("segment", "train", "--in", x, "--name", "red", "--strokes", path,
               "--where", "label:other")  # fmt: skip
    assert (made["classes"], made["strokes"], made["pictures"]) == (["spot"], 1, 2)
    assert ask("segment", "delete", "--in", x, "--name", "red") == {"deleted": "red"}
    run("segment", "delete", "--in", x, "--name", "red", code=2)
    path.write_text("[1]")
    done = run("segment", "train", "--in", x, "--name", "red", "--strokes", path, code=2)
    assert "is not a JSON object" in done.stderr


def test_map(place, tmp_path):
    x = place / "x"
    shown = ask("map", "--in", x, "--save", tmp_path / "map.csv")
    assert [one["id"] for one in shown["places"]] == [1, 2, 3, 4]
    assert (shown["method"], shown["later"], len(shown["explained"])) == ("pca", 0, 2)
    with open(tmp_path / "map.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"] for row in rows].count("spots") == 3
    for row, one in zip(rows, shown["places"], strict=True):
        assert [float(row["x"]), float(row["y"])] == pytest.approx(one["xy"], abs=1e-6)
    run("map", "--in", x, "--save", tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert ".svg" in run("map", "--in", x, "--save", tmp_path / "map.doc", code=2).stderr


def test_export(place, tmp_path):
    x, file = place / "x", tmp_path / "i.csv"
    done = ask("export", "--in", x, "--save", file, "--where", "label:spots")
    assert done == {"what": "items", "rows": 3, "path": str(file)}
    assert "is there already" in run("export", "--in", x, "--save", file, code=2).stderr
    assert ask("export", "--in", x, "--save", file, "--what", "labels", "--overwrite")["rows"] == 4
    assert ask("export", "--in", x, "--save", tmp_path / "v.npz", "--what", "vectors")["rows"] == 4
