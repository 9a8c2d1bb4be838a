"""The head and its figures, on numbers that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.geometry import PatchGrid
from dinosearch.probes.segmentation.context import cell_features
from dinosearch.probes.segmentation.head import Head, balanced, fit_head
from dinosearch.probes.segmentation.scores import (
    LEVELS,
    best_threshold,
    histograms,
    overlaps,
    pooled_iou,
)


def test_soft_targets_are_learned_as_they_are():
    # One feature of two values: the best head gives each the mean target of its rows.
    features = np.array([[0.0]] * 4 + [[1.0]] * 4, dtype=np.float32)
    share = np.array([0.1, 0.1, 0.3, 0.3, 0.5, 0.7, 0.9, 0.9], dtype=np.float32)
    targets = np.stack([1 - share, share], axis=1)
    head = fit_head(features, targets, np.ones(8, np.float32), decay=0.0, balance=0.0)
    found = head.probabilities(np.array([[0.0], [1.0]]))
    assert found[:, 1] == pytest.approx([0.2, 0.75], abs=1e-3)
    assert found.sum(axis=1) == pytest.approx([1, 1])


def test_weights_count_and_rows_of_weight_zero_do_not():
    features = np.zeros((3, 1), dtype=np.float32)
    targets = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    weights = np.array([3, 1, 0], dtype=np.float32)
    head = fit_head(features, targets, weights, decay=0.0, balance=0.0)
    assert head.probabilities(features)[0] == pytest.approx([0.75, 0.25], abs=1e-4)


def test_balance_gives_rare_classes_their_say():
    targets = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    weights = np.ones(10, dtype=np.float32)
    assert balanced(targets, weights, 0.0) == pytest.approx(weights)
    even = balanced(targets, weights, 1.0)
    assert even == pytest.approx([5 / 9] * 9 + [5])
    half = balanced(targets, weights, 0.5)
    assert half[9] / half[0] == pytest.approx(3)
    assert half.sum() == pytest.approx(10)


def test_a_hidden_layer_learns_what_a_line_cannot_and_the_seed_decides():
    features = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10, dtype=np.float32)
    targets = np.eye(2, dtype=np.float32)[(features.sum(axis=1) == 1).astype(int)]
    weights = np.ones(40, dtype=np.float32)
    flat = fit_head(features, targets, weights, decay=1e-4)
    assert flat.probabilities(features)[:, 1] == pytest.approx(np.full(40, 0.5), abs=0.01)
    deep = fit_head(features, targets, weights, hidden=16, decay=1e-4, seed=3)
    assert (deep.probabilities(features).argmax(axis=1) == targets.argmax(axis=1)).all()
    again = fit_head(features, targets, weights, hidden=16, decay=1e-4, seed=3)
    other = fit_head(features, targets, weights, hidden=16, decay=1e-4, seed=4)
    assert np.array_equal(again.weights[0], deep.weights[0])
    assert not np.array_equal(other.weights[0], deep.weights[0])
    same = Head.of_arrays(dict(deep.arrays()))
    assert np.array_equal(same.probabilities(features), deep.probabilities(features))


def test_surroundings_are_means_of_shown_cells_only():
    grid = PatchGrid.of(56, 28, size=56, fit="pad")  # rows 1 and 2 of 4 show the picture
    tokens = np.arange(16, dtype=np.float32).reshape(16, 1)
    found = cell_features(tokens, np.array([7.0, 8.0]), grid, ("around", "ring", "cls", "place"))
    assert found.shape == (16, 1 + 1 + 1 + 2 + 2)
    # Cell (1, 0): of 4, 5, 8, 9 within one, and of 4, 5, 6, 8, 9, 10 within two.
    assert found[4].tolist() == pytest.approx([4, 6.5, 7, 7, 8, -1 / 3, -1])
    # Cell (2, 3): of 6, 7, 10, 11, and of 5, 6, 7, 9, 10, 11.
    assert found[11].tolist() == pytest.approx([11, 8.5, 8, 7, 8, 1 / 3, 1])
    assert np.array_equal(cell_features(tokens, np.zeros(2), grid), tokens)


def test_iou_is_pooled_and_what_is_not_known_does_not_count():
    truth = np.array([[1, 1, 0, 0], [2, 2, 255, 255]], dtype=np.uint8)
    found = np.array([[1, 0, 1, 0], [2, 2, 1, 255]], dtype=np.uint8)
    counts = overlaps(found, truth, 3)
    assert counts.tolist() == [[1, 3], [2, 2], [0, 0]]
    missed = overlaps(np.full((2, 4), 255, np.uint8), truth, 2)
    assert missed.tolist() == [[0, 2], [0, 2]]
    one, two, three = pooled_iou(
        np.stack([counts, counts + [[[7, 7]], [[0, 2]], [[0, 0]]][0]]),
        ("a", "b", "c"),
        rng=np.random.default_rng(0),
    )
    assert one.iou == pytest.approx((1 + 8) / (3 + 10))
    assert one.low == pytest.approx(1 / 3)
    assert one.high == pytest.approx(8 / 10)
    assert (one.pictures, two.name) == (2, "b")
    assert three.iou == pytest.approx(1.0)
    (none,) = pooled_iou(np.zeros((2, 1, 2), int), ("a",), rng=np.random.default_rng(0))
    assert (none.iou, none.low) == (None, None)


def test_the_threshold_is_where_the_union_is_best_cut():
    truth = np.array([[1, 1, 0, 0, 1, 255]], dtype=np.uint8)
    probability = np.array([[0.9, 0.6, 0.4, 0.1, 0.2, 0.95]])
    counts = histograms(probability, truth, 1)
    assert counts.sum(axis=1).tolist() == [2, 3]
    # From 0.6 down to just above 0.4: 2 of 3; from 0.2: 3 of 4, and that is the best.
    threshold = best_threshold(counts)
    assert 0.1 < threshold <= 0.2
    at = counts[:, round(threshold * LEVELS) :].sum(axis=1)
    assert at.tolist() == [1, 3]
    assert best_threshold(histograms(probability, np.zeros_like(truth), 1)) == 0.5
