"""Takes the screenshots of README: the page over the drawn demo, in the system's Chromium.

make pictures
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from dinosearch.cli.drawn import draw_part_query

HERE = Path(__file__).parent
DEMO = HERE.parent / "demo-drawn"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def main() -> None:
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome")
         if (found := shutil.which(name))),
        None,
    )  # fmt: skip
    if browser is None:
        sys.exit("there is no Chromium: apt-get install chromium fonts-dejavu-core")
    with tempfile.TemporaryDirectory() as cache:
        command = [str(Path(sys.executable).with_name("dinosearch")), "serve"]
        server = subprocess.Popen(
            [*command, "--in", str(HERE.parent / "indexes" / "demo-drawn"), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": cache},
        )
        try:
            assert server.stdout is not None
            url = re.search(r"http://\S+", server.stdout.readline())
            assert url, "the server did not start"
            _wait_until_ready(url[0])
            with sync_playwright() as driver:
                chromium = driver.chromium.launch(executable_path=browser, args=FLAGS.split())
                page = chromium.new_page(
                    viewport={"width": 1280, "height": 800}, device_scale_factor=1
                )
                _search(page, url[0])
                _picture(page, url[0])
                chromium.close()
        finally:
            server.terminate()
            server.wait(30)


def _search(page: Page, url: str) -> None:
    """A gear is marked by hand in the demo's query, and found elsewhere, with heat."""
    page.goto(url)
    page.set_input_files("#file-input", DEMO / "queries" / "part.jpg")
    expect(page.locator(".card").first).to_be_visible()
    page.click("#tool-rect")
    canvas = page.locator("#query-canvas")
    box = canvas.bounding_box()
    assert box is not None
    picture, part = draw_part_query()
    across, down = box["width"] / picture.width, box["height"] / picture.height
    left, right = (box["x"] + x * across for x in (part.x0, part.x1))
    top, bottom = (box["y"] + y * down for y in (part.y0, part.y1))
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2)
    page.mouse.move(right, bottom)
    page.mouse.up()
    expect(page.locator(".card .box").first).to_be_visible()
    page.locator(".card").nth(1).hover()
    expect(page.locator(".card").nth(1).locator("canvas.heat")).to_be_visible()
    _wait_for_pictures(page)
    page.screenshot(path=HERE / "search.jpg", type="jpeg", quality=88)


def _picture(page: Page, url: str) -> None:
    page.goto(f"{url}image/7?layer=heat&patch=22,10")
    expect(page.locator("#picture-view canvas").first).to_be_visible()
    _wait_for_pictures(page)
    page.screenshot(path=HERE / "picture.jpg", type="jpeg", quality=88)


def _wait_for_pictures(page: Page) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if page.evaluate(
            "[...document.images].filter(i => i.getBoundingClientRect().top < innerHeight)"
            ".every(i => i.complete)"
        ):
            break
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}api/v1/readyz", timeout=10):
                return
        except urllib.error.HTTPError:
            time.sleep(0.2)
    sys.exit("the server never became ready")


if __name__ == "__main__":
    main()
