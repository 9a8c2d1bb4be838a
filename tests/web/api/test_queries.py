"""Pictures to ask with: uploaded, kept, pinned, expired, refused."""

from __future__ import annotations

import io
import json
import os
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from dinosearch.encoders.colour import Colour
from tests.painting import BLUE, RED, SIZE, noise, plain, planted
from tests.web.api.answers import ask, names, problem_of, upload
from tests.web.api.corpus import GREY, PART, PLACES, png, row_of, turned


@pytest.fixture
def encoded(monkeypatch):
    """The number of pictures that were encoded, in a list of one."""
    count = [0]
    original = Colour.encode_views

    def counting(self, views):
        count[0] += len(views)
        return original(self, views)

    monkeypatch.setattr(Colour, "encode_views", counting)
    return count


def test_an_upload_tells_how_the_model_sees_it(client):
    before = time.time()
    wide = png(row_of(plain(RED), plain(BLUE), plain(RED)))
    response = upload(client, wide, "holiday.png")
    record = response.get_json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/queries/{record['query_id']}"
    expires = datetime.fromisoformat(record.pop("expires_at"))
    assert 24 * 3600 - 60 < expires.timestamp() - before < 24 * 3600 + 60
    assert expires.tzinfo == UTC
    query_id = record.pop("query_id")
    assert len(query_id) == 24
    assert record.pop("crop") == pytest.approx([1 / 3, 0, 1 / 3, 1])
    assert record == {
        "name": "holiday.png",
        "image_id": None,
        "width": 3 * SIZE,
        "height": SIZE,
        "grid": [10, 10],
        "pinned": False,
        "notes": [],
        "image": f"/api/v1/queries/{query_id}/image",
    }
    assert client.get(f"/api/v1/queries/{query_id}").get_json()["width"] == 3 * SIZE


def test_equal_content_is_one_query_encoded_once(client, encoded):
    content = png(noise(501))
    first = upload(client, content, "a.png").get_json()
    again = upload(client, content, "b.png").get_json()
    ask(client, first["query_id"])
    assert (again["query_id"], encoded) == (first["query_id"], [1])
    assert again["name"] == "b.png"
    other = upload(client, png(noise(502))).get_json()
    assert (other["query_id"] != first["query_id"], encoded) == (True, [2])


