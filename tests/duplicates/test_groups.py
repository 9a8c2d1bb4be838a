"""Groups, keepers and thresholds: numbers in, numbers out."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.duplicates.calibration import FEWEST, UNCALIBRATED, Calibration
from dinosearch.duplicates.groups import Candidate, Link, joined, keeper, kind_of


def ids(links, apart=()):
    return [group.ids for group in joined(links, apart)]


def test_what_hangs_together_is_a_group():
    links = [Link(1, 2, "near", 0.9), Link(5, 6, "exact", 1), Link(2, 3, "contains", 0.7)]
    assert ids(links) == [(1, 2, 3), (5, 6)]
    first = joined(links)[0]
    assert kind_of(first.links) == "contains"
    assert min(link.score for link in first.links) == 0.7


def test_a_group_is_held_by_its_surest_links():
    links = [Link(1, 2, "near", 0.6), Link(2, 3, "near", 0.9), Link(1, 3, "near", 0.8)]
    assert joined(links)[0].links == (Link(2, 3, "near", 0.9), Link(1, 3, "near", 0.8))


def test_two_that_must_stay_apart_split_a_group_at_its_weakest_link():
    links = [Link(1, 2, "near", 0.9), Link(2, 3, "near", 0.7), Link(3, 4, "near", 0.95)]
    assert ids(links) == [(1, 2, 3, 4)]
    assert ids(links, [(1, 4)]) == [(1, 2), (3, 4)]
    assert ids(links, [(1, 3)]) == [(1, 2), (3, 4)]
    assert ids(links, [(2, 1)]) == [(2, 3, 4)]


def test_what_somebody_decided_comes_before_what_was_measured():
    links = [Link(1, 2, "exact", 1), Link(2, 3, "decided", 1)]
    assert ids(links, [(1, 3)]) == [(2, 3)]


def test_the_keeper_and_its_reason():
    def one(number, **changed):
        return Candidate(number, 100, 100, 900, "2024-05", False)._replace(**changed)

    assert keeper([one(1), one(2, width=101)]) == (2, "the largest, 101 x 100 pixels")
    assert keeper([one(1, bytes=901), one(2, width=50, height=200)])[0] == 1
    keep, reason = keeper([one(1), one(2, bytes=901), one(3, bytes=5, width=99)])
    assert (keep, "least compressed, 901 bytes" in reason) == (2, True)
    assert keeper([one(1), one(2, date="2023")]) == (2, "the oldest of equals, 2023")
    assert keeper([one(1), one(2, labelled=True)])[0] == 2
    assert keeper([one(3), one(1)]) == (1, "the first of equals that was indexed")


def test_a_threshold_lets_through_as_many_as_it_says():
    rng = np.random.default_rng(0)
    margins = rng.exponential(0.2, 4_000)
    calibration = Calibration.of(margins, each=4, looked_at=50_000, pairs=10_000_000)
    # 5,000 looked at in a million pairs, a quarter of which stand out from the others.
    assert calibration.tail == 1_250
    threshold = calibration.threshold(wanted=10)
    let_through = 1_250 * (np.tanh(margins) >= threshold).mean()
    assert let_through == pytest.approx(10, rel=0.4)
    assert calibration.expected(threshold) == pytest.approx(10)
    assert calibration.expected(0.9) < calibration.expected(0.5)


def test_an_index_too_small_to_say_anything_has_the_usual_threshold():
    few = Calibration.of(np.full(FEWEST - 1, 0.2), each=4, looked_at=100, pairs=1_000)
    assert few.threshold() == UNCALIBRATED
