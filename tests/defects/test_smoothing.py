"""Tokens averaged over their neighbourhood."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.defects.smoothing import smoothed

ALL = np.ones(12, dtype=bool)


def tokens(seed=0):
    raw = np.random.default_rng(seed).standard_normal((12, 5)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def test_one_cell_leaves_tokens_alone_but_for_what_is_not_usable():
    usable = ALL.copy()
    usable[3] = False
    found = smoothed(tokens(), usable, cols=4, around=1)
    assert np.array_equal(found[usable], tokens()[usable])
    assert not found[3].any()


def test_an_inner_token_is_the_direction_of_the_sum_of_nine():
    ours = tokens()
    found = smoothed(ours, ALL, cols=4, around=3)
    near = [row * 4 + col for row in (0, 1, 2) for col in (1, 2, 3)]
    total = ours[near].sum(axis=0)
    assert found[1 * 4 + 2] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)


def test_a_corner_has_three_neighbours():
    ours = tokens()
    total = ours[[0, 1, 4, 5]].sum(axis=0)
    found = smoothed(ours, ALL, cols=4, around=3)
    assert found[0] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)


def test_what_is_not_usable_tells_its_neighbours_nothing():
    usable = ALL.copy()
    usable[[1, 5]] = False
    ours = tokens()
    found = smoothed(ours, usable, cols=4, around=3)
    total = ours[[0, 4]].sum(axis=0)
    assert found[0] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)
    assert not found[[1, 5]].any()


def test_five_cells_reach_two_away():
    one = np.zeros((25, 2), dtype=np.float32)
    one[:, 0] = 1
    one[12] = (0, 1)
    found = smoothed(one, np.ones(25, dtype=bool), cols=5, around=5)
    assert found[0] == pytest.approx(np.array([8, 1]) / np.hypot(8, 1), abs=1e-6)
