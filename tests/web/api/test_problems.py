"""Errors: RFC 9457 documents everywhere, each type with a page of help, and no trace of a bug."""

from __future__ import annotations

import logging

import pytest
from dinosearch.web import Settings, create_app
from dinosearch.web.problems import TYPES, Problem

from dinosearch.errors import (
    DinoSearchError,
    DiskFull,
    EncoderMismatch,
    EncoderUnavailable,
    IndexLocked,
    InvalidInput,
    PictureRefused,
    UnusableIndex,
)
from tests.web.api.answers import problem_of

SEARCH = "/api/v1/search"


@pytest.fixture
def failing(site, tmp_path):
    """A client of an app with a view that raises the last of the list."""
    errors: list[Exception] = []
    app = create_app(Settings(indexes=(site.folder,), uploads=tmp_path / "uploads"))

    def fail(rest=""):
        raise errors[-1]

    app.add_url_rule("/fail", "fail", fail)
    app.add_url_rule("/fail/<path:rest>", "fail", fail)
    yield app.test_client(), errors
    app.extensions["dinosearch"].close()


def test_every_type_has_a_page_of_help(client):
    for kind, known in TYPES.items():
        page = client.get(f"/problems/{kind}")
        text = page.get_data(as_text=True)
        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert known.title in text.replace("&#39;", "'")
        assert str(known.status) in text
    problem_of(client.get("/problems/nothing"), 404, "not-found")


