"""What comes back over HTTP, read: problems, heat maps, uploads."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
from dinosearch.web.problems import TYPES
from flask.testing import FlaskClient


def problem_of(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem document that a response must be, every field of it checked."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = response.get_json()
    assert set(document) - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert document["type"] == f"/problems/{kind}"
    assert document["title"] == TYPES[kind].title
    assert document["status"] == status == TYPES[kind].status
    assert document["detail"]
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["instance"])
    for error in document.get("errors", []):
        assert set(error) == {"pointer", "detail"}
        assert error["pointer"] == "" or error["pointer"].startswith("/")
    return document


def heat_of(evidence: dict[str, Any], which: str = "heat") -> np.ndarray:
    """Cosines [rows, cols] of a heat map as it was sent, NaN where the query is not marked."""
    grid = evidence["grid"] if which == "heat" else evidence["query_grid"]
    levels = np.frombuffer(base64.b64decode(evidence[which]), np.uint8).reshape(grid)
    low, high = evidence["range"]
    heat = low + (high - low) * levels / 255
    return heat if which == "heat" else np.where(levels == 0, np.nan, heat)


def upload(client: FlaskClient, content: bytes, name: str = "a.png", **options: Any) -> Any:
    """The answer to uploading a file."""
    data = {"image": (io.BytesIO(content), name)}
    return client.post("/api/v1/queries", data=data, **options)


def ask(client: FlaskClient, query: Any, **question: Any) -> dict[str, Any]:
    """The answer to a search that must succeed; `query` is an id or an upload's."""
    if "queries" not in question:
        question["query"] = {"image_id": query} if isinstance(query, int) else {"query_id": query}
    response = client.post("/api/v1/search", json=question)
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: dict[str, Any] = response.get_json()
    return answer


def names(answer: dict[str, Any]) -> list[str]:
    """File names of the hits, best first."""
    return [hit["path"].rsplit("/", 1)[-1] for hit in answer["hits"]]
