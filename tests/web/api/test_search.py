"""POST /search: each number of an answer against the formula, or against Python's answer."""

from __future__ import annotations

import pytest

from dinosearch import Box, knee
from dinosearch.geometry import PATCH
from tests.painting import BLUE, RED, SIZE, cosine, plain, planted
from tests.web.api.answers import ask, heat_of, names, problem_of, upload
from tests.web.api.corpus import GREY, PART, PLACES, QUERY, REGION, SHADES, png, row_of


@pytest.fixture
def query_id(client):
    """The planted part on green, uploaded."""
    return upload(client, png(QUERY)).get_json()["query_id"]


def iou(found, truth) -> float:
    boxes = [Box(x, y, x + w, y + h) for x, y, w, h in (found, truth)]
    return boxes[0].iou(boxes[1])


def test_whole_pictures_come_with_their_cosines_best_first(client, site):
    answer = ask(client, site.ids["05.png"], filters=["label:shades"], k=12)
    assert names(answer)[0] == "05.png"
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, 13))
    for hit, name in zip(answer["hits"], names(answer), strict=True):
        expected = cosine(SHADES[5], SHADES[int(name[:2])])
        assert hit["score"] == pytest.approx(expected, abs=2e-3)
        assert (hit["image_score"], hit["region_score"]) == (hit["score"], None)
        assert hit["id"] == site.ids[name]
        assert (hit["path"], hit["labels"]) == (f"shades/{name}", ["shades"])
        assert (hit["width"], hit["height"]) == (SIZE, SIZE)
        assert (hit["matched"], hit["heat"]) == (None, None)
        assert hit["thumb"].startswith(f"/api/v1/images/{hit['id']}/thumb?s=256&v=")


def test_the_answer_is_that_of_python(client, site, index):
    for question in ({}, {"exact": True}, {"filters": ["-label:noise", "size:140.."]}):
        answer = ask(client, site.ids["3.png"], k=30, dedupe=False, **question)
        direct = index.answer(
            site.ids["3.png"],
            k=30,
            where=question.get("filters", ()),
            exact=question.get("exact", False),
            percentiles=True,
        )
        assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in direct.hits]
        for hit, expected in zip(answer["hits"], direct.hits, strict=True):
            assert hit["score"] == pytest.approx(expected.score, abs=1e-6)
            assert hit["percentile"] == expected.percentile
        assert (answer["index_id"], answer["generation"]) == (index.id, direct.generation)
        assert answer["total_searched"] == direct.searched


def test_a_marked_part_is_found_with_its_box_in_every_kind_of_picture(client, query_id):
    answer = ask(client, query_id, mode="region", region=REGION, k=6, same_size=True)
    assert set(names(answer)[:5]) == set(PLACES)
    for hit, name in zip(answer["hits"][:5], names(answer), strict=False):
        assert hit["score"] == hit["region_score"] == pytest.approx(1, abs=2e-2)
        assert hit["matched"]["patches"] == 6
        assert iou(hit["matched"]["box"], PLACES[name]) > 0.9, name
        assert hit["percentile"] > 95
    assert answer["hits"][5]["score"] < 0.96, "noise has a cell like each of them somewhere"
    assert (answer["query_patches"], answer["query_grid"]) == (6, [10, 10])
    assert answer["query_crop"] == [0, 0, 1, 1]


def test_a_part_is_looked_for_at_several_sizes(client, query_id):
    answer = ask(client, query_id, mode="region", region=REGION, k=6)
    assert set(names(answer)[:5]) == set(PLACES)
    for hit, name in zip(answer["hits"][:5], names(answer), strict=False):
        assert iou(hit["matched"]["box"], PLACES[name]) > 0.9, name


def test_several_parts_and_unwanted_ones_are_those_of_python(client, query_id, index, site):
    """The upper and the lower half of the part, in the order that Python gives them."""
    upper, lower = REGION | {"h": REGION["h"] / 3}, {"patches": [[6, 4], [6, 5]]}
    path = site.corpus.parent / "parts.png"
    path.write_bytes(png(QUERY))
    left, right = 4 * PATCH, 6 * PATCH
    boxes = [(left, 4 * PATCH, right, 5 * PATCH), (left, 6 * PATCH, right, 7 * PATCH)]
    answer = ask(client, query_id, mode="region", regions=[upper, lower], k=9, same_size=True)
    direct = index.answer(path, region=boxes, k=9, same_size=True).hits
    assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in direct]
    assert answer["query_patches"] == 4
    for hit, expected in zip(answer["hits"], direct, strict=True):
        size = expected.item.width, expected.item.height
        fractions = [list(box.fractions(*size)) for box in expected.boxes]
        assert len(fractions) == 2
        assert hit["matched"]["boxes"] == [pytest.approx(one, abs=1e-6) for one in fractions]
        assert hit["matched"]["box"] == hit["matched"]["boxes"][0]
    answer = ask(
        client, query_id, mode="region", region=upper, without=[lower], k=9, same_size=True
    )
    direct = index.answer(path, region=boxes[0], without=boxes[1], k=9, same_size=True).hits
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx(
        [hit.score for hit in direct], abs=1e-6
    )