def test_each_instance_is_its_own(client):
    first, second = (client.get("/api/v1/images/4711").get_json() for _ in range(2))
    assert first.pop("instance") != second.pop("instance")
    assert first == second


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/api/v2/info", "/image/x", "/%00"]
)
def test_what_is_not_there(client, path):
    problem_of(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", SEARCH, {"POST", "OPTIONS"}),
        ("POST", "/api/v1/info", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/api/v1/jobs", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("DELETE", "/api/v1/queries/img-1", {"GET", "HEAD", "PATCH", "OPTIONS"}),
        ("PATCH", "/api/v1/jobs/1", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_cannot_be_is_told_those_that_can(client, method, path, allowed):
    response = client.open(path, method=method)
    problem_of(response, 405, "method-not-allowed")
    assert {one.strip() for one in response.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize(
    ("error", "status", "kind", "retry"),
    [
        (RuntimeError("a secret detail"), 500, "internal", None),
        (KeyError("a secret detail"), 500, "internal", None),
        (MemoryError("a secret detail"), 500, "internal", None),
        (DinoSearchError("a secret detail"), 500, "internal", None),
        (DiskFull("a secret detail"), 507, "disk-full", None),
        (IndexLocked("a secret detail"), 409, "conflict", None),
        (UnusableIndex("a secret detail"), 503, "index-unusable", "60"),
        (EncoderUnavailable("a secret detail"), 503, "model-unavailable", "60"),
        (EncoderMismatch("a secret detail"), 503, "model-unavailable", "60"),
    ],
)
def test_what_goes_wrong_inside_is_told_to_the_log_alone(
    failing, caplog, error, status, kind, retry
):
    client, errors = failing
    errors.append(error)
    with caplog.at_level(logging.INFO):
        response = client.get("/fail")
    document = problem_of(response, status, kind)
    assert "secret" not in response.get_data(as_text=True)
    assert response.headers.get("Retry-After") == retry
    assert "a secret detail" in caplog.text
    if status >= 500:
        assert document["instance"] in caplog.text
    if status == 500 and not isinstance(error, DinoSearchError):
        assert "Traceback" in caplog.text


def test_a_path_cannot_speak_to_the_terminal_that_shows_the_log(failing, caplog):
    client, errors = failing
    for error in (RuntimeError(), UnusableIndex(), DiskFull()):
        errors.append(error)
        assert client.get("/fail/x%1b[2Jy%0dz").status_code >= 500
    assert "x\\x1b[2Jy\\rz" in caplog.text
    assert not {"\x1b", "\r"} & set(caplog.text)


def test_a_person_with_a_browser_gets_a_page_and_a_script_gets_data(client):
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = client.get("/nothing", headers=browser)
    text = page.get_data(as_text=True)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert TYPES["not-found"].title in text
    assert TYPES["not-found"].help in text
    assert "/static//" not in text
    problem_of(client.get("/api/v1/nothing", headers=browser), 404, "not-found")
    problem_of(client.get("/nothing", headers={"Accept": "*/*"}), 404, "not-found")
    refused = client.get("/", headers=browser | {"Host": "evil.example"})
    assert (refused.status_code, refused.mimetype) == (403, "text/html")


def test_what_was_asked_wrongly_is_told_to_who_asked(failing):
    client, errors = failing
    errors.append(InvalidInput("k is 0"))
    assert problem_of(client.get("/fail"), 422, "invalid-request")["detail"] == "k is 0"
    for code, status, kind in (
        ("truncated", 422, "unreadable-image"),
        ("decoder-crash", 422, "unreadable-image"),
        ("empty", 415, "unsupported-image"),
        ("unsupported-format", 415, "unsupported-image"),
        ("too-large", 413, "too-large"),
        ("too-many-pixels", 413, "too-large"),
    ):
        errors.append(PictureRefused("/secret/a.png", code, "why"))
        response = client.get("/fail")
        assert problem_of(response, status, kind)["detail"] == f"{code}: why"
        assert "/secret" not in response.get_data(as_text=True)
    errors.append(Problem("conflict", "so it is", errors=[("/a", "b")], headers={"X-Y": "z"}))
    response = client.get("/fail")
    assert problem_of(response, 409, "conflict")["errors"] == [{"pointer": "/a", "detail": "b"}]
    assert response.headers["X-Y"] == "z"


# -- bodies ---------------------------------------------------------------------------------


def refused(client, body, path=SEARCH):
    """The pointers to what is wrong with a body."""
    response = client.post(path, json=body)
    assert response.status_code in (400, 422), response.get_data(as_text=True)
    kind = {400: "missing-field", 422: "invalid-request"}[response.status_code]
    document = problem_of(response, response.status_code, kind)
    assert document["detail"].startswith(document["errors"][0]["pointer"])
    return {error["pointer"] for error in document["errors"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("k", 0), ("k", 1001), ("k", True), ("k", "5"), ("k", 2.5), ("k", None), ("k", 10**30),
        ("k", 1e300), ("nprobe", 0), ("nprobe", True), ("nprobe", -1), ("explain", -1),
        ("explain", 49), ("explain", False), ("weight", 1.5), ("weight", -0.1), ("weight", "0.5"),
        ("weight", True), ("exact", 1), ("exact", "true"), ("dedupe", 0), ("position", None),
        ("mode", "part"), ("combine", "most"), ("min_score", 2), ("min_score", "0"),
        ("filters", "label:a"), ("filters", [1]), ("filters", [""]), ("filters", ["a"] * 21),
        ("filters", ["x" * 1001]), ("cursor", 5), ("cursor", "x" * 201), ("unknown", 1),
        ("K", 5), ("queries", []), ("queries", [{"image_id": 1}] * 17),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_pointed_at(client, field, value):
    pointers = refused(client, {"query": {"image_id": 1}, field: value})
    assert any(pointer.startswith(f"/{field}") for pointer in pointers), pointers


@pytest.mark.parametrize(
    "query",
    [
        {}, [], 5, "img-1", {"image_id": 0}, {"image_id": -1}, {"image_id": True},
        {"image_id": 1.5}, {"image_id": "1"}, {"image_id": 2**63}, {"query_id": "x"},
        {"query_id": "img-0"}, {"query_id": 5}, {"query_id": "A" * 24},
        {"image_id": 1, "query_id": "img-1"}, {"image_id": 1, "extra": 1}, {"url": "http://a/b"},
        {"query_id": "0" * 24 + "\n"},
    ],
)  # fmt: skip
def test_a_query_is_one_of_two_kinds(client, query):
    assert all(pointer.startswith("/query") for pointer in refused(client, {"query": query}))


@pytest.mark.parametrize(
    "region",
    [
        {}, [], "all", {"x": 0, "y": 0, "w": 1}, {"x": 0, "y": 0, "w": 0, "h": 1},
        {"x": -0.1, "y": 0, "w": 1, "h": 1}, {"x": 0, "y": 0, "w": 1.1, "h": 1},
        {"x": 0, "y": 0, "w": True, "h": 1}, {"x": "0", "y": 0, "w": 1, "h": 1},
        {"patches": []}, {"patches": [[0]]}, {"patches": [[0, 0, 0]]}, {"patches": [[0, -1]]},
        {"patches": [[0, 0.5]]}, {"patches": [[True, 0]]}, {"patches": [[0, 1001]]},
        {"patches": [[0, 0]], "x": 0}, {"patches": [[0, 0]] * 10_001},
    ],
)  # fmt: skip
def test_a_region_is_a_rectangle_or_patches(client, region):
    body = {"query": {"image_id": 1}, "mode": "region", "region": region}
    assert all(pointer.startswith("/region") for pointer in refused(client, body))


def test_three_and_a_zero_is_a_whole_number(client):
    body = {"query": {"image_id": 1.0}, "k": 3.0, "nprobe": 2.0, "explain": 1.0, "mode": "region"}
    answer = client.post(SEARCH, json=body | {"region": {"patches": [[2.0, 3.0]]}})
    assert answer.status_code == 200, answer.get_json()
    plain = client.post(
        SEARCH,
        json={"query": {"image_id": 1}, "k": 3, "nprobe": 2, "explain": 1, "mode": "region"}
        | {"region": {"patches": [[2, 3]]}},
    )
    assert answer.get_json()["hits"] == plain.get_json()["hits"]
    assert len(plain.get_json()["hits"]) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"[1,", b'{"query": {"image_id": 1}, "k": NaN}',
        b'{"query": {"image_id": 1}, "weight": Infinity}', b'{"query": {"image_id": 1}} extra',
        b"\xff\xfe{}", b"\x00", b'{"query": {"query_id": "\\ud800"}}', b"[" * 100_000,
        b'{"a":' * 50_000, b'{"query": {"image_id": 1}, "k": 1' + b"0" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(client, body):
    for path in (SEARCH, "/api/v1/explain", "/api/v1/jobs", "/api/v1/queries"):
        response = client.post(path, data=body, content_type="application/json")
        problem_of(response, 422, "invalid-request")


@pytest.mark.parametrize("body", [None, True, 5, "text", [], [{"query": {"image_id": 1}}]])
def test_a_body_is_an_object(client, body):
    for path in (SEARCH, "/api/v1/explain", "/api/v1/queries"):
        problem_of(client.post(path, json=body), 422, "invalid-request")


def test_a_form_is_no_search(client):
    response = client.post(SEARCH, data={"query": "1"})
    problem_of(response, 422, "invalid-request")
    response = client.post(SEARCH, data={"query": "1"}, content_type="multipart/form-data")
    problem_of(response, 422, "invalid-request")


def test_a_missing_field_is_named(client):
    document = problem_of(client.post("/api/v1/explain", json={}), 400, "missing-field")
    assert [error["pointer"] for error in document["errors"]] == ["/query", "/image_ids"]
    document = problem_of(client.patch("/api/v1/queries/img-1", json={}), 400, "missing-field")
    assert [error["pointer"] for error in document["errors"]] == ["/pinned"]


@pytest.mark.parametrize(
    "query", ["f=" + "x" * 1001, "&".join(["f=a:b"] * 21), "index=..", "index=a&index=b"]
)
def test_parameters_are_checked_like_fields(client, query):
    problem_of(client.get(f"/api/v1/images?{query}"), 422, "invalid-request")


def test_parameters_that_are_not_known_do_no_harm(client):
    assert client.get("/api/v1/healthz?utm=1").get_json() == {"status": "ok"}
