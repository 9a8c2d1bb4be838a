"""The coreset: what is chosen, in which order, and how near everything is to it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from dinosearch.defects.coreset import k_center, projected


def rng(seed=0):
    return np.random.default_rng(seed)


def radius(points, chosen):
    """The farthest that any point lies from the nearest of those chosen."""
    return np.linalg.norm(points[:, None] - points[chosen][None], axis=2).min(axis=1).max()


def test_each_choice_is_the_farthest_from_those_before():
    points = np.array([[0.0], [1.0], [4.0], [10.0]])
    first = int(rng(5).integers(4))
    assert first == 2, "the point that the seed draws first"
    # From 4: 10 lies 6 away; then of 0 (4 from 4) and 1 (3 from 4) the first; then 1.
    assert k_center(points, 4, rng=rng(5)).tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("seed", range(8))
def test_no_choice_of_as_many_has_half_the_radius(seed):
    points = rng(seed).standard_normal((9, 3))
    chosen = k_center(points, 3, rng=rng(seed))
    best = min(radius(points, list(some)) for some in combinations(range(9), 3))
    assert radius(points, chosen) <= 2 * best + 1e-6


def test_it_covers_better_than_what_is_drawn():
    # Two hundred points in one place and four far away: drawing misses those.
    points = np.concatenate([rng().standard_normal((200, 8)) * 0.01, np.eye(4, 8) * 10])
    chosen = k_center(points, 5, rng=rng(1))
    assert set(range(200, 204)) <= set(chosen.tolist())
    assert radius(points, chosen) < 0.2


def test_fewer_are_the_beginning_of_more_and_none_comes_twice():
    points = np.repeat(rng(2).standard_normal((10, 4)), 3, axis=0)
    all_of_them = k_center(points, 100, rng=rng(3))
    assert sorted(all_of_them.tolist()) == list(range(30))
    assert k_center(points, 7, rng=rng(3)).tolist() == all_of_them[:7].tolist()
    assert k_center(points, 7, rng=rng(4)).tolist() != all_of_them[:7].tolist()


def test_nothing_can_be_chosen_of_nothing():
    assert len(k_center(np.empty((0, 4)), 3, rng=rng())) == 0
    assert len(k_center(np.ones((3, 4)), 0, rng=rng())) == 0


def test_a_projection_keeps_distances_nearly():
    points = rng(1).standard_normal((60, 512))
    small = projected(points, rng=rng(2), dimensions=64)
    assert small.shape == (60, 64)
    pairs = list(combinations(range(60), 2))
    full = np.array([np.linalg.norm(points[a] - points[b]) for a, b in pairs])
    kept = np.array([np.linalg.norm(small[a] - small[b]) for a, b in pairs])
    assert np.mean(kept / full) == pytest.approx(1, abs=0.03)
    assert np.std(kept / full) < 0.12  # 1 / sqrt(2 * 64) = 0.09 on paper


def test_points_of_few_numbers_are_left_as_they_are():
    points = rng().standard_normal((5, 6)).astype(np.float32)
    assert projected(points, rng=rng()) is points
