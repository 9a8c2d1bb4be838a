"""Probes on an index: trained, judged, kept, used, refused; a queue of what to label."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import EncoderMismatch, InvalidInput, UnusableIndex
from tests.painting import BLUE, RED, SIZE, pixels, plain, save


def shade(of: str, number: int):
    """A picture of 100 cells, each red or blue and a little of everything, green by number."""
    cells = plain(RED if of == "red" else BLUE).astype(int)
    cells[..., 1] += 37 * number % 256
    noise = np.random.default_rng([number, len(of)]).integers(-90, 91, cells.shape)
    return np.clip(cells + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("red", "blue"):
        for number in range(30):
            split = "test" if number % 3 == 0 else "train"
            save(folder / split / name / f"{number}.png", shade(name, number))
    return folder


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(corpus, labels="folders")
    return path


@pytest.fixture
def index(built):
    with dinosearch.open(built) as index:
        yield index


@pytest.mark.parametrize(
    ("head", "features"),
    [("linear", ""), ("sweep", ""), ("logistic", "cls"), ("knn", ""), ("svm", ""), ("svm", "std")],
)
def test_every_head_tells_red_from_blue_and_is_the_same_when_it_is_loaded(index, head, features):
    trained = index.train_probe(
        "colour", head=head, features=features, iterations=300, batch=16, seed=3
    )
    assert trained.classes == ("blue", "red")
    assert (trained.facts["trained_on"], trained.facts["held_out"]) == (48, 12)
    assert trained.evaluation is not None
    assert trained.evaluation["confusion"] == [[6, 0], [0, 6]] or features == "std"
    loaded = index.probe("colour")
    assert loaded.facts == trained.facts
    assert loaded.evaluate()["confusion"] == trained.evaluation["confusion"]

    ids = [item.id for item in index.items()]
    items = trained.predict_items()
    assert [one.id for one in items] == ids
    again = loaded.predict(ids[:20])
    new = loaded.predict([pixels(shade("red", 77)), pixels(shade("blue", 78))])
    for one, other in zip(items[:20], again, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
        assert sum(one.probabilities.values()) == pytest.approx(1)
        assert one.probability == max(one.probabilities.values())
    if features != "std":
        assert [one.label for one in new] == ["red", "blue"]
        assert loaded.predict(items[0].path).label == items[0].label
    assert index.probes() == ["colour"]
    index.delete_probe("colour")
    assert index.probes() == []


def test_training_again_gives_the_same_and_another_seed_another(index):
    first, second, other = (
        index.train_probe(name, head="linear", iterations=20, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    shares = [
        [one.probability for one in probe.predict_items()] for probe in (first, second, other)
    ]
    assert shares[0] == shares[1]
    assert shares[0] != shares[2]
    for name in "abc":
        index.delete_probe(name)
    with pytest.raises(InvalidInput, match="has no probe 'a'"):
        index.delete_probe("a")


def test_the_split_of_the_items_holds_out_and_what_was_seen_is_no_judge(index):
    probe = index.train_probe("split", head="logistic", held_out="split")
    assert (probe.facts["trained_on"], probe.facts["held_out"]) == (40, 20)
    assert probe.evaluate()["pictures"] == 20
    found = probe.evaluate(where="-split:nothing")
    assert (found["pictures"], found["left_out"], found["accuracy"]) == (20, 40, 1.0)
    with pytest.raises(InvalidInput, match="was trained on all of these"):
        probe.evaluate(where="split:train")
    folded = probe.evaluate(folds=4)
    assert (folded["pictures"], folded["by"]) == (60, "4 folds")
    alone = index.train_probe("split", head="logistic", held_out=0)
    assert alone.evaluation is None
    with pytest.raises(InvalidInput, match="no picture was held out"):
        alone.evaluate()
    index.delete_probe("split")


def test_labels_from_a_mapping_a_table_and_in_part(index, corpus, tmp_path):
    items = index.items()
    said = {item.path: "warm" if "/red/" in item.path else "cold" for item in items[:40]}
    probe = index.train_probe("p", said, head="logistic", held_out=0.25)
    assert probe.classes == ("cold", "warm")
    assert sum(probe.facts["counts"].values()) == 40
    assert probe.facts["without_class"] == 20
    table = tmp_path / "said.csv"
    rows = [f"{os.path.relpath(path, tmp_path)},{name}" for path, name in said.items()]
    table.write_text("\n".join(["path,label", *rows, "nowhere.png,warm"]))
    again = index.train_probe("q", table, head="logistic", held_out=0.25)
    assert again.facts["counts"] == probe.facts["counts"]
    same = zip(probe.predict_items(), again.predict_items(), strict=True)
    assert all(a.probabilities == b.probabilities for a, b in same)

    # Nobody is more than 0.7 sure of red, so the probe is not either.
    half = {item.id: {"a": 0.7, "b": 0.3} if "/red/" in item.path else "b" for item in items}
    doubtful = index.train_probe("r", half, head="logistic", held_out=0.25)
    found = doubtful.predict_items()
    red = [one.probabilities["a"] for one in found if "/red/" in str(one.path)]
    blue = [one.probabilities["a"] for one in found if "/blue/" in str(one.path)]
    assert 0.5 < np.median(red) < 0.75
    assert np.median(blue) < 0.3
    for name in "pqr":
        index.delete_probe(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": {1: "a", 2: "a"}}, "every picture there is a"),
        ({"labels": {1: 5}}, "is no class"),
        ({"labels": {"/nowhere.png": "a"}}, "holds no picture"),
        ({"where": "label:none"}, "no picture there has a class"),
        ({"head": "forest"}, "'forest' is not one of linear"),
        ({"features": "max"}, "'max' is none"),
        ({"held_out": "some"}, "use a share"),
        ({"held_out": 1.5}, "leaves one part empty"),
        ({"warmup": 5000}, "does not fit"),
        ({"accumulate": 1000}, "cannot be looked at"),
        ({"rate": -1.0}, "does not learn"),
        ({"class_weights": "odd"}, "none or balanced"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(index, options, message):
    with pytest.raises(InvalidInput, match=message):
        index.train_probe("x", **options)
    with pytest.raises(InvalidInput, match="cannot name a probe"):
        index.train_probe("../x")
    assert "x" not in index.probes()


def test_a_planted_wrong_label_is_found(index):
    said = {item.id: "red" if "/red/" in item.path else "blue" for item in index.items()}
    wrong = next(one for one, name in said.items() if name == "red")
    said[wrong] = "blue"
    probe = index.train_probe("p", said, head="logistic")
    first = probe.label_errors(said)[0]
    assert (first.id, first.label, first.rather) == (wrong, "blue", "red")
    assert first.rather_probability > 0.8
    index.delete_probe("p")


def test_a_damaged_probe_one_of_another_encoder_and_one_of_tomorrow_are_refused(index):
    index.train_probe("p", head="logistic")
    kept = index._corpus.named("probes")
    file = kept.load("p")
    for change, error, message in (
        ({"fingerprint": "another"}, EncoderMismatch, "train it anew on this index"),
        ({"format": 99}, UnusableIndex, "has format 99"),
        ({"head": "oracle"}, UnusableIndex, "knows no head"),
        ({"kind": "cells"}, InvalidInput, "no probe of pictures"),
        ({"columns": None}, UnusableIndex, "train it anew"),
    ):
        kept.save("p", json.loads(json.dumps(file.facts | change)), file.arrays)
        with pytest.raises(error, match=message):
            index.probe("p")
        if change == {"kind": "cells"}:
            assert index.probes() == []
            with pytest.raises(InvalidInput, match="give the probe another one"):
                index.train_probe("p", head="logistic")
    less = {key: value for key, value in file.arrays.items() if key != "head.weight"}
    kept.save("p", file.facts, less)
    with pytest.raises(UnusableIndex, match="lacks 'weight'"):
        index.probe("p")
    kept.save("p", file.facts, file.arrays)
    assert index.probe("p").evaluate()["accuracy"] == 1
    path = os.path.join(index.path, "probes", "p.safetensors")
    with open(path, "r+b") as raw:
        raw.seek(-5, os.SEEK_END)
        raw.write(b"\x00\xff\x00")
    with pytest.raises(UnusableIndex, match="damaged"):
        index.probe("p")
    os.unlink(path)


def test_predictions_become_labels_only_where_nobody_has_spoken(tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        for number in range(12):
            name = "red" if number % 2 else "blue"
            save(tmp_path / "known" / name / f"{number}.png", shade(name, number))
            save(tmp_path / "new" / f"{number}.png", shade(name, 40 + number))
        index.add(tmp_path / "known", labels="folders")
        index.add(tmp_path / "new")
        new = {item.id for item in index.items(after=12)}
        probe = index.train_probe("p", head="logistic")
        index.label(min(new), "odd", author="ann")

        queue = index.label_queue("p", count=10, seed=1)
        assert {one.id for one in queue} <= new - {min(new)}
        assert [one.reason for one in queue].count("random") == 2
        assert all(one.prediction is not None for one in queue)
        assert [one.id for one in index.label_queue("p", count=10, seed=1)] == [
            one.id for one in queue
        ]
        assert {one.reason for one in index.label_queue(count=10)} == {"random", "different"}

        predictions = probe.predict_items()
        assert probe.write_labels(predictions) == 11
        for item in index.items(after=12):
            number = int(os.path.basename(item.path).removesuffix(".png"))
            expected = "odd" if item.id == min(new) else "red" if number % 2 else "blue"
            assert item.labels == (expected,)
        assert "probe:p" in index.export_labels()
        assert probe.write_labels(predictions, min_probability=2.0) == 0
        assert index.label_queue("p", count=3), "what a probe says is not yet known"
