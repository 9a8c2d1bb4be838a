"""A part at several sizes: what is rare counts, and sizes are compared by what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.geometry import Box, PatchGrid, Region
from dinosearch.search.query_picture import MARGIN, SPANS, marked_on, zoom_grids
from dinosearch.search.regions import (
    NEARLY_ONE,
    PRICE_BEYOND,
    SECOND_COUNTS,
    MarkedPart,
    RegionQuery,
    Usual,
)
from dinosearch.storage.codecs import Rows

GRID = PatchGrid.of(560, 560, size=560)


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float32)
    found: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def size_of(tokens: np.ndarray, span: int) -> RegionQuery:
    """A part whose patches are `tokens`, in a row of `span` cells."""
    patches = np.zeros((GRID.patches, tokens.shape[1]), dtype=np.float32)
    patches[: len(tokens)] = tokens
    marked = np.zeros((GRID.rows, GRID.cols), dtype=bool)
    marked[0, : len(tokens)] = True
    size = RegionQuery.cut(Region.parse((0, 0, 14, 14)), GRID, patches, marked=marked)
    return RegionQuery(**{**vars(size), "cols": span})


def test_the_rarest_patches_count_and_weigh_by_their_rarity():
    ground, other = np.eye(4, dtype=np.float32)[:2]
    rare = unit([0, 0.6, 0.8, 0])
    corpus = np.stack([ground] * 60 + [other] * 40)
    part = size_of(np.stack([ground, rare, other, ground]), 4).weighed(corpus, most=2)
    assert part.rarest.tolist() == [0, 1] or part.rarest.tolist() == [1, 2]
    assert part.weights[1] == pytest.approx(1, abs=1e-4), "all others are in the corpus as they are"
    half = size_of(np.stack([rare, unit([0, 0.8, 0.6, 0])]), 2).weighed(corpus)
    assert half.weights == pytest.approx([0.4 / 0.6, 0.2 / 0.6], abs=1e-4)


def test_the_score_is_the_weighted_mean_of_the_best_cosines():
    first, second = np.eye(3, dtype=np.float32)[:2]
    corpus = np.stack([unit([0.8, 0.6, 0]), unit([0, 0.6, 0.8])])
    part = MarkedPart([size_of(np.stack([first, second]), 2).weighed(corpus)])
    picture = np.stack([unit([0.8, 0, 0.6]), unit([0, 0.28, 0.96])])
    weights = np.array([0.2, 0.4]) / 0.6
    expected = weights @ [0.8, 0.28]
    assert part.scores(Rows(picture[None]))[:, 0] == pytest.approx([expected], abs=1e-5)
    codes = np.rint(127 * picture).astype(np.int8)
    scales = (1 / np.linalg.norm(codes.astype(float), axis=1)).astype(np.float16)
    coded = part.scores(Rows(codes[None], scales[None]))[:, 0]
    assert coded == pytest.approx([expected], abs=5e-3)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
    projected = part.scores(Rows((picture @ basis.T)[None], None, basis))[:, 0]
    assert projected == pytest.approx([expected], abs=1e-5)


def test_usual_is_the_mean_and_spread_over_all_pictures_named_or_not():
    rng = np.random.default_rng(2)
    everything = rng.normal(0.5, 0.1, (2, 500)).astype(np.float32)
    others = np.array([0.3, 0.4], np.float32)
    everything[:, 200:] = others[:, None]
    part = MarkedPart([size_of(np.eye(3, dtype=np.float32), span) for span in (4, 9)])
    usual = Usual.of(part, everything[:, :200], others, 500)
    assert usual.mean == pytest.approx(everything.mean(axis=1), abs=5e-3)
    assert usual.spread == pytest.approx(everything.std(axis=1), abs=5e-3)
    assert usual.price.tolist() == [0, 0]


def test_a_few_pictures_do_not_say_what_is_usual():
    part = MarkedPart([size_of(np.eye(3, dtype=np.float32), span) for span in (4, 9)])
    usual = Usual.of(part, np.array([[0.9], [0.5]], np.float32), np.zeros(2, np.float32), 1)
    assert usual.mean[0] - usual.mean[1] < 0.1
    assert (usual.spread > 0.03).all()


def test_sizes_are_brought_together_by_deviation_the_second_best_counting_too():
    usual = Usual(*np.array([[0.4, 0.6], [0.1, 0.05], [0, 0]], np.float32))
    scores = np.array([[0.6, 0.5, 0.4], [0.6, 0.7, 0.6]], np.float32)
    deviations = np.array([[2, 1, 0], [0, 2, 0]])
    assert usual.deviations(scores) == pytest.approx(deviations, abs=1e-5)
    best = (np.array([2, 2, 0]) + SECOND_COUNTS * np.array([0, 1, 0])) / (1 + SECOND_COUNTS)
    assert usual.brought_together(scores) == pytest.approx(0.5 + 0.075 * best, abs=1e-5)


def test_scores_never_exceed_one_and_stay_in_order():
    usual = Usual(*np.array([[0.5, 0.5], [0.1, 0.1], [0, 0]], np.float32))
    scores = np.linspace(0.9, 3, 9, dtype=np.float32)
    together = usual.brought_together(np.stack([scores, scores]))
    assert (np.diff(together) >= 0).all()
    assert together.max() <= 1
    assert together[1] > NEARLY_ONE
    assert together[0] == pytest.approx(0.9)


def test_a_single_size_keeps_its_scores():
    scores = np.array([[0.2, 1.0, -0.5]], np.float32)
    assert Usual.alone().brought_together(scores).tolist() == scores[0].tolist()


def test_what_is_far_larger_than_any_zoom_must_stand_out_more():
    part = MarkedPart([size_of(np.eye(3, dtype=np.float32), span) for span in (30, 9)])
    usual = Usual.of(part, np.zeros((2, 1), np.float32), np.zeros(2, np.float32), 50)
    assert usual.price.tolist() == [PRICE_BEYOND, 0]
    usual = Usual(*np.array([[0.5, 0.5], [0.01, 0.1], [PRICE_BEYOND, 0]], np.float32))
    scores = np.array([[0.6, 0.9], [0.7, 0.8]], np.float32)
    expected = [[2, 40 - PRICE_BEYOND], [2, 3]]
    assert usual.deviations(scores) == pytest.approx(np.array(expected), abs=1e-4)


REGIONS = [(100, 60, 340, 180), (0, 0, 30, 30), (530, 500, 560, 560), (10, 100, 550, 300)]


@pytest.mark.parametrize("region", REGIONS)
def test_zooms_show_the_region_at_their_spans(region):
    box = Box(*region)
    for span, zoom in zip(SPANS, zoom_grids(GRID, Region.parse(region)), strict=True):
        assert zoom.rows == zoom.cols == int(np.ceil(span)) + 2 * MARGIN
        seen = zoom.to_view(box)
        assert max(seen.width, seen.height) / zoom.cell == pytest.approx(span, rel=0.02)
        assert min(seen.x0, seen.y0) >= -1
        assert max(seen.x1, seen.y1) <= zoom.size + 1
        marked = marked_on(zoom, Region.parse(region), GRID)
        rows, cols = np.nonzero(marked)
        assert max(np.ptp(rows), np.ptp(cols)) + 1 == pytest.approx(span, abs=1.01)
        middle = zoom.box_of_cells(rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert middle.iou(box) > 0.4


def test_rectangle_mask_and_patches_mark_the_same_of_a_zoom():
    box = (4 * 14, 6 * 14, 10 * 14, 9 * 14)
    mask = np.zeros((560, 560), dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    patches = [(row, col) for row in range(6, 9) for col in range(4, 10)]
    for zoom in zoom_grids(GRID, Region.parse(box)):
        marked = marked_on(zoom, Region.parse(box), GRID)
        assert (marked_on(zoom, Region.parse(patches), GRID) == marked).all()
        assert (marked_on(zoom, Region.parse(mask), GRID) != marked).mean() < 0.06


def test_a_strip_far_thinner_than_a_cell_marks_the_cells_along_it():
    for zoom in zoom_grids(GRID, Region.parse((10, 100, 550, 114))):
        marked = marked_on(zoom, Region.parse((10, 100, 550, 114)), GRID)
        assert 1 <= marked.any(axis=1).sum() <= 2, "two where it lies on their border"
        assert marked.any(axis=0).sum() == pytest.approx(zoom.rows - 2 * MARGIN, abs=1.01)


@pytest.mark.parametrize(
    "fractions", [(0.25, 0.3, 0.2, 0.15), (0.24999, 0.29999, 0.20002, 0.15002)]
)
def test_rounded_fractions_show_the_same_zooms_as_pixels(fractions):
    """The page widens what it reads from its address by a hair, so that nothing is lost."""
    box = Box.of_fractions(*fractions, width=280, height=280)
    assert tuple(box) != (70, 84, 126, 126), "or this shows nothing"
    grid = PatchGrid.of(280, 280, size=280)
    assert zoom_grids(grid, Region.parse(tuple(box))) == zoom_grids(
        grid, Region.parse((70, 84, 126, 126))
    )
