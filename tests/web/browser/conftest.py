"""A browser, a server over pictures with known cells, and a watch over every page.

Every page of these tests fails its test for a message on the console, an error of a script,
a breach of the policy, or a request to anywhere else, unless the test has said before which
answer of the server it brings about.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    expect,
    sync_playwright,
)

import dinosearch
from tests.web.browser import scenes
from tests.web.browser.acting import settled
from tests.web.browser.serving import Server

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


# Package, not session: while it is there, no other test could use asyncio.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        why = (
            "there is no Chromium (sudo apt-get install chromium fonts-dejavu-core; elsewhere"
            f" any Chromium or Chrome whose command is called one of {', '.join(NAMES)})"
        )
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    expect.set_options(timeout=20_000)  # a busy machine is no fault of the page
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What must not happen on a page; `expected` holds the failing requests that may."""

    def __init__(self, page: Page, expects: tuple[int | str, ...]) -> None:
        self.seen: list[str] = []
        self.requests: list[str] = []
        self.expected = {str(status): 0 for status in expects}
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.error("
            "'policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if message.text.startswith("Failed to load resource"):
            for status in self.expected:
                if re.search(rf"\b{status}\b", message.text):
                    self.expected[status] += 1
                    return
        self.seen.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _request(self, url: str) -> None:
        self.requests.append(url)
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname != "127.0.0.1":
            self.seen.append(f"a request to elsewhere: {url}")

    def check(self) -> None:
        assert not self.seen, "\n".join(self.seen)
        missing = [status for status, count in self.expected.items() if not count]
        assert not missing, f"expected, but never answered: {missing}"


Visit = Callable[..., Page]


@pytest.fixture(scope="package")
def contexts(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """contexts(**options): the one context of these options, whose cache is warm."""
    found: dict[str, BrowserContext] = {}

    def context_of(**options) -> BrowserContext:
        if str(options) not in found:
            found[str(options)] = new_context(chromium, options)
        return found[str(options)]

    yield context_of
    for one in found.values():
        one.close()


def new_context(chromium: Browser, options) -> BrowserContext:
    context = chromium.new_context(**options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(40_000)
    return context


@pytest.fixture
def watch() -> list[Watch]:
    """The watches over all pages of the test, in the order they were opened."""
    return []


def at_same_size(route: Route) -> None:
    """Let a request for a part pass as one for the same size."""
    if route.request.method == "POST":
        body = {**(route.request.post_data_json or {}), "same_size": True}
        route.continue_(post_data=json.dumps(body))
    else:
        route.continue_()


@pytest.fixture
def visit(chromium: Browser, contexts, watch: list[Watch]) -> Iterator[Visit]:
    """Open an address in a new page: visit(url, dense=3, expects=(413,), fresh=True, ...).

    dense    pixels of the device for each of CSS
    same     have parts looked for at their own size only, whose every number can be worked out
    expects  statuses of failing requests that the test brings about
    fresh    in a browser that has nothing of other tests, not even cached files
    """
    opened: list[Page] = []
    alone: list[BrowserContext] = []

    def open_page(
        url: str,
        *,
        dense: float = 1,
        same: bool = False,
        expects: tuple[int | str, ...] = (),
        fresh: bool = False,
        **options,
    ) -> Page:
        options = {
            "viewport": {"width": 1280, "height": 900},
            "color_scheme": "light",
            "device_scale_factor": dense,
        } | options
        if fresh:
            alone.append(new_context(chromium, options))
        page = (alone[-1] if fresh else contexts(**options)).new_page()
        opened.append(page)
        watch.append(Watch(page, expects))
        if same:
            page.route(re.compile(r"/api/v1/(search|explain)"), at_same_size)
        page.goto(url)
        return page

    yield open_page
    for page in opened:
        if page.url.startswith("http"):
            page.evaluate("() => localStorage.clear()")
        page.context.set_offline(False)
        page.close()
    for context in alone:
        context.close()
    for one in watch:
        one.check()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.draw_corpus(tmp_path_factory.mktemp("page") / "pictures")


@pytest.fixture(scope="package")
def index(pictures: Path) -> Iterator[dinosearch.ImageIndex]:
    """The index that the server serves, to work out what the page must show."""
    path = pictures.parent / "index"
    with dinosearch.create(path, encoder="colour", size=scenes.SIZE) as index:
        index.add(pictures, labels="folders")
        assert len(index) == scenes.COUNT
        yield index


@pytest.fixture(scope="package")
def server(index: dinosearch.ImageIndex, pictures: Path) -> Iterator[Server]:
    server = Server(Path(index.path), uploads=pictures.parent / "uploads", upload_bytes=2 << 20)
    yield server
    server.stop()


@pytest.fixture(scope="package")
def query_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is not in the index, with the object in it."""
    return scenes.save_scene(tmp_path_factory.mktemp("asked"), scenes.QUERY)


@pytest.fixture(scope="package")
def asked_url(server: Server, query_file: Path) -> str:
    """Where it is asked for the whole of `query_file`."""
    return f"{server.url}/?q=up:{server.upload(query_file)}"


@pytest.fixture
def asked(visit: Visit, asked_url: str) -> Page:
    """The answer to the whole of `query_file`."""
    return settled(visit(asked_url))


@pytest.fixture(scope="package")
def few_url(asked_url: str) -> str:
    """As `asked_url`, among the five pictures that hold the object: quick to show."""
    return f"{asked_url}&f=label:planted"


@pytest.fixture
def few(visit: Visit, few_url: str) -> Page:
    """The answer among five pictures."""
    return settled(visit(few_url))


@pytest.fixture
def page(visit: Visit, server: Server) -> Page:
    """The search screen, before anything was asked."""
    return visit(f"{server.url}/")


TOKEN = "a token of more than 16 characters"


@pytest.fixture(scope="package")
def locked(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Server]:
    """A server that wants a token, over two indexes: `crates` with 2 pictures, `jars` with 3."""
    folder: Path = tmp_path_factory.mktemp("locked")
    for name, count in (("crates", 2), ("jars", 3)):
        for seed in range(count):
            scenes.save(folder / name / "pictures" / f"{name}{seed}.png", scenes.noise(seed, 4, 4))
        with dinosearch.create(folder / name / "index" / name, encoder="colour", size=56) as one:
            one.add(folder / name / "pictures")
    server = Server(
        *(folder / name / "index" / name for name in ("crates", "jars")),
        uploads=folder / "uploads",
        token=TOKEN,
    )
    yield server
    server.stop()


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Server]:
    """A server over an index without a picture."""
    folder: Path = tmp_path_factory.mktemp("empty")
    dinosearch.create(folder / "index", encoder="colour", size=56).close()
    server = Server(folder / "index", uploads=folder / "uploads")
    yield server
    server.stop()
