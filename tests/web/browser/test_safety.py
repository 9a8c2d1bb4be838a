"""Nothing from elsewhere, nothing inline, and names of files that are text and stay text."""

from __future__ import annotations

import gzip
import html.parser
import re
import urllib.request
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import scenes
from tests.web.browser.acting import card, choose, id_of, settled
from tests.web.browser.serving import Server

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PATHS = ["/", "/status", "/status/job/1", "/image/1", "/login", "/problems/too-large"]
KB = 1024


def fetched(server: Server, path: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(server.url + path, timeout=10) as answer:
        return answer.read().decode(), dict(answer.headers)


class Inline(html.parser.HTMLParser):
    """What a page carries itself instead of in a file of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [f"<{tag} {name}>" for name in given if name == "style" or name[:2] == "on"]
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.found.append(f"<{tag}>")
        self.addresses += [given[name] or "" for name in ("src", "href", "action") if name in given]


@pytest.mark.parametrize("path", PATHS)
def test_pages_carry_the_policy_and_nothing_inline(server, path):
    text, headers = fetched(server, path)
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    page = Inline()
    page.feed(text)
    assert page.found == []
    for address in page.addresses:
        assert urlsplit(address).scheme in ("", "data"), address
        assert not urlsplit(address).netloc, address


def test_the_first_view_is_small_and_asks_little(visit, server, watch):
    page: Page = visit(f"{server.url}/", fresh=True)
    settled(page)
    page.locator(".card img").first.evaluate("picture => picture.decode()")
    own = [url for url in watch[0].requests if not re.search(r"/thumb|^data:", url)]
    assert len(own) <= 12, own
    assert len(own) == len(set(own)), own


def test_the_page_s_files_keep_within_their_budgets(server):
    text, _ = fetched(server, "/")
    files = {"/": gzip.compress(text.encode(), 9)}
    waiting = re.findall(r"/static/[\w./-]+", text)
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        content, headers = fetched(server, path)
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        files[path] = gzip.compress(content.encode(), 9)
        if path.endswith(".js"):
            folder = path.rsplit("/", 1)[0]
            waiting += [f"{folder}/{name}" for name in re.findall(r'"\./([\w-]+\.js)"', content)]
    sizes = {path: len(content) for path, content in files.items()}
    scripts = sum(size for path, size in sizes.items() if path.endswith(".js"))
    styles = sum(size for path, size in sizes.items() if path.endswith(".css"))
    assert 20 * KB < scripts <= 60 * KB
    assert 1 * KB < styles <= 8 * KB
    assert scripts + styles + sizes["/"] <= 70 * KB


@pytest.fixture
def alarmed(visit, server) -> Page:
    """A page that would notice if a name were taken for markup."""
    page: Page = visit("about:blank")
    page.add_init_script("window.alert = () => { document.title = 'PWNED'; };")
    page.goto(f"{server.url}/status")
    return page


def check_text_only(page: Page) -> None:
    assert page.title() != "PWNED"
    assert page.locator("[onerror], [onload], img[src='x'], main svg[onload], main b").count() == 0


def test_hostile_names_are_text_on_cards_facets_and_suggestions(alarmed, index):
    page = alarmed
    page.get_by_role("link", name="Search", exact=True).click()
    settled(page)
    page.fill("#filter-input", f"label:{scenes.HOSTILE_FOLDER}")
    page.press("#filter-input", "Enter")
    expect(page.locator(".card")).to_have_count(len(scenes.HOSTILE))
    check_text_only(page)
    for name in scenes.HOSTILE:
        one = card(page, id_of(index, f"{scenes.HOSTILE_FOLDER}/{name}"))
        whole = f"{scenes.HOSTILE_FOLDER}/{name}".encode("utf-8", "surrogateescape")
        whole_text = whole.decode("utf-8", "replace")
        assert one.locator(".path").text_content() == whole_text
        assert one.locator(".path").get_attribute("title") == whole_text
        assert one.locator(".labels li").text_content() == scenes.HOSTILE_FOLDER
    # A name written backwards must not turn the words around it.
    assert page.locator(".card .path bdi").count() == 2 * len(scenes.HOSTILE)
    suggested = page.locator("#filter-words option").evaluate_all("all => all.map(o => o.value)")
    assert f"label:{scenes.HOSTILE_FOLDER}" in suggested


def test_a_long_name_does_not_widen_the_page(visit, server, index):
    name = f"{scenes.HOSTILE_FOLDER}/{scenes.HOSTILE[2]}"
    for path in (f"/?q=img:{id_of(index, name)}", f"/image/{id_of(index, name)}"):
        page = visit(server.url + path, viewport={"width": 390, "height": 844})
        expect(page.locator(".card").first).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", scenes.HOSTILE, ids=range(len(scenes.HOSTILE)))
def test_hostile_names_are_text_on_their_pages(alarmed, server, index, name):
    page = alarmed
    me = id_of(index, f"{scenes.HOSTILE_FOLDER}/{name}")
    page.goto(f"{server.url}/image/{me}")
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert page.locator("h1 bdi").text_content() == text
    check_text_only(page)
    assert page.title().endswith(" · dinosearch")
    assert not re.search("[\x00-\x1f\x7f]", page.title())
    page.goto(f"{server.url}/?q=img:{me}&view=compare&sel={me}")
    expect(page.locator("#compare-image")).to_be_visible()
    assert page.locator("#side-image + .path").text_content() == f"{scenes.HOSTILE_FOLDER}/{text}"
    check_text_only(page)


def test_the_name_of_what_is_brought_is_text_too(alarmed, tmp_path):
    page = alarmed
    page.get_by_role("link", name="Search", exact=True).click()
    name = "<img src=x onerror=alert(1)>.png"
    choose(page, scenes.save(tmp_path / name, scenes.noise(500)))
    expect(page.locator(".about .name")).to_have_text(name)
    other = scenes.save(tmp_path / "\u202egpj.png", scenes.noise(501))
    choose(page, tmp_path / name, other)
    expect(page.locator("#query-strip .name").first).to_have_text(name)
    check_text_only(page)


def test_a_hostile_address_is_text_in_its_note(visit, few_url):
    page = visit(f"{few_url}&<img src=x onerror=alert(1)>=<b>1</b>&f=<b>x</b>:y")
    told = page.locator("#problem .trouble code")
    expect(told).to_have_text(["f=<b>x</b>:y", "<img src=x onerror=alert(1)>=<b>1</b>"])
    check_text_only(page)


def test_a_picture_that_is_a_page_is_never_shown_as_one(server, index, visit):
    page = visit(f"{server.url}/image/{id_of(index, scenes.SQUARE.name)}")
    link = page.get_by_role("link", name="Original").get_attribute("href")
    with urllib.request.urlopen(f"{server.url}{link}", timeout=10) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
