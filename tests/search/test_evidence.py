"""Why a picture answers: heat maps, pairs and box, each number worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

import dinosearch
from dinosearch import Evidence
from dinosearch.errors import InvalidInput
from dinosearch.geometry import PATCH, Box, View
from tests.painting import (
    BLUE,
    CELLS,
    RED,
    SIZE,
    WHITE,
    cosine,
    pixels,
    plain,
    planted,
    save,
)

GREY = (128, 128, 128)
REDDISH, DARK_RED = (240, 0, 0), (200, 0, 0)

# In the query, side by side; in the hit, apart from each other and one of them paler.
ASKED = planted(WHITE, np.array([[RED, BLUE, DARK_RED]], dtype=np.uint8), 0, 0)
REGION = [(0, 0), (0, 1), (0, 2)]
STORED = planted(GREY, np.array([[REDDISH]], dtype=np.uint8), 2, 3)
STORED[5, 6] = BLUE
PADDING, SHOWN = [0, 1, 2, 7, 8, 9], slice(3, 7)
PART = np.array([[RED, BLUE], [WHITE, RED], [BLUE, WHITE]], dtype=np.uint8)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    save(folder / "1.png", STORED)
    save(folder / "2.png", planted(GREY, PART, 6, 1), scale=2)
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(folder)
        yield index


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """A picture 20 cells wide and 8 high: the model sees it in rows 3 to 6 of its ten."""
    folder = tmp_path_factory.mktemp("corpus")
    wide = np.concatenate([plain(RED), plain(BLUE)], axis=1)[:8]
    save(folder / "wide.png", wide)
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE, fit="pad") as index:
        index.add(folder)
        yield index


def heat_of(cells: np.ndarray, colours) -> np.ndarray:
    """The best cosine of every cell to any of some colours."""
    return np.array([[max(cosine(one, c) for c in colours) for one in row] for row in cells])


def test_heat_is_the_best_cosine_to_any_marked_patch(index):
    why = index.explain(pixels(ASKED), 1, region=REGION)
    assert why.heat == pytest.approx(heat_of(STORED, [RED, BLUE, DARK_RED]), abs=2e-3)
    assert why.heat[2, 3] == pytest.approx(cosine(RED, REDDISH), abs=2e-3)
    assert why.heat[5, 6] == pytest.approx(1, abs=2e-3)


def test_query_heat_is_the_best_cosine_of_each_marked_patch_and_nan_elsewhere(index):
    why = index.explain(pixels(ASKED), 1, region=REGION)
    expected = [cosine(RED, REDDISH), 1, cosine(DARK_RED, REDDISH)]
    assert why.query_heat[0, :3] == pytest.approx(expected, abs=2e-3)
    assert np.isnan(why.query_heat).sum() == CELLS * CELLS - 3


def test_pairs_are_each_others_best_match_and_come_best_first(index):
    why = index.explain(pixels(ASKED), 1, region=REGION)
    assert [(pair.query, pair.hit) for pair in why.pairs] == [((0, 1), (5, 6)), ((0, 0), (2, 3))]
    assert [pair.score for pair in why.pairs] == pytest.approx(
        [1, cosine(RED, REDDISH)], abs=2e-3
    ), "dark red's best match is the pale red too, which likes red better: no pair"


def test_so_many_pairs_are_named_as_were_asked_for(index):
    assert len(index.explain(pixels(ASKED), 1, region=REGION, pairs=1).pairs) == 1
    assert index.explain(pixels(ASKED), 1, region=REGION, pairs=0).pairs == ()


def test_the_box_is_where_the_part_lies_in_pixels_of_the_hit(index):
    query = pixels(planted(GREY, PART, 0, 0))
    why = index.explain(query, 2, region=(0, 0, 2 * PATCH, 3 * PATCH))
    assert why.box == pytest.approx(Box(28, 6 * 28, 3 * 28, 9 * 28))
    hit = index.search(query, k=1, region=(0, 0, 2 * PATCH, 3 * PATCH))[0]
    assert (hit.id, hit.box) == (2, why.box)
    assert index.explain(query, hit, region=(0, 0, 2 * PATCH, 3 * PATCH)).box == why.box


def test_a_whole_picture_has_heat_everywhere_and_no_box(index):
    why = index.explain(pixels(ASKED), 1)
    assert why.box is None
    assert why.heat == pytest.approx(heat_of(STORED, [RED, BLUE, DARK_RED, WHITE]), abs=2e-3)
    assert why.query_heat == pytest.approx(heat_of(ASKED, [REDDISH, BLUE, GREY]), abs=2e-3), (
        "each patch of the query against all of the hit"
    )


def test_where_position_matters_only_what_is_near_is_matched(index):
    region = [(3, 3)]  # red, one row below the hit's pale red: near enough
    near = planted(WHITE, np.array([[RED]], dtype=np.uint8), 3, 3)
    why = index.explain(pixels(near), 1, region=region, position=True)
    assert why.query_heat[3, 3] == pytest.approx(cosine(RED, REDDISH), abs=2e-3)
    assert why.heat[2, 3] == pytest.approx(cosine(RED, REDDISH), abs=2e-3)
    assert why.heat[5, 6] == -1, "too far to be looked at"
    region = [(4, 3)]
    far = planted(WHITE, np.array([[RED]], dtype=np.uint8), 4, 3)
    why = index.explain(pixels(far), 1, region=region, position=True)
    assert why.query_heat[4, 3] == pytest.approx(cosine(RED, GREY), abs=2e-3)


def test_padding_has_no_heat(padded):
    why = padded.explain(1, 1)
    assert np.isnan(why.heat[PADDING]).all()
    assert why.heat[SHOWN] == pytest.approx(np.ones((4, CELLS)), abs=2e-3)
    assert np.isnan(why.query_heat[PADDING]).all()
    levels = np.frombuffer(why.heat_bytes(0, 1), np.uint8).reshape(CELLS, CELLS)
    assert (levels[PADDING] == 0).all()
    assert (levels[SHOWN] >= 254).all()


def test_one_patch_of_the_query_is_compared_with_all_of_both(index):
    why = index.explain_patch(pixels(ASKED), 1, (0, 1))
    assert why.heat == pytest.approx(heat_of(STORED, [BLUE]), abs=2e-3)
    assert why.query_heat == pytest.approx(heat_of(ASKED, [BLUE]), abs=2e-3)
    assert (why.pairs, why.box) == ((), None)


def test_one_patch_of_the_hit_is_compared_with_all_of_both(index):
    why = index.explain_patch(pixels(ASKED), 1, (2, 3), of="hit")
    assert why.heat == pytest.approx(heat_of(STORED, [REDDISH]), abs=2e-3)
    assert why.query_heat == pytest.approx(heat_of(ASKED, [REDDISH]), abs=2e-3)


def test_one_patch_leaves_padding_out(padded):
    why = padded.explain_patch(1, 1, (4, 0))
    assert np.isnan(why.heat[PADDING]).all()
    assert why.heat[SHOWN, :5] == pytest.approx(np.ones((4, 5)), abs=2e-3)
    assert why.heat[SHOWN, 5:] == pytest.approx(np.zeros((4, 5)), abs=2e-3)
    with pytest.raises(InvalidInput, match="only padding"):
        padded.explain_patch(1, 1, (0, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"patch": (CELLS, 0)}, "outside the grid of 10 rows and 10"),
        ({"patch": (0, -1)}, "outside the grid"),
        ({"patch": (0, 0), "of": "both"}, "use query or hit"),
        ({"patch": (0, 0), "hit": 4711}, "no picture with id 4711"),
    ],
)
def test_patches_that_cannot_be_explained(index, call, message):
    with pytest.raises(InvalidInput, match=message):
        index.explain_patch(1, call.get("hit", 1), call["patch"], of=call.get("of", "query"))


def test_an_explanation_needs_a_picture_and_a_region_that_are_there(index):
    with pytest.raises(InvalidInput, match="no picture with id 4711"):
        index.explain(1, 4711)
    with pytest.raises(InvalidInput, match="outside the grid"):
        index.explain(1, 1, region=[(CELLS, 0)])


def test_heat_as_bytes_runs_from_low_to_high():
    grid = View(28).grid(28, 28)
    nan = np.nan
    why = Evidence(
        heat=np.array([[0.2, 0.8], [0.35, nan]], np.float32),
        query_heat=np.array([[0.2, nan], [0.8, 0.201]], np.float32),
        grid=grid,
        query_grid=grid,
    )
    assert why.range == pytest.approx((0.2, 0.8))
    assert list(why.heat_bytes(0.2, 0.8)) == [0, 255, 64, 0]
    assert list(why.query_heat_bytes(0.2, 0.8)) == [1, 0, 255, 1], "marked is never 0"
    assert list(why.heat_bytes(0.4, 0.6)) == [0, 255, 0, 0], "what lies beyond is held at the ends"
