"""GET /failures: files that did not become pictures, to read and to save."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

import dinosearch
from tests.painting import SIZE, noise, save
from tests.web.api.answers import problem_of

NAMES = ("=1+1.png", "+a.png", "-b.png", "@c.png", 'a,"b"\n.png', "plain.png")


@pytest.fixture
def client(tmp_path, serve):
    pictures = tmp_path / "corpus" / "pictures"
    save(pictures / "good.png", noise(1))
    for name in NAMES:
        (pictures / name).write_bytes(b"no picture")
    (pictures / "empty.png").write_bytes(b"")
    with dinosearch.create(tmp_path / "demo", encoder="colour", size=SIZE) as index:
        index.add(pictures)
    return serve(indexes=(tmp_path / "demo",)).test_client()


def test_each_file_is_listed_with_the_reason(client):
    answer = client.get("/api/v1/failures").get_json()
    assert (answer["total"], answer["cursor"]) == (7, None)
    by_path = {one["path"]: one for one in answer["failures"]}
    assert set(by_path) == {*NAMES, "empty.png"}
    found = by_path["plain.png"]
    assert found.pop("failed_at")
    assert found.pop("detail")
    assert found == {
        "path": "plain.png",
        "state": "refused",
        "code": "unsupported-format",
        "reason": "The content is not in a picture format that is read.",
        "attempts": 1,
    }
    assert by_path["empty.png"]["code"] == "empty"
    info = client.get("/api/v1/info").get_json()["index"]
    assert (info["images"], info["refused"], info["failed"]) == (1, 7, 0)


def test_pages_are_the_list_cut_up(client):
    whole = client.get("/api/v1/failures").get_json()["failures"]
    found: list[Any] = []
    cursor: Any = []
    for count in (3, 3, 1):
        page = client.get("/api/v1/failures", query_string={"limit": 3, "cursor": cursor})
        document = page.get_json()
        assert (len(document["failures"]), document["total"]) == (count, 7)
        found += document["failures"]
        cursor = document["cursor"] or []
    assert (found, cursor) == (whole, [])
    for bad in ("x", "o", "o-1", "a3", "o" + "9" * 20):
        problem_of(client.get(f"/api/v1/failures?cursor={bad}"), 422, "invalid-request")


def test_the_table_holds_all_and_no_formula(client):
    response = client.get("/api/v1/failures?format=csv&limit=1")
    assert response.mimetype == "text/csv"
    assert response.headers["Content-Disposition"] == "attachment; filename=failures.csv"
    rows = list(csv.reader(io.StringIO(response.get_data(as_text=True))))
    assert rows[0] == ["path", "state", "code", "reason", "detail", "attempts", "failed_at"]
    paths = {row[0] for row in rows[1:]}
    assert paths == {
        "'=1+1.png",
        "'+a.png",
        "'-b.png",
        "'@c.png",
        'a,"b"\n.png',
        "plain.png",
        "empty.png",
    }
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for row in rows for cell in row)


def test_other_forms_there_are_none(client):
    problem_of(client.get("/api/v1/failures?format=xlsx"), 422, "invalid-request")
