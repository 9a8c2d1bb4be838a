"""A family of look-alikes, as of one product on one line: two of them are no copies."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.duplicates.finding import FAMILY, Search, few_together
from dinosearch.duplicates.pool import COMMON, Pool
from tests.painting import SIZE, noise, pixels

COUNT = 4 * COMMON + 4


def member(seed: int) -> np.ndarray:
    """The same frame for all, and spots of one's own that are a fifth as strong."""
    spots = np.random.default_rng(seed).integers(-16, 17, (SIZE // 5, SIZE // 5, 1))
    frame = 30 + pixels(noise(0)).astype(int) * 3 // 4
    drawn = np.clip(frame + np.kron(spots, np.ones((5, 5, 1), int)), 0, 255)
    return np.asarray(drawn, np.uint8)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    for number in range(COUNT):
        Image.fromarray(member(number)).save(folder / f"{number:03d}.png")
    Image.fromarray(member(5)).save(folder / "copy.jpg", quality=85)
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder)
        corpus = index._corpus
        found = Search(
            corpus, Pool(corpus, corpus.items(corpus.ids())), lambda path: index.pixels(path)[0]
        )
        yield found


def place(search: Search, name: str) -> int:
    return next(n for n, item in enumerate(search.pool.items) if item.path.endswith(name))


def test_what_they_have_in_common_is_their_frame(search):
    common = search.pool.common(search.pool.cls[0])
    frame = np.asarray(Image.fromarray(pixels(noise(0))).convert("L").resize((64, 64)), float)
    assert np.corrcoef(common.ravel(), frame.ravel())[0, 1] > 0.95


def test_a_copy_is_found_in_the_family_and_look_alikes_are_not_called_copies(search):
    five, copy = place(search, "005.png"), place(search, "copy.jpg")
    others = [place(search, f"{number:03d}.png") for number in (6, 7, 8, 9)]
    pairs = [(five, copy), (five, others[0]), (copy, others[1]), (others[2], others[3])]
    search.pairs = np.array([sorted(pair) for pair in pairs])
    (link,) = search.links(0.6)
    items = search.pool.items
    assert {link.first, link.second} == {items[five].id, items[copy].id}
    assert (link.kind, link.score > 0.8) == ("near", True)


def test_look_alikes_are_judged_by_each_other_and_never_by_what_may_be_a_copy(search):
    five, copy = place(search, "005.png"), place(search, "copy.jpg")
    square = search.pool.square(five)
    alike = search.pool.lookalikes(search.pool.cls[five], square, {five})
    assert alike[0] == copy
    without = search.pool.lookalikes(search.pool.cls[five], square, {five, copy})
    assert copy not in without
    assert len(without) == 4


def test_few_that_hang_together_are_copies_and_very_many_a_family():
    few = [(1, 2), (2, 3)]
    many = [(100 + n, 101 + n) for n in range(FAMILY)]
    assert few_together([*few, *many]) == [{1, 2, 3}]
    assert len(few_together(many[:-1])[0]) == FAMILY


def test_an_index_of_look_alikes_is_calibrated_on_them(search):
    search.pairs = np.array([[0, 1]])
    calibration = search.calibrate()
    assert calibration.pictures >= 40
    assert calibration.mean < 0.3
    assert 0.4 <= calibration.threshold() <= 0.9
