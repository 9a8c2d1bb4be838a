"""Percentiles: the share of random pairs that score lower, against counting all pairs."""

from __future__ import annotations

import shutil
from itertools import combinations

import numpy as np
import pytest

import dinosearch
from dinosearch.search.background import SOURCES, WINDOW, Background, _percentile
from dinosearch.search.regions import NEARBY
from tests.painting import BLACK, CELLS, SIZE, WHITE, cosine, noise, plain, save

SHADES = [(int(value), 0, 0) for value in np.linspace(0, 255, 18)]


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number, shade in enumerate(SHADES):
        save(folder / f"{number:02d}.png", plain(shade))
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(folder)
        yield index


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Fewer pictures than are drawn: every one of them is a source and a target."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(12):
        save(folder / f"{seed:02d}.png", noise(seed))
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(folder)
        yield index


def share_below(values, score: float) -> float:
    return 100 * float(np.mean(np.asarray(values) < score))


def snapshot(index):
    return index._reader.ask(lambda snapshot, catalog: snapshot)


def test_a_percentile_is_the_share_of_all_pairs_that_score_lower(shades):
    pairs = [cosine(a, b) for a, b in combinations(SHADES, 2)]
    hits = shades.answer(6, k=18, percentiles=True).hits
    assert hits[0].percentile == 100, "itself, above every pair"
    for hit in hits[1:]:
        # Pairs of the same distance score alike but for rounding: none of them is lower.
        assert hit.percentile == pytest.approx(share_below(pairs, hit.score - 2e-3), abs=1)
    assert [hit.percentile for hit in hits] == sorted(
        (hit.percentile for hit in hits), reverse=True
    )


def test_a_score_that_some_pair_has_counts_those_below_it_and_no_others(shades):
    background = Background(snapshot(shades))
    cls = snapshot(shades).cls(np.arange(18))
    values = sorted(float(cls[a] @ cls[b]) for a, b in combinations(range(18), 2))
    for rank in (0, 40, 90, 152):
        clear = values[rank] - 1e-5
        assert background.of_whole(clear) == pytest.approx(share_below(values, clear), abs=1e-3)
    assert background.of_whole(-1) == 0
    assert background.of_whole(1.1) == 100


def test_equals_do_not_count_as_lower_and_a_hair_of_rounding_does_not_decide():
    scores = np.array([0.1, 0.5, 0.5, 0.9], np.float32)
    assert [_percentile(scores, score) for score in (0.05, 0.5, 0.5 + 1e-7, 0.51, 1.0)] == [
        0,
        25,
        25,
        75,
        100,
    ]


