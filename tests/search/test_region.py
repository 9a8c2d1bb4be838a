"""Region search: the planted part is found first, and its box is where it was planted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.geometry import PATCH, Box
from tests.painting import BLUE, CELLS, RED, SIZE, cosine, noise, pixels, plain, planted, save

# A part no ground looks like, of cells that all differ: 3 rows, 2 columns.
PART = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]], [[255, 0, 255], [0, 255, 255]]],
    dtype=np.uint8,
)
GREY = (128, 128, 128)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(30):
        grey = 90 + 3 * number
        save(folder / f"{number}.png", plain((grey, grey, 120)))
    save(folder / "small.png", planted(GREY, PART, 6, 1))
    save(folder / "scaled.png", planted((60, 60, 60), PART, 2, 7), scale=3)
    with dinosearch.create(
        tmp_path_factory.mktemp("index") / "x", encoder="colour", size=SIZE
    ) as index:
        index.add(folder)
        yield index


def cells(row0, col0, row1, col1, scale=1):
    return Box(*(v * PATCH * scale for v in (col0, row0, col1, row1)))


def test_the_part_is_found_with_its_box_and_its_score(index):
    query = pixels(planted((40, 160, 90), PART, 4, 4))
    hits = index.answer(query, k=5, region=cells(4, 4, 7, 6), same_size=True).hits
    assert [hit.path.rsplit("/", 1)[1] for hit in hits[:2]] == ["small.png", "scaled.png"]
    assert [hit.score for hit in hits[:2]] == pytest.approx([1, 1], abs=2e-3)
    assert hits[0].box == pytest.approx(cells(6, 1, 9, 3))
    assert hits[1].box == pytest.approx(cells(2, 7, 5, 9, scale=3))
    assert hits[2].score < 0.7


def test_the_score_is_the_mean_of_the_best_cosines(index):
    query = pixels(planted(GREY, np.array([[RED, BLUE]], dtype=np.uint8), 0, 0))
    hits = index.answer(query, k=40, region=(0, 0, 28, 14), same_size=True).hits
    hit = next(h for h in hits if h.path.endswith("/0.png"))
    ground = (90, 90, 120)
    expected = (cosine(RED, ground) + cosine(BLUE, ground)) / 2
    assert hit.score == pytest.approx(expected, abs=2e-3)


def test_mask_patches_and_rectangle_mean_the_same(index):
    query = pixels(planted((40, 160, 90), PART, 4, 4))
    rectangle = index.answer(query, k=3, region=cells(4, 4, 7, 6), same_size=True).hits
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[4 * PATCH : 7 * PATCH, 4 * PATCH : 6 * PATCH] = True
    patches = [(row, col) for row in range(4, 7) for col in range(4, 6)]
    for other in (mask, patches, mask.astype(np.uint8) * 255):
        assert index.answer(query, k=3, region=other, same_size=True).hits == rectangle
        found = index.search(query, k=2, region=other)
        assert {hit.id for hit in found} == {hit.id for hit in rectangle[:2]}


def test_a_stored_picture_finds_its_own_part_where_it_is(index):
    small = index.search(pixels(planted(GREY, PART, 6, 1)), k=1)[0]
    hit = index.search(small.id, k=1, region=cells(6, 1, 9, 3))[0]
    assert (hit.id, hit.box) == (small.id, pytest.approx(cells(6, 1, 9, 3)))


def test_the_box_holds_the_part_in_a_busy_picture(tmp_path):
    """Nothing but noise around: the sum of the maps alone would not tell where."""
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        truth = {}
        rng = np.random.default_rng(5)
        for number in range(12):
            row, col = int(rng.integers(0, CELLS - 2)), int(rng.integers(0, CELLS - 1))
            busy = noise(number)
            busy[row : row + 3, col : col + 2] = PART
            path = save(tmp_path / "pictures" / f"{number}.png", busy)
            truth[str(path)] = cells(row, col, row + 3, col + 2)
        index.add(tmp_path / "pictures")
        query = pixels(planted(GREY, PART, 1, 1))
        hits = index.search(query, k=12, region=cells(1, 1, 4, 3))
        assert all(hit.box and hit.box.iou(truth[hit.path]) > 0.99 for hit in hits)


def test_a_part_that_the_centre_crop_cuts_away_can_still_be_asked_for(index):
    wide = np.concatenate([pixels(planted(GREY, PART, 4, 4)), pixels(plain(GREY))], axis=1)
    wide = np.concatenate([wide, pixels(plain(GREY))], axis=1)
    hits = index.search(wide, k=2, region=cells(4, 4, 7, 6))
    assert {hit.path.rsplit("/", 1)[1] for hit in hits} == {"small.png", "scaled.png"}


def test_padding_is_never_matched(tmp_path):
    """A wide black picture padded to a square must not answer for the padding's colour."""
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE, fit="pad") as index:
        wide = save(tmp_path / "p" / "wide.png", plain((0, 0, 0))[:4])
        index.add(wide)
        like_padding = pixels(plain((124, 116, 104)))
        hit = index.search(like_padding, k=1, region=(0, 0, SIZE, SIZE))[0]
        assert hit.score == pytest.approx(cosine((124, 116, 104), (0, 0, 0)), abs=2e-2)
        assert hit.box
        assert hit.box.y1 <= 4 * PATCH


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((0, 0, 200, 50), "outside the picture"),
        ((0, 0, 5, 5), "smaller than one patch"),
        ((50, 50, 10, 10), "is empty"),
    ],
)
def test_regions_that_cannot_be(index, region, message):
    with pytest.raises(InvalidInput, match=message):
        index.search(pixels(plain(GREY)), region=region)


def test_a_region_goes_with_one_picture(index):
    with pytest.raises(InvalidInput, match="one picture"):
        index.search([1, 2], region=(0, 0, 50, 50))


def test_the_box_is_in_pixels_of_the_upright_picture(tmp_path):
    """Stored lying on its side, with an EXIF tag that says so; wider than the crop shows."""
    upright = np.concatenate(
        [pixels(plain(GREY)), pixels(planted(GREY, PART, 6, 1)), pixels(plain(GREY))], axis=1
    )
    lying = Image.fromarray(np.rot90(upright).copy())  # shown upright when turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "p").mkdir()
    lying.save(tmp_path / "p" / "a.png", exif=exif)
    green = pixels(plain((40, 160, 90)))
    query = np.concatenate([pixels(planted((40, 160, 90), PART, 4, 4)), green, green], axis=1)
    for fit, size in (("crop", SIZE), ("pad", 3 * SIZE)):
        with dinosearch.create(tmp_path / fit, encoder="colour", size=size, fit=fit) as index:
            index.add(tmp_path / "p")
            item = index.item(1)
            assert (item.width, item.height) == (3 * SIZE, SIZE)
            (hit,) = index.search(query, k=1, region=cells(4, 4, 7, 6))
            truth = Box(SIZE + PATCH, 6 * PATCH, SIZE + 3 * PATCH, 9 * PATCH)
            assert hit.box
            assert hit.box.iou(truth) > 0.9, (fit, hit.box)