def test_bad_parts_are_named_by_their_place(client, query_id):
    outside = {"x": 0.9, "y": 0.1, "w": 0.2, "h": 0.1}
    for more, pointer in (
        ({"regions": [REGION, outside]}, "/regions/1/w"),
        ({"region": REGION, "without": [outside]}, "/without/0/w"),
        ({"regions": [{"patches": [[99, 0]]}]}, "/regions/0/patches"),
    ):
        body = {"query": {"query_id": query_id}, "mode": "region", **more}
        problem = problem_of(client.post("/api/v1/search", json=body), 422, "bad-region")
        assert problem["errors"][0]["pointer"] == pointer
    body = {"query": {"query_id": query_id}, "mode": "region", "region": REGION}
    both = client.post("/api/v1/search", json=body | {"regions": [REGION]})
    assert problem_of(both, 422, "invalid-request")["errors"][0]["pointer"] == "/regions"


def test_rectangle_and_patches_mean_the_same(client, query_id, index, site):
    rectangle = ask(client, query_id, mode="region", region=REGION)
    patches = [[row, col] for row in range(4, 7) for col in range(4, 6)]
    painted = ask(client, query_id, mode="region", region={"patches": patches})
    assert painted["hits"] == rectangle["hits"]
    region = (4 * PATCH, 4 * PATCH, 6 * PATCH, 7 * PATCH)
    path = site.corpus.parent / "query.png"
    path.write_bytes(png(QUERY))
    direct = index.search(path, region=region, k=20)
    assert [hit["id"] for hit in rectangle["hits"]][:20] == [hit.id for hit in direct]
    for hit, expected in zip(rectangle["hits"], direct, strict=False):
        assert hit["score"] == pytest.approx(expected.score, abs=1e-6)
        fractions = expected.box.fractions(expected.item.width, expected.item.height)
        assert hit["matched"]["box"] == pytest.approx(fractions, abs=1e-6)


def test_a_region_beyond_the_crop_has_the_crop_moved(client, site):
    answer = ask(
        client, upload(client, png(three_squares())).get_json()["query_id"],
        mode="region", region={"x": 0.8, "y": 0.1, "w": 0.1, "h": 0.3},
        filters=["label:shades"], k=1,
    )  # fmt: skip
    x, y, w, h = answer["query_crop"]
    assert (y, w, h) == pytest.approx((0, 1 / 3, 1))
    assert x <= 0.8
    assert x + w >= 0.9 - 1e-6
    assert names(answer) == ["11.png"], "the red square to the right, which no crop shows"
    # Patches are those of the crop in the middle, which is blue.
    answer = ask(
        client, upload(client, png(three_squares())).get_json()["query_id"],
        mode="region", region={"patches": [[0, 0]]}, k=1,
    )  # fmt: skip
    assert answer["query_crop"] == pytest.approx([1 / 3, 0, 1 / 3, 1])
    assert answer["hits"][0]["score"] > 0.9


def three_squares():
    return row_of(plain(GREY), plain(BLUE), plain(RED))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_both_is_a_mixture_by_weight(client, query_id, weight):
    answer = ask(client, query_id, mode="both", weight=weight, region=REGION, k=40)
    assert len(answer["hits"]) > 20
    for hit in answer["hits"]:
        mixed = weight * hit["region_score"] + (1 - weight) * hit["image_score"]
        assert hit["score"] == pytest.approx(mixed, abs=2e-6)
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    if weight == 1.0:
        assert answer["hits"] == ask(client, query_id, mode="region", region=REGION, k=40)["hits"]


def test_mode_image_ignores_a_region_and_mode_region_the_weight(client, query_id):
    whole = ask(client, query_id)
    assert ask(client, query_id, region=REGION, weight=0.1)["hits"] == whole["hits"]
    part = ask(client, query_id, mode="region", region=REGION)
    again = ask(client, query_id, mode="region", region=REGION, weight=0.1)
    assert again["hits"] == part["hits"]


