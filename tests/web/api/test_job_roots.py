"""Which folders a job may take pictures from: those below the roots, and no others."""

from __future__ import annotations

import os

import pytest

import dinosearch
from tests.painting import SIZE, noise, save
from tests.web.api.answers import problem_of
from tests.web.api.waiting import ended

JOBS = "/api/v1/jobs"


@pytest.fixture
def corpus(tmp_path):
    """Pictures that are indexed (`known`), and two that are not (`more`)."""
    for seed in range(3):
        save(tmp_path / "corpus" / "known" / f"{seed}.png", noise(seed))
    for seed in (7, 8):
        save(tmp_path / "corpus" / "more" / f"{seed}.png", noise(seed))
    with dinosearch.create(tmp_path / "demo", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "corpus" / "known")
    return tmp_path / "corpus"


@pytest.fixture
def client(corpus, tmp_path, serve):
    return serve(indexes=(tmp_path / "demo",), roots=(corpus,)).test_client()


def test_a_source_of_the_index_is_a_root_too(client):
    roots = client.get("/api/v1/info").get_json()["roots"]
    assert roots == [{"name": "corpus"}, {"name": "known"}]
    body = {"kind": "index", "roots": [{"root": "known"}]}
    job = ended(client, client.post(JOBS, json=body).get_json())
    assert (job["state"], job["result"]["unchanged"]) == ("done", 3)


def test_roots_of_one_name_are_told_apart(corpus, tmp_path, serve):
    save(tmp_path / "other" / "corpus" / "a.png", noise(9))
    app = serve(indexes=(tmp_path / "demo",), roots=(corpus, tmp_path / "other" / "corpus", corpus))
    client = app.test_client()
    roots = client.get("/api/v1/info").get_json()["roots"]
    assert [root["name"] for root in roots] == ["corpus", "corpus (2)", "known"]
    body = {"kind": "index", "roots": [{"root": "corpus (2)"}]}
    job = ended(client, client.post(JOBS, json=body).get_json())
    assert job["result"]["added"] == 1


@pytest.mark.parametrize(
    ("root", "folder"),
    [
        ("nothing", ""),
        ("corpus", ".."),
        ("corpus", "known/../.."),
        ("corpus", "known/../../outside"),
        ("corpus", "../corpus-secret"),
        ("corpus", "nothing"),
        ("corpus", "known/0.png"),
        ("corpus", "link"),
        ("corpus", "link/deeper"),
        ("corpus", "a\0b"),
        ("corpus", "ABSOLUTE"),
        ("corpus", "x" * 4096),
        ("../corpus", ""),
        ("corpus/known", ""),
    ],
)
def test_nothing_outside_the_roots_can_be_indexed(client, corpus, tmp_path, root, folder):
    save(tmp_path / "outside" / "deeper" / "a.png", noise(1))
    save(tmp_path / "corpus-secret" / "a.png", noise(1))
    (corpus / "link").symlink_to(tmp_path / "outside")
    folder = str(tmp_path / "outside") if folder == "ABSOLUTE" else folder
    body = {"kind": "index", "roots": [{"root": "corpus"}, {"root": root, "folder": folder}]}
    document = problem_of(client.post(JOBS, json=body), 422, "invalid-request")
    assert document["errors"][0]["pointer"].startswith("/roots/1/")
    assert client.get(JOBS).get_json()["jobs"] == []


def test_a_link_within_the_root_is_a_folder_of_the_root(client, corpus):
    (corpus / "alias").symlink_to(corpus / "more")
    body = {"kind": "index", "roots": [{"root": "corpus", "folder": "alias"}]}
    job = ended(client, client.post(JOBS, json=body).get_json())
    assert job["result"]["added"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "compact"},
        {"kind": "index"},
        {"kind": "index", "roots": []},
        {"kind": "index", "roots": [{"root": ""}]},
        {"kind": "index", "roots": [{"root": "corpus", "path": os.sep}]},
        {"kind": "index", "roots": [{"root": "corpus"}], "labels": "labels.csv"},
        {"kind": "index", "roots": [{"root": "corpus"}], "prune": 1},
        {"kind": "changes", "roots": []},
    ],
)
def test_jobs_that_cannot_be(client, body):
    response = client.post(JOBS, json=body)
    assert response.status_code in (400, 422), response.get_json()
    assert response.get_json()["type"] in ("/problems/missing-field", "/problems/invalid-request")
    assert client.get(JOBS).get_json()["jobs"] == []
