"""The page's budgets, as measured: a real server, a real Chromium, the encoder `mini`.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE .venv/bin/python benchmarks/web_page.py

Two servers: one over photographs-to-be (drawn, 480 x 400) encoded with `mini`, one over
100,000 synthetic vectors of 384 numbers. Each row has the budget beside what was seen.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Response, expect, sync_playwright

import dinosearch
from dinosearch.cli.drawn import draw_corpus, draw_part_query
from dinosearch.encoders import Encoder, Features, Fingerprint
from dinosearch.geometry import View
from dinosearch.storage.derived import refresh_vectors
from dinosearch.storage.folder import Folder
from dinosearch.storage.writer import Batch, Origin, Row, Writer

COMMAND = str(Path(sys.executable).with_name("dinosearch"))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)


class Rows:
    """The table, printed as it grows."""

    def __init__(self) -> None:
        print("| what | budget | measured |")
        print("|---|---|---|")

    def add(self, what: str, budget: str, measured: str) -> None:
        print(f"| {what} | {budget} | {measured} |", flush=True)

    def times(self, what: str, budget: str, ms: Sequence[float]) -> None:
        low, high = np.percentile(ms, [50, 95])
        self.add(what, budget, f"{low:.1f} ms p50, {high:.1f} ms p95 (n = {len(ms)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--vectors", type=int, default=100_000)
    options = parser.parse_args()
    found = (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome"))
    chromium = next((path for path in found if path), None)
    if chromium is None:
        sys.exit("there is no Chromium: apt-get install chromium fonts-dejavu-core")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        draw_corpus(work / "pictures", options.pictures)
        with dinosearch.create(work / "pages", encoder="mini") as index:
            index.add(work / "pictures", labels="folders")
        synthetic(work / "synthetic", options.vectors)
        rows = Rows()
        rows.times("`dinosearch --help`, process and all", "<= 300 ms", helps())
        with serving(work, "pages") as url:
            of_the_api(rows, url, options.pictures)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS.split())
                of_the_page(rows, url, browser)
                browser.close()
        with serving(work, "synthetic") as url:
            of_many(rows, url, options.vectors)


# -- what is served ----------------------------------------------------------------------


class Synthetic(Encoder):
    """Stands for an encoder of 384 numbers; it is never asked to encode."""

    name = "synthetic"
    dim = patch_dim = 384
    size = 14
    device, precision, batch_size = "cpu", "fp32", 1

    def __init__(self) -> None:
        self.view = View(14)
        self.fingerprint = Fingerprint(
            architecture="synthetic",
            weights_sha256="0" * 64,
            size=14,
            cell=14,
            fit="crop",
            normalisation="none",
            interpolation="none",
        )

    def forward_features(self, batch: Any) -> dict[str, Any]:
        raise TypeError("the vectors are synthetic: there is nothing to encode with")

    def encode_views(self, views: NDArray[np.uint8]) -> Features:
        raise TypeError("the vectors are synthetic: there is nothing to encode with")


def synthetic(path: Path, count: int) -> None:
    """An index of clustered unit vectors, one token a picture, made by the index's own writer."""
    encoder = Synthetic()
    with dinosearch.create(path, encoder=encoder) as index:
        fingerprint = index.fingerprint.digest
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(2_000, 384)).astype(np.float32)
    token = np.zeros((1, 384), np.float16)
    token[0, 0] = 1
    with Writer(Folder(path), fingerprint=fingerprint, grid=(1, 1), min_free=0) as writer:
        for start in range(0, count, 5_000):
            near = centres[rng.integers(0, len(centres), 5_000)]
            rows = near + 1.2 * rng.normal(size=near.shape).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            batch = Batch()
            for number in range(start, min(start + 5_000, count)):
                origin = Origin(f"/p/{number}.png", "/p", f"{number:064x}", 1, 1)
                cls = rows[number - start].astype(np.float32)
                batch.rows.append(Row(origin, cls, token, 560, 560, "PNG", "crop", "2024", (), b""))
            writer.commit(batch)
        refresh_vectors(writer)


@contextmanager
def serving(work: Path, name: str) -> Iterator[str]:
    """A server of its own process; the address of it once its encoder is loaded."""
    command = [COMMAND, "serve", "--in", str(work / name), "--port", "0"]
    server = subprocess.Popen(
        [*command, "--searches-per-minute", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(work / "cache")},
    )
    try:
        assert server.stdout is not None
        url = re.search(r"http://\S+/", server.stdout.readline())
        assert url, "the server did not start"
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{url[0]}api/v1/readyz", timeout=10):
                    break
            except urllib.error.HTTPError as error:
                if b"cannot be loaded" in error.read():  # the synthetic one: ids need none
                    break
                time.sleep(0.1)
        yield url[0]
    finally:
        server.terminate()
        server.wait(30)


