"""Uploads that are not taken: each with its status, its reason, and nothing left on the disk."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from dinosearch.web import uploads
from PIL import Image

from tests.painting import noise
from tests.web.api.answers import problem_of, upload
from tests.web.api.corpus import png


def left_over(tmp_path) -> list[str]:
    return os.listdir(tmp_path / "uploads")


@pytest.mark.parametrize(
    ("content", "status", "kind", "code"),
    [
        (b"Dear Sir or Madam", 415, "unsupported-image", "unsupported-format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-image",
         "unsupported-format"),
        (b"%PDF-1.7", 415, "unsupported-image", "unsupported-format"),
        (b"", 415, "unsupported-image", "empty"),
        (png(noise(1))[:300], 422, "unreadable-image", "truncated"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_reason(
    serve, tmp_path, content, status, kind, code
):
    client = serve().test_client()
    document = problem_of(upload(client, content), status, kind)
    assert document["detail"].startswith(f"{code}: ")
    assert document["errors"] == [{"pointer": "/image", "detail": document["detail"]}]
    assert left_over(tmp_path) == []
    assert str(tmp_path) not in str(document)


def test_a_file_of_too_many_bytes_is_refused(serve, tmp_path):
    rough = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = png(Image.fromarray(rough))
    client = serve(upload_bytes=len(content)).test_client()
    assert upload(client, content).status_code == 201
    client = serve(upload_bytes=len(content) - 1).test_client()
    document = problem_of(upload(client, content), 413, "too-large")
    assert document["errors"][0] == {
        "pointer": "/image",
        "detail": f"at most {len(content) - 1} bytes",
    }
    assert len(left_over(tmp_path)) == 2, "only the one that was taken"


def test_a_request_far_beyond_the_limit_is_not_even_read(serve, tmp_path):
    client = serve(upload_bytes=1000).test_client()
    problem_of(upload(client, b"x" * (3 << 20)), 413, "too-large")
    assert left_over(tmp_path) == []


def test_a_picture_of_too_many_pixels_is_refused_from_its_header(serve, tmp_path):
    client = serve(upload_pixels=10_000).test_client()
    assert upload(client, png(Image.new("RGB", (100, 100)))).status_code == 201
    document = problem_of(upload(client, png(Image.new("RGB", (101, 100)))), 413, "too-large")
    assert document["detail"].startswith("too-many-pixels: ")
    assert len(left_over(tmp_path)) == 2


def test_a_request_is_for_one_picture(client):
    one, two = (io.BytesIO(png(noise(n))) for n in (1, 2))
    data = {"image": [(one, "1.png"), (two, "2.png")]}
    document = problem_of(client.post("/api/v1/queries", data=data), 422, "invalid-request")
    assert document["errors"][0]["pointer"] == "/image"
    one, two = (io.BytesIO(png(noise(n))) for n in (1, 2))
    form = {"image": (one, "1.png"), "other": (two, "2.png")}
    problem_of(client.post("/api/v1/queries", data=form), 422, "invalid-request")


def test_the_field_is_called_image(client):
    data = {"picture": (io.BytesIO(png(noise(1))), "1.png")}
    document = problem_of(client.post("/api/v1/queries", data=data), 400, "missing-field")
    assert document["errors"][0]["pointer"] == "/image"
    response = client.post(
        "/api/v1/queries", data={"image": "text"}, content_type="multipart/form-data"
    )
    problem_of(response, 400, "missing-field")


def test_a_form_of_many_parts_is_refused(client):
    data = {f"field{n}": "x" for n in range(30)} | {"image": (io.BytesIO(png(noise(1))), "1.png")}
    problem_of(client.post("/api/v1/queries", data=data), 413, "too-large")


@pytest.mark.parametrize("body", [{}, {"url": "http://127.0.0.1/x.png"}, {"image_id": 1, "x": 1}])
def test_json_names_a_picture_of_the_index_and_nothing_else(client, body):
    response = client.post("/api/v1/queries", json=body)
    assert response.status_code in (400, 422)
    problem_of(response, response.status_code, {400: "missing-field", 422: "invalid-request"}[
        response.status_code])  # fmt: skip


def test_a_disk_that_takes_nothing_is_said(serve, tmp_path, monkeypatch):
    client = serve().test_client()

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads.os, "replace", full)
    document = problem_of(upload(client, png(noise(1))), 507, "disk-full")
    assert str(tmp_path) not in str(document)
    assert left_over(tmp_path) == []


def test_damaged_facts_are_as_if_it_had_never_been_uploaded(serve, tmp_path):
    client = serve().test_client()
    query_id = upload(client, png(noise(1))).get_json()["query_id"]
    for content in ("", "[]", '{"name": "a"}', '{"name": 1, "pinned": 1, "expires_at": "x"}'):
        (tmp_path / "uploads" / f"{query_id}.json").write_text(content)
        problem_of(client.get(f"/api/v1/queries/{query_id}"), 404, "query-not-found")
    assert upload(client, png(noise(1))).status_code == 201
