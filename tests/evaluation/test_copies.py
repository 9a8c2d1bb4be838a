"""Copy detection on plain colours, whose cosines are known, and pairs worked out on paper."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.evaluation import GroundTruth, Positive, TrueQuery, evaluate
from dinosearch.evaluation.copies import Pairs
from dinosearch.evaluation.metrics import micro_average_precision
from tests.cli.commands import ask, run
from tests.painting import SIZE, cosine, plain, save

REDS = {f"red{value}": (value, 0, 0) for value in (0, 60, 120, 180, 240)}
BLUES = {f"blue{value}": (0, 0, value) for value in range(200, 256, 5)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Five reds far apart, and twelve blues that are all alike."""
    folder = tmp_path_factory.mktemp("copies")
    for name, colour in {**REDS, **BLUES}.items():
        save(folder / "c" / f"{name}.png", plain(colour))
    save(folder / "q" / "copy.png", plain((70, 0, 0)))
    save(folder / "q" / "dark.png", plain((188, 0, 0)))
    save(folder / "q" / "nothing.png", plain((0, 0, 232)))
    save(folder / "q" / "last.png", plain((0, 0, 254)))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


@pytest.fixture
def index(place):
    with dinosearch.open(place / "x") as index:
        yield index


def truth(place, *, background=(), **positives):
    return GroundTruth(
        "copies",
        tuple(
            TrueQuery(
                str(place / "q" / f"{name}.png"),
                None,
                tuple(Positive(str(place / "c" / f"{one}.png")) for one in wanted),
            )
            for name, wanted in positives.items()
        ),
        tuple(str(place / "c" / f"{one}.png") for one in background),
    )


def on_paper(queries, candidates, background, depth):
    """Micro-AP raw and normalised of {(colour): positives}, from the encoder's formula."""
    pairs = []
    for colour, positives in queries:
        usual = np.mean(sorted(cosine(colour, BLUES[name]) for name in background)[-3:])
        ranked = sorted(candidates, key=lambda name: -cosine(colour, candidates[name]))[:depth]
        for name in ranked:
            value = cosine(colour, candidates[name])
            pairs.append((value, value - usual, name in positives))
    figures = []
    for key in (0, 1):
        total, found = 0.0, 0
        for rank, pair in enumerate(sorted(pairs, key=lambda pair: -pair[key]), 1):
            if pair[2]:
                found += 1
                total += found / rank
        figures.append(total / sum(len(positives) for _, positives in queries))
    return figures


def test_pairs_of_all_queries_are_ranked_together(place, index):
    background = [f"blue{value}" for value in (200, 215, 240, 255)]
    right = truth(
        place, copy=["red60"], dark=["red180", "red240"], nothing=[], background=background
    )
    result = evaluate(index, right, depth=4)
    candidates = {n: c for n, c in {**REDS, **BLUES}.items() if n not in background}
    queries = [
        ((70, 0, 0), {"red60"}),
        ((188, 0, 0), {"red180", "red240"}),
        ((0, 0, 232), set()),
    ]
    raw, normalised = on_paper(queries, candidates, background, 4)
    assert result.figures["micro-AP"].value == pytest.approx(raw)
    assert result.figures["micro-AP, normalised"].value == pytest.approx(normalised)
    gain = result.figures["gain of normalising"]
    assert gain.value == pytest.approx(normalised - raw)
    # The blue that is like every blue no longer comes before the reds.
    assert raw < 0.7 < 0.9 < normalised
    assert result.figures["recall@1"].value == 1
    assert result.figures["recall@1"].queries == 2, "of those with something to find"
    assert result.figures["micro-AP"].queries == 3
    assert result.made_with["background"] == 4


def test_what_is_set_aside_is_no_candidate(place, index):
    right = truth(place, copy=["red60"], last=[], background=list(BLUES)[:11])
    result = evaluate(index, right, depth=17)
    # Of the blues one is left: it scores above the copy, everything else below.
    assert result.judged[1].first_wrong == str(place / "c" / "blue255.png")
    assert cosine((0, 0, 254), BLUES["blue255"]) > cosine((70, 0, 0), REDS["red60"])
    assert result.figures["micro-AP"].value == pytest.approx(1 / 2)