def test_where_position_matters_a_part_counts_near_its_place(client):
    # Where small.png has it, but for one column; scaled.png has it elsewhere.
    query = upload(client, png(planted((40, 160, 90), PART, 6, 2))).get_json()["query_id"]
    region = {"x": 0.2, "y": 0.6, "w": 0.2, "h": 0.3}
    answer = ask(client, query, mode="region", region=region, position=True, k=40)
    scores = dict(zip(names(answer), (hit["score"] for hit in answer["hits"]), strict=True))
    assert names(answer)[0] in ("small.png", "turned.png")
    assert scores["small.png"] == pytest.approx(1, abs=2e-3)
    assert scores["scaled.png"] < 0.8


def test_pages_are_one_answer_cut_up(client, site):
    for question in ({}, {"mode": "region", "region": {"patches": [[2, 2]]}, "dedupe": False}):
        whole = ask(client, site.ids["2.png"], k=1000, **question)
        assert whole["cursor"] is None
        hits, cursor = [], None
        for _ in range(10):
            page = ask(client, site.ids["2.png"], k=7, cursor=cursor, **question)
            hits += page["hits"]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert [(h["rank"], h["id"]) for h in hits] == [(h["rank"], h["id"]) for h in whole["hits"]]
        assert [h["score"] for h in hits] == pytest.approx([h["score"] for h in whole["hits"]])


def test_a_page_that_ends_with_the_last_hit_has_no_cursor(client, site):
    count = len(ask(client, site.ids["2.png"], k=1000)["hits"])
    assert ask(client, site.ids["2.png"], k=count)["cursor"] is None
    assert ask(client, site.ids["2.png"], k=count - 1)["cursor"] is not None


def test_min_score_cuts_the_answer_off_there(client, site):
    whole = ask(client, site.ids["05.png"], k=1000)
    least = whole["hits"][3]["score"]
    cut = ask(client, site.ids["05.png"], k=1000, min_score=least - 1e-6)
    assert cut["hits"] == whole["hits"][:4]
    assert cut["cursor"] is None
    first = ask(client, site.ids["05.png"], k=4, min_score=least - 1e-6)
    assert first["hits"] == whole["hits"][:4]
    assert (
        ask(client, site.ids["05.png"], k=4, cursor=first["cursor"], min_score=0.999999)["cursor"]
        is None
    )


def test_filters_leave_out_and_are_counted(client, site, index):
    answer = ask(client, site.ids["05.png"], k=100, filters=["label:shades"])
    assert len(answer["hits"]) == answer["total_searched"] == 12
    assert answer["hidden"] == {"duplicates": 0, "filters": len(index) - 12}
    answer = ask(client, site.ids["05.png"], k=100, filters=["meta.camera:A7"])
    assert names(answer) == ["d1.png"]
    answer = ask(client, site.ids["05.png"], k=100, filters=["split:test"])
    assert names(answer) == ["d2.png"]
    nothing = ask(client, site.ids["05.png"], filters=["label:shades", "label:noise"])
    assert (nothing["hits"], nothing["cursor"], nothing["total_searched"]) == ([], None, 0)


def test_copies_are_folded_and_counted_unless_all_are_wanted(client, site, index):
    folded = ask(client, site.ids["03.png"], k=100)
    assert (names(folded)[0], folded["hits"][0]["duplicates"]) in (("03.png", 2), ("a.png", 2))
    assert folded["hidden"]["duplicates"] == 2
    assert len(folded["hits"]) == len(index) - 2
    every = ask(client, site.ids["03.png"], k=100, dedupe=False)
    assert set(names(every)[:3]) == {"03.png", "a.png", "b.png"}
    assert (every["hidden"]["duplicates"], len(every["hits"])) == (0, len(index))
    filtered = ask(client, site.ids["03.png"], k=100, filters=["label:copies"])
    assert (len(filtered["hits"]), filtered["hits"][0]["duplicates"]) == (1, 1)


def test_several_pictures_are_combined(client, site, query_id):
    red, blue = site.ids["11.png"], site.ids["d1.png"]
    queries = [{"image_id": red}, {"query_id": f"img-{blue}"}]
    mean = ask(client, None, queries=queries, k=50, combine="mean")
    best = ask(client, None, queries=queries, k=50)
    assert best["hits"] == mean["hits"], "mean is what is meant unsaid"
    score = {hit["id"]: hit["score"] for hit in mean["hits"]}
    between = cosine(RED, (0, 0, 200))
    assert score[red] == score[blue] == pytest.approx((1 + between) / 2, abs=2e-3)
    either = ask(client, None, queries=queries, k=50, combine="any")
    assert {hit["id"] for hit in either["hits"][:2]} == {red, blue}
    assert [hit["score"] for hit in either["hits"][:2]] == pytest.approx([1, 1], abs=1e-4)
    with_upload = ask(client, None, queries=[{"query_id": query_id}], k=3)
    assert with_upload["hits"] == ask(client, query_id, k=3)["hits"]


