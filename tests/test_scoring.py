"""The kernels, on numbers that fit on a page."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.scoring import best_cosines, knee, similarities, top_k, window_sums

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
