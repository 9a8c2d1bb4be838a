"""Judging an index whose every answer is known, and the files that say what is right."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.evaluation import GroundTruth, Positive, TrueQuery, evaluate
from dinosearch.geometry import PATCH, Box
from tests.cli.commands import ask, run
from tests.painting import BLUE, GREEN, RED, SIZE, plain, planted, save

PART = np.array([[RED, GREEN], [BLUE, (255, 255, 0)]], dtype=np.uint8)


def box(row, col, height=2, width=2):
    return Box(*(v * PATCH for v in (col, row, col + width, row + height)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two scenes hold the part, one holds half of it, ten hold nothing of it."""
    folder = tmp_path_factory.mktemp("scenes")
    save(folder / "c" / "first.png", planted((80, 80, 80), PART, 2, 6))
    save(folder / "c" / "second.png", planted((60, 60, 60), PART, 5, 1))
    save(folder / "c" / "half.png", planted((70, 70, 70), PART[:1], 4, 4))
    for number in range(10):
        save(folder / "c" / f"none{number}.png", plain((100 + 5 * number, 90, 90)))
    save(folder / "q.png", planted((50, 90, 50), PART, 4, 4))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


@pytest.fixture
def index(place):
    with dinosearch.open(place / "x") as index:
        yield index


def truth(place, *positives, junk=(), region=None):
    query = TrueQuery(
        str(place / "q.png"),
        box(4, 4) if region is None else region,
        tuple(Positive(str(place / "c" / name), where) for name, where in positives),
        tuple(str(place / "c" / name) for name in junk),
    )
    return GroundTruth("regions", (query,))


def test_all_is_right(place, index):
    right = truth(place, ("first.png", box(2, 6)), ("second.png", box(5, 1)))
    result = evaluate(index, right)
    assert result.figures["mAP"].value == 1
    assert result.figures["recall@1"].value == 1
    assert result.figures["IoU of right first hits"].value == pytest.approx(1)
    assert result.figures["IoU >= 0.5 of them"].value == 1
    assert result.judged[0].first_wrong is None


def test_what_is_right_comes_third(place, index):
    result = evaluate(index, truth(place, ("half.png", box(4, 4))))
    # Two wrong ones first: 0 before, 1/3 after.
    assert result.figures["mAP"].value == pytest.approx(1 / 6)
    assert result.figures["recall@1"].value == 0
    assert result.figures["recall@5"].value == 1
    assert result.figures["IoU of right first hits"].value is None
    assert result.judged[0].first_wrong in {
        str(place / "c" / "first.png"),
        str(place / "c" / "second.png"),
    }


def test_junk_neither_helps_nor_hurts(place, index):
    right = truth(place, ("half.png", None), junk=("first.png", "second.png"))
    assert evaluate(index, right).figures["mAP"].value == 1


def test_a_positive_that_the_index_lacks_is_never_found(place, index):
    right = truth(place, ("first.png", None), ("second.png", None), ("gone.png", None))
    assert evaluate(index, right).figures["mAP"].value == pytest.approx(2 / 3)
    with pytest.raises(InvalidInput, match=r"holds none of the pictures.*gone\.png"):
        evaluate(index, truth(place, ("gone.png", None)))


def test_a_query_of_the_index_is_left_out_of_its_own_answer(place, index):
    own = TrueQuery(
        str(place / "c" / "first.png"),
        box(2, 6),
        (Positive(str(place / "c" / "second.png"), box(5, 1)),),
    )
    result = evaluate(index, GroundTruth("regions", (own,)))
    assert result.figures["recall@1"].value == 1


def test_the_box_is_judged_against_the_true_one(place, index):
    beside = box(2, 7)  # half of it lies on the part: 2 of 6 cells in common
    right = truth(place, ("first.png", beside), ("second.png", Box(70 / 5, 70, 42, 98)))
    found = evaluate(index, right)
    first = index.search(place / "q.png", k=1, region=box(4, 4))[0].path
    expected = 1 / 3 if first.endswith("first.png") else 1.0
    assert found.figures["IoU of right first hits"].value == pytest.approx(expected)


def test_the_file_says_the_same_after_writing_and_reading(place, tmp_path):
    right = truth(place, ("first.png", box(2, 6)), junk=("half.png",))
    right.write(tmp_path / "truth.json")
    assert GroundTruth.read(tmp_path / "truth.json") == right
    first = json.loads((tmp_path / "truth.json").read_text())["queries"][0]
    assert not first["image"].startswith("/"), "so that the folder can be moved"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "x"}, "no ground truth"),
        ({"version": 9}, "version 9"),
        ({"task": "poetry"}, "use regions, retrieval, copies"),
        ({"queries": []}, "no queries"),
        ({"queries": [{"image": 3}]}, "query 0 does not name its image"),
        ({"queries": [{"image": "a", "positives": ["b"]}]}, "no region"),
        ({"queries": [{"image": "a", "region": [0, 0, 1, 1]}]}, "no positives"),
        ({"queries": [{"image": "a", "region": [5, 5, 1, 1], "positives": ["b"]}]}, "an area"),
        ({"queries": [{"image": "a", "regoin": 1}]}, "not known: regoin"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(tmp_path, change, complaint):
    query = {"image": "a", "region": [0, 0, 9, 9], "positives": [{"image": "b"}]}
    good = {"format": "dinosearch-ground-truth", "version": 1, "task": "regions"}
    (tmp_path / "t.json").write_text(json.dumps({**good, "queries": [query], **change}))
    with pytest.raises(InvalidInput, match=complaint):
        GroundTruth.read(tmp_path / "t.json")


def test_the_command_prints_the_figures_and_writes_them_query_by_query(place, tmp_path):
    truth(place, ("first.png", box(2, 6)), ("second.png", box(5, 1))).write(tmp_path / "t.json")
    found = ask(
        *("evaluate", "regions", tmp_path / "t.json", "--in", place / "x"),
        *("--out", tmp_path / "out.json"),
    )
    assert found["figures"]["mAP"] == {"value": 1.0, "low": 1.0, "high": 1.0, "queries": 1}
    assert found["fingerprint"]["architecture"] == "colour"
    assert found["index"]["items"] == 13
    assert {"seed", "versions", "date", "depth"} <= set(found)
    details = json.loads((tmp_path / "out.json").read_text())
    assert details["queries"][0]["average_precision"] == 1
    told = run("evaluate", "retrieval", tmp_path / "t.json", "--in", place / "x", code=2)
    assert "dinosearch evaluate regions" in told.stderr
