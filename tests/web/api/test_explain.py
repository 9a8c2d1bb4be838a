"""POST /explain: heat over both pictures, against Python's evidence and the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.painting import CELLS, cosine, planted
from tests.web.api.answers import heat_of, problem_of, upload
from tests.web.api.corpus import GREY, PART, QUERY, REGION, png

EXPLAIN = "/api/v1/explain"
PATCHES = [[row, col] for row in range(4, 7) for col in range(4, 6)]
CELLS_OF_SMALL = planted(GREY, PART, 6, 1)


@pytest.fixture
def query(client):
    return {"query_id": upload(client, png(QUERY)).get_json()["query_id"]}


def explained(client, **body):
    response = client.post(EXPLAIN, json=body)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_json()["items"]


def by_formula(cells: np.ndarray, colour) -> np.ndarray:
    return np.array([[cosine(one, colour) for one in row] for row in cells])


def close(item: dict[str, Any]) -> float:
    """Half a step of the bytes, and what 16 bits round."""
    low, high = map(float, item["range"])
    return (high - low) / 510 + 2e-3


def test_heat_of_a_region_is_the_best_cosine_to_its_patches(client, site, query):
    ids = [site.ids["small.png"], site.ids["0.png"]]
    items = explained(client, query=query, region=REGION, image_ids=ids)
    assert [item["id"] for item in items] == ids
    first = items[0]
    expected = np.max([by_formula(CELLS_OF_SMALL, c) for c in PART.reshape(-1, 3)], axis=0)
    assert heat_of(first) == pytest.approx(expected, abs=close(first))
    marked = heat_of(first, "query_heat")
    assert np.argwhere(~np.isnan(marked)).tolist() == PATCHES
    assert marked[4:7, 4:6] == pytest.approx(np.ones((3, 2)), abs=close(first))
    assert items[0]["range"] == items[1]["range"], "one scale for all, to compare by eye"
    assert (first["grid"], first["crop"]) == ([10, 10], [0, 0, 1, 1])
    assert (first["query_grid"], first["query_crop"]) == ([10, 10], [0, 0, 1, 1])


def test_patches_and_rectangle_explain_alike(client, site, query):
    ids = [site.ids["small.png"]]
    rectangle = explained(client, query=query, region=REGION, image_ids=ids)
    assert explained(client, query=query, region={"patches": PATCHES}, image_ids=ids) == rectangle


def test_whole_pictures_are_explained_without_a_region(client, site, index):
    ids = [site.ids[name] for name in ("wide.png", "3.png")]
    items = explained(client, query={"image_id": site.ids["small.png"]}, image_ids=ids)
    assert items[0]["crop"] == pytest.approx([1 / 3, 0, 1 / 3, 1])
    for item in items:
        why = index.explain(site.ids["small.png"], item["id"])
        low, high = item["range"]
        assert heat_of(item) == pytest.approx(why.heat, abs=(high - low) / 255)
        found = heat_of(item, "query_heat")
        assert np.nan_to_num(found, nan=low) == pytest.approx(
            why.query_heat, abs=(high - low) / 255
        )


def test_where_position_matters_only_near_places_are_hot(client, site, query):
    ids = [site.ids["scaled.png"]]
    (item,) = explained(client, query=query, region=REGION, image_ids=ids, position=True)
    assert item["range"][0] == pytest.approx(-1)
    assert heat_of(item)[0, 0] == pytest.approx(-1, abs=0.01), "far from all that is marked"
    assert heat_of(item, "query_heat")[4, 4] < 0.9
    (anywhere,) = explained(client, query=query, region=REGION, image_ids=ids)
    assert heat_of(anywhere, "query_heat")[4, 4] == pytest.approx(1, abs=close(anywhere))


@pytest.mark.parametrize("place", [(4, 4), (5, 5), (0, 0)])
def test_a_patch_of_the_query_is_compared_with_all_of_both(client, site, query, place):
    point = {"in": "query", "patch": list(place)}
    (item,) = explained(client, query=query, point=point, image_ids=[site.ids["small.png"]])
    colour = QUERY[place]
    assert heat_of(item) == pytest.approx(by_formula(CELLS_OF_SMALL, colour), abs=close(item))
    found = np.nan_to_num(heat_of(item, "query_heat"), nan=item["range"][0])
    assert found == pytest.approx(by_formula(QUERY, colour), abs=2 * close(item))


def test_a_patch_of_the_image_is_compared_with_all_of_both(client, site, query):
    point = {"in": "image", "patch": [6, 1]}
    (item,) = explained(client, query=query, point=point, image_ids=[site.ids["small.png"]])
    expected = by_formula(CELLS_OF_SMALL, PART[0, 0])
    assert heat_of(item) == pytest.approx(expected, abs=close(item))
    hottest = np.unravel_index(int(np.nanargmax(heat_of(item, "query_heat"))), (CELLS, CELLS))
    assert tuple(map(int, hottest)) == (4, 4), "where the query has the same cell"


def test_a_picture_may_be_explained_by_itself(client, site):
    item = site.ids["small.png"]
    point = {"in": "query", "patch": [6, 1]}
    (found,) = explained(client, query={"image_id": item}, point=point, image_ids=[item])
    expected = by_formula(CELLS_OF_SMALL, PART[0, 0])
    assert heat_of(found) == pytest.approx(expected, abs=close(found))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"image_ids": [4711]}, 404, "image-not-found"),
        ({"image_ids": []}, 422, "invalid-request"),
        ({"image_ids": [1] * 49}, 422, "invalid-request"),
        ({"image_ids": [True]}, 422, "invalid-request"),
        ({"query": {"image_id": 4711}}, 404, "image-not-found"),
        ({"point": {"in": "query", "patch": [10, 0]}}, 422, "bad-region"),
        ({"point": {"in": "image", "patch": [0, 10]}}, 422, "bad-region"),
        ({"point": {"in": "both", "patch": [0, 0]}}, 422, "invalid-request"),
        ({"point": {"within": "query", "patch": [0, 0]}}, 422, "invalid-request"),
        ({"point": {"in": "query", "patch": [0, 0]}, "region": REGION}, 422, "invalid-request"),
        ({"region": {"x": 0.5, "y": 0, "w": 0.6, "h": 1}}, 422, "bad-region"),
        ({"region": {"patches": [[0, 99]]}}, 422, "bad-region"),
    ],
)
def test_explanations_that_cannot_be(client, body, status, kind):
    asked = {"query": {"image_id": 1}, "image_ids": [1]} | body
    problem_of(client.post(EXPLAIN, json=asked), status, kind)
