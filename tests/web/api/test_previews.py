"""Pictures made ready are kept while there is room, and made once."""

from __future__ import annotations

import io

import numpy as np
import pytest
from dinosearch.web.previews import Previews
from PIL import Image

import dinosearch
from dinosearch.images import Decoder
from tests.painting import BLUE, RED, SIZE, plain, save


def test_what_was_used_longest_ago_makes_room():
    previews = Previews(max_bytes=10)
    previews.put("a", b"aaaa")
    previews.put("b", b"bbbb")
    assert previews.get("a") == b"aaaa"
    previews.put("c", b"cc")
    assert (previews.get("a"), previews.get("b")) == (b"aaaa", b"bbbb"), "10 bytes fit"
    previews.put("d", b"d")
    assert [previews.get(tag) for tag in "abcd"] == [b"aaaa", b"bbbb", None, b"d"]
    previews.put("d", b"dddddd")
    assert [previews.get(tag) for tag in "abd"] == [None, b"bbbb", b"dddddd"]
    previews.put("e", b"e" * 11)
    assert previews.get("e") is None, "more than there is room for"


def test_a_preview_is_made_once(client, site, monkeypatch):
    made, original = [], Decoder.jpeg

    def counting(decoder, path, **options):
        made.append(path)
        return original(decoder, path, **options)

    monkeypatch.setattr(Decoder, "jpeg", counting)
    item = site.ids["1.png"]
    first = client.get(f"/api/v1/images/{item}/thumb?s=1600").data
    assert client.get(f"/api/v1/queries/img-{item}/image").data == first
    assert client.get(f"/api/v1/images/{item}/thumb?s=1600").data == first
    assert len(made) == 1


def test_a_file_that_changed_is_not_kept_under_its_old_content(serve, tmp_path):
    save(tmp_path / "p" / "a.png", plain(RED))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p")
        sha256 = index.item(1).sha256
    client = serve(indexes=(tmp_path / "x",)).test_client()
    address = f"/api/v1/images/1/thumb?s=1600&v={sha256[:12]}"
    before = client.get(address)
    assert "immutable" in before.headers["Cache-Control"]
    save(tmp_path / "p" / "a.png", plain(BLUE), scale=2)
    after = client.get(address, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert "immutable" not in after.headers["Cache-Control"]
    assert np.asarray(Image.open(io.BytesIO(after.data)))[5, 5].tolist() == pytest.approx(
        list(BLUE), abs=3
    )
