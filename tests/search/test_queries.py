"""Pictures that are asked with again and again: decoded and encoded once."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dinosearch
from dinosearch.encoders.colour import Colour
from dinosearch.errors import InvalidInput, PictureRefused
from dinosearch.geometry import PATCH
from dinosearch.search.query_picture import SPANS
from tests.painting import BLUE, RED, SIZE, noise, pixels, plain, save

ZOOMS = len(SPANS)
LEFT, RIGHT = (0, 0, 50, 50), (3 * SIZE - 50, 0, 3 * SIZE, 50)


class Counting(Colour):
    """The colour encoder, which counts the pictures it encodes."""

    encoded = 0

    def encode_views(self, views):
        self.encoded += len(views)
        return super().encode_views(views)


@pytest.fixture
def encoder():
    return Counting(size=SIZE, fit="crop")


@pytest.fixture
def index(tmp_path, encoder):
    for seed in range(3):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
    save(tmp_path / "p" / "red.png", plain(RED))
    with dinosearch.create(tmp_path / "x", encoder=encoder, size=SIZE) as index:
        index.add(tmp_path / "p")
        encoder.encoded = 0
        yield index


@pytest.fixture
def wide(tmp_path):
    """Red to the left, blue in the middle, noise to the right; a crop shows the middle."""
    cells = np.concatenate([plain(RED), plain(BLUE), noise(9)], axis=1)
    return save(tmp_path / "q" / "wide.png", cells)


def test_a_query_is_encoded_once_however_often_it_asks(index, encoder, wide):
    query = index.query(wide)
    assert (query.width, query.height, query.notes) == (3 * SIZE, SIZE, ())
    assert encoder.encoded == 1
    first = index.search(query, k=4)
    index.answer(query, k=2, region=(SIZE + 20, 20, SIZE + 90, 90), same_size=True)
    index.explain(query, 1)
    assert encoder.encoded == 1
    assert first == index.search(wide, k=4), "as the file itself"
    assert encoder.encoded == 2


def test_a_region_is_encoded_once_at_other_sizes(index, encoder, wide):
    query, region = index.query(wide), (SIZE + 20, 20, SIZE + 90, 90)
    assert not query.is_ready(region)
    first = index.search(query, k=2, region=region)
    assert encoder.encoded == 1 + ZOOMS
    assert query.is_ready(region)
    assert index.search(query, k=2, region=region) == first
    index.explain(query, first[0], region=region)
    assert encoder.encoded == 1 + ZOOMS


def test_a_stored_picture_is_looked_at_closer_in_its_file_while_that_is_there(
    index, encoder, tmp_path
):
    region = (0, 0, 4 * PATCH, 4 * PATCH)
    assert index.search(2, k=1, region=region)[0].id == 2
    index.search(2, k=3, region=region)
    assert encoder.encoded == ZOOMS
    (tmp_path / "p" / "2.png").unlink()
    hit = index.search(3, k=1, region=region)[0]
    assert (hit.id, encoder.encoded) == (3, ZOOMS), "from what is stored"


def test_a_region_beyond_the_crop_is_encoded_once_and_is_then_at_hand(index, encoder, wide):
    query = index.query(wide)
    assert query.is_ready()
    assert not query.is_ready(LEFT)
    hit = index.search(query, k=1, region=LEFT)[0]
    assert (hit.path.rsplit("/", 1)[1], encoder.encoded) == ("red.png", 2 + ZOOMS)
    assert query.is_ready(LEFT)
    index.search(query, k=1, region=LEFT)
    index.explain(query, hit, region=LEFT)
    index.search(query, k=1)
    assert encoder.encoded == 2 + ZOOMS
    hit = index.answer(query, k=1, region=(0, 20, 90, 100), same_size=True).hits[0]
    assert hit.score == pytest.approx(1, abs=2e-3)
    assert encoder.encoded == 2 + ZOOMS, "shown by the same window"


def test_a_window_can_be_made_ready_beforehand(index, encoder, wide):
    query = index.query(wide, region=RIGHT)
    assert query.is_ready(RIGHT)
    before = encoder.encoded
    same = index.query(query, region=LEFT)
    assert same is query
    assert (query.is_ready(LEFT), encoder.encoded) == (True, before + 1 + ZOOMS)
    assert index.query(query) is query
    assert encoder.encoded == before + 1 + ZOOMS


def test_the_grid_of_a_query_is_the_window_that_shows_the_region(index, wide):
    query = index.query(wide)
    assert query.grid().window == (SIZE, 0, 2 * SIZE, SIZE)
    assert query.grid(LEFT).window == (0, 0, SIZE, SIZE)
    assert query.grid(RIGHT).window == (2 * SIZE, 0, 3 * SIZE, SIZE)
    assert query.grid([(0, 0)]).window == (SIZE, 0, 2 * SIZE, SIZE), "patches are the crop's"


def test_a_file_the_index_holds_is_not_encoded(index, encoder, tmp_path):
    shutil.copy(tmp_path / "p" / "1.png", tmp_path / "another name")
    query = index.query(tmp_path / "another name")
    hit = index.search(query, k=1)[0]
    assert (hit.path, encoder.encoded) == (str(tmp_path / "p" / "1.png"), 0)
    assert hit.score == pytest.approx(1, abs=1e-5)
    region = (0, 0, 4 * PATCH, 4 * PATCH)
    hit = index.answer(query, k=1, region=region, same_size=True).hits[0]
    assert (hit.id, hit.score, encoder.encoded) == (2, pytest.approx(1, abs=2e-3), 0)


def test_many_threads_that_need_one_window_have_it_encoded_once(index, encoder, wide):
    query = index.query(wide)
    with ThreadPoolExecutor(8) as threads:
        hits = [threads.submit(index.search, query, k=3, region=LEFT) for _ in range(24)]
        assert len({str(one.result()) for one in hits}) == 1
    assert encoder.encoded == 2 + ZOOMS


def test_a_picture_in_memory_may_be_prepared_too(index, encoder):
    query = index.query(pixels(noise(2)))
    assert (query.width, query.height) == (SIZE, SIZE)
    assert index.search(query, k=1)[0].id == 3
    assert index.search(query, k=1, region=LEFT)[0].id == 3
    assert encoder.encoded == 1 + ZOOMS


def test_a_picture_with_more_pixels_than_allowed_is_refused(index, encoder, wide):
    assert index.query(wide, max_pixels=3 * SIZE * SIZE).width == 3 * SIZE
    with pytest.raises(PictureRefused) as refusal:
        index.query(wide, max_pixels=3 * SIZE * SIZE - 1)
    assert refusal.value.code == "too-many-pixels"
    assert encoder.encoded == 1


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_makes_no_query(index, tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(PictureRefused):
        index.query(tmp_path / "x.png")


def test_a_file_that_is_not_there_makes_no_query(index, tmp_path):
    with pytest.raises(InvalidInput, match="there is no file"):
        index.query(tmp_path / "nothing.png")
