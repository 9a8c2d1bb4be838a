"""What may be asked beyond "the ten best": pages, mixtures, places, copies, lists to look into."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.geometry import PATCH, View
from dinosearch.search.engine import Engine
from dinosearch.search.query_picture import QueryPicture
from dinosearch.search.question import Question
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.derived import refresh_vectors
from tests.painting import (
    BLACK,
    BLUE,
    CELLS,
    RED,
    SIZE,
    WHITE,
    cosine,
    noise,
    pixels,
    plain,
    planted,
    save,
)
from tests.storage.store import create, features, fill, snapshot, writer

GREY, GREEN = (128, 128, 128), (40, 160, 90)
CELL = np.array([[RED]], dtype=np.uint8)
PART = noise(99)[:3, :2]
REGION = (0, 0, 2 * PATCH, 3 * PATCH)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """24 busy pictures; the first three again, once or twice, in folders named otherwise."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(24):
        save(folder / "a" / f"{seed:02d}.png", noise(seed))
    (folder / "b").mkdir()
    for copy, seed in (("0 again", 0), ("0 once more", 0), ("1 again", 1), ("2 again", 2)):
        shutil.copy(folder / "a" / f"{seed:02d}.png", folder / "b" / f"{copy}.png")
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(folder, labels="folders")
        yield index


def index_of(tmp_path, **pictures):
    """An index of a few pictures, with the ids 1, 2, ... in the order given."""
    index = dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE)
    for name, cells in pictures.items():
        index.add(save(tmp_path / "p" / f"{name}.png", cells))
    return index


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"distinct": True},
        {"region": REGION},
        {"region": REGION, "weight": 0.3, "distinct": True},
        {"where": "label:a"},
    ],
    ids=str,
)
def test_pages_are_the_long_answer_cut_up(index, question):
    query = pixels(planted(GREY, PART, 0, 0))
    whole = index.answer(query, k=40, **question)
    pages = [index.answer(query, k=5, offset=start, **question) for start in range(0, 40, 5)]
    hits = [hit for page in pages for hit in page.hits]
    assert [(hit.id, hit.box, hit.copies) for hit in hits] == [
        (hit.id, hit.box, hit.copies) for hit in whole.hits
    ]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in whole.hits])
    assert len(whole.hits) == {"label:a": 24}.get(question.get("where"), 28) - whole.hidden_copies


def test_pages_of_several_queries_that_any_may_answer(index):
    whole = index.answer([4, 5, 6], k=28, combine="any").hits
    assert {hit.id for hit in whole[:3]} == {4, 5, 6}
    second = index.answer([4, 5, 6], k=4, offset=3, combine="any").hits
    assert [hit.id for hit in second] == [hit.id for hit in whole[3:7]]


def test_beyond_the_end_there_is_nothing(index):
    answer = index.answer(1, k=5, offset=28)
    assert (answer.hits, answer.searched) == ([], 28)
    assert [hit.id for hit in index.answer(1, k=5, offset=27).hits] == [
        index.answer(1, k=28).hits[-1].id
    ]


@pytest.mark.parametrize("weight", [0, 0.25, 1])
def test_weight_mixes_the_region_and_the_whole(tmp_path, weight):
    with index_of(tmp_path, red=plain(RED), white=plain(WHITE), blue=plain(BLUE)) as index:
        query = pixels(planted(WHITE, CELL, 0, 0))  # 99 white cells and a red one
        length = np.sqrt(99**2 + 1 + 2 * 99 * cosine(RED, WHITE))
        answer = index.answer(query, k=3, region=[(0, 0)], weight=weight, same_size=True)
        for hit in answer.hits:
            colour = {1: RED, 2: WHITE, 3: BLUE}[hit.id]
            of_region = cosine(RED, colour)
            of_whole = (99 * cosine(WHITE, colour) + cosine(RED, colour)) / length
            assert hit.region_score == pytest.approx(of_region, abs=2e-3)
            assert hit.image_score == pytest.approx(of_whole, abs=2e-3)
            assert hit.score == pytest.approx(
                weight * of_region + (1 - weight) * of_whole, abs=2e-3
            )
        assert answer.hits[0].id == (1 if weight == 1 else 2)


def test_where_position_matters_only_what_is_near_its_place_counts(tmp_path):
    near, far = planted(GREY, CELL, 5, 4), planted(GREY, CELL, 8, 8)
    with index_of(tmp_path, far=far, near=near) as index:
        query, region = pixels(planted(WHITE, CELL, 4, 3)), [(4, 3)]
        anywhere = index.answer(query, k=2, region=region, same_size=True).hits
        assert [hit.score for hit in anywhere] == pytest.approx([1, 1], abs=2e-3)
        here = index.answer(query, k=2, region=region, position=True).hits
        assert [hit.id for hit in here] == [2, 1]
        assert [hit.score for hit in here] == pytest.approx([1, cosine(RED, GREY)], abs=2e-3)
        box = here[0].box
        assert box == pytest.approx((4 * PATCH, 5 * PATCH, 5 * PATCH, 6 * PATCH))


def test_copies_are_folded_into_the_first(index):
    answer = index.answer(1, k=40, distinct=True)
    copies = {hit.id: hit.copies for hit in answer.hits}
    assert len(copies) == 24
    assert {number: count for number, count in copies.items() if count} == {1: 2, 2: 1, 3: 1}
    assert (answer.searched, answer.items, answer.hidden_copies) == (28, 28, 4)
    assert answer.hits[0].id == 1


def test_a_copy_is_shown_when_a_filter_leaves_the_first_out(index):
    answer = index.answer(1, k=40, distinct=True, where="label:b")
    paths = {hit.path.rsplit("/", 1)[1]: hit.copies for hit in answer.hits}
    assert paths == {"0 again.png": 1, "1 again.png": 0, "2 again.png": 0}
    assert (answer.searched, answer.items, answer.hidden_copies) == (4, 28, 1)


