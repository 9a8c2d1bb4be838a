"""Segmenters of an index, with colours that can be told apart on paper."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import EncoderMismatch, InvalidInput
from dinosearch.geometry import PATCH
from tests.painting import BLUE, GREEN, RED, SIZE, pixels, plain, planted, save

SPOT = np.tile(np.array(RED, dtype=np.uint8), (4, 3, 1))
DOT = np.tile(np.array(GREEN, dtype=np.uint8), (2, 2, 1))


def truth_of(row, col):
    """The mask of a picture with a red spot there, and a green dot at (7, 7)."""
    cells = np.zeros((10, 10), dtype=np.uint8)
    cells[row : row + 4, col : col + 3] = 1
    cells[7:9, 7:9] = 2
    return np.kron(cells, np.ones((PATCH, PATCH), dtype=np.uint8))


PLACES = {"a": (0, 0), "b": (2, 5), "c": (5, 1), "d": (3, 3), "e": (1, 6)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segment")
    for name, (row, col) in PLACES.items():
        cells = planted(BLUE, SPOT, row, col)
        cells[7:9, 7:9] = DOT
        save(folder / "c" / "sub" / f"{name}.png", cells)
        if name != "e":
            (folder / "masks" / "sub").mkdir(parents=True, exist_ok=True)
            Image.fromarray(truth_of(row, col)).save(folder / "masks" / "sub" / f"{name}.png")
    save(folder / "c" / "sub" / "plain.png", plain((0, 20, 255)))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


@pytest.fixture
def index(place):
    with dinosearch.open(place / "x") as index:
        yield index


def cells_of(mask):
    return mask.reshape(10, PATCH, 10, PATCH)[:, PATCH // 2, :, PATCH // 2]


def test_it_learns_red_and_green_cells_from_masks(place, index):
    made = index.train_segmenter(
        "spots", masks=place / "masks", classes=["spot", "dot"], context=(), decay=1e-4
    )
    unseen = index.id_of(place / "c" / "sub" / "e.png")
    shown = made.predict(unseen)
    assert shown.probabilities.shape == (3, 10, 10)
    assert shown.probabilities.sum(axis=0) == pytest.approx(np.ones((10, 10)), abs=1e-5)
    assert cells_of(shown.mask).tolist() == cells_of(truth_of(*PLACES["e"])).tolist()
    assert shown.probability("dot")[8 * PATCH, 8 * PATCH] > 0.9
    assert [one.name for one in made.iou] == ["spot", "dot"]
    # What is lost are pixels between a cell of the class and one that is not.
    assert all(0.85 < one.iou <= 1 and one.pictures == 4 for one in made.iou)
    assert made.facts["seed"] == 0
    assert made.facts["masks"] == 4
    again = index.segmenter("spots")
    assert np.array_equal(again.predict(unseen).mask, shown.mask)
    assert again.iou == made.iou
    assert index.segmenters() == ["spots"]
    judged = again.evaluate({unseen: truth_of(*PLACES["e"])})
    assert judged[0].iou == pytest.approx(made.iou[0].iou, abs=0.1)
    same = index.train_segmenter(
        "again", masks=place / "masks", classes=["spot", "dot"], context=(), decay=1e-4
    )
    assert np.array_equal(same.predict(unseen).probabilities, shown.probabilities)


def test_a_picture_that_is_not_in_the_index_is_segmented_too(index, place):
    made = index.train_segmenter("spots", masks=place / "masks", context=(), decay=1e-4)
    assert made.classes == ("1", "2")
    picture = pixels(planted(BLUE, SPOT, 4, 2))
    assert cells_of(made.predict(picture).mask)[4:8, 2:5].min() == 1
    assert made.predict(picture).shares["1"] == pytest.approx(0.12, abs=0.03)
    assert made.predict(picture).shares["2"] == 0


def test_strokes_in_two_pictures_are_enough(index, place):
    a, b = (str(place / "c" / "sub" / f"{name}.png") for name in "ab")
    red = {"line": [[7, 7], [7, 49]]}
    other = {"line": [[133, 7], [133, 133], [105, 105]]}
    strokes = {a: {"spot": [red], "background": [other]},
               b: {"spot": [{"cells": [[2, 5], [3, 6]]}]}}  # fmt: skip
    made = index.train_segmenter("red", strokes=strokes, context=())
    assert made.iou == []
    mask = cells_of(made.predict(index.id_of(place / "c" / "sub" / "e.png")).mask)
    assert mask.tolist() == (cells_of(truth_of(*PLACES["e"])) == 1).astype(int).tolist()
    # Without a stroke on the background, other pictures can be it.
    alone = {a: {"spot": [red]}}
    with pytest.raises(InvalidInput, match="no cell that the model is shown is background"):
        index.train_segmenter("red", strokes=alone, ground=0)
    plain_only = "path:" + str(place / "c" / "sub" / "plain.png")
    made = index.train_segmenter("red", strokes=alone, where=plain_only, context=())
    assert made.facts["pictures"] == 2
    assert cells_of(made.predict(a).mask)[:4, :3].min() == 1


def test_the_corpus_is_segmented_into_files_that_can_be_trained_from(index, place, tmp_path):
    index.train_segmenter("spots", masks=place / "masks", classes=["spot", "dot"], context=())
    made = index.segmenter("spots")
    found = made.predict_items(save=tmp_path / "out")
    assert [one.id for one in found] == [1, 2, 3, 4, 5, 6]
    assert found[0].mask == str(tmp_path / "out" / "sub" / "a.png.png")
    with Image.open(found[0].mask) as picture:
        assert (picture.mode, picture.size) == ("P", (SIZE, SIZE))
        assert np.array_equal(np.asarray(picture), made.predict(1).mask)
    assert [one.iou for one in made.evaluate(tmp_path / "out")] == [1.0, 1.0]
    few = made.predict_items(where="path:" + str(place / "c" / "sub" / "plain.png"))
    assert [(one.shares, one.mask) for one in few] == [({"spot": 0.0, "dot": 0.0}, None)]
    assert not list(tmp_path.rglob(".tmp-*"))


def test_masks_are_checked(index, place, tmp_path):
    truth = truth_of(0, 0)
    with pytest.raises(InvalidInput, match=r"is 10 x 20 pixels but its picture.*140 x 140"):
        index.train_segmenter("m", masks={1: np.zeros((20, 10), np.uint8)}, classes=["a"])
    with pytest.raises(InvalidInput, match="holds the value 2, but there are 1 classes"):
        index.train_segmenter("m", masks={1: truth}, classes=["a"])
    with pytest.raises(InvalidInput, match="must be uint8 or bool"):
        index.train_segmenter("m", masks={1: truth.astype(float)}, classes=["a"])
    with pytest.raises(InvalidInput, match="255 is what is not known"):
        index.train_segmenter("m", masks={1: np.where(truth == 1, 255, 0).astype(np.uint8)})
    with pytest.raises(InvalidInput, match=r"no picture .*gone\.png"):
        index.train_segmenter("m", masks={str(tmp_path / "gone.png"): truth})
    white = {1: np.where(truth == 1, 255, 0).astype(np.uint8)}
    assert index.train_segmenter("m", masks=white, white=True).classes == ("object",)
    ignored = np.where(truth == 2, 255, truth).astype(np.uint8)
    made = index.train_segmenter("m", masks={1: ignored}, context=(), decay=1e-4)
    assert cells_of(made.predict(1).mask)[:4, :3].min() == 1
    for names in ([], ["a", "a"], ["background"]):
        with pytest.raises(InvalidInput, match="name 1 to 254 different ones"):
            index.train_segmenter("m", masks={1: truth}, classes=names)
    with pytest.raises(InvalidInput, match="the context 'moon'"):
        index.train_segmenter("m", masks={1: truth}, context=["moon"])
    with pytest.raises(InvalidInput, match="give masks or strokes"):
        index.train_segmenter("m")


def test_mask_files_are_checked(index, place, tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(InvalidInput, match=r"none of .*/m belongs to a picture"):
        index.train_segmenter("m", masks=tmp_path / "m")
    Image.fromarray(np.zeros((140, 140, 3), np.uint8)).save(tmp_path / "m" / "a.png")
    with pytest.raises(InvalidInput, match=r"a.png holds colours \(RGB\)"):
        index.train_segmenter("m", masks=tmp_path / "m")
    (tmp_path / "m" / "a.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match="cannot be read as a PNG"):
        index.train_segmenter("m", masks=tmp_path / "m")
    Image.fromarray(truth_of(0, 0)).save(tmp_path / "m" / "a.png")
    assert index.train_segmenter("m", masks=tmp_path / "m").facts["masks"] == 1
    Image.fromarray(truth_of(0, 0)).save(tmp_path / "m" / "a.png.png")
    with pytest.raises(InvalidInput, match="more than one mask"):
        index.train_segmenter("m", masks=tmp_path / "m")


def test_only_a_segmenter_of_this_encoder_is_opened(index, place):
    made = index.train_segmenter("spots", masks=place / "masks", context=())
    kept = index._corpus.named("probes")
    arrays = kept.load("spots").arrays
    kept.save("other", {**made.facts, "fingerprint": "another"}, arrays)
    with pytest.raises(EncoderMismatch, match="train it anew"):
        index.segmenter("other")
    kept.save("other", {**made.facts, "kind": "image"}, arrays)
    with pytest.raises(InvalidInput, match="is no segmenter but a image"):
        index.segmenter("other")
    with pytest.raises(InvalidInput, match="probe 'other' of another kind already"):
        index.train_segmenter("other", masks=place / "masks")
    with pytest.raises(InvalidInput, match="no probe 'nothing'"):
        index.segmenter("nothing")
    kept.delete("other")


def test_padding_is_neither_learned_nor_found(tmp_path):
    cells = planted(BLUE, SPOT, 3, 3)
    wide = pixels(cells)[2 * PATCH : 7 * PATCH]  # 140 x 70
    (tmp_path / "c").mkdir()
    Image.fromarray(wide).save(tmp_path / "c" / "a.png")
    truth = (wide[..., 0] > 127).astype(np.uint8)
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE, fit="pad") as index:
        index.add(tmp_path / "c")
        made = index.train_segmenter("s", masks={1: truth}, context=(), decay=1e-4)
        assert made.facts["cells"] == 60  # 5 rows and two halves, of 10 cells each
        shown = made.predict(1)
        assert np.isnan(shown.probabilities[:, :2]).all()
        assert shown.mask.shape == (70, 140)
        assert (shown.mask == truth).mean() > 0.9