def test_a_picture_of_the_index_that_is_uploaded_is_not_encoded(client, site, encoded):
    content = (site.corpus / "pictures" / "noise" / "4.png").read_bytes()
    record = upload(client, content, "other name.png").get_json()
    answer = ask(client, record["query_id"], k=1)
    assert (names(answer), encoded) == (["4.png"], [0])
    assert answer["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
    assert record["image_id"] is None, "it is an upload all the same"


def test_a_picture_of_the_index_can_be_asked_with(client, site, encoded):
    item = site.ids["wide.png"]
    response = client.post("/api/v1/queries", json={"image_id": item})
    record = response.get_json()
    assert response.status_code == 201
    assert (record["query_id"], record["image_id"]) == (f"img-{item}", item)
    assert (record["name"], record["expires_at"], record["pinned"]) == (
        "parts/wide.png",
        None,
        True,
    )
    assert record["crop"] == pytest.approx([1 / 3, 0, 1 / 3, 1])
    found = ask(client, record["query_id"], k=5)
    assert {"wide.png", "small.png", "turned.png"} <= set(names(found)), "alike as wholes"
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert encoded == [0]
    assert client.get(f"/api/v1/queries/img-{item}").get_json() == record


def test_what_was_done_to_a_picture_is_said_and_it_stands_upright(client):
    lying = turned(row_of(plain(GREY), planted(GREY, PART, 6, 1), plain(GREY)))
    record = upload(client, lying).get_json()
    assert (record["width"], record["height"]) == (3 * SIZE, SIZE)
    assert record["notes"] == [
        {
            "code": "exif-orientation",
            "text": "Turned or mirrored to stand upright as its metadata say.",
        }
    ]
    response = client.get(record["image"])
    assert response.mimetype == "image/jpeg"
    shown = Image.open(io.BytesIO(response.data))
    assert (shown.size, dict(shown.getexif())) == ((3 * SIZE, SIZE), {})
    assert b"secret" not in response.data
    x, y, w, h = PLACES["turned.png"]
    first = shown.getpixel((int((x + w / 4) * 420), int((y + h / 6) * 140)))
    assert np.abs(np.array(first) - PART[0, 0]).max() < 90, "the red cell of the part"


def test_the_picture_is_at_most_1600_pixels_and_cached_by_content(client):
    big = Image.fromarray(np.kron(noise(7), np.ones((200, 100, 1), np.uint8)))
    record = upload(client, png(big)).get_json()
    assert (record["width"], record["height"]) == (1000, 2000)
    response = client.get(record["image"])
    assert Image.open(io.BytesIO(response.data)).size == (800, 1600)
    tag = response.headers["ETag"]
    assert tag == f'"{record["query_id"]}-1600"'
    again = client.get(record["image"], headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(record["image"], headers={"If-None-Match": '"x"'}).data == response.data


def test_the_picture_of_an_item_is_that_of_its_preview(client, site):
    item = site.ids["turned.png"]
    image = client.get(f"/api/v1/queries/img-{item}/image")
    preview = client.get(f"/api/v1/images/{item}/thumb?s=1600")
    assert image.data == preview.data
    assert Image.open(io.BytesIO(image.data)).size == (3 * SIZE, SIZE)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("größe 1.png", "größe 1.png"),
        ("\u202egnp.png", "\u202egnp.png"),
        ("n" * 400, "n" * 255),
    ],
)
def test_a_name_is_shown_and_never_a_path(serve, tmp_path, name, shown):
    client = serve().test_client()
    record = upload(client, png(noise(5)), name).get_json()
    assert record["name"] == shown
    assert sorted(os.listdir(tmp_path / "uploads")) == [
        record["query_id"],
        f"{record['query_id']}.json",
    ]


def test_uploads_outlive_the_server(serve):
    content = png(planted(GREY, PART, 3, 3))
    record = upload(serve().test_client(), content, "a.png").get_json()
    client = serve().test_client()
    assert client.get(f"/api/v1/queries/{record['query_id']}").get_json() == record
    assert len(ask(client, record["query_id"], k=4)["hits"]) == 4
    assert client.get(record["image"]).status_code == 200


def age(tmp_path, query_id: str, seconds: float) -> None:
    """As if an upload had been made so long ago."""
    record = tmp_path / "uploads" / f"{query_id}.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps(facts | {"expires_at": facts["expires_at"] - seconds}))


def test_an_upload_expires_and_is_taken_from_the_disk(serve, tmp_path):
    client = serve().test_client()
    query_id = upload(client, png(noise(1))).get_json()["query_id"]
    age(tmp_path, query_id, 24 * 3600 - 60)
    assert client.get(f"/api/v1/queries/{query_id}").status_code == 200
    age(tmp_path, query_id, 120)
    for response in (
        client.get(f"/api/v1/queries/{query_id}"),
        client.get(f"/api/v1/queries/{query_id}/image"),
        client.patch(f"/api/v1/queries/{query_id}", json={"pinned": True}),
        client.post("/api/v1/search", json={"query": {"query_id": query_id}}),
    ):
        problem_of(response, 410, "query-expired")
    assert not (tmp_path / "uploads" / query_id).exists()
    again = upload(client, png(noise(1))).get_json()
    assert again["query_id"] == query_id
    assert client.get(f"/api/v1/queries/{query_id}").status_code == 200


def test_a_short_life_may_be_set(serve):
    client = serve(query_ttl=-1.0).test_client()
    problem_of(upload(client, png(noise(1))), 410, "query-expired")


