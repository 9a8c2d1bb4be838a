"""Perceptual hashes, and which pairs are worth a closer look."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.duplicates.candidates import EACH, FEW, by_cls, by_hash, lowering
from dinosearch.duplicates.perceptual_hash import as_signs, hash_bits, product_at
from dinosearch.storage.near_pairs import near_pairs
from tests.test_scoring import unit


def grey(seed: int, count: int = 1) -> np.ndarray:
    """Smooth greys [count, 32, 32]."""
    rough = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8))
    return np.kron(rough, np.ones((4, 4)))


def test_a_bit_says_whether_a_frequency_lies_above_the_median():
    across = np.cos((2 * np.arange(32) + 1) * np.pi * 3 / 64)
    picture = 128 + 50 * np.tile(across, (32, 1))
    bits = hash_bits(picture[None])[0].reshape(8, 8)
    # The brightness and the third frequency across, nothing else.
    assert np.argwhere(bits).tolist() == [[0, 0], [0, 3]]
    turned = hash_bits(picture[None], mirrored=True)[0].reshape(8, 8)
    assert not turned[0, 3]


def test_the_hash_of_the_mirrored_picture_needs_no_mirrored_picture():
    pictures = grey(0, 20)
    assert (hash_bits(pictures, mirrored=True) == hash_bits(pictures[:, :, ::-1])).all()


def test_brightness_and_contrast_change_no_bit():
    pictures = grey(1, 20)
    assert (hash_bits(pictures) == hash_bits(20 + 0.5 * pictures)).all()


def test_products_of_signs_count_bits():
    bits = np.zeros((2, 64), bool)
    bits[1, :10] = True
    one, other = as_signs(bits)
    assert one @ other == pytest.approx(product_at(10))
    assert one @ one == pytest.approx(1)


def test_hashes_propose_copies_and_mirrored_ones_and_no_strangers():
    pictures = grey(2, 30)
    pictures[10] = 0.7 * pictures[3] + 10
    pictures[11] = pictures[4][:, ::-1]
    bits, mirrored = hash_bits(pictures), hash_bits(pictures, mirrored=True)
    known = np.ones(30, bool)
    assert by_hash(bits, mirrored, known).tolist() == [[3, 10], [4, 11]]
    known[10] = False
    assert by_hash(bits, mirrored, known).tolist() == [[4, 11]]
    sides = np.zeros(30, bool)
    sides[11] = True
    assert by_hash(bits, mirrored, np.ones(30, bool), sides=sides).tolist() == [[4, 11]]


def copied(copies: int) -> np.ndarray:
    """Unit rows [2 * FEW, 32]: strangers, and after the first so many copies of it."""
    cls = unit(2 * FEW, 32, 0)
    cls[1 : copies + 1] = cls[0] + 0.05 * cls[1 : copies + 1]
    return np.asarray(cls / np.linalg.norm(cls, axis=1, keepdims=True))


def test_each_picture_brings_its_most_alike():
    cls = copied(7)
    lowered = lowering(cls, np.random.default_rng(0))
    pairs = {tuple(pair) for pair in by_cls(cls, lowered).tolist()}
    scores = cls @ cls.T - lowered[:, None] - lowered
    np.fill_diagonal(scores, -1)
    wanted = {
        (min(row, int(col)), max(row, int(col)))
        for row in range(len(cls))
        for col in np.argsort(-scores[row], kind="stable")[:EACH]
        if scores[row, col] >= 0.1
    }
    assert pairs == wanted >= {(i, j) for j in range(8) for i in range(j)}
    sides = np.arange(len(cls)) == 3
    across = {tuple(pair) for pair in by_cls(cls, lowered, sides=sides).tolist()}
    assert across >= {(0, 3), (1, 3), (2, 3), (3, 4)}
    assert all((i == 3) != (j == 3) for i, j in across)


def test_of_very_many_alike_only_the_nearest_are_brought():
    cls = copied(60)
    pairs = by_cls(cls, np.full(len(cls), 0.1, np.float32))
    often = np.bincount(pairs.ravel(), minlength=61)[:61]
    # Each is in its own eight, and in those of others that have it among theirs.
    assert often.min() >= EACH
    assert len(pairs) <= EACH * len(cls)


def test_a_picture_is_lowered_by_its_nearest_that_can_be_no_copies():
    cls = unit(2 * FEW, 64, 1)
    lowered = lowering(cls, np.random.default_rng(0))
    # 300 of 400 are drawn, and with them 8 of 10 that may be copies: those after count.
    drawn = np.sort(np.random.default_rng(0).choice(400, 300, replace=False))
    others = np.sort(cls[drawn[drawn != 0]] @ cls[0])
    assert lowered[0] == pytest.approx(others[-11:-8].mean() / 2, abs=1e-6)
    asked = lowering(cls, np.random.default_rng(0), of=cls[5:6])
    assert asked[0] == pytest.approx(lowered[5], abs=0.02)
    assert not lowering(cls[:50], np.random.default_rng(0)).any()


def test_inverted_lists_find_near_pairs_and_no_others():
    vectors = unit(2_000, 32, 2)
    rng = np.random.default_rng(3)
    vectors[1_000:1_100] = vectors[:100] + 0.04 * rng.normal(size=(100, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    every = np.triu(vectors @ vectors.T, 1)
    wanted = set(map(tuple, np.argwhere(every >= 0.93).tolist()))
    first, second, scores = near_pairs(vectors, 0.93)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    assert found <= wanted
    assert len(found) >= 0.98 * len(wanted) >= 95
    assert scores == pytest.approx(every[first, second], abs=1e-5)
    lowered = np.where(np.arange(2_000) < 50, 0.2, 0.01).astype(np.float32)
    first, second, scores = near_pairs(vectors, 0.9, lowered=lowered)
    less = every - lowered[:, None] - lowered
    assert scores == pytest.approx(less[first, second], abs=1e-5)
    first, second, scores = near_pairs(vectors, 0.93, lowered=lowered)
    assert first.min() >= 50
    assert {(i, j) for i, j in found if i >= 50} >= set(
        zip(first.tolist(), second.tolist(), strict=True)
    )
    assert len(first) >= 20
