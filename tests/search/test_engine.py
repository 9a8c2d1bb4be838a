"""Scans for a part are kept: asked again they cost nothing, and never answer for another index."""

from __future__ import annotations

import pytest

import dinosearch
from dinosearch.geometry import PATCH
from dinosearch.storage.snapshot import Snapshot
from tests.painting import RED, SIZE, noise, pixels, plain, planted, save

PART = noise(77)[:2, :2]
QUERY = pixels(planted((90, 90, 90), PART, 0, 0))
REGION = (0, 0, 2 * PATCH, 2 * PATCH)


@pytest.fixture
def scanned(monkeypatch):
    """How many pictures were compared with the part, by scan."""
    counts: list[int] = []
    token_blocks = Snapshot.token_blocks

    def counting(snapshot, allowed, size):
        counts.append(int(allowed.sum()))
        return token_blocks(snapshot, allowed, size)

    monkeypatch.setattr(Snapshot, "token_blocks", counting)
    return counts


@pytest.fixture
def index(tmp_path):
    for seed in range(20):
        save(tmp_path / "p" / ("even" if seed % 2 == 0 else "odd") / f"{seed}.png", noise(seed))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p", labels="folders")
        yield index


def fresh(index, **question):
    """The answer of an index object that has answered nothing before."""
    with dinosearch.open(index.path) as other:
        return other.answer(QUERY, region=REGION, **question).hits


def test_the_same_part_with_other_filters_is_answered_from_the_scan(index, scanned):
    for question in (
        {"where": "label:even", "k": 3},
        {"k": 20},
        {"where": "label:odd", "k": 20},
        {"k": 5, "offset": 5, "weight": 0.5},
    ):
        hits = index.answer(QUERY, region=REGION, **question).hits
        before = sum(scanned)
        assert hits == fresh(index, **question)
        del scanned[:]
        assert before in (10, 0), "each picture is compared once"
    assert {hit.labels for hit in fresh(index, where="label:odd", k=20)} == {("odd",)}


def test_nothing_is_scanned_twice(index, scanned):
    index.answer(QUERY, region=REGION, where="label:even")
    assert sum(scanned) == 10
    index.answer(QUERY, region=REGION)
    assert sum(scanned) == 20
    index.answer(QUERY, region=REGION, where="-label:even", k=7, offset=2)
    index.answer(QUERY, region=REGION, weight=0.1)
    assert sum(scanned) == 20


@pytest.mark.parametrize(
    "other",
    [
        {"region": (0, 0, PATCH, 2 * PATCH)},
        {"region": REGION, "position": True},
        {"region": REGION, "same_size": True},
    ],
)
def test_another_part_or_a_part_that_has_its_place_is_another_scan(index, scanned, other):
    index.answer(QUERY, region=REGION)
    index.answer(QUERY, **other)
    assert sum(scanned) == 40


def test_after_a_commit_the_scan_is_done_anew(index, tmp_path):
    before = index.answer(QUERY, region=REGION, k=30)
    assert len(before.hits) == 20
    save(tmp_path / "p" / "odd" / "new.png", planted(RED, PART, 5, 5))
    save(tmp_path / "p" / "odd" / "1.png", plain(RED), scale=2)
    with dinosearch.open(index.path) as other:
        other.add(tmp_path / "p", labels="folders")
    after = index.answer(QUERY, region=REGION, k=30)
    assert after.generation > before.generation
    assert len(after.hits) == 21
    assert after.hits[0].path.endswith("new.png")
    assert after.hits == fresh(index, k=30)
    index.remove(after.hits[0].id)
    left = index.answer(QUERY, region=REGION, k=30).hits
    # What is usual has changed with the corpus, so scores have, and near ties may swap.
    assert {hit.id for hit in left} == {hit.id for hit in after.hits[1:]}
    assert left == fresh(index, k=30)


def test_explaining_a_whole_picture_asks_no_patch_index(index, monkeypatch):
    """Sixteen hundred patches would be looked up, for a figure that one size does not need."""
    monkeypatch.delattr(Snapshot, "propose")
    assert index.explain(1, 2).heat.shape
    assert index.explain(QUERY, 2, region=REGION, same_size=True).box
