"""No answer tells where on the server anything lies."""

from __future__ import annotations

import re
import shutil

import pytest

import dinosearch
from tests.painting import SIZE, noise, save
from tests.web.api.answers import upload
from tests.web.api.corpus import png
from tests.web.api.waiting import ended


@pytest.fixture
def place(tmp_path, serve, monkeypatch):
    """A client, and the folder that no answer may name; the index is given as `demo`."""
    pictures = tmp_path / "corpus" / "pictures"
    for seed in range(3):
        save(pictures / "sub" / f"{seed}.png", noise(seed))
    (pictures / "bad.png").write_bytes(b"no picture")
    (pictures / "cut.png").write_bytes(png(noise(9))[:300])
    (pictures / "link.png").symlink_to(pictures / "bad.png")
    monkeypatch.chdir(tmp_path)
    with dinosearch.create("demo", encoder="colour", size=SIZE) as index:
        index.add(pictures, labels="folders")
    return serve(indexes=("demo",), roots=(tmp_path / "corpus",)).test_client(), tmp_path


def test_no_answer_names_a_folder_of_the_server(place):
    client, root = place
    record = upload(client, png(noise(77)), "x.png").get_json()
    search = {"query": {"query_id": record["query_id"]}, "mode": "region", "explain": 3}
    region = {"region": {"x": 0.1, "y": 0.1, "w": 0.5, "h": 0.5}}
    answers = [
        client.get(path)
        for path in (
            "/api/v1/info",
            "/api/v1/images",
            "/api/v1/images/1",
            "/api/v1/images/4711",
            "/api/v1/images?f=path:/nowhere",
            "/api/v1/failures",
            "/api/v1/failures?format=csv",
            "/api/v1/jobs",
            "/api/v1/readyz",
            "/api/v1/metrics",
            "/api/v1/openapi.json",
            f"/api/v1/queries/{record['query_id']}",
            "/api/v1/images/1/file",
            "/",
            "/login",
            "/nothing",
        )
    ]
    answers.append(client.post("/api/v1/search", json=search | region))
    answers.append(client.post("/api/v1/search", json=search))
    answers.append(upload(client, png(noise(78))))
    answers.append(upload(client, b"no picture"))
    answers.append(upload(client, png(noise(1))[:200]))
    for roots in (
        [{"root": "corpus", "folder": "nothing"}],
        [{"root": "corpus", "folder": "../demo"}],
        [{"root": "nothing"}],
        [{"root": "corpus"}],
    ):
        response = client.post("/api/v1/jobs", json={"kind": "index", "roots": roots})
        answers.append(response)
        if response.status_code == 202:
            ended(client, response.get_json())
    ended(client, client.post("/api/v1/jobs", json={"kind": "changes"}).get_json())
    answers.append(client.get("/api/v1/jobs"))
    assert {200, 201, 202, 400, 404, 415, 422} <= {one.status_code for one in answers}
    for answer in answers:
        told = answer.data.decode(errors="replace") + str(answer.headers)
        assert str(root) not in told, told
        assert not re.search(r"/(home|root|tmp|usr)/", told), told


def test_a_job_that_fails_does_not_tell_where_its_folder_was(place):
    client, root = place
    # A long job goes first, so that the folder is gone when the second begins.
    for seed in range(40):
        save(root / "corpus" / "first" / f"{seed}.png", noise(seed))
    save(root / "corpus" / "second" / "a.png", noise(1))
    jobs = [
        client.post(
            "/api/v1/jobs", json={"kind": "index", "roots": [{"root": "corpus", "folder": name}]}
        ).get_json()
        for name in ("first", "second")
    ]
    shutil.rmtree(root / "corpus" / "second")
    first, second = (ended(client, job) for job in jobs)
    assert (first["state"], second["state"]) == ("done", "failed")
    assert second["message"]
    assert str(root) not in str(second)


def test_a_changes_job_names_a_source_that_is_gone_without_its_place(place):
    client, root = place
    (root / "corpus" / "pictures").rename(root / "unplugged")
    job = ended(client, client.post("/api/v1/jobs", json={"kind": "changes"}).get_json())
    assert job["state"] == "done"
    assert job["result"]["unreachable"] == 1
    assert job["errors"] == ["pictures is not there"]
    assert str(root) not in str(job)
