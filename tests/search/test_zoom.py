"""A part is found at other sizes than its own, at the place where it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.encoders.preprocess import PAD_COLOUR, make_zoom
from dinosearch.geometry import PATCH, Box, PatchGrid
from tests.painting import pixels, save

SIDE = 280
CELLS = SIDE // PATCH
PART = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[255, 255, 0], [255, 0, 255], [0, 255, 255]],
        [[255, 128, 0], [128, 0, 255], [0, 255, 128]],
    ],
    dtype=np.uint8,
)


def scene(seed: int, times: int = 0, row: int = 0, col: int = 0) -> np.ndarray:
    """Dull cells, with the part `times` its size at a place."""
    cells = np.random.default_rng(seed).integers(90, 150, (CELLS, CELLS, 3), dtype=np.uint8)
    if times:
        large = np.kron(PART, np.ones((times, times, 1), dtype=np.uint8))
        cells[row : row + 3 * times, col : col + 3 * times] = large
    return cells


def box(times: int, row: int, col: int) -> Box:
    return Box(*(v * PATCH for v in (col, row, col + 3 * times, row + 3 * times)))


HELD = {"once": (1, 12, 3), "twice": (2, 1, 11), "thrice": (3, 9, 8)}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoomed")
    for seed in range(40):
        save(folder / "p" / f"{seed}.png", scene(seed))
    for seed, (name, place) in enumerate(HELD.items()):
        save(folder / "p" / f"{name}.png", scene(100 + seed, *place))
    with dinosearch.create(folder / "x", encoder="colour", size=SIDE) as index:
        index.add(folder / "p")
        yield index


def name(hit) -> str:
    return str(hit.path.rsplit("/", 1)[1][:-4])


@pytest.mark.parametrize("times", [1, 2, 4])
def test_the_same_thing_larger_and_smaller_comes_first_with_its_box(index, times):
    query = pixels(scene(200, times, 5, 5))
    hits = index.search(query, k=5, region=box(times, 5, 5))
    assert {name(hit) for hit in hits[:3]} == set(HELD)
    for hit in hits[:3]:
        assert hit.boxes[0] == hit.box
        # Plain cells of the part's colours look the same at any size: of the smallest there
        # is too little to tell them from the dull ones around.
        if name(hit) != "once":
            assert hit.box.iou(box(*HELD[name(hit)])) > 0.5


def test_at_its_own_size_the_box_is_exact(index):
    query = pixels(scene(200, 1, 5, 5))
    hits = index.answer(query, k=3, region=box(1, 5, 5), same_size=True).hits
    (once,) = (hit for hit in hits if name(hit) == "once")
    assert once.score == pytest.approx(1, abs=1e-2)
    assert once.box == pytest.approx(box(*HELD["once"]))


def test_a_stored_picture_is_asked_for_a_part_of_it(index):
    (thrice,) = (item for item in index.items() if item.path.endswith("thrice.png"))
    hits = index.search(thrice.id, k=3, region=box(*HELD["thrice"]))
    assert hits[0].id == thrice.id
    assert {name(hit) for hit in hits} == set(HELD)
    assert hits[0].box.iou(box(*HELD["thrice"])) > 0.8


def test_evidence_lies_over_the_hit_and_over_what_was_marked(index):
    query, region = pixels(scene(200, 4, 5, 5)), box(4, 5, 5)
    hit = index.search(query, k=1, region=region)[0]
    why = index.explain(query, hit, region=region)
    times, row, col = HELD[name(hit)]
    inside = np.zeros((CELLS, CELLS), dtype=bool)
    inside[row : row + 3 * times, col : col + 3 * times] = True
    assert why.heat[inside].mean() > why.heat[~inside].mean() + 0.01
    marked = np.isfinite(why.query_heat)
    assert marked.sum() == 12 * 12
    assert marked[5:17, 5:17].all()
    assert why.pairs
    for pair in why.pairs:
        assert marked[pair.query]
    best = [pair for pair in why.pairs if inside[pair.hit]]
    assert len(best) >= len(why.pairs) / 2
    assert why.box == hit.box == why.boxes[0]


def test_a_zoom_shows_its_window_and_pads_what_lies_beyond():
    picture = np.zeros((60, 100, 3), dtype=np.uint8)
    picture[:, 50:] = (250, 0, 0)
    picture[30:, :50] = (0, 0, 250)
    grid = PatchGrid.zoomed(100, 60, Box(45, 25, 55, 35), span=4, cells=10)
    view = make_zoom(Image.fromarray(picture), Box(0, 0, 100, 60), grid)
    assert view.shape == (140, 140, 3)
    for (row, col), colour in {
        (2, 2): (0, 0, 0), (2, 8): (250, 0, 0), (8, 8): (250, 0, 0), (8, 2): (0, 0, 250)
    }.items():  # fmt: skip
        assert view[row * 14, col * 14].tolist() == pytest.approx(colour, abs=3)
    part = picture[10:50, 30:70]
    again = make_zoom(Image.fromarray(part), Box(30, 10, 70, 50), grid)
    assert np.abs(again.astype(int) - view).mean() < 2
    wide = PatchGrid.zoomed(100, 60, Box(0, 0, 100, 60), span=4, cells=10)
    view = make_zoom(Image.fromarray(picture), Box(0, 0, 100, 60), wide)
    assert view[2, 2].tolist() == list(PAD_COLOUR)
    assert view[-2, -2].tolist() == list(PAD_COLOUR)
    middle = wide.to_view(Box(25, 45, 26, 46))
    assert view[int(middle.y0), int(middle.x0)].tolist() == pytest.approx([0, 0, 250], abs=3)


def test_a_file_is_cut_as_the_pixels_are(tmp_path, index):
    """Lying on its side with an EXIF tag that says so; a large one, of which little is wanted."""
    upright = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    upright = np.kron(upright, np.ones((50, 50, 1), dtype=np.uint8))
    lying = Image.fromarray(np.rot90(upright).copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    from dinosearch.images import Decoder

    with Decoder(index.view, workers=1) as decoder:
        cut = decoder.crop(tmp_path / "lying.png", Box(500, 250, 900, 750), max_side=2_000)
        assert (cut == upright[250:750, 500:900]).all()
        small = decoder.crop(tmp_path / "lying.png", Box(500, 250, 900, 750), max_side=100)
        assert small.shape == (100, 80, 3)
        assert np.abs(small[5::10, 5::10].astype(int) - upright[275:750:50, 525:900:50]).max() < 12
