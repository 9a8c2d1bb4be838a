"""What browsers are told with every answer, how fast one may ask, and what fuzz comes to."""

from __future__ import annotations

import gzip
import re
from itertools import product
from urllib.parse import quote

import pytest
from dinosearch.web.security import CONTENT_SECURITY_POLICY

from tests.web.api.answers import problem_of, upload
from tests.web.api.corpus import red_square

SEARCH = "/api/v1/search"
ONE = {"query": {"image_id": 1}}


def every_kind_of_answer(client):
    record = upload(client, red_square()).get_json()
    tag = client.get("/api/v1/images/1/thumb").headers["ETag"]
    page = client.get("/").get_data(as_text=True)
    style = re.search(r"/static/[0-9a-f]+/css/app\.css", page)
    assert style
    return [
        client.get("/"),
        client.get(style[0]),
        client.get("/static/old/css/app.css"),
        client.get("/favicon.ico"),
        client.get("/login"),
        client.get("/problems/internal"),
        client.get("/api/v1/info"),
        client.get("/api/v1/images/1/thumb"),
        client.get("/api/v1/images/1/thumb", headers={"If-None-Match": tag}),
        client.get("/api/v1/images/1/file"),
        client.get("/api/v1/images/1/file", headers={"Range": "bytes=0-1"}),
        client.get(record["image"]),
        client.get("/api/v1/failures?format=csv"),
        client.get("/api/v1/metrics"),
        client.get("/nothing"),
        client.get("/", headers={"Host": "evil.example"}),
        client.put("/api/v1/info"),
        client.post(SEARCH, json=ONE),
        client.post(SEARCH, data=b"{"),
        client.options("/api/v1/info"),
        client.delete("/api/v1/jobs/4711"),
    ]


def test_every_answer_has_the_policy_and_the_rest(client):
    answers = every_kind_of_answer(client)
    assert {200, 206, 302, 304, 403, 404, 405, 422} <= {one.status_code for one in answers}
    for one in answers:
        assert one.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert one.headers["X-Content-Type-Options"] == "nosniff"
        assert one.headers["X-Frame-Options"] == "DENY"
        assert one.headers["Referrer-Policy"] == "no-referrer"
        assert one.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert one.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "geolocation=()" in one.headers["Permissions-Policy"]
        assert "Access-Control-Allow-Origin" not in one.headers


def test_the_policy_is_the_one_that_was_agreed():
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def test_the_page_holds_no_script_or_style_of_its_own(client):
    for path in ("/", "/login", "/problems/internal"):
        page = client.get(path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_files_of_the_page_are_kept_for_good_under_their_version(client):
    page = client.get("/").get_data(as_text=True)
    found = re.search(r"/static/([0-9a-f]+)/", page)
    assert found
    style = client.get(f"/static/{found[1]}/css/app.css")
    assert style.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert style.mimetype == "text/css"
    packed = client.get(f"/static/{found[1]}/css/app.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == style.data
    assert packed.headers["Vary"] == "Accept-Encoding"
    for path in ("0" * 12 + "/css/app.css", f"{found[1]}/../app.py", f"{found[1]}/css/nothing.css",
                 f"{found[1]}/%2e%2e/settings.py", f"{found[1]}//etc/passwd"):  # fmt: skip
        assert client.get(f"/static/{path}").status_code in (308, 404, 422)


def test_long_answers_are_packed_for_those_who_can_unpack(client):
    plain = client.get("/api/v1/openapi.json")
    packed = client.get("/api/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 3
    assert "Content-Encoding" not in plain.headers
    refused = client.get("/api/v1/openapi.json", headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.data == plain.data
    short = client.get("/api/v1/healthz", headers={"Accept-Encoding": "gzip"})
    assert short.get_json() == {"status": "ok"}


# -- rates ------------------------------------------------------------------------------------


def test_one_client_may_search_so_often_in_a_minute(serve):
    client = serve(searches_per_minute=3).test_client()
    others = {"REMOTE_ADDR": "127.0.0.9"}
    assert [client.post(SEARCH, json=ONE).status_code for _ in range(3)] == [200] * 3
    response = client.post(SEARCH, json=ONE)
    problem_of(response, 429, "rate-limited")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert client.post(SEARCH, json=ONE, environ_overrides=others).status_code == 200
    forwarded = client.post(SEARCH, json=ONE, headers={"X-Forwarded-For": "10.0.0.1"})
    assert forwarded.status_code == 429, "what a client says of itself does not count"
    assert client.get("/api/v1/images/1/thumb").status_code == 200
    assert upload(client, red_square()).status_code == 201


def test_guessing_the_token_is_slowed_down(serve):
    client = serve(searches_per_minute=3, token="a-secret-of-many-letters").test_client()
    statuses = [client.post("/login", data={"token": str(n)}).status_code for n in range(5)]
    assert statuses == [403, 403, 403, 429, 429]


# -- fuzz -------------------------------------------------------------------------------------

RULES = (
    "/api/v1/images/{}", "/api/v1/images/{}/thumb", "/api/v1/images/{}/file", "/{}",
    "/api/v1/queries/{}", "/api/v1/queries/{}/image", "/api/v1/jobs/{}", "/image/{}",
    "/static/{}/css/app.css", "/static/x/{}", "/problems/{}", "/status/job/{}",
)  # fmt: skip
TRAPS = (
    "..", "../..", "../../../../etc/passwd", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e", "a%00b", "%00", "/etc/passwd", "//etc/passwd", "C:\\windows\\win.ini",
    "C:%5Cwindows", "..%5c..%5c", "x" * 10_000, "%ff%fe", "\u202e", "-1", "1e9", "1.0",
    "9" * 40, "٣", "+1", " 1", "1;", "img-../../x", "..;/", "~root", "%c0%ae%c0%ae/", "0x1",
)  # fmt: skip


def test_no_path_leads_out_or_breaks_anything(client):
    for rule, trap in product(RULES, TRAPS):
        for path in {rule.format(trap), rule.format(quote(trap, safe="%"))}:
            response = client.get(path)
            assert response.status_code < 500, (path, response.get_data(as_text=True))
            assert b"root:" not in response.data
            if response.status_code >= 400:
                assert response.mimetype == "application/problem+json"


@pytest.mark.parametrize("name", ["index", "f", "limit", "cursor", "s", "v", "format"])
def test_no_parameter_breaks_anything(client, name):
    paths = ("/api/v1/images", "/api/v1/images/1/thumb", "/api/v1/failures", "/api/v1/info",
             "/api/v1/jobs", "/")  # fmt: skip
    for path, trap in product(paths, TRAPS):
        response = client.get(path, query_string={name: trap})
        assert response.status_code < 500, (path, trap, response.get_data(as_text=True))


def test_no_number_in_a_search_breaks_anything(client):
    numbers = [0, 1, -1, 3, 47, 1000, 1001, 9_999, 2**31, 2**63, -(2**63), 1e308, 0.5, -0.0]
    for field in ("k", "nprobe", "explain", "weight", "min_score"):
        for number in numbers:
            response = client.post(SEARCH, json=ONE | {field: number})
            assert response.status_code in (200, 422), (field, number)
    for x, y, w, h in product([0, 0.5, 1, 1e-9, -1], [0, 0.999999], [1e-9, 0.5, 1], [0.1, 1]):
        body = ONE | {"mode": "region", "region": {"x": x, "y": y, "w": w, "h": h}, "k": 1}
        assert client.post(SEARCH, json=body).status_code in (200, 422), body
