"""Per-region overlap, on paper, by brute force, and for the interval by drawing again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dinosearch.errors import InvalidInput
from dinosearch.evaluation import pro
from dinosearch.evaluation.pro import per_region_overlap, regions_of


def rng():
    return np.random.default_rng(0)


def score(maps, defects, most=0.3):
    found = per_region_overlap(maps, defects, rng=rng(), most_false=most, rounds=50).value
    assert found is not None
    return found


def brute(maps, defects, most):
    """Pixel by pixel: at each threshold count, then integrate in a thousand thin slices."""
    from skimage.measure import label

    labels = [label(truth, connectivity=2) for truth in defects]
    good = sum((one == 0).sum() for one in labels)
    points = [(0.0, 0.0)]
    for level in sorted({value for one in maps for value in one.ravel().tolist()}, reverse=True):
        false = sum(((scores >= level) & (one == 0)).sum() for scores, one in zip(maps, labels))  # noqa: B905
        overlaps = [
            (scores[one == number] >= level).mean()
            for scores, one in zip(maps, labels)  # noqa: B905
            for number in range(1, one.max() + 1)
        ]
        points.append((false / good, float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < most and x1 > x0:
            end = min(x1, most)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / most


def test_on_paper():
    # Ten sound pixels; a defect of one pixel and, apart from it, one of four.
    scores = np.array([[9.0, 1, 7, 7, 4], [1, 1, 1, 1, 1], [8, 6, 1, 5, 2]])
    truth = np.zeros((3, 5), bool)
    truth[0, 0] = True
    truth[0:2, 2:4] = True
    # Falling threshold: 9 finds the small one (overlap 1/2 at no false pixel), 8 is false
    # (1/10), 7 finds half of the large one (3/4 at 1/10), 6 and 5 are false (3/10).
    area = 0.1 * 0.5 + 0.2 * 0.75
    assert score([scores], [truth]) == pytest.approx(area / 0.3)
    # To a rate of 0.05 only the small one is found.
    assert score([scores], [truth], 0.05) == pytest.approx(0.5)


def test_perfect_useless_and_upside_down():
    truth = np.zeros((40, 40), bool)
    truth[3:9, 4:11] = truth[20:22, 30:33] = True
    assert score([truth.astype(float)], [truth]) == pytest.approx(1)
    # A constant marks all or nothing: the diagonal, whose mean height up to 0.3 is 0.15.
    assert score([np.zeros((40, 40))], [truth]) == pytest.approx(0.15)
    assert score([1 - truth.astype(float)], [truth]) == pytest.approx(0)


def test_a_small_defect_counts_as_much_as_a_large_one():
    truth = np.zeros((50, 50), bool)
    truth[:30, :30] = truth[45, 45] = True
    only_large, only_small = (np.where(truth, 0.0, 0.5) for _ in range(2))
    only_large[:30, :30] = 1
    only_small[45, 45] = 1
    assert score([only_large], [truth]) == pytest.approx(score([only_small], [truth])) == 0.5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [0.05, 0.3, 1.0])
def test_by_brute_force(seed, most):
    noise = np.random.default_rng(seed)
    defects = [noise.random((9, 11)) < share for share in (0.3, 0.1, 0.0)]
    # Few values, so that scores tie; defects score higher on the whole.
    maps = [noise.integers(0, 12, (9, 11)) + 4.0 * truth for truth in defects]
    assert score(maps, defects, most) == pytest.approx(brute(maps, defects, most))


@pytest.mark.parametrize("share", [0.2, 0.45, 0.6])
def test_regions_are_those_of_eight_neighbours(share):
    from skimage.measure import label

    for seed in range(20):
        truth = np.random.default_rng(seed).random((17, 23)) < share
        assert np.array_equal(regions_of(truth), label(truth, connectivity=2))
    assert not regions_of(np.zeros((3, 4), bool)).any()
    # A spiral, whose arms meet only at the last row.
    spiral = np.array([[1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert regions_of(spiral).max() == 2


def test_the_interval_is_that_of_drawing_pictures_again():
    noise = np.random.default_rng(5)
    defects = [noise.random((8, 8)) < 0.2 * (number % 2) for number in range(12)]
    maps = [noise.integers(0, 9, (8, 8)) + 3.0 * truth for truth in defects]
    found = per_region_overlap(maps, defects, rng=np.random.default_rng(7), rounds=200)
    draws = np.random.default_rng(7).integers(0, 12, (200, 12))
    values = [score([maps[i] for i in one], [defects[i] for i in one]) for one in draws]
    low, high = np.percentile(values, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.value is not None
    assert low < found.value < high
    assert found.queries == 12


def test_many_distinct_scores_are_told_to_a_hair(monkeypatch):
    noise = np.random.default_rng(5)
    defects = [noise.random((40, 40)) < 0.1 for _ in range(6)]
    maps = [noise.normal(size=(40, 40)) + truth for truth in defects]
    assert sum(one.size for one in maps) > pro._LEVELS
    some = per_region_overlap(maps, defects, rng=rng(), rounds=100)
    monkeypatch.setattr(pro, "_LEVELS", 10_000)
    every = per_region_overlap(maps, defects, rng=rng(), rounds=100)
    assert some.value == every.value
    assert (some.low, some.high) != (every.low, every.high)
    assert (some.low, some.high) == pytest.approx((every.low, every.high), abs=1e-3)


def test_without_a_defect_or_without_a_sound_pixel_there_is_no_figure():
    for truth in (np.zeros((3, 3), bool), np.ones((3, 3), bool)):
        found = per_region_overlap([np.zeros((3, 3))], [truth], rng=rng())
        assert (found.value, found.low, found.queries) == (None, None, 0)


def test_maps_that_do_not_fit_are_refused():
    truth = np.eye(3, dtype=bool)
    with pytest.raises(InvalidInput, match=r"map 1 \[2, 3\] must be .* \[3, 3\]"):
        per_region_overlap([np.zeros((3, 3)), np.zeros((2, 3))], [truth, truth], rng=rng())
    with pytest.raises(InvalidInput, match="map 0"):
        per_region_overlap([np.full((3, 3), np.nan)], [truth], rng=rng())
