"""Who may ask what: names, origins, tokens, rates; and what browsers are told."""

from __future__ import annotations

import logging

import pytest
from dinosearch.web import Settings
from dinosearch.web.security import _is_host
from dinosearch.web.settings import BadSettings

from tests.web.api.answers import problem_of, upload
from tests.web.api.corpus import red_square

TOKEN = "a-secret-of-many-letters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
INFO, JOBS, SEARCH = "/api/v1/info", "/api/v1/jobs", "/api/v1/search"
ONE = {"query": {"image_id": 1}}


# -- the name a request is addressed to -------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535",
     "[::1]", "[::1]:8080"],
)  # fmt: skip
def test_this_machine_is_answered(client, host):
    assert client.get("/api/v1/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "evil-localhost",
     "localhost@evil.example", "evil.example@localhost", "localhost:80@evil.example",
     "evil.example#localhost", "evil.example/localhost", "evil.example?localhost",
     "evil.example\\localhost", "127.0.0.1.nip.io", "127.0.0.2", "0.0.0.0", "[::2]", "::1",
     "localhost.", "local host", "", "[::1", "localhost,evil.example", "[::ffff:127.0.0.1]",
     "2130706433", "0x7f000001", "\xe9vil"],
)  # fmt: skip
def test_any_other_name_is_refused_whatever_is_asked(client, host):
    for path in ("/api/v1/healthz", "/", "/static/x/y", "/login", "/nothing"):
        response = client.get(path, environ_overrides={"HTTP_HOST": host})
        problem_of(response, 403, "forbidden-host")


@pytest.mark.parametrize(
    "host", ["a@localhost", "localhost/a", "localhost?a", "localhost#a", "a b"]
)
def test_what_an_address_would_be_read_as_otherwise_is_no_name(host):
    assert not _is_host(host), "whatever the library lets through"


def test_a_server_answers_to_the_names_it_was_given(serve):
    client = serve(host="127.0.0.5", hosts=("Photos.Example",)).test_client()
    for host in ("photos.example:80", "PHOTOS.EXAMPLE", "127.0.0.5", "localhost"):
        assert client.get(INFO, headers={"Host": host}).status_code == 200
    problem_of(client.get(INFO, headers={"Host": "example"}), 403, "forbidden-host")


def test_a_server_on_every_address_answers_to_none_of_them_by_itself(serve):
    client = serve(host="0.0.0.0", token=TOKEN, hosts=("photos.example",)).test_client()
    for host, status in (("photos.example", 200), ("0.0.0.0", 403), ("192.168.0.7", 403)):
        assert client.get(INFO, headers=BEARER | {"Host": host}).status_code == status


# -- the page a request comes from ------------------------------------------------------------


def changes(client, headers, **options):
    """The answers to all that changes something."""
    return [
        client.post(JOBS, json={"kind": "changes"}, headers=headers, **options),
        client.delete(f"{JOBS}/4711", headers=headers, **options),
        client.post(f"{JOBS}/4711/retry", headers=headers, **options),
        client.patch("/api/v1/queries/img-1", json={"pinned": True}, headers=headers, **options),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
def test_another_sites_page_changes_nothing(client, headers):
    before = client.get(JOBS).get_json()
    for response in changes(client, headers):
        problem_of(response, 403, "forbidden-origin")
    assert client.get(JOBS).get_json() == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere"},
    ],
)
def test_our_own_page_and_what_is_no_browser_may_change_things(client, headers):
    assert [r.status_code for r in changes(client, headers)] == [202, 404, 404, 409]


def test_the_origin_has_the_port_of_the_server(client):
    origin = {"Origin": "http://localhost:8080", "Host": "localhost:8080"}
    assert client.post(JOBS, json={"kind": "changes"}, headers=origin).status_code == 202


def test_questions_are_reads_though_they_are_posted(client):
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    explain = {"query": {"image_id": 1}, "image_ids": [1]}
    assert client.post(SEARCH, json=ONE, headers=foreign).status_code == 200
    assert client.post("/api/v1/explain", json=explain, headers=foreign).status_code == 200
    assert upload(client, red_square(), headers=foreign).status_code == 201
    answer = client.get(INFO, headers=foreign)
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers, "and it cannot be read there"


# -- tokens -----------------------------------------------------------------------------------


@pytest.fixture
def guarded(serve):
    return serve(token=TOKEN).test_client()