def test_without_a_named_background_a_part_of_the_rest_is_set_aside(place, index):
    result = evaluate(index, truth(place, copy=["red60"], nothing=[]), seed=3)
    assert result.made_with["background"] == 3, "a tenth, but three at least"
    again = evaluate(index, truth(place, copy=["red60"], nothing=[]), seed=3)
    assert again.figures == result.figures


def test_without_a_background_there_is_no_normalised_figure(place, index):
    right = truth(place, copy=["red60"], background=["blue200", "blue205"])
    assert set(evaluate(index, right).figures) == {"micro-AP", "recall@1"}


def test_a_copy_that_the_index_lacks_is_a_pair_that_is_missed(place, index):
    both = truth(place, copy=["red60", "gone"], background=list(BLUES))
    assert evaluate(index, both, depth=1).figures["micro-AP"].value == pytest.approx(1 / 2)
    with pytest.raises(InvalidInput, match="no positives at all"):
        evaluate(index, truth(place, nothing=[]))


def test_the_interval_draws_whole_queries():
    """Each draw counted anew from the pairs of the queries drawn, as often as they were."""
    asked = [
        (np.array([0.9, 0.5]), np.array([True, False]), 1),
        (np.array([0.8, 0.6, 0.4]), np.array([False, True, True]), 4),
        (np.array([0.7, 0.3]), np.array([False, False]), 0),
    ]
    pairs = Pairs(np.empty((0, 2), np.float32))
    for scores, right, positives in asked:
        pairs.add(np.array([1, 0], np.float32), scores, right, positives)
    found = pairs.figures(np.random.default_rng(0))["micro-AP"]
    values = []
    for draw in np.random.default_rng(0).integers(0, 3, (1000, 3)):
        drawn = [asked[query] for query in draw]
        values.append(
            micro_average_precision(
                np.concatenate([scores for scores, _, _ in drawn]),
                np.concatenate([right for _, right, _ in drawn]),
                sum(positives for _, _, positives in drawn),
            )
        )
    assert np.isnan(values).any(), "three times the one without a copy says nothing"
    assert (found.low, found.high) == pytest.approx(tuple(np.nanpercentile(values, [2.5, 97.5])))
    # Where every query is like the background alike there is nothing to gain in any draw.
    alike = Pairs(np.eye(3, 2, dtype=np.float32))
    for scores, right, positives in asked:
        alike.add(np.array([1, 0], np.float32), scores, right, positives)
    gain = alike.figures(np.random.default_rng(0))["gain of normalising"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((0, 0, 0))
    # First of five, second and third at places 4 and 6 of all.
    assert found.value == pytest.approx((1 / 1 + 2 / 4 + 3 / 6) / 5)


def test_the_file_knows_the_task(place, tmp_path):
    right = truth(place, copy=["red60"], nothing=[], background=["blue200"])
    right.write(tmp_path / "t.json")
    assert GroundTruth.read(tmp_path / "t.json") == right
    content = json.loads((tmp_path / "t.json").read_text())
    content["background"] = "blue200.png"
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="background is not a list of paths"):
        GroundTruth.read(tmp_path / "bad.json")
    content["task"] = "retrieval"
    del content["background"]
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="query 1 has no positives"):
        GroundTruth.read(tmp_path / "bad.json")


def test_the_command(place, tmp_path):
    truth(place, copy=["red60"], nothing=[], background=list(BLUES)[:4]).write(tmp_path / "t.json")
    told = ask("evaluate", "copies", tmp_path / "t.json", "--in", place / "x")
    assert told["task"] == "copies"
    names = ["micro-AP", "micro-AP, normalised", "gain of normalising", "recall@1"]
    assert list(told["figures"]) == names
    shown = run("evaluate", "copies", tmp_path / "t.json", "--in", place / "x").stdout
    assert shown.splitlines()[0].startswith("micro-AP ")
    done = run("evaluate", "regions", tmp_path / "t.json", "--in", place / "x", code=2)
    assert "dinosearch evaluate copies" in done.stderr
