"""Eight clients and an indexer at one index for a minute: no 5xx, no answer that mixes two states.

Ten pictures are always repainted in one colour and committed together. Whatever is asked
about them, their scores must be equal in every answer; in an answer that mixed the old and
the new they would not be.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dinosearch.cli.drawn import draw_corpus
from tests.web.load import Client, Seen, in_threads, png

COMMAND = str(Path(sys.executable).with_name("dinosearch"))
CLIENTS = 8
SECONDS = 60
DRAWN = 160
MOVING = 10  # fewer than the 16 from which a batch may close early: one commit each time


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("load") / "pictures"
    draw_corpus(folder, DRAWN)
    repaint(folder, 0)
    return folder


@pytest.fixture(scope="module")
def index(pictures: Path) -> Path:
    folder = pictures.parent / "index"
    add(pictures, folder)
    return folder


@pytest.fixture(scope="module")
def server(index: Path, pictures: Path) -> Iterator[str]:
    environment = os.environ | {"XDG_CACHE_HOME": str(index.parent / "cache")}
    command = [COMMAND, "serve", "--in", str(index), "--port", "0"]
    with open(index.parent / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--root", str(pictures), "--searches-per-minute", "1000000"],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = re.search(r"http://\S+", process.stdout.readline())
            assert url, (index.parent / "server.log").read_text()
            wait_until_ready(url[0])
            yield url[0]
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}api/v1/readyz", timeout=10):
                return
        except urllib.error.HTTPError:
            time.sleep(0.2)
    raise AssertionError("the server never became ready")


def add(pictures: Path, folder: Path) -> None:
    done = subprocess.run(
        [COMMAND, *["index", "--encoder", "mini", "--labels", "folders", "--to"], folder, pictures],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def repaint(folder: Path, turn: int) -> None:
    """All moving pictures in the turn's colours; their sizes tell them apart as files."""
    rng = np.random.default_rng(turn)
    ground, mark = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    pixels = np.tile(ground, (320, 320, 1))
    pixels[80:200, 120:260] = mark
    for number in range(MOVING):
        path = folder / "moving" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path.with_suffix(".tmp"), "PNG", pnginfo=None)
        with open(path.with_suffix(".tmp"), "ab") as file:
            file.write(b"\0" * (turn % 50 + 1))  # behind the end of the picture: another file
        os.replace(path.with_suffix(".tmp"), path)


@pytest.mark.soak
def test_under_load(server, index, pictures, capsys):
    seen, turns = Seen(), [0]
    end = time.monotonic() + SECONDS
    over = threading.Event()

    def keep_indexing() -> None:
        while not over.is_set():
            turns[0] += 1
            repaint(pictures, turns[0])
            add(pictures, index)

    writer = threading.Thread(target=keep_indexing)
    writer.start()
    try:
        in_threads(CLIENTS, lambda number: be_a_client(server, seen, number, end))
    finally:
        over.set()
        writer.join()
    with capsys.disabled():
        print(f"\n{CLIENTS} clients, {SECONDS} s, {turns[0]} runs of the indexer beside them")
        print(seen.table())
        print(f"statuses {dict(seen.statuses)}; {seen.checked} answers checked for mixing")
    assert not seen.troubles, seen.troubles[:5]
    assert not seen.torn, seen.torn[:5]
    assert turns[0] >= 3
    assert seen.checked >= 20
    assert set(seen.statuses) <= {200, 201, 304}
    log = (index.parent / "server.log").read_text()
    assert "Traceback" not in log, log[-3000:]


def be_a_client(url: str, seen: Seen, number: int, end: float) -> None:
    rng = np.random.default_rng(number)
    client = Client(url, seen)
    noise = rng.integers(0, 256, (320, 320, 3), dtype=np.uint8)
    asked = client.upload("upload, new", png(noise))
    while time.monotonic() < end:
        turn = rng.random()
        query = {"query": {"query_id": asked["query_id"]}}
        x, y = np.round(rng.uniform(0, 0.6, 2), 3).tolist()
        region = {"x": x, "y": y, "w": 0.25, "h": 0.3}
        if turn < 0.12:
            shifted = np.roll(noise, int(rng.integers(1, 9999)), axis=(0, 1))
            asked = client.upload("upload, new", png(shifted)) or asked
        elif turn < 0.2:
            client.upload("upload, known", png(noise))
        elif turn < 0.4:
            client.post("search, whole", "/api/v1/search", query)
        elif turn < 0.5:
            client.post(
                "search, region",
                "/api/v1/search",
                {**query, "mode": "region", "region": region, "explain": 12},
            )
        elif turn < 0.7:
            mode = "image" if rng.random() < 0.5 else "region"
            body = {**query, "filters": ["label:moving"], "dedupe": False, "mode": mode}
            body["region"] = region
            answer = client.post("search, moving pictures", "/api/v1/search", body)
            if answer is not None:
                scores = [hit["score"] for hit in answer["hits"]]
                seen.check_whole(mode, scores, MOVING)
        elif turn < 0.9:
            item = int(rng.integers(1, DRAWN + 1))
            client.ask("thumbnail", "GET", f"/api/v1/images/{item}/thumb")
        elif turn < 0.95:
            items = [int(i) for i in rng.integers(1, DRAWN + 1, 2)]
            client.post("explain, 2 pictures", "/api/v1/explain", {**query, "image_ids": items})
        else:
            client.ask("list of 48", "GET", "/api/v1/images?limit=48")
    client.close()
