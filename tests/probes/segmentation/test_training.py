"""How a head comes to its cells: drawn without bias, judged on pictures it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

import dinosearch
from dinosearch.geometry import PATCH, PatchGrid
from dinosearch.probes.segmentation.training import _drawn, _judge, _overlaps_at
from tests.painting import SIZE, noise, save


def test_cells_that_were_drawn_stand_for_all():
    shares = np.zeros((1000, 2), dtype=np.float32)
    shares[:, 0] = 1
    shares[:40] = [0.25, 0.75]
    known = np.ones(1000, dtype=np.float32)
    known[990:] = 0
    kept, times = _drawn(shares, known, 100, np.random.default_rng(0))
    assert len(set(kept.tolist())) == len(kept) == 100
    assert (kept < 990).all()
    some = kept < 40
    assert some.sum() == 40  # fewer than half the quota: all of them
    assert times[some] == pytest.approx(np.ones(40))
    assert times[~some] == pytest.approx(np.full(60, 950 / 60))
    kept, times = _drawn(shares, known, 20, np.random.default_rng(0))
    assert (kept < 40).sum() == 10
    assert (times.sum(), times[kept < 40].sum()) == (pytest.approx(990), pytest.approx(40))
    kept, times = _drawn(shares, known, 5000, np.random.default_rng(0))
    assert sorted(kept.tolist()) == list(range(990))
    assert (times == 1).all()


def test_what_the_model_was_not_shown_counts_as_missed():
    grid = PatchGrid.of(56, 28, size=28)  # shows columns 14 to 42
    mask = np.zeros((28, 56), dtype=np.uint8)
    mask[:, :28] = 1
    mask[0] = 255
    sure = np.tile(np.array([[0.1, 0.9], [0.9, 0.1]], dtype=np.float32), (2, 1))
    counts = _judge(sure, grid, mask)
    assert counts.sum() == 27 * 56
    (inside, either) = _overlaps_at(counts[None], np.array([0.5]))[0, 0]
    assert (inside, either) == (14 * 27, 28 * 27)


def test_a_picture_is_judged_by_a_head_that_has_not_seen_it(tmp_path):
    # Cells of any colour are the thing or not by chance: they can be known by heart only.
    masks = {}
    for number in (1, 2):
        save(tmp_path / "c" / f"{number}.png", noise(number))
        thing = np.random.default_rng(number).random((10, 10)) < 0.3
        masks[number] = np.kron(thing.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "c")
        made = index.train_segmenter("m", masks=masks, context=(), hidden=64, decay=1e-5)
        cells = [made.predict(number).probabilities[1] > 0.5 for number in (1, 2)]
        known = [masks[number][7::PATCH, 7::PATCH] == 1 for number in (1, 2)]
        assert np.mean([a == b for a, b in zip(cells, known, strict=True)]) > 0.95
        (apart,) = made.iou
        assert apart.iou is not None
        assert apart.iou < 0.4
