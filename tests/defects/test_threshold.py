"""The threshold from good pictures alone, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.defects.threshold import beta_quantile, rate_interval, threshold_of


def test_of_ninety_nine_scores_the_fifth_from_above_promises_five_in_a_hundred():
    found = threshold_of(np.random.default_rng(0).permutation(99) / 100, false_alarms=0.05)
    # Rank ceil(100 * 0.95) = 95 of 0.00, 0.01, ..., 0.98.
    assert found.value == pytest.approx(0.94)
    assert found.promised == pytest.approx(0.05)
    assert found.enough
    assert found.pictures == 99


def test_nineteen_are_just_enough_for_five_in_a_hundred():
    just = threshold_of(np.arange(19.0), false_alarms=0.05)
    assert (just.value, just.enough) == (18.0, True)
    assert just.promised == pytest.approx(0.05)
    few = threshold_of(np.arange(18.0), false_alarms=0.05)
    assert (few.value, few.enough) == (17.0, False)
    assert few.promised == pytest.approx(1 / 19)


def test_the_promise_is_never_more_than_what_was_asked_for():
    # Of 100, rank 95 would promise 6 in 101.
    found = threshold_of(np.arange(100.0), false_alarms=0.05)
    assert (found.value, found.enough) == (95.0, True)
    assert found.promised == pytest.approx(5 / 101)


def test_without_scores_there_is_no_threshold():
    none = threshold_of([], false_alarms=0.05)
    assert (none.value, none.promised, none.low, none.enough) == (None, None, None, False)


def test_the_interval_is_that_of_an_order_statistic():
    # scipy.stats.beta(5, 95).ppf([0.025, 0.975])
    found = threshold_of(np.arange(99.0), false_alarms=0.05)
    assert (found.low, found.high) == pytest.approx((0.01659991, 0.10022791), abs=1e-6)


@pytest.mark.parametrize(
    ("share", "a", "b", "expected"),
    [
        # scipy.stats.beta(a, b).ppf(share)
        (0.5, 1, 1, 0.5),
        (0.025, 1, 16, 0.0015811),
        (0.975, 1, 16, 0.2059072),
        (0.975, 16, 286, 0.0808623),
        (0.5, 3, 2, 0.6142724),
    ],
)
def test_quantiles_are_those_of_the_beta_distribution(share, a, b, expected):
    assert beta_quantile(share, a, b) == pytest.approx(expected, abs=1e-6)


def test_quantiles_of_beta_one_n_by_hand():
    # Beta(1, n): the mass below x is 1 - (1 - x)^n.
    assert beta_quantile(0.3, 1, 7) == pytest.approx(1 - 0.7 ** (1 / 7), abs=1e-9)
    assert beta_quantile(0.3, 7, 1) == pytest.approx(0.3 ** (1 / 7), abs=1e-9)


def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson():
    # scipy.stats.binomtest(k, n).proportion_ci(method="exact")
    assert rate_interval(0, 10) == pytest.approx((0.0, 0.3084971), abs=1e-6)
    assert rate_interval(10, 10) == pytest.approx((0.6915029, 1.0), abs=1e-6)
    assert rate_interval(7, 150) == pytest.approx((0.0189656, 0.0937859), abs=1e-6)


def test_the_promise_holds_for_scores_of_any_distribution():
    rng = np.random.default_rng(7)
    rates = []
    for _ in range(400):
        scores = rng.lognormal(0, 1.5, 60)
        found = threshold_of(scores, false_alarms=0.1)
        assert found.value is not None
        rates.append((rng.lognormal(0, 1.5, 2_000) > found.value).mean())
    assert np.mean(rates) == pytest.approx(found.promised, abs=0.006)
    inside = np.mean([found.low <= rate <= found.high for rate in rates])
    assert inside == pytest.approx(0.95, abs=0.035)
