"""The kernels, on numbers that fit on a page."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.scoring import (
    best_cosines,
    knee,
    pairs_above,
    similarities,
    top_k,
    window_sums,
)

RED, BLUE = np.eye(2, dtype=np.float32)
PICTURES = np.stack([[RED, BLUE, BLUE], [BLUE, BLUE, RED]])


def test_similarities_are_the_cosines_of_unit_rows():
    half = np.array([0.6, 0.8], np.float16)
    assert similarities(np.stack([RED, BLUE]), np.stack([half])) == pytest.approx(
        np.array([[0.6], [0.8]]), abs=1e-3
    )


def test_the_best_cosine_of_each_patch_in_each_picture():
    query = np.stack([RED, np.array([0.6, 0.8], np.float32)])
    assert best_cosines(query, PICTURES) == pytest.approx(np.array([[1, 1], [0.8, 0.8]]))
    assert best_cosines(query, PICTURES[:, 1:2]) == pytest.approx(np.array([[0, 0], [0.8, 0.8]]))


def test_each_patch_is_looked_for_only_where_it_may_be():
    near = np.array([[True, True, False], [False, True, True]])
    found = best_cosines(np.stack([RED, RED]), PICTURES, near=near)
    assert found.tolist() == [[1, 0], [0, 1]]
    none = best_cosines(np.stack([RED]), PICTURES, near=near[:1] & False)
    assert none.tolist() == [[-1, -1]]


def test_top_k_is_stable_and_leaves_out_what_takes_no_part():
    scores = np.array([0.5, -np.inf, 0.9, 0.5, 0.1, 0.5], np.float32)
    assert top_k(scores, 3).tolist() == [2, 0, 3]
    assert top_k(scores, 99).tolist() == [2, 0, 3, 5, 4]
    assert top_k(np.full(3, -np.inf, np.float32), 2).tolist() == []


def test_window_sums():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert window_sums(values, 2, 3).tolist() == [
        [values[:2, :3].sum(), values[:2, 1:].sum()],
        [values[1:, :3].sum(), values[1:, 1:].sum()],
    ]


@pytest.mark.parametrize(
    ("scores", "before_the_drop"),
    [
        ([0.9, 0.89, 0.88, 0.3, 0.29, 0.28], 3),
        ([1.0, 0.2, 0.19, 0.18], 1),
        ([0.9, 0.8, 0.7, 0.6, 0.5], None),  # an even slope
        ([0.9, 0.89, 0.88, 0.87, 0.3], None),  # only the last falls
        ([0.7] * 6, None),
        ([0.9, 0.1], None),
        ([0.9], None),
        ([], None),
    ],
)
def test_the_knee_is_where_the_scores_drop(scores, before_the_drop):
    assert knee(scores) == before_the_drop


def test_a_slight_bend_is_no_knee():
    """Scaled to 0..1 the third point lies 0.19 below the line, then 0.21."""
    ranks = 11
    line = 1 - np.linspace(0, 1, ranks)
    for depth, found in ((0.19, None), (0.21, 2)):
        scores = line.copy()
        scores[2] -= depth
        assert knee((0.5 + 0.01 * scores).tolist()) == found


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def by_hand(vectors, threshold, others=None):
    """Every pair, one product after the other."""
    columns = vectors if others is None else others
    return [
        (i, j)
        for i in range(len(vectors))
        for j in range(i + 1 if others is None else 0, len(columns))
        if float(np.einsum("i,i->", vectors[i], columns[j])) >= threshold
    ]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("block", [7, 64, 1_000])
def test_blocked_products_find_the_pairs_that_all_products_find(half, block):
    vectors = unit(150, 16, 0)
    vectors[120:140] = vectors[20:40]  # ties with 1, and with each other's neighbours
    vectors[140:150] = vectors[0]
    others = np.concatenate([unit(40, 16, 1), vectors[5:9]])
    for threshold in (0.6, 0.999):
        first, second, scores = pairs_above(vectors, threshold, half=half, block=block)
        assert list(zip(first.tolist(), second.tolist(), strict=True)) == by_hand(
            vectors, threshold
        )
        assert scores == pytest.approx((vectors[first] * vectors[second]).sum(axis=1), abs=1e-6)
    first, second, _ = pairs_above(vectors, 0.6, others=others, half=half, block=block)
    found = list(zip(first.tolist(), second.tolist(), strict=True))
    assert found == by_hand(vectors, 0.6, others)
    assert (5, 40) in found


def test_a_product_just_above_the_threshold_survives_half_precision():
    # Rounded to eight bits of mantissa, products of such rows are off by thousandths.
    vectors = unit(400, 384, 2)
    vectors[200:] = 0.9 * vectors[:200] + 0.1 * vectors[200:]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = np.einsum("ij,ij->i", vectors[:200], vectors[200:])
    threshold = float(np.median(exact))
    first, second, _ = pairs_above(vectors, threshold, half=True)
    assert sorted(first.tolist()) == np.flatnonzero(exact >= threshold).tolist()
    assert (second - first == 200).all()


def test_no_rows_have_no_pairs():
    first, second, scores = pairs_above(np.empty((0, 8), np.float32), 0.5)
    assert (len(first), len(second), len(scores)) == (0, 0, 0)


@pytest.mark.parametrize("half", [False, True])
def test_what_both_rows_take_off_decides_too(half):
    vectors = unit(60, 16, 3)
    lowered = np.random.default_rng(4).uniform(0, 0.4, 60).astype(np.float32)
    first, second, scores = pairs_above(vectors, 0.1, lowered=lowered, half=half, block=16)
    every = vectors @ vectors.T - lowered[:, None] - lowered
    rows, cols = np.nonzero(np.triu(every >= 0.1, 1))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == list(
        zip(rows.tolist(), cols.tolist(), strict=True)
    )
    assert scores == pytest.approx(every[rows, cols], abs=1e-6)