# -- over HTTP ---------------------------------------------------------------------------


def ask(url: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """(milliseconds, body) of a request; a body that is not bytes is sent as JSON."""
    sent = dict(headers or {})
    data = body
    if body is not None and not isinstance(body, bytes):
        data = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    started = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url + path, data, sent)) as answer:
        content = answer.read()
    return (time.perf_counter() - started) * 1000, content


def upload(url: str, picture: bytes) -> tuple[float, Any]:
    head = b'--XX\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    ms, content = ask(url, "api/v1/queries", head + picture + b"\r\n--XX--\r\n", kind)
    return ms, json.loads(content)


def jpeg(width: int, height: int, seed: int) -> bytes:
    """A picture with some detail in it, as a camera would store it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    out = io.BytesIO()
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def of_the_api(rows: Rows, url: str, pictures: int) -> None:
    large, again = [], []
    query: Any = None
    for seed in range(7):
        picture = jpeg(4000, 3000, seed)
        first, query = upload(url, picture)
        body = {"query": {"query_id": query["query_id"]}, "k": 48}
        large.append(first + ask(url, "api/v1/search", body)[0])
        second, _ = upload(url, picture)
        again.append(second + ask(url, "api/v1/search", body)[0])
    rows.times("upload of 12 MP to results, `mini` on the CPU", "<= 2,500 ms p95", large)
    rows.times("the same picture again", "<= 150 ms", again)
    ids = range(1, pictures + 1)
    thumbs = [ask(url, f"api/v1/images/{i}/thumb?s=256")[0] for i in ids]
    rows.times("thumbnail from the store", "<= 5 ms p95", thumbs)
    body = {"query": {"query_id": query["query_id"]}, "k": 48}
    region = {**body, "mode": "region", "region": {"x": 0.3, "y": 0.3, "w": 0.2, "h": 0.2}}
    packed = {"Accept-Encoding": "gzip"}
    for name, asked in (("", body), (", region, 12 heat maps", {**region, "explain": 12})):
        size = len(ask(url, "api/v1/search", asked, packed)[1])
        rows.add(f"answer, k = 48{name}", "<= 40 KB gz", f"{size / 1000:.1f} KB gz")
    rows.times(
        "search, whole picture, k = 48",
        "server <= 100 ms",
        [ask(url, "api/v1/search", {"query": {"image_id": i}, "k": 48})[0] for i in ids[:60]],
    )
    fresh = []
    for number in range(12):
        place = {"x": 0.02 + number / 20, "y": 0.3, "w": 0.2, "h": 0.2}
        fresh.append(ask(url, "api/v1/search", {**region, "region": place, "explain": 12})[0])
    rows.times(f"search, new region, {pictures} pictures, exact", "<= 150 ms p50", fresh)
    same = [ask(url, "api/v1/search", {**region, "explain": 12})[0] for _ in range(12)]
    rows.times("the same region with other filters or weight", "<= 150 ms p50", same)
    explain = {"query": {"image_id": 1}, "region": region["region"]}
    heat = [ask(url, "api/v1/explain", {**explain, "image_ids": [i]})[0] for i in ids[:60]]
    rows.times("heat map of one more picture", "<= 150 ms", heat)


def of_many(rows: Rows, url: str, count: int) -> None:
    rng = np.random.default_rng(0)
    walls, servers = [], []
    for item in rng.integers(1, count + 1, 200).tolist():
        wall, content = ask(url, "api/v1/search", {"query": {"image_id": item}, "k": 48})
        walls.append(wall)
        servers.append(json.loads(content)["timing_ms"]["total"])
    rows.times(f"search by a stored picture, {count:,} pictures", "<= 150 ms p50", walls)
    rows.times("of it, in the server", "<= 100 ms", servers)


# -- in the browser ----------------------------------------------------------------------


def of_the_page(rows: Rows, url: str, browser: Browser) -> None:
    paints, requests, sizes, foreign = [], [], [], 0
    for _ in range(9):
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        seen: list[Response] = []
        watch(page, seen)
        page.goto(url)
        expect(page.locator("#dropzone")).to_be_visible()
        page.wait_for_load_state("networkidle")
        paints.append(page.evaluate(_FIRST_PAINT))
        code = [r for r in seen if "/api/" not in r.url and not r.url.startswith("data:")]
        requests.append(len([r for r in seen if "/thumb" not in r.url]))
        sizes.append(sum(_sent(r) for r in code))
        foreign += sum(not r.url.startswith((url, "data:", "blob:")) for r in seen)
        page.context.close()
    rows.times("first contentful paint, warm server", "<= 300 ms p50", paints)
    rows.add(
        "first view: HTML, CSS and JS",
        "<= 70 KB gz, <= 12 requests, 0 outside",
        f"{max(sizes) / 1000:.1f} KB gz, {max(requests)} requests without thumbnails,"
        f" {foreign} outside",
    )
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.add_init_script(_WATCH_LONG_TASKS)
    page.goto(f"{url}?q=img:1&k=48")
    expect(page.locator(".card")).to_have_count(48)
    rows.times("48 thumbnails all painted, from asking", "<= 250 ms", painted(page, url))
    page.goto(url)
    picture, part = draw_part_query()
    out = io.BytesIO()
    picture.save(out, "PNG")
    file = FilePayload(name="part.png", mimeType="image/png", buffer=out.getvalue())
    page.set_input_files("#file-input", files=file)
    expect(page.locator(".card").first).to_be_visible()
    page.click("#tool-rect")
    box = page.locator("#query-canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + part.x0 * box["width"] / 480, box["y"] + part.y0 * box["height"] / 400
    page.mouse.move(x, y)
    page.mouse.down()
    frames = []
    for step in range(40):
        page.evaluate(_BEFORE_MOVE)
        page.mouse.move(x + 2 * step, y + 2 * step)
        frames.append(page.evaluate(_AFTER_MOVE))
    page.mouse.up()
    rows.times("pointer move to the region drawn", "<= 16 ms", frames)
    expect(page.locator(".card .box").first).to_be_visible()
    hovers = []
    for number in range(10):
        started = time.perf_counter()
        page.locator(".card").nth(number).hover()
        expect(page.locator(".card").nth(number).locator("canvas.heat")).to_be_visible()
        hovers.append((time.perf_counter() - started) * 1000)
    rows.times("hover to heat map in the answer, driver included", "<= 50 ms", hovers)
    longest = page.evaluate("Math.max(0, ...(window.__long || []))")
    words = f"{longest:.0f} ms" if longest else "none over 50 ms"
    rows.add("longest task of the page's script", "<= 50 ms", words)
    page.context.close()


def watch(page: Page, seen: list[Response]) -> None:
    """Have every response of a page noted."""
    page.on("response", lambda response: seen.append(response))


def painted(page: Page, url: str) -> list[float]:
    """Milliseconds from a new search until every thumbnail of it in view is complete."""
    found = []
    for number in range(2, 9):
        started = time.perf_counter()
        page.goto(f"{url}?q=img:{number}&k=48")
        expect(page.locator(".card")).to_have_count(48)
        while not page.evaluate(_ALL_COMPLETE):
            time.sleep(0.002)
        found.append((time.perf_counter() - started) * 1000)
    return found


def _sent(response: Response) -> int:
    """Bytes of a body as gzip would send it."""
    return len(gzip.compress(response.body(), 6))


def helps() -> list[float]:
    found = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([COMMAND, "--help"], check=True, capture_output=True)
        found.append((time.perf_counter() - started) * 1000)
    return found


_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_ALL_COMPLETE = (
    "[...document.querySelectorAll('.card img')].filter(i => {"
    " const b = i.getBoundingClientRect(); return b.top < innerHeight && b.bottom > 0;"
    " }).every(i => i.complete && i.naturalWidth)"
)
_WATCH_LONG_TASKS = (
    "window.__long = []; new PerformanceObserver(list => {"
    " for (const e of list.getEntries()) window.__long.push(e.duration);"
    " }).observe({ type: 'longtask', buffered: true });"
)
_BEFORE_MOVE = (
    "new Promise(done => { window.__moved = null;"
    " addEventListener('pointermove', () => { const t = performance.now();"
    " requestAnimationFrame(() => setTimeout(() => {"  # after the frame, drawn by then
    " window.__moved = performance.now() - t; })); },"
    " { once: true, capture: true }); done(); })"
)
_AFTER_MOVE = (
    "new Promise(done => { const look = () => window.__moved === null"
    " ? requestAnimationFrame(look) : done(window.__moved); look(); })"
)


if __name__ == "__main__":
    main()
