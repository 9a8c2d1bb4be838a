"""Several parts in one question, and parts that a picture should not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, Region
from tests.cli.commands import ask
from tests.painting import SIZE, cosine, pixels, plain, planted, save

GREY = (128, 128, 128)
FIRST = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
SECOND = np.array([[[255, 0, 255], [0, 0, 0]], [[255, 255, 255], [0, 255, 255]]], dtype=np.uint8)
FIRST_BOX, SECOND_BOX = (14, 14, 42, 42), (84, 84, 112, 112)


def both(ground, first: tuple[int, int], second: tuple[int, int]) -> np.ndarray:
    cells = planted(ground, FIRST, *first)
    cells[second[0] : second[0] + 2, second[1] : second[1] + 2] = SECOND
    return cells


QUERY = pixels(both((40, 160, 90), (1, 1), (6, 6)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(30):
        grey = 90 + 3 * number
        save(folder / f"{number}.png", plain((grey, grey, 120)))
    save(folder / "first.png", planted(GREY, FIRST, 5, 2))
    save(folder / "second.png", planted(GREY, SECOND, 3, 3))
    save(folder / "both.png", both((100, 60, 60), (7, 0), (0, 7)))
    return folder


@pytest.fixture(scope="module")
def index(folder, tmp_path_factory):
    with dinosearch.create(
        tmp_path_factory.mktemp("index") / "x", encoder="colour", size=SIZE
    ) as index:
        index.add(folder)
        yield index


def names(hits) -> list[str]:
    return [hit.path.rsplit("/", 1)[1] for hit in hits]


@pytest.mark.parametrize("same_size", [True, False])
def test_what_holds_both_parts_comes_first_with_a_box_for_each(index, same_size):
    hits = index.answer(QUERY, k=5, region=[FIRST_BOX, SECOND_BOX], same_size=same_size).hits
    assert names(hits)[0] == "both.png"
    assert set(names(hits)[1:3]) == {"first.png", "second.png"}
    assert hits[0].boxes == (Box(0, 98, 28, 126), Box(98, 0, 126, 28))
    assert hits[0].box == hits[0].boxes[0]


def test_the_score_of_several_parts_is_the_mean_or_the_best_of_theirs(index):
    def scores(**asked) -> dict[str, float]:
        hits = index.answer(QUERY, k=33, same_size=True, **asked).hits
        return {hit.path: hit.score for hit in hits}

    first, second = scores(region=FIRST_BOX), scores(region=SECOND_BOX)
    parts = [FIRST_BOX, SECOND_BOX]
    for path, score in scores(region=parts).items():
        assert score == pytest.approx((first[path] + second[path]) / 2, abs=1e-5)
    for path, score in scores(region=parts, combine="any").items():
        assert score == pytest.approx(max(first[path], second[path]), abs=1e-5)


@pytest.mark.parametrize("same_size", [True, False])
def test_what_holds_the_unwanted_part_falls_behind(index, same_size):
    def found(**asked) -> dict[str, float]:
        hits = index.answer(QUERY, k=33, same_size=same_size, **asked).hits
        return {hit.path.rsplit("/", 1)[1]: hit.score for hit in hits}

    plainly = found(region=FIRST_BOX)
    assert set(list(plainly)[:2]) == {"first.png", "both.png"}
    scores = found(region=FIRST_BOX, without=SECOND_BOX)
    assert scores["first.png"] > 0.99
    # Down to what pictures have that hold neither.
    assert scores["both.png"] < plainly["0.png"] + 0.15
    # And the other way round.
    scores = found(region=SECOND_BOX, without=[FIRST_BOX])
    assert scores["second.png"] > 0.99
    assert scores["both.png"] < plainly["0.png"] + 0.15


def test_what_no_picture_holds_beyond_the_usual_costs_nothing(index):
    """The ground of the query is as far from all: only what lies above the mean is taken off."""
    plainly = index.answer(QUERY, k=33, region=FIRST_BOX, same_size=True).hits
    ground = index.answer(
        QUERY, k=33, region=FIRST_BOX, without=(112, 0, 140, 28), same_size=True
    ).hits
    before = {hit.path: hit.score for hit in plainly}
    unwanted = {
        hit.path: hit.score
        for hit in index.answer(QUERY, k=33, region=(112, 0, 140, 28), same_size=True).hits
    }
    least = min(unwanted, key=lambda path: unwanted[path])
    after = {hit.path: hit.score for hit in ground}
    assert after[least] == before[least]
    assert all(after[path] <= before[path] + 1e-6 for path in after)


def test_scores_without_a_part_are_what_the_formula_says(index):
    """One patch wanted, one unwanted, of pictures of one colour."""
    red, green = (14, 14, 28, 28), (28, 14, 42, 28)
    hits = index.answer(QUERY, k=33, region=red, without=green, same_size=True).hits
    scores = {hit.path.rsplit("/", 1)[1]: hit.score for hit in hits}
    grey = (90, 90, 120)
    unwanted = [cosine((0, 255, 0), (90 + 3 * n, 90 + 3 * n, 120)) for n in range(30)]
    # Two pictures hold the green patch; the third has its best in black or white.
    best = max(cosine((0, 255, 0), one) for one in [*map(tuple, SECOND.reshape(-1, 3)), GREY])
    level = _usual_mean([*unwanted, 1.0, 1.0, best])
    expected = cosine((255, 0, 0), grey) - max(0, unwanted[0] - level)
    assert scores["0.png"] == pytest.approx(expected, abs=3e-3)
    assert scores["first.png"] == pytest.approx(1 - (1 - level), abs=3e-3)


def _usual_mean(scores: list[float]) -> float:
    """The mean; for one size, what is imagined beside it has the same."""
    return float(np.mean(scores))


def test_explaining_several_parts_shows_the_best_of_both(index):
    hit = index.answer(QUERY, k=1, region=[FIRST_BOX, SECOND_BOX], same_size=True).hits[0]
    why = index.explain(QUERY, hit, region=[FIRST_BOX, SECOND_BOX], same_size=True)
    hot = {tuple(cell) for cell in np.argwhere(why.heat > 0.999).tolist()}
    there = {(7 + r, c) for r in range(2) for c in range(2)}
    there |= {(r, 7 + c) for r in range(2) for c in range(2)}
    assert hot == there
    assert int((~np.isnan(why.query_heat)).sum()) == 8
    assert why.boxes == hit.boxes


def test_a_sheet_shows_each_part_of_the_query(index):
    parts = [FIRST_BOX, SECOND_BOX]
    hits = index.search(QUERY, region=parts, k=3)
    one, two = index.sheet(QUERY, hits, region=FIRST_BOX), index.sheet(QUERY, hits, region=parts)
    assert one.size == two.size
    assert np.asarray(one).tolist() != np.asarray(two).tolist()


def test_regions_are_told_apart_by_their_form():
    box, patches = (0, 0, 14, 14), [(0, 1), (2, 3)]
    assert Region.several(None) == ()
    assert Region.several(box) == (Region.parse(box),)
    assert Region.several(patches) == (Region.parse(patches),)
    # Four patches are four pairs, not four numbers; nor four regions.
    assert Region.several([(0, 0), (0, 1), (1, 0), (1, 1)])[0].patches[3] == (1, 1)
    assert Region.several([box, patches]) == (Region.parse(box), Region.parse(patches))
    mask = np.ones((4, 4), dtype=bool)
    assert len(Region.several(mask)) == 1
    assert len(Region.several([mask, mask])) == 2


def test_bad_parts_are_refused(index):
    with pytest.raises(InvalidInput, match="should be without, but none"):
        index.search(QUERY, without=FIRST_BOX)
    with pytest.raises(InvalidInput, match="9 regions: mark at most 8"):
        index.search(QUERY, region=[FIRST_BOX] * 9)
    with pytest.raises(InvalidInput, match="outside the picture"):
        index.search(QUERY, region=[FIRST_BOX, (0, 0, 900, 900)])
    with pytest.raises(InvalidInput, match="goes with one picture"):
        index.search([QUERY, QUERY], region=[FIRST_BOX, SECOND_BOX])


def test_the_command_line_takes_several_parts_and_unwanted_ones(index, folder):
    save(folder.parent / "query.png", both((40, 160, 90), (1, 1), (6, 6)))
    query = folder.parent / "query.png"

    def found(*more: str) -> dict[str, Any]:
        """The first hit."""
        asked = ("search", query, "--in", index.path, "-k", 3, "--same-size")
        hits: list[dict[str, Any]] = ask(*asked, "--region", "14,14,42,42", *more)["hits"]
        return hits[0]

    first = found("--region", "84,84,112,112")
    assert first["path"].endswith("both.png")
    assert first["boxes"] == [[0, 98, 28, 126], [98, 0, 126, 28]]
    first = found("--not", "84,84,112,112")
    assert first["path"].endswith("first.png")