def test_an_upload_that_expired_long_ago_was_never_there(serve, tmp_path):
    client = serve().test_client()
    query_id = upload(client, png(noise(1))).get_json()["query_id"]
    age(tmp_path, query_id, 32 * 24 * 3600)
    upload(client, png(noise(2)))
    problem_of(client.get(f"/api/v1/queries/{query_id}"), 404, "query-not-found")


def test_a_pinned_upload_is_kept_until_it_is_unpinned(serve, tmp_path):
    client = serve().test_client()
    query_id = upload(client, png(noise(1))).get_json()["query_id"]
    pinned = client.patch(f"/api/v1/queries/{query_id}", json={"pinned": True}).get_json()
    assert (pinned["pinned"], pinned["expires_at"]) == (True, None)
    age(tmp_path, query_id, 90 * 24 * 3600)
    other = upload(client, png(noise(2))).get_json()
    again = serve().test_client()
    assert again.get(f"/api/v1/queries/{query_id}").get_json() == pinned
    assert upload(again, png(noise(1))).get_json()["pinned"], "uploading it again unpins nothing"
    freed = again.patch(f"/api/v1/queries/{query_id}", json={"pinned": False}).get_json()
    assert freed["pinned"] is False
    left = datetime.fromisoformat(freed["expires_at"]).timestamp() - time.time()
    assert 24 * 3600 - 60 < left <= 24 * 3600
    assert other["pinned"] is False


def test_a_picture_of_the_index_needs_no_pin(client):
    problem_of(client.patch("/api/v1/queries/img-1", json={"pinned": True}), 409, "conflict")


def test_the_oldest_that_is_not_pinned_makes_room(serve, tmp_path):
    contents = [png(Image.fromarray(np.random.default_rng(n).integers(
        0, 256, (60, 60, 3), dtype=np.uint8))) for n in range(5)]  # fmt: skip
    size = max(map(len, contents))
    client = serve(uploads_bytes=3 * size).test_client()
    ids = []
    for number, content in enumerate(contents):
        ids.append(upload(client, content).get_json()["query_id"])
        if number == 0:
            client.patch(f"/api/v1/queries/{ids[0]}", json={"pinned": True})
        age(tmp_path, ids[-1], 100 - number)
    states = [client.get(f"/api/v1/queries/{one}").status_code for one in ids]
    assert states == [200, 410, 200, 200, 200], "pinned ones do not count"
    assert (tmp_path / "uploads" / ids[0]).exists()
    assert not (tmp_path / "uploads" / ids[1]).exists()


@pytest.mark.parametrize(
    "query_id", ["0" * 24, "ABCDEF" * 4, "x", "img-", "img-x", "img-" + "9" * 40]
)
def test_a_query_that_was_never_there_is_not_found(client, query_id):
    for path in ("", "/image"):
        problem_of(client.get(f"/api/v1/queries/{query_id}{path}"), 404, "query-not-found")
    body = {"pinned": True}
    problem_of(client.patch(f"/api/v1/queries/{query_id}", json=body), 404, "query-not-found")


def test_pictures_that_are_not_in_the_index_are_not_found(client):
    problem_of(client.post("/api/v1/queries", json={"image_id": 4711}), 404, "image-not-found")
    problem_of(client.get("/api/v1/queries/img-4711"), 404, "image-not-found")
    problem_of(client.get("/api/v1/queries/img-4711/image"), 404, "image-not-found")


def test_what_a_killed_server_left_half_done_is_swept_away(serve, tmp_path):
    kept = upload(serve().test_client(), png(noise(1))).get_json()["query_id"]
    folder, long_ago = tmp_path / "uploads", time.time() - 7_200
    for name in (".0123", "a" * 24, ".4567", "b" * 24):
        (folder / name).write_bytes(b"half")
    for name in (".0123", "a" * 24, kept, f"{kept}.json"):
        os.utime(folder / name, (long_ago, long_ago))
    client = serve().test_client()
    assert set(os.listdir(folder)) == {kept, f"{kept}.json", ".4567", "b" * 24}
    assert client.get(f"/api/v1/queries/{kept}").status_code == 200