def test_copies_of_a_region_answer_are_folded_too(index):
    answer = index.answer(1, k=40, region=[(0, 0)], distinct=True)
    assert (len(answer.hits), answer.hidden_copies) == (24, 4)
    assert (answer.hits[0].id, answer.hits[0].copies) == (1, 2)


def test_copies_are_all_shown_unless_asked_to_be_folded(index):
    answer = index.answer(1, k=40)
    assert (len(answer.hits), answer.hidden_copies) == (28, 0)
    assert {hit.copies for hit in answer.hits} == {0}
    assert [hit.score for hit in answer.hits[:3]] == pytest.approx([1, 1, 1], abs=1e-5)


def test_an_answer_counts_what_it_looked_at(index):
    answer = index.answer(1, k=3, where="label:b", region=[(0, 0), (2, 1)])
    assert (answer.searched, answer.items, answer.region_patches) == (4, 28, 2)
    assert answer.grid == View(SIZE).grid(SIZE, SIZE)
    assert (answer.exact, answer.nprobe) == (True, None)
    whole = index.answer(1, k=3)
    assert (whole.region_patches, whole.grid, whole.hits[0].box) == (None, None, None)
    assert whole.hits[0].region_score is None
    assert whole.hits[0].image_score == whole.hits[0].score


def test_a_hit_brings_what_the_index_knows_of_it(index):
    hit = index.answer(5, k=1).hits[0]
    assert (hit.item.id, hit.item.path, hit.item.labels) == (5, hit.path, ("a",))
    assert hit.item == index.item(5)


@pytest.mark.parametrize("region", [None, REGION])
def test_hits_below_the_least_score_are_left_out(index, region):
    whole = index.answer(1, k=40, region=region)
    least = (whole.hits[5].score + whole.hits[6].score) / 2
    cut = index.answer(1, k=40, region=region, min_score=least)
    assert [hit.id for hit in cut.hits] == [hit.id for hit in whole.hits[:6]]
    assert cut.searched == 28, "they were looked at all the same"
    assert index.answer(1, k=40, offset=6, region=region, min_score=least).hits == []
    assert len(index.answer(1, k=40, region=region, min_score=-1).hits) == 28


@pytest.mark.parametrize("region", [None, REGION])
def test_the_first_hits_bring_their_evidence_along(index, region):
    hits = index.answer(1, k=5, region=region, explain=2).hits
    assert [hit.evidence is not None for hit in hits] == [True, True, False, False, False]
    for hit in hits[:2]:
        why = index.explain(1, hit, region=region)
        assert hit.evidence.heat == pytest.approx(why.heat, abs=1e-6)
        assert hit.evidence.query_heat == pytest.approx(why.query_heat, abs=1e-6, nan_ok=True)
        assert hit.evidence.box == why.box == hit.box


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """1,500 made-up vectors behind an IVF index."""
    folder = create(tmp_path_factory.mktemp("store") / "x")
    with writer(folder) as store:
        fill(store, range(1_500), per_batch=500)
        assert refresh_vectors(store)
    return folder


def test_as_many_lists_are_looked_into_as_asked(lists):
    seen, view = snapshot(lists), View(28)
    engine = Engine(seen, Catalog.open(lists.catalog, writable=False), view)
    assert seen.vector_row is not None
    every = seen.vector_row.nlist
    grid = view.grid(28, 28)
    found: dict[int, int] = {}
    for number in range(50_000, 50_030):
        query = QueryPicture(features(number)[0], np.empty((0, 0)), grid)
        truth = engine.answer([query], Question.of(queries=1, exact=True))
        assert (truth.exact, truth.nprobe) == (True, None)
        ids = {hit.id for hit in truth.hits}
        for nprobe in (1, every):
            answer = engine.answer([query], Question.of(queries=1, nprobe=nprobe))
            assert (answer.exact, answer.nprobe) == (False, nprobe)
            found[nprobe] = found.get(nprobe, 0) + len(ids & {hit.id for hit in answer.hits})
        usual = engine.answer([query], Question.of(queries=1))
        assert (usual.exact, usual.nprobe) == (False, seen.vector_row.nprobe)
    assert found[every] == 300
    assert found[1] < 270


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"k": 1.0}, "k is 1.0"),
        ({"k": True}, "k is True"),
        ({"offset": -1}, "offset is -1"),
        ({"offset": 9_991}, "reach at most 10000"),
        ({"offset": 9_001, "k": 1_000}, "reach at most 10000"),
        ({"weight": 1.01}, "between 0 and 1"),
        ({"weight": float("nan")}, "between 0 and 1"),
        ({"min_score": 1.1}, "between -1 and 1"),
        ({"min_score": float("nan")}, "between -1 and 1"),
        ({"nprobe": 0}, "1 list or more"),
        ({"nprobe": 2.5}, "1 list or more"),
        ({"region": [(0, CELLS)]}, "outside the grid"),
    ],
)
def test_questions_that_cannot_be_asked(index, call, message):
    with pytest.raises(InvalidInput, match=message):
        index.answer(1, **call)


def test_a_region_goes_with_one_picture(index):
    with pytest.raises(InvalidInput, match="one picture"):
        index.answer([1, 2], region=[(0, 0)])


def test_the_deepest_page_there_may_be(index):
    assert index.answer(1, k=10, offset=9_990).hits == []


def test_black_and_white_make_the_lowest_score_there_is(tmp_path):
    with index_of(tmp_path, black=plain(BLACK), white=plain(WHITE)) as index:
        assert [hit.score for hit in index.search(1)] == pytest.approx([1, 0], abs=1e-3)