@pytest.mark.parametrize(
    "authorization",
    [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x",
     f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}", "Bearer \xe9\xe9", f"Bearer x {TOKEN}"],
)  # fmt: skip
def test_without_the_token_nothing_is_told(guarded, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    for response in (
        guarded.get(INFO, headers=headers),
        guarded.get("/api/v1/images/1/thumb", headers=headers),
        guarded.get("/api/v1/nothing", headers=headers),
        guarded.get("/api/v1/metrics", headers=headers),
        guarded.post(SEARCH, json=ONE, headers=headers),
        guarded.head("/", headers=headers),
    ):
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="dinosearch"'
    problem_of(guarded.get(INFO, headers=headers), 401, "unauthorized")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_all_is_told_and_changed_from_anywhere(guarded, scheme):
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert guarded.get(INFO, headers=headers).status_code == 200
    foreign = headers | {"Origin": "http://elsewhere", "Sec-Fetch-Site": "cross-site"}
    assert [r.status_code for r in changes(guarded, foreign)] == [202, 404, 404, 409]


@pytest.mark.parametrize("path", ["/api/v1/healthz", "/login", "/problems/unauthorized"])
def test_how_to_get_in_is_open(guarded, path):
    assert guarded.get(path).status_code == 200


def test_pages_lead_to_the_login_and_back(guarded):
    response = guarded.get("/image/5")
    assert (response.status_code, response.headers["Location"]) == (302, "/login?next=/image/5")
    response = guarded.post("/login", data={"token": f" {TOKEN} ", "next": "/image/5"})
    assert (response.status_code, response.headers["Location"]) == (303, "/image/5")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/image/5").status_code == 200
    assert guarded.get(INFO).status_code == 200
    foreign = {"Sec-Fetch-Site": "cross-site"}
    problem_of(changes(guarded, foreign)[0], 403, "forbidden-origin")
    assert changes(guarded, {"Sec-Fetch-Site": "same-origin"})[0].status_code == 202


def test_the_question_of_a_page_survives_the_login(guarded):
    response = guarded.get("/?q=img:1&mode=region&r=0.1,0.2,0.3,0.4")
    page = guarded.get(response.headers["Location"])
    assert "q=img:1&amp;mode=region&amp;r=0.1,0.2,0.3,0.4" in page.get_data(as_text=True)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "\u00e9\ud7ff"])
def test_a_wrong_token_does_not_let_in(guarded, token):
    response = guarded.post("/login", data={"token": token, "next": "/"})
    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers
    assert guarded.get(INFO).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "x", "\xe9", TOKEN, "0" * 64, "\udcff".encode("utf-8", "surrogateescape")]
)
def test_a_cookie_of_ones_own_making_does_not_let_in(serve, value):
    guarded = serve(token=TOKEN).test_client(use_cookies=False)
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    headers = {"Cookie": f"dinosearch_session={text}"}
    problem_of(guarded.get(INFO, headers=headers), 401, "unauthorized")


def test_the_cookie_of_one_token_does_not_open_another_server(serve):
    first = serve(token=TOKEN).test_client()
    cookie = first.post("/login", data={"token": TOKEN}).headers["Set-Cookie"].split(";")[0]
    same = serve(token=TOKEN).test_client(use_cookies=False)
    other = serve(token=TOKEN + "!").test_client(use_cookies=False)
    assert same.get(INFO, headers={"Cookie": cookie}).status_code == 200
    assert other.get(INFO, headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example",
     "javascript:alert(1)", "evil.example", "", "/\t/evil.example", "/\n/evil.example",
     "/\r\nSet-Cookie: a=b", "///evil.example", " /x"],
)  # fmt: skip
def test_the_login_leads_nowhere_else(guarded, target):
    response = guarded.post("/login", data={"token": TOKEN, "next": target})
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    shown = guarded.get("/login", query_string={"next": target}).get_data(as_text=True)
    assert "evil.example" not in shown


@pytest.mark.parametrize(
    "path", ["/%0d%0aX-Evil:1", "/%0aa", "/a%00b", "/%22%3E%3Cimg%20src=x%3E", "/%ff"]
)
def test_a_path_is_never_more_than_a_path(guarded, path):
    response = guarded.get(path)
    assert response.status_code in (302, 404), response.get_data(as_text=True)
    assert "X-Evil" not in response.headers
    assert "<img" not in guarded.get(f"/login?next={path}").get_data(as_text=True)


def test_the_token_is_in_no_answer_and_no_log(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    responses = [
        guarded.get(INFO, headers=BEARER),
        guarded.get("/api/v1/metrics", headers=BEARER),
        guarded.get("/api/v1/openapi.json", headers=BEARER),
        guarded.get(f"/nothing/{TOKEN[:5]}", headers=BEARER),
        guarded.post("/login", data={"token": TOKEN + "x"}),
        guarded.post("/login", data={"token": TOKEN}),
        guarded.post(SEARCH, json=ONE, headers={"Authorization": f"Bearer {TOKEN}x"}),
    ]
    for response in responses:
        assert TOKEN not in response.get_data(as_text=True) + str(response.headers)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(Settings(indexes=("x",), token=TOKEN))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "give a token"),
        ({"host": "::"}, "give a token"),
        ({"host": "192.168.0.7"}, "give a token"),
        ({"host": "photos.example"}, "give a token"),
        ({"host": "0.0.0.0", "token": "short"}, "shorter than 16"),
        ({"token": ""}, "shorter than 16"),
        ({"indexes": ()}, "at least one index"),
        ({"roots": ("/no such folder",)}, "there is no folder"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(options, message):
    with pytest.raises(BadSettings, match=message) as refusal:
        Settings(**{"indexes": ("x",)} | options)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_this_machine_alone_needs_no_token(host):
    assert Settings(indexes=("x",), host=host).is_loopback