@pytest.mark.parametrize("position", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_parts_are_cut_from_each_picture_and_looked_for_in_every_other(busy, position, weight):
    seen = snapshot(busy)
    assert SOURCES >= 12
    background = Background(seen)
    assert seen.statistics is not None
    # The same draws, in the same order, counted without any array arithmetic.
    rng = np.random.default_rng(0)
    for count in (12, 12):
        rng.choice(np.arange(12), count, replace=False)
    scores = []
    for one in range(12):
        top, left = (int(rng.integers(0, CELLS - WINDOW + 1)) for _ in range(2))
        cells = [(top + r, left + c) for r in range(WINDOW) for c in range(WINDOW)]
        tokens = seen.tokens(one).astype(np.float32)
        for other in range(12):
            if other == one:
                continue
            theirs = seen.tokens(other).astype(np.float32)
            best = []
            for row, col in cells:
                reach = round(NEARBY * CELLS) if position else CELLS
                near = [
                    r * CELLS + c
                    for r in range(CELLS)
                    for c in range(CELLS)
                    if abs(r - row) <= reach and abs(c - col) <= reach
                ]
                best.append(max(float(tokens[row * CELLS + col] @ theirs[n]) for n in near))
            whole = float(seen.cls(np.array([one]))[0] @ seen.cls(np.array([other]))[0])
            scores.append(weight * np.mean(best) + (1 - weight) * whole)
    assert len(scores) == 132
    middle = [(a + b) / 2 for a, b in zip(sorted(scores), sorted(scores)[1:], strict=False)]
    for rank in (5, 40, 66, 100, 127):
        found = background.of_region(middle[rank], weight, position)
        assert found == pytest.approx(100 * (rank + 1) / 132, abs=1)


def test_where_what_was_stored_is_lost_the_same_is_drawn_anew(busy, tmp_path, caplog):
    copy = tmp_path / "x"
    shutil.copytree(busy.path, copy)
    for path in copy.glob("derived/*.safetensors"):
        path.unlink()
    with dinosearch.open(copy) as index:
        lost = snapshot(index)
        assert lost.statistics is lost.statistics is None
        assert len([r for r in caplog.records if "measuring the corpus anew" in r.message]) == 1
        stored, drawn = Background(snapshot(busy)), Background(lost)
        for score in np.linspace(0.2, 1, 9):
            assert stored.of_whole(score) == drawn.of_whole(score)
            for near in (False, True):
                assert stored.of_region(score, 0.7, near) == drawn.of_region(score, 0.7, near)


def test_what_was_stored_is_used_rather_than_drawn(busy):
    seen = snapshot(busy)
    assert seen.statistics is not None
    kept = dict(seen.statistics.arrays)
    try:
        # A corpus whose pairs score 0.1 to 0.8.
        seen.statistics.arrays["whole"] = np.linspace(0.1, 0.8, 8, dtype=np.float32)
        seen.statistics.arrays["parts"] = np.array([0.2, 0.4], np.float32)
        seen.statistics.arrays["wholes"] = np.array([0.6, 0.8], np.float32)
        background = Background(seen)
        assert background.of_whole(0.45) == 50
        # Half and half: 0.4 and 0.6.
        assert background.of_region(0.5, 0.5, False) == 50
        assert background.of_region(0.61, 0.5, False) == 100
    finally:
        seen.statistics.arrays.update(kept)


def test_region_answers_have_percentiles_of_regions(busy):
    answer = busy.answer(1, k=12, region=[(2, 2), (2, 3)], percentiles=True)
    background = Background(snapshot(busy))
    for hit in answer.hits:
        assert hit.percentile == background.of_region(hit.score, 1.0, False)
    assert answer.hits[0].percentile == 100
    near = busy.answer(1, k=12, region=[(2, 2), (2, 3)], position=True, percentiles=True)
    assert near.hits[3].percentile == background.of_region(near.hits[3].score, 1.0, True)
    mixed = busy.answer(1, k=12, region=[(2, 2)], weight=0.2, percentiles=True)
    assert mixed.hits[3].percentile == background.of_region(mixed.hits[3].score, 0.2, False)


def test_without_being_asked_for_there_is_no_percentile(busy):
    assert {hit.percentile for hit in busy.answer(1, k=3).hits} == {None}


def test_below_two_pictures_there_are_no_pairs(tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        assert Background(snapshot(index)).of_whole(0.5) is None
        index.add(save(tmp_path / "p" / "a.png", plain(BLACK)))
        background = Background(snapshot(index))
        assert background.of_whole(0.5) is None
        assert background.of_region(0.5, 1.0, False) is None
        assert index.answer(1, percentiles=True).hits[0].percentile is None
        index.add(save(tmp_path / "p" / "b.png", plain(WHITE)))
        hits = index.answer(1, percentiles=True).hits
        assert [hit.percentile for hit in hits] == [100, 0], "the only pair has score 0"


def test_a_background_serves_until_the_index_has_changed_by_a_tenth(shades, tmp_path):
    background = Background(snapshot(shades))
    background.items = 100
    assert [background.serves(items) for items in (89, 90, 100, 110, 111)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    background.items = 1
    assert not background.serves(1), "a second picture makes a pair"
