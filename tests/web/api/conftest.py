"""One index of known pictures, served to all tests; and apps of their own for those that change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dinosearch.web import Settings, create_app
from flask import Flask
from flask.testing import FlaskClient

import dinosearch
from dinosearch import ImageIndex
from tests.web.api.corpus import build


@dataclass(frozen=True)
class Site:
    """An index on disk: its folder, its pictures, and their ids by file name."""

    folder: Path
    corpus: Path
    ids: dict[str, int]


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Site:
    root = tmp_path_factory.mktemp("site")
    return Site(root / "demo", root / "corpus", build(root / "demo", root / "corpus"))


@pytest.fixture(scope="session")
def index(site) -> Iterator[ImageIndex]:
    """The same index as Python has it."""
    with dinosearch.open(site.folder) as index:
        yield index


@pytest.fixture(scope="session")
def app(site, tmp_path_factory) -> Iterator[Flask]:
    settings = Settings(
        indexes=(site.folder,),
        uploads=tmp_path_factory.mktemp("uploads"),
        searches_per_minute=10_000,
    )
    app = started(settings)
    yield app
    app.extensions["dinosearch"].close()


@pytest.fixture
def client(app) -> FlaskClient:
    found: FlaskClient = app.test_client()
    return found


Serve = Callable[..., Flask]


@pytest.fixture
def serve(site, tmp_path) -> Iterator[Serve]:
    """Makes an app of other settings; all are closed in the end."""
    apps: list[Flask] = []

    def make(**options: Any) -> Flask:
        options = {"indexes": (site.folder,), "uploads": tmp_path / "uploads"} | options
        apps.append(started(Settings(**{"searches_per_minute": 10_000, **options})))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["dinosearch"].close()


def started(settings: Settings) -> Flask:
    """The app, once its encoder is loaded."""
    app: Flask = create_app(settings)
    token = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    client = app.test_client()
    for _ in range(3_000):
        if client.get("/api/v1/readyz", headers=token).status_code == 200:
            return app
        time.sleep(0.01)
    raise AssertionError("the app does not become ready")
