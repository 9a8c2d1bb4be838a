"""Figures of merit, against numbers worked out on paper or by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dinosearch.evaluation.metrics import (
    auroc,
    average_precision,
    bootstrap,
    micro_average_precision,
    normalised_scores,
    recall_at,
)


def test_average_precision_is_the_area_by_trapezoids():
    # At rank 0: precision 1 before and 1 after. At rank 2: 1/2 before, 2/3 after.
    assert average_precision([5, 9, 7], {5, 7}) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert average_precision([9, 5], {5}) == pytest.approx((0 + 1 / 2) / 2)
    assert average_precision([5, 7], {5, 7}) == 1


def test_a_positive_that_is_not_reached_counts_as_never_found():
    assert average_precision([5], {5, 6}) == pytest.approx(0.5)
    assert average_precision([1, 2], {5}) == 0


def test_junk_is_taken_out_of_the_ranking_first():
    assert average_precision([8, 5, 8, 7], {5, 7}, {8}) == average_precision([5, 7], {5, 7}) == 1
    assert recall_at([8, 8, 5], {5}, 1, {8}) == 1


def test_one_right_answer_is_enough_for_recall():
    assert recall_at([1, 5, 6], {5, 6}, 1) == 0
    assert recall_at([1, 5, 6], {5, 6}, 2) == 1


def test_without_positives_there_is_no_figure():
    assert math.isnan(average_precision([1], set()))
    assert math.isnan(recall_at([1], set(), 1))
    assert math.isnan(micro_average_precision(np.array([1.0]), np.array([True]), 0))


def test_micro_average_precision_ranks_the_pairs_of_all_queries_together():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, False, True, False])
    # Precision 1/1 when the first is found and 2/3 when the second is; a third is missed.
    assert micro_average_precision(scores, right, 3) == pytest.approx((1 + 2 / 3) / 3)
    shuffled = np.array([2, 0, 3, 1])
    assert micro_average_precision(scores[shuffled], right[shuffled], 3) == pytest.approx(5 / 9)


def test_pairs_of_equal_score_enter_together():
    tied = micro_average_precision(np.array([0.5, 0.5]), np.array([True, False]), 1)
    other = micro_average_precision(np.array([0.5, 0.5]), np.array([False, True]), 1)
    assert tied == other == pytest.approx(0.5)


def test_a_pair_that_counts_twice_is_a_pair_that_is_there_twice():
    rng = np.random.default_rng(2)
    scores, right = rng.integers(0, 6, 30) / 6, rng.random(30) < 0.4
    times = rng.integers(0, 4, 30)
    wanted = int((times * right).sum()) + 3
    repeated = micro_average_precision(np.repeat(scores, times), np.repeat(right, times), wanted)
    assert micro_average_precision(scores, right, wanted, times=times) == pytest.approx(repeated)
    none = np.zeros(30, int)
    assert micro_average_precision(scores, right, 1, times=none) == 0


def test_draws_without_a_figure_are_left_out_of_the_interval():
    def rare(part):
        return float(part.mean()) if (part == 1).any() else float("nan")

    found = bootstrap([0.0] * 9 + [1.0], rng=np.random.default_rng(0), statistic=rare)
    assert found.value == pytest.approx(0.1)
    assert found.low is not None
    assert found.low >= 0.1, "a draw has at least one of ten, or no figure"
    never = bootstrap([0.0], rng=np.random.default_rng(0), statistic=lambda part: float("nan"))
    assert never.value is None


def test_score_normalisation_subtracts_what_a_query_is_like_anyway():
    scores = np.array([[0.9, 0.5], [0.9, 0.5]])
    background = np.array([[0.8, 0.8, 0.8, 0.1], [0.2, 0.1, 0.0, -0.5]])
    normalised = normalised_scores(scores, background)
    assert normalised == pytest.approx(np.array([[0.1, -0.3], [0.8, 0.4]]))


def test_auroc_counts_the_pairs_that_are_in_order_and_ties_half():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert math.isnan(auroc(scores, np.ones(40, bool)))


def test_the_interval_is_that_of_drawing_the_queries_again():
    values = np.array([0.0] * 50 + [1.0] * 50)
    found = bootstrap(values, rng=np.random.default_rng(1), rounds=4_000)
    # The mean of 100 coin tosses: a standard error of 0.05.
    assert (found.value, found.queries) == (0.5, 100)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.011)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.011)


def test_the_interval_leaves_out_queries_without_a_figure_and_repeats_with_its_seed():
    values = [float("nan"), 1.0, 0.0, 0.0]
    one = bootstrap(values, rng=np.random.default_rng(3))
    assert one == bootstrap(values[1:], rng=np.random.default_rng(3))
    assert one.value == pytest.approx(1 / 3)
    assert one.queries == 3
    nothing = bootstrap([float("nan")], rng=np.random.default_rng(3))
    assert (nothing.value, nothing.low, nothing.queries) == (None, None, 0)
