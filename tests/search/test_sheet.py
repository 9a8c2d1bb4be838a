"""Result sheets: the boxes are drawn where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.geometry import PATCH
from dinosearch.search import sheet
from tests.painting import SIZE, pixels, plain, planted, save

PART = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)


@pytest.fixture
def index(tmp_path):
    save(tmp_path / "p" / "a\nb.png", planted((90, 90, 90), PART, 6, 2), scale=2)
    save(tmp_path / "p" / "c.png", plain((200, 200, 200)))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p")
        yield index


def where(drawn, colour):
    """Bounding box (x0, y0, x1, y1) of the pixels of one colour."""
    ys, xs = np.nonzero((np.asarray(drawn) == colour).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_the_boxes_of_query_and_hit_lie_where_they_should(index):
    query = pixels(planted((40, 160, 90), PART, 4, 4))
    region = (4 * PATCH, 4 * PATCH, 6 * PATCH, 6 * PATCH)
    hits = index.search(query, k=1, region=region)
    drawn = index.sheet(query, hits, region=region, title="t")
    share = sheet.TILE / SIZE
    x, y = sheet._GAP, 44
    expected = [x + region[0] * share, y + region[1] * share]
    expected += [x + region[2] * share, y + region[3] * share]
    assert where(drawn, sheet._ASKED) == pytest.approx(expected, abs=2)
    below = y + sheet.TILE + sheet._CAPTION + sheet._GAP
    expected = [x + 2 * PATCH * share, below + 6 * PATCH * share]
    expected += [x + 4 * PATCH * share, below + 8 * PATCH * share]
    assert where(drawn, sheet.FOUND) == pytest.approx(expected, abs=3)


def test_a_mask_and_patches_are_tinted_and_the_rest_faded(index):
    query = pixels(plain((0, 0, 0)))
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[: SIZE // 2] = True
    cells = [(row, col) for row in range(5) for col in range(10)]
    for region in (mask, cells):
        drawn = np.asarray(index.sheet(query, [], region=region))
        upper = drawn[sheet._GAP + 20, sheet._GAP + 20]
        lower = drawn[sheet._GAP + sheet.TILE - 20, sheet._GAP + 20]
        assert upper == pytest.approx(np.array(sheet._ASKED) * 0.25, abs=2)
        assert lower == pytest.approx(np.array(sheet.PAPER) * 0.55, abs=2)


def test_a_sheet_of_stored_pictures_with_hostile_names_and_of_nothing(index, tmp_path):
    hits = index.search([1, 2], k=2)
    drawn = index.sheet([1, 2], hits)
    assert drawn.height == sheet._GAP * 2 + 2 * (sheet.TILE + sheet._CAPTION + sheet._GAP)
    assert index.sheet(1, []).size[1] > 0
    drawn.save(tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == drawn.size


def test_thumbnails_that_were_deleted_are_made_again(index):
    before = index.thumbnail(1)
    (thumbs,) = index._folder.derived.glob("thumbs.sqlite")
    thumbs.unlink()
    assert index.thumbnail(1) == before


def test_a_box_thinner_than_a_pixel_of_the_tile_is_drawn(tmp_path):
    wide = np.concatenate([pixels(plain((90, 90, 90)))] * 15, axis=1)
    with dinosearch.create(tmp_path / "x", encoder="colour", size=560, fit="squash") as index:
        (tmp_path / "p").mkdir()
        Image.fromarray(wide).save(tmp_path / "p" / "wide.png")
        index.add(tmp_path / "p")
        hits = index.search(wide, k=1, region=[(0, 0)])
        assert index.sheet(wide, hits, region=[(0, 0)]).width > 0