def test_heat_comes_along_for_as_many_hits_as_asked(client, query_id, index, site):
    answer = ask(client, query_id, mode="region", region=REGION, explain=3)
    assert [hit["heat"] is not None for hit in answer["hits"][:5]] == [True] * 3 + [False] * 2
    patches = [(row, col) for row in range(4, 7) for col in range(4, 6)]
    path = site.corpus.parent / "query.png"
    path.write_bytes(png(QUERY))
    for hit in answer["hits"][:3]:
        why = index.explain(path, hit["id"], region=patches)
        low, high = hit["heat"]["range"]
        assert heat_of(hit["heat"]) == pytest.approx(why.heat, abs=(high - low) / 255, nan_ok=True)
        seen = heat_of(hit["heat"], "query_heat")
        assert seen == pytest.approx(why.query_heat, abs=(high - low) / 255, nan_ok=True)
        assert hit["heat"]["grid"] == hit["heat"]["query_grid"] == [10, 10]
    assert len({tuple(hit["heat"]["range"]) for hit in answer["hits"][:3]}) == 1, "comparable"
    none = ask(client, query_id, mode="region", region=REGION)
    assert [hit["heat"] for hit in none["hits"]] == [None] * len(none["hits"])


def test_the_knee_is_where_the_scores_drop_and_only_on_the_first_page(client, query_id):
    same = {"mode": "region", "region": REGION, "same_size": True}
    answer = ask(client, query_id, **same, k=12)
    assert answer["knee_rank"] == 5, "five pictures hold the part"
    second = ask(client, query_id, **same, k=5, cursor=answer["cursor"])
    assert second["knee_rank"] is None


def test_the_knee_is_looked_for_behind_the_picture_itself(client, site):
    answer = ask(client, site.ids["scaled.png"], k=20)
    scores = [hit["score"] for hit in answer["hits"]]
    assert names(answer)[0] == "scaled.png"
    behind = knee(scores[1:])
    assert behind is not None
    assert answer["knee_rank"] == behind + 1 != knee(scores)


def test_a_small_index_is_compared_in_full(client, site):
    answer = ask(client, site.ids["05.png"], nprobe=3)
    assert (answer["approximate"], answer["nprobe"]) == (False, None)
    assert answer["query_patches"] is None
    assert answer["timing_ms"]["total"] >= answer["timing_ms"]["embed"] >= 0


@pytest.mark.parametrize(
    ("question", "status", "kind", "pointer"),
    [
        ({"mode": "region"}, 400, "missing-field", "/region"),
        ({"mode": "region", "region": {"x": 0.9, "y": 0, "w": 0.2, "h": 1}}, 422, "bad-region",
         "/region/w"),
        ({"mode": "region", "region": {"x": 0, "y": 0.9, "w": 1, "h": 0.2}}, 422, "bad-region",
         "/region/h"),
        ({"mode": "region", "region": {"x": 0, "y": 0, "w": 0.01, "h": 0.01}}, 422, "bad-region",
         "/region"),
        ({"mode": "region", "region": {"patches": [[10, 0]]}}, 422, "bad-region",
         "/region/patches"),
        ({"filters": ["colour:red"]}, 422, "invalid-request", "/filters"),
        ({"cursor": "eyJvIjo5OTk5fQ", "k": 5}, 422, "invalid-request", "/cursor"),
        ({"cursor": "nonsense"}, 422, "invalid-request", "/cursor"),
        ({"cursor": "eyJvIjotMX0"}, 422, "invalid-request", "/cursor"),
        ({"query": {"image_id": 4711}}, 404, "image-not-found", None),
        ({"query": {"query_id": "img-4711"}}, 404, "image-not-found", None),
        ({"query": {"query_id": "0" * 24}}, 404, "query-not-found", None),
        ({"query": None}, 400, "missing-field", "/query"),
        ({"queries": [{"image_id": 1}]}, 400, "missing-field", "/query"),
    ],
)  # fmt: skip
def test_searches_that_cannot_be(client, question, status, kind, pointer):
    body = {"query": {"image_id": 1}} | question
    document = problem_of(client.post("/api/v1/search", json=body), status, kind)
    assert pointer is None or document["errors"][0]["pointer"] == pointer


def test_a_region_goes_with_one_picture(client):
    queries = [{"image_id": 1}, {"image_id": 2}]
    body = {"queries": queries, "mode": "region", "region": REGION}
    problem_of(client.post("/api/v1/search", json=body), 422, "bad-region")
