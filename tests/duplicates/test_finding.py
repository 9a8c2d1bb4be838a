"""Copies in an index of drawn pictures: found, kept apart, remembered, leaked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import InvalidInput
from tests.painting import pixels

SIZE = 280
CELLS = 20


def cells(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (CELLS, CELLS, 3), dtype=np.uint8)


def write(path, array: np.ndarray, **options) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return str(path)


def shuffled(array: np.ndarray) -> np.ndarray:
    """The same cells in another order: for CLS, which is their mean, the very same picture."""
    order = np.random.default_rng(9).permutation(CELLS * CELLS)
    return array.reshape(-1, 3)[order].reshape(array.shape)


def changed(array: np.ndarray) -> np.ndarray:
    """A little darker, of less contrast."""
    return (array * 0.85 + 10).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    original = pixels(cells(0), 2)
    write(folder / "train" / "a.png", original)
    write(folder / "train" / "strange.png", pixels(cells(1), 2))
    write(folder / "train" / "shuffled.png", pixels(shuffled(cells(0)), 2))
    write(folder / "test" / "near.jpg", changed(original), quality=80)
    write(folder / "test" / "crop.png", original[112:392, 140:420])
    write(folder / "test" / "mirrored.png", original[:, ::-1])
    write(folder / "test" / "pixels.png", original, compress_level=0)
    shutil.copy(folder / "train" / "strange.png", folder / "test" / "equal.png")
    return folder


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(folder, encoder="colour", size=SIZE) as index:
        index.add(corpus, labels="folders")
    return folder


@pytest.fixture
def index(built, tmp_path):
    """A copy, which a test may write to."""
    shutil.copytree(built, tmp_path / "x")
    with dinosearch.open(tmp_path / "x") as opened:
        yield opened


def names(index, ids) -> set[str]:
    return {index.item(one).relative_path.split("/")[-1] for one in ids}


def number(index, corpus, name: str) -> int:
    found = index.id_of(corpus / name)
    assert found is not None
    return int(found)


def test_every_kind_of_copy_is_found_and_a_look_alike_is_not(index, corpus):
    found = index.duplicates()
    whole, equal = found.groups
    assert names(index, whole.ids) == {
        "a.png", "near.jpg", "crop.png", "mirrored.png", "pixels.png"
    }  # fmt: skip
    assert (whole.kind, equal.kind, equal.score) == ("contains", "exact", 1.0)
    assert names(index, equal.ids) == {"strange.png", "equal.png"}
    kinds = {frozenset(names(index, link[:2])): link.kind for link in whole.links}
    assert kinds[frozenset({"a.png", "pixels.png"})] == "pixels"
    assert [kind for pair, kind in kinds.items() if "crop.png" in pair] == ["contains"]
    assert "near" in [kind for pair, kind in kinds.items() if "mirrored.png" in pair]
    # The largest are several; of them the one that is compressed least has most bytes.
    assert names(index, [whole.keep]) == {"pixels.png"}
    assert "least compressed" in whole.reason
    assert found.pictures == 8
    assert whole.paths[whole.ids.index(whole.keep)] == str(corpus / "test" / "pixels.png")


def test_only_the_kinds_and_the_pictures_that_are_asked_for(index):
    found = index.duplicates(kinds=["exact", "pixels"])
    assert {group.kind for group in found.groups} == {"exact", "pixels"}
    assert {len(group.ids) for group in found.groups} == {2}
    train = index.duplicates(where="split:train")
    assert (train.groups, train.pictures) == ((), 3)
    with pytest.raises(InvalidInput, match="is not a kind of copy"):
        index.duplicates(kinds=["similar"])
    with pytest.raises(InvalidInput, match="above 0"):
        index.duplicates(threshold=0)


def test_likely_pairs_are_found_through_inverted_lists_too(index):
    exact = index.duplicates()
    likely = index.duplicates(exact_up_to=2)
    assert [group.ids for group in likely.groups] == [group.ids for group in exact.groups]


def test_a_decision_splits_a_group_and_outlives_indexing_anew(index, corpus):
    a, near = number(index, corpus, "train/a.png"), number(index, corpus, "test/near.jpg")
    equal = number(index, corpus, "test/equal.png")
    strange = number(index, corpus, "train/strange.png")
    index.decide(a, near, "different", author="ann")
    index.decide(a, strange, "same", author="ann")

    def groups():
        return [names(index, group.ids) for group in index.duplicates().groups]

    assert not any({"a.png", "near.jpg"} <= group for group in groups())
    assert any({"a.png", "strange.png", "equal.png"} <= group for group in groups())
    index.remove([a, near])
    index.add(corpus, readd=True)
    a, near = number(index, corpus, "train/a.png"), number(index, corpus, "test/near.jpg")
    assert not any({"a.png", "near.jpg"} <= group for group in groups())
    assert [(one.verdict, one.author) for one in index.decisions()] == [
        ("different", "ann"), ("same", "ann")
    ] or {(one.verdict, one.author) for one in index.decisions()} == {
        ("different", "ann"), ("same", "ann")
    }  # fmt: skip
    assert index.undecide(near, a)
    assert not index.undecide(near, a)
    assert index.undecide(strange, a)
    assert any({"a.png", "near.jpg"} <= group for group in groups())
    for wrong in ("alike", ""):
        with pytest.raises(InvalidInput, match="use same or different"):
            index.decide(a, near, wrong, author="ann")
    with pytest.raises(InvalidInput, match="very same file"):
        index.decide(strange, equal, "different", author="ann")
    with pytest.raises(InvalidInput, match="who decides"):
        index.decide(a, near, "same", author=" ")


def test_what_leaks_from_train_into_test_crops_too(index, corpus):
    leaks = index.leaks("split:train", "split:test")
    found = {(leak.first_path[len(str(corpus)):], leak.second_path[len(str(corpus)):]): leak.kind
             for leak in leaks}  # fmt: skip
    assert found == {
        ("/train/a.png", "/test/near.jpg"): "near",
        ("/train/a.png", "/test/crop.png"): "contains",
        ("/train/a.png", "/test/mirrored.png"): "near",
        ("/train/a.png", "/test/pixels.png"): "pixels",
        ("/train/strange.png", "/test/equal.png"): "exact",
    }
    back = index.leaks("split:test", "split:train")
    assert {(leak.second, leak.first) for leak in back} == {
        (leak.first, leak.second) for leak in leaks
    }
    near = number(index, corpus, "test/near.jpg")
    index.decide(number(index, corpus, "train/a.png"), near, "different", author="ann")
    assert near not in {leak.second for leak in index.leaks("split:train", "split:test")}
    with pytest.raises(InvalidInput, match="no picture in common"):
        index.leaks("split:train", "path:train")
    with pytest.raises(InvalidInput, match="no picture of the index matches"):
        index.leaks("split:train", "split:nothing")


def test_a_new_picture_is_tested_without_being_added(index, corpus, tmp_path):
    original = pixels(cells(0), 2)
    before = index.answer(1).generation
    crop = original[28:364, 56:392]
    found = {names(index, [copy.id]).pop(): copy for copy in index.copies_of(crop)}
    assert found["a.png"].kind == "contains"
    assert found["a.png"].part == "picture"
    assert "shuffled.png" not in found
    assert "strange.png" not in found
    file = write(tmp_path / "q.jpg", changed(original), quality=60)
    found = {names(index, [copy.id]).pop(): copy.kind for copy in index.copies_of(file)}
    assert found["a.png"] == found["mirrored.png"] == "near"
    assert found["crop.png"] == "contains"
    same = index.copies_of(corpus / "train" / "strange.png")
    assert [(copy.kind, copy.score) for copy in same] == [("exact", 1.0)] * 2
    own = number(index, corpus, "train/strange.png")
    assert names(index, [copy.id for copy in index.copies_of(own)]) == {"equal.png"}
    assert index.copies_of(pixels(cells(77), 2)) == []
    assert index.answer(1).generation == before


def test_hashes_are_kept_beside_the_thumbnails_and_go_with_them(index, corpus):
    from dinosearch.storage.thumbnails import Thumbnails

    thumbnails = Thumbnails(index._folder)
    assert thumbnails.hashes() == {}
    index.duplicates()
    contents = {item.sha256 for item in index.items()}
    assert set(thumbnails.hashes()) == contents
    thumbnails.keep_only({index.item(1).sha256})
    assert set(thumbnails.hashes()) == {index.item(1).sha256}
    # Without thumbnails equal files and pixels are still found, near copies are not.
    thumbnails.keep_only(set())
    kinds = {group.kind for group in index.duplicates().groups}
    assert kinds == {"exact", "pixels"}
