"""Agreement in detail, on pictures of noise whose correlation one knows."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.duplicates.comparing import score_of
from dinosearch.duplicates.detail import Grey, agreement
from dinosearch.duplicates.layout import Placement

SIDE = 192
SAME = Placement(1, 0, False, 400, 1.0)
NOTHING = np.zeros((64, 64), np.float32)


def noise(seed: int, cells: int = 48) -> np.ndarray:
    """Grey squares of 4 x 4 pixels, float [192, 192], in 40 to 215."""
    grey = np.random.default_rng(seed).uniform(40, 215, (cells, cells))
    return np.kron(grey, np.ones((SIDE // cells, SIDE // cells)))


def grey(values: np.ndarray, width: int | None = None, height: int | None = None) -> Grey:
    return Grey(values.astype(np.float32), width or values.shape[1], height or values.shape[0])


def test_equal_pictures_agree_whatever_their_brightness_and_contrast():
    one = noise(0)
    assert agreement(grey(one), grey(one), NOTHING, SAME) == pytest.approx(1, abs=1e-4)
    assert agreement(grey(one), grey(30 + 0.4 * one), NOTHING, SAME) == pytest.approx(1, abs=1e-3)


def test_strangers_do_not_agree_and_a_mixture_agrees_in_part():
    one, other = noise(0), noise(1)
    found = agreement(grey(one), grey(other), NOTHING, SAME)
    assert found is not None
    assert found < 0.2
    mixed = agreement(grey(one), grey(one + other), NOTHING, SAME)
    assert mixed == pytest.approx(np.sqrt(0.5), abs=0.07)


def test_a_part_that_was_written_over_is_left_out():
    one = noise(0)
    written = one.copy()
    written[: SIDE // 4] = noise(1)[: SIDE // 4]
    assert agreement(grey(one), grey(written), NOTHING, SAME) == pytest.approx(1, abs=0.01)
    written[: SIDE // 2] = noise(1)[: SIDE // 2]
    half = agreement(grey(one), grey(written), NOTHING, SAME)
    assert half is not None
    assert half < 0.85


def test_what_all_look_alikes_share_does_not_count():
    frame = noise(2)
    one, other = frame + 0.2 * noise(3), frame + 0.2 * noise(4)
    plain = agreement(grey(one), grey(other), NOTHING, SAME)
    known = agreement(grey(one), grey(other), frame.astype(np.float32), SAME)
    assert plain is not None
    assert known is not None
    assert plain > 0.9
    assert known < 0.4
    again = agreement(grey(one), grey(0.8 * one), frame.astype(np.float32), SAME)
    assert again == pytest.approx(1, abs=0.01)


def test_a_crop_agrees_at_its_place_and_nowhere_else():
    one = noise(5)
    crop = grey(one[40:136, 60:156], 960, 960)  # a thumbnail of a larger file
    there = Placement(0.1, 60 + 40j, False, 100, 1.0)
    assert agreement(crop, grey(one), NOTHING, there) == pytest.approx(1, abs=0.02)
    beside = Placement(0.1, 80 + 40j, False, 100, 1.0)
    assert agreement(crop, grey(one), NOTHING, beside) < 0.3  # type: ignore[operator]


def test_a_mirrored_picture_agrees_when_it_is_placed_so():
    one = noise(6)
    there = Placement(-1, SIDE, True, 100, 1.0)
    assert agreement(grey(one), grey(one[:, ::-1]), NOTHING, there) == pytest.approx(1, abs=1e-3)


def test_empty_pictures_say_nothing():
    blank = grey(np.full((SIDE, SIDE), 200.0))
    assert agreement(blank, blank, NOTHING, SAME) is None


def test_the_score_is_what_is_left_above_look_alikes():
    assert score_of(0.8, 0.0) == pytest.approx(0.8)
    assert score_of(0.8, 0.8) == 0
    assert score_of(0.5, 0.9) == 0
    # (0.95 - 0.5) / (1 - 0.95 * 0.5): how velocities, and hyperbolic tangents, subtract.
    assert score_of(0.95, 0.5) == pytest.approx(0.45 / 0.525)
