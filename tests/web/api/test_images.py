"""GET /images: lists, records, thumbnails, originals, and what may be seen of the disk."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import dinosearch
from tests.painting import SIZE, noise, plain, save
from tests.web.api.answers import problem_of
from tests.web.api.corpus import HOSTILE, PART, PLACES, png


def listed(client, **parameters):
    """All pictures of a list, page after page."""
    found, cursor = [], None
    for _ in range(100):
        page = client.get("/api/v1/images", query_string=parameters | {"cursor": cursor or []})
        document = page.get_json()
        found.append(document["images"])
        cursor = document["cursor"]
        if cursor is None:
            return found, document["total"]
    raise AssertionError("the list does not end")


def test_the_list_holds_every_picture_once_by_id(client, index):
    pages, total = listed(client, limit=10)
    assert [len(page) for page in pages] == [10, 10, 10, 5]
    ids = [one["id"] for page in pages for one in page]
    assert ids == [item.id for item in index.items(limit=100)]
    assert total == len(index) == 35


def test_the_last_page_may_be_full(client):
    pages, total = listed(client, limit=6, f=["label:noise"])
    assert ([len(page) for page in pages], total) == ([6], 6)


def test_filters_leave_pictures_out_of_the_list(client, site):
    pages, total = listed(client, limit=4, f=["label:shades", "-path:shades/1"])
    assert ([len(page) for page in pages], total) == ([4, 4, 2], 10)
    assert pages[0][0] == {
        "id": site.ids["00.png"],
        "path": "shades/00.png",
        "width": SIZE,
        "height": SIZE,
        "labels": ["shades"],
        "thumb": pages[0][0]["thumb"],
    }
    document = problem_of(client.get("/api/v1/images?f=nonsense"), 422, "invalid-request")
    assert document["errors"][0]["pointer"] == "/f"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1e2", "limit=٣", "limit=1&limit=2",
              "cursor=x", "cursor=a-1", "cursor=", "cursor=a" + "9" * 30]
)  # fmt: skip
def test_lists_that_cannot_be(client, query):
    problem_of(client.get(f"/api/v1/images?{query}"), 422, "invalid-request")


def test_a_record_tells_all_about_a_picture(client, site, index):
    item = index.item(site.ids["wide.png"])
    content = (site.corpus / "pictures" / "parts" / "wide.png").read_bytes()
    record = client.get(f"/api/v1/images/{item.id}").get_json()
    assert record.pop("crop") == pytest.approx([1 / 3, 0, 1 / 3, 1])
    sha256 = hashlib.sha256(content).hexdigest()
    assert record == {
        "id": item.id,
        "path": "parts/wide.png",
        "source": "pictures",
        "width": 3 * SIZE,
        "height": SIZE,
        "format": "PNG",
        "bytes": len(content),
        "sha256": sha256,
        "date": item.date,
        "split": None,
        "labels": ["parts"],
        "metadata": {},
        "notes": [],
        "added_at": item.added_at,
        "updated_at": item.updated_at,
        "grid": [10, 10],
        "thumb": f"/api/v1/images/{item.id}/thumb?s=256&v={sha256[:12]}",
        "preview": f"/api/v1/images/{item.id}/thumb?s=1600&v={sha256[:12]}",
        "file": f"/api/v1/images/{item.id}/file",
        "copies": [],
    }


def test_a_record_has_what_the_table_said_and_what_was_done_to_the_picture(client, site):
    record = client.get(f"/api/v1/images/{site.ids['d2.png']}").get_json()
    assert (record["labels"], record["split"]) == (["dent"], "test")
    assert (record["metadata"], record["source"]) == ({"camera": "=1+1"}, "described")
    turned = client.get(f"/api/v1/images/{site.ids['turned.png']}").get_json()
    assert [note["code"] for note in turned["notes"]] == ["exif-orientation"]
    assert (turned["width"], turned["height"]) == (3 * SIZE, SIZE)


def test_a_record_names_the_copies(client, site, index):
    copies = [item.id for item in index.items(where="label:copies")]
    assert client.get(f"/api/v1/images/{site.ids['03.png']}").get_json()["copies"] == copies
    one = client.get(f"/api/v1/images/{copies[0]}").get_json()["copies"]
    assert one == sorted([site.ids["03.png"], copies[1]])


def test_hostile_names_come_as_text(client, index):
    found = client.get("/api/v1/images?f=label:names").get_json()["images"]
    paths = {one["path"].removeprefix("names/") for one in found}
    assert paths == {name.decode("utf-8", "replace") for name in HOSTILE}
    for one in found:
        record = client.get(f"/api/v1/images/{one['id']}")
        assert record.get_json()["path"] == one["path"]
        assert client.get(one["thumb"]).status_code == 200
        original = client.get(f"/api/v1/images/{one['id']}/file")
        assert original.data == Path(index.item(one["id"]).path).read_bytes()
        disposition = original.headers["Content-Disposition"]
        assert disposition.startswith("attachment; filename")
        assert not {"\n", "\r", "\u202e"} & set(unquote(disposition))
        assert "/" not in disposition


@pytest.mark.parametrize("path", ["", "/thumb", "/file", "/thumb?s=1600"])
@pytest.mark.parametrize("image_id", [0, 4711, 10**18, 1 << 62])
def test_pictures_that_are_not_there(client, image_id, path):
    problem_of(client.get(f"/api/v1/images/{image_id}{path}"), 404, "image-not-found")


# -- thumbnails -----------------------------------------------------------------------------


def test_thumbnails_are_upright_jpegs_that_tell_nothing_else(client, site):
    item = site.ids["turned.png"]
    for size in (256, 1600):
        response = client.get(f"/api/v1/images/{item}/thumb?s={size}")
        assert response.mimetype == "image/jpeg"
        shown = Image.open(io.BytesIO(response.data))
        assert shown.size == ((256, 85) if size == 256 else (3 * SIZE, SIZE))
        assert not shown.getexif()
        assert b"secret" not in response.data
        assert b"Exif" not in response.data
        x, y, w, h = PLACES["turned.png"]
        for row, col in ((0, 0), (2, 1)):
            place = (
                (x + w * (col + 0.5) / 2) * shown.width,
                (y + h * (row + 0.5) / 3) * shown.height,
            )
            found = np.array(shown.getpixel((int(place[0]), int(place[1]))))
            assert np.abs(found - PART[row, col]).max() < 110, (size, row, col)


def test_the_default_is_the_small_one(client, site):
    item = site.ids["wide.png"]
    small = client.get(f"/api/v1/images/{item}/thumb")
    assert small.data == client.get(f"/api/v1/images/{item}/thumb?s=256").data
    assert Image.open(io.BytesIO(small.data)).size == (256, 85)


@pytest.mark.parametrize("size", [256, 1600])
def test_a_browser_keeps_a_thumbnail_for_good_only_by_its_content(client, site, index, size):
    item = index.item(site.ids["wide.png"])
    path = f"/api/v1/images/{item.id}/thumb?s={size}"
    plainly = client.get(path)
    assert plainly.headers["Cache-Control"] == "private, no-cache"
    by_content = client.get(f"{path}&v={item.sha256[:12]}")
    assert by_content.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    for wrong in ("", "x", item.sha256[:11], item.sha256[:13], "0" * 12):
        response = client.get(f"{path}&v={wrong}")
        assert response.headers["Cache-Control"] == "private, no-cache"
    tag = plainly.headers["ETag"]
    assert tag == by_content.headers["ETag"]
    assert not tag.startswith("W/")
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, plainly.data)
    copy = client.get(f"/api/v1/images/{site.ids['tall.png']}/thumb?s={size}")
    assert copy.headers["ETag"] != tag


@pytest.mark.parametrize("query", ["s=255", "s=0", "s=-1", "s=1e9", "s=256&s=1600", "s="])
def test_thumbnails_come_in_two_sizes(client, query):
    problem_of(client.get(f"/api/v1/images/1/thumb?{query}"), 422, "invalid-request")


# -- originals ------------------------------------------------------------------------------


def test_an_original_is_the_file_as_an_attachment(client, site, index):
    item = index.item(site.ids["turned.png"])
    response = client.get(f"/api/v1/images/{item.id}/file")
    assert response.data == Path(item.path).read_bytes()
    assert response.headers["Content-Disposition"] == "attachment; filename=turned.png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Length"] == str(item.bytes)
    assert response.mimetype == "image/png"
    tag = response.headers["ETag"]
    again = client.get(f"/api/v1/images/{item.id}/file", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_of_an_original_may_be_asked_for(client, site):
    path = f"/api/v1/images/{site.ids['turned.png']}/file"
    whole = client.get(path).data
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    tail = client.get(path, headers={"Range": "bytes=-7"})
    assert tail.data == whole[-7:]
    beyond = client.get(path, headers={"Range": f"bytes={len(whole)}-"})
    problem_of(beyond, 416, "bad-range")
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole)}"


@pytest.fixture
def changing(tmp_path, serve):
    """An app over pictures that a test may change; the folder of the pictures."""
    pictures = tmp_path / "corpus" / "pictures"
    for name in ("a", "sub/b"):
        save(pictures / f"{name}.png", noise(len(name)))
    (pictures / "page.html.png").write_bytes(b"<html>no picture")
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(pictures / "c.png", "JPEG")
    with dinosearch.create(tmp_path / "changing", encoder="colour", size=SIZE) as index:
        index.add(pictures)
        ids = {item.relative_path: item.id for item in index.items()}
    client = serve(indexes=(tmp_path / "changing",)).test_client()
    return client, pictures, ids


def test_the_type_is_what_our_decoder_found_never_the_ending(changing):
    client, _, ids = changing
    response = client.get(f"/api/v1/images/{ids['c.png']}/file")
    assert response.mimetype == "image/jpeg"


def is_withheld(client, image_id: int) -> None:
    problem_of(client.get(f"/api/v1/images/{image_id}/file"), 404, "image-not-found")
    assert client.get(f"/api/v1/images/{image_id}").get_json()["file"] is None


def test_a_link_that_took_the_place_of_a_picture_leads_nowhere(changing, tmp_path):
    client, pictures, ids = changing
    (tmp_path / "secret.png").write_bytes(png(plain((1, 2, 3))))
    (pictures / "a.png").unlink()
    (pictures / "a.png").symlink_to(tmp_path / "secret.png")
    is_withheld(client, ids["a.png"])
    problem_of(client.get(f"/api/v1/images/{ids['a.png']}/thumb?s=1600"), 404, "image-not-found")


def test_a_link_to_another_picture_is_no_picture_either(changing):
    client, pictures, ids = changing
    (pictures / "a.png").unlink()
    (pictures / "a.png").symlink_to(pictures / "sub" / "b.png")
    is_withheld(client, ids["a.png"])


def test_a_folder_whose_name_begins_alike_is_another(changing):
    client, pictures, ids = changing
    save(pictures.parent / "pictures-secret" / "b.png", plain((1, 2, 3)))
    (pictures / "sub" / "b.png").unlink()
    (pictures / "sub").rmdir()
    (pictures / "sub").symlink_to(pictures.parent / "pictures-secret")
    is_withheld(client, ids["sub/b.png"])


def test_a_link_that_took_the_place_of_a_folder_leads_nowhere(changing, tmp_path):
    client, pictures, ids = changing
    save(tmp_path / "secret" / "b.png", plain((1, 2, 3)))
    (pictures / "sub" / "b.png").unlink()
    (pictures / "sub").rmdir()
    (pictures / "sub").symlink_to(tmp_path / "secret")
    is_withheld(client, ids["sub/b.png"])
    response = client.get(f"/api/v1/images/{ids['sub/b.png']}/thumb?s=1600")
    problem_of(response, 404, "image-not-found")


def test_a_pipe_in_the_place_of_a_picture_is_not_waited_for(changing):
    client, pictures, ids = changing
    (pictures / "a.png").unlink()
    os.mkfifo(pictures / "a.png")
    is_withheld(client, ids["a.png"])
    assert client.get(f"/api/v1/images/{ids['a.png']}/thumb").status_code == 200, "it is kept"


def test_a_picture_that_is_gone(changing):
    client, pictures, ids = changing
    (pictures / "a.png").unlink()
    is_withheld(client, ids["a.png"])
    problem_of(client.get(f"/api/v1/images/{ids['a.png']}/thumb?s=1600"), 404, "image-not-found")
