"""A served index whose every score can be worked out, and a client that asks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dinosearch.web import Settings, create_app
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

import dinosearch
from tests.images.samples import exif
from tests.painting import SIZE, noise, pixels, plain, planted, save

# Four cells that all differ and that no ground looks like.
PART = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "right\u202egnp.left.png",
    "two\nlines.png",
    "quote\"'`.png",
    "=cmd().png",
    "x" * 246 + ".png",
)
NOT_UTF8 = b"caf\xe9.png"


@dataclass(frozen=True)
class Corpus:
    """`folder` holds the pictures, `query` is one that is not among them."""

    folder: Path
    index: Path
    query: Path

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def make_corpus(place: Path) -> Corpus:
    folder = place / "pictures"
    for seed in range(12):
        save(folder / "noise" / f"{seed:02d}.png", noise(seed))
    for number in range(6):
        grey = 60 + 20 * number
        save(folder / "plain" / f"{number}.png", plain((grey, grey, grey)))
    save(folder / "part" / "square.png", planted((90, 90, 90), PART, 2, 6), scale=2)
    (folder / "part" / "copy.png").write_bytes((folder / "part" / "square.png").read_bytes())
    # The model sees the middle square of both; the part lies at its cells (1, 1).
    tall = np.full((2 * SIZE, SIZE, 3), 90, dtype=np.uint8)
    tall[SIZE // 2 : SIZE // 2 + SIZE] = pixels(planted((90, 90, 90), PART, 1, 1))
    Image.fromarray(tall).save(folder / "part" / "portrait.png")
    wide = np.full((SIZE, 2 * SIZE, 3), 90, dtype=np.uint8)
    wide[:, SIZE // 2 : SIZE // 2 + SIZE] = pixels(planted((90, 90, 90), PART, 1, 1))
    Image.fromarray(wide).save(folder / "part" / "landscape.png")
    lying = Image.fromarray(wide).transpose(Image.Transpose.ROTATE_90)
    lying.save(folder / "part" / "lying.png", exif=exif(6))  # to be turned clockwise
    for number, name in enumerate(HOSTILE):
        save(folder / "hostile" / name, noise(100 + number))
    raw = bytes(folder / "hostile") + b"/" + NOT_UTF8
    with open(raw, "wb") as file:
        file.write((folder / "noise" / "00.png").read_bytes() + b"\0")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "text.jpg").write_bytes(b"a shopping list")
    query = save(place / "query.png", planted((40, 160, 90), PART, 4, 4))
    with dinosearch.create(place / "index", encoder="colour", size=SIZE) as index:
        report = index.add(folder, labels="folders")
        assert report.refused == 2
    return Corpus(folder, place / "index", query)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus that no test changes."""
    return make_corpus(tmp_path_factory.mktemp("web"))


def ready(app: Flask) -> Flask:
    """The app once its encoder is loaded."""
    client = app.test_client()
    for _ in range(1_000):
        if client.get("/api/v1/readyz").status_code == 200:
            return app
        time.sleep(0.01)
    raise AssertionError("the app never became ready")


Serve = Callable[..., Flask]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes apps with settings of one's own, and closes them."""
    apps: list[Flask] = []

    def make(index: Path, **settings: Any) -> Flask:
        given = {"uploads": tmp_path / "uploads", "searches_per_minute": 100_000, **settings}
        app = create_app(Settings(indexes=(index,), **given))
        apps.append(app)
        return ready(app)

    yield make
    for app in apps:
        app.extensions["dinosearch"].close()


@pytest.fixture(scope="session")
def app(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One app over the corpus for all tests that change nothing."""
    settings = Settings(
        indexes=(corpus.index,),
        uploads=tmp_path_factory.mktemp("uploads"),
        searches_per_minute=1_000_000,
    )
    made = ready(create_app(settings))
    yield made
    made.extensions["dinosearch"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def ids(corpus: Corpus) -> dict[str, int]:
    """The id of each picture, by its path below the corpus."""
    with dinosearch.open(corpus.index) as index:
        return {item.relative_path: item.id for item in index.items(limit=1_000)}
