"""An index large enough for lists: approximate answers, exact ones, and several indexes."""

from __future__ import annotations

import numpy as np
import pytest
from dinosearch.web import Settings
from PIL import Image

import dinosearch
from tests.web.api.answers import ask, problem_of, upload
from tests.web.api.conftest import started
from tests.web.api.corpus import png

COUNT = 1_100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two indexes: `large`, and `small` with three pictures of it."""
    root = tmp_path_factory.mktemp("many")
    colours = np.random.default_rng(0).integers(0, 256, (COUNT, 2, 2, 3), dtype=np.uint8)
    (root / "p").mkdir()
    for number, cells in enumerate(colours):
        pixels = np.kron(cells, np.ones((14, 14, 1), np.uint8))
        Image.fromarray(pixels).save(root / "p" / f"{number:04d}.bmp")
    for name, pictures in (("large", root / "p"), ("small", sorted((root / "p").iterdir())[:3])):
        with dinosearch.create(root / "all" / name, encoder="colour", size=28) as index:
            index.add(pictures)
    return root / "all"


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    app = started(
        Settings(
            indexes=(folder,),
            uploads=tmp_path_factory.mktemp("uploads"),
            searches_per_minute=10_000,
        )
    )
    yield app.test_client()
    app.extensions["dinosearch"].close()


def test_an_answer_says_whether_it_is_exact_and_how_many_lists_it_took(client, folder):
    with dinosearch.open(folder / "large") as index:
        facts = index.info()["vectors"]
    usual = ask(client, 1)
    assert (usual["approximate"], usual["nprobe"]) == (True, facts["probes"])
    wide = ask(client, 1, nprobe=facts["lists"])
    exact = ask(client, 1, exact=True)
    assert (wide["approximate"], wide["nprobe"]) == (True, facts["lists"])
    assert (exact["approximate"], exact["nprobe"]) == (False, None)
    assert [hit["id"] for hit in wide["hits"]] == [hit["id"] for hit in exact["hits"]]


def test_a_part_is_proposed_by_the_patch_index_and_exact_compares_all(client, folder):
    with dinosearch.open(folder / "large") as index:
        facts = index.info()["patches"]
        assert facts["kind"] == "ivf"
        assert facts["rows"] + facts["newer_rows_scanned"] == len(index)
    part = {"mode": "region", "region": {"patches": [[0, 0]]}, "same_size": True, "k": 5}
    likely, exact = ask(client, 7, **part), ask(client, 7, **part, exact=True)
    assert (likely["approximate"], exact["approximate"]) == (True, False)
    assert likely["hits"][0]["id"] == exact["hits"][0]["id"]
    assert likely["hits"][0]["score"] == exact["hits"][0]["score"]


def test_fewer_lists_find_less(client):
    found = 0
    for image_id in range(1, 21):
        exact = {hit["id"] for hit in ask(client, image_id, exact=True)["hits"]}
        found += len(exact & {hit["id"] for hit in ask(client, image_id, nprobe=1)["hits"]})
    assert 20 <= found < 20 * 48 * 0.8


def test_deep_pages_end_where_the_api_ends(client):
    last = ask(client, 1, k=1000, exact=True)
    assert len(last["hits"]) == 1000
    rest = ask(client, 1, k=1000, exact=True, cursor=last["cursor"])
    assert (len(rest["hits"]), rest["cursor"]) == (100, None)
    assert len({hit["id"] for hit in last["hits"] + rest["hits"]}) == COUNT


def test_the_first_index_is_meant_unsaid_and_others_by_name(client, folder):
    info = client.get("/api/v1/info").get_json()
    assert info["indexes"] == [{"name": "large", "images": COUNT}, {"name": "small", "images": 3}]
    assert (info["index"]["name"], info["index"]["images"]) == ("large", COUNT)
    small = client.get("/api/v1/info?index=small").get_json()["index"]
    assert (small["name"], small["images"], small["patches"]) == ("small", 3, 12)
    assert small["vectors"]["kind"] != "ivf"
    answer = client.post("/api/v1/search?index=small", json={"query": {"image_id": 1}}).get_json()
    assert (answer["total_searched"], len(answer["hits"])) == (3, 3)
    with dinosearch.open(folder / "small") as index:
        assert answer["index_id"] == index.id


def test_a_query_belongs_to_every_index(client):
    pixels = np.full((28, 28, 3), 77, np.uint8)
    record = upload(client, png(Image.fromarray(pixels))).get_json()
    for name, count in (("large", COUNT), ("small", 3)):
        body = {"query": {"query_id": record["query_id"]}, "k": 5}
        answer = client.post(f"/api/v1/search?index={name}", json=body).get_json()
        assert answer["total_searched"] == count
        assert len(answer["hits"]) == min(5, count)


@pytest.mark.parametrize("name", ["nothing", "large2", "l"])
def test_an_index_that_is_not_there_is_not_found(client, name):
    problem_of(client.get(f"/api/v1/info?index={name}"), 404, "not-found")
    body = {"query": {"image_id": 1}}
    problem_of(client.post(f"/api/v1/search?index={name}", json=body), 404, "not-found")


@pytest.mark.parametrize("name", ["Large", "../large", "a" * 65, "", "-x", "large%00"])
def test_what_is_no_name_of_an_index_is_refused(client, name):
    document = problem_of(client.get(f"/api/v1/info?index={name}"), 422, "invalid-request")
    assert document["errors"][0]["pointer"] == "/index"


def test_jobs_belong_to_an_index(client):
    job = client.post("/api/v1/jobs?index=small", json={"kind": "changes"}).get_json()
    assert job["index"] == "small"
    assert client.get("/api/v1/jobs?index=small").get_json()["jobs"][0]["id"] == job["id"]
    assert client.get("/api/v1/jobs").get_json()["jobs"] == []
