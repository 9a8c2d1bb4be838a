"""What a bank remembers, and how far tokens are from it."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.defects.judging import judge
from dinosearch.defects.memory import (
    LEAST,
    PROPOSED,
    Memory,
    best_matches,
    folds_of,
    picture_score,
    propose,
    quota_of,
    remember,
    top_count,
)


def unit(raw):
    return (raw / np.linalg.norm(raw, axis=-1, keepdims=True)).astype(np.float32)


def tokens(count, seed):
    return unit(np.random.default_rng(seed).standard_normal((count, 6)))


def proposals(count, quota, *, size=40):
    usable = np.ones(size, dtype=bool)
    return {
        10 + number: propose(tokens(size, number), usable, quota, seed=1) for number in range(count)
    }


def memory_of(rows):
    count = len(rows)
    return Memory(
        np.asarray(rows, np.float16), np.arange(count, dtype=np.int64), np.zeros(count, np.int32)
    )


def test_a_picture_proposes_only_what_is_usable_and_most_various_first():
    three = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    usable = np.ones(15, dtype=bool)
    usable[10:] = False
    found = propose(three, usable, 2, seed=0)
    assert sorted(found.cells // 5) == [0, 1], "one of each kind, none of what is not usable"
    assert found.usable == 10
    assert np.array_equal(found.tokens, three[found.cells].astype(np.float16))


def test_a_smaller_quota_is_the_beginning_of_a_larger():
    usable = np.ones(40, dtype=bool)
    many = propose(tokens(40, 3), usable, 20, seed=9)
    few = propose(tokens(40, 3), usable, 8, seed=9)
    assert np.array_equal(many.cells[:8], few.cells)


def test_the_quota_shares_what_is_proposed_and_never_falls_to_nothing():
    assert quota_of(10, 100) == PROPOSED * 100 // 10
    assert quota_of(10_000, 100) == LEAST


def test_within_the_budget_everything_is_remembered_with_where_it_is_from():
    few = proposals(2, 5)
    found = remember(few, budget=100, seed=0)
    assert found.pictures.tolist() == [10] * 5 + [11] * 5
    assert np.array_equal(found.cells, np.concatenate([few[10].cells, few[11].cells]))


def test_a_bank_of_the_budget_depends_on_its_pictures_only():
    quota = quota_of(6, 30)
    some = proposals(6, quota)
    longer = proposals(6, quota + 10)
    backwards = dict(reversed(longer.items()))
    found, same = (remember(one, budget=30, seed=4) for one in (some, backwards))
    assert len(found.tokens) == 30
    for name in found._fields:
        assert np.array_equal(getattr(found, name), getattr(same, name)), name
    other = remember(some, budget=30, seed=5)
    assert not np.array_equal(found.cells, other.cells)


def test_a_bank_without_pictures_holds_none_of_their_tokens():
    found = remember(proposals(3, 5), budget=100, seed=0)
    less = found.without([11])
    assert less.pictures.tolist() == [10] * 5 + [12] * 5
    assert np.array_equal(less.tokens[5:], found.tokens[10:])


def test_best_matches_are_those_of_comparing_all():
    ours, known = tokens(600, 1), tokens(50, 2)
    cosines, which = best_matches(ours, known)
    plain = ours @ known.T
    assert cosines == pytest.approx(plain.max(axis=1), abs=1e-6)
    assert np.array_equal(which, plain.argmax(axis=1))


@pytest.mark.parametrize(
    ("patches", "count"), [(1, 1), (99, 1), (100, 1), (101, 2), (300, 3), (1600, 16), (484, 5)]
)
def test_one_patch_in_a_hundred_counts_and_one_at_least(patches, count):
    assert top_count(patches, 0.01) == count


def test_a_picture_scores_the_mean_of_its_hottest():
    scores = np.zeros(200, dtype=np.float32)
    scores[[3, 77, 150]] = (0.9, 0.5, 0.4)
    assert picture_score(scores, share=0.01) == pytest.approx((0.9 + 0.5) / 2)


def test_a_token_unlike_the_memory_scores_one_less_its_cosine():
    memory = memory_of(np.eye(3, 6))
    odd = unit(np.array([0, 0.6, 0, 0.8, 0, 0]))
    picture = np.stack([np.eye(6, dtype=np.float32)[0]] * 5 + [odd])
    usable = np.array([True] * 6)
    usable[2] = False
    found = judge(picture, usable, memory)
    assert found.score == pytest.approx(1 - 0.6, abs=1e-6)
    assert found.hottest.tolist() == [5]
    assert found.matches.tolist() == [1]
    assert np.isnan(found.heat[2])
    assert found.heat[[0, 1, 3, 4]] == pytest.approx(0, abs=1e-6)


def test_folds_are_even_and_drawn_by_the_seed():
    found = folds_of(12, 5, seed=0)
    assert sorted(np.bincount(found).tolist()) == [2, 2, 2, 3, 3]
    assert np.array_equal(found, folds_of(12, 5, seed=0))
    assert not np.array_equal(found, folds_of(12, 5, seed=1))
    assert sorted(folds_of(3, 5, seed=0).tolist()) == [0, 1, 2]
