"""What is said when a picture, a link, the network or the server is no good; and going on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.web.browser import scenes
from tests.web.browser.acting import choose, is_search, settled, shown
from tests.web.browser.serving import Server

STATUS, PROBLEM = "#status-line", "#problem"


def test_a_link_to_an_expired_picture_says_so_and_takes_it_again(visit, server, tmp_path):
    file = scenes.save(tmp_path / "gone.png", scenes.noise(901))
    first = visit(f"{server.url}/")
    choose(first, file)
    link = first.url
    (upload,) = re.findall(r"up:(\w+)", link)
    (server.uploads / upload).unlink()
    page = visit(link, expects=(410,), fresh=True)
    trouble = page.locator(PROBLEM)
    expect(trouble).to_contain_text("The uploaded picture is no longer kept")
    expect(trouble).to_contain_text("Choose or drop the picture again")
    expect(page.locator(".card")).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        trouble.get_by_role("button", name="Choose the picture again").click()
    with page.expect_response(is_search):
        chooser.value.set_files(str(file))
    settled(page)
    expect(trouble).to_be_empty()
    assert page.url == link


def test_a_link_to_a_picture_that_never_was_offers_to_start_over(visit, server):
    page = visit(f"{server.url}/?q=up:{'0' * 24}", expects=(404,))
    expect(page.locator(PROBLEM)).to_contain_text("That picture was never uploaded here")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    expect(page.locator(PROBLEM)).to_be_empty()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"no picture at all", 415, "This is not a picture that can be read"),
        (None, 422, "The picture cannot be decoded"),
    ],
    ids=["not a picture", "cut off"],
)
def test_a_bad_file_is_told_in_words_and_leaves_the_page_working(
    visit, server, query_file, tmp_path, content, status, words
):
    bad = tmp_path / "bad.png"
    bad.write_bytes(query_file.read_bytes()[:400] if content is None else content)
    page = visit(f"{server.url}/", expects=(status,))
    page.set_input_files("#file-input", str(bad))
    expect(page.locator(PROBLEM)).to_contain_text(words)
    expect(page.locator(PROBLEM)).to_contain_text("bad.png")
    expect(page.locator(f"{PROBLEM} .instance")).to_have_text(re.compile("^urn:uuid:"))
    page.get_by_role("button", name="Copy details").click()
    expect(page.locator(STATUS)).to_have_text("Copied.")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert f'"status": {status}' in copied
    assert page.locator(f"{PROBLEM} .instance").inner_text() in copied
    choose(page, query_file)
    expect(page.locator(PROBLEM)).to_be_empty()


@pytest.fixture
def heavy_file(tmp_path) -> Path:
    """Between the limit of the server and what a form around it may weigh."""
    rng = np.random.default_rng(3)
    path: Path = tmp_path / "heavy.png"
    Image.fromarray(rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(path)
    assert 2 << 20 < path.stat().st_size < 3 << 20
    return path


def test_a_picture_that_is_too_large_is_refused_before_it_is_sent(page, watch, heavy_file):
    settled(page)
    page.set_input_files("#file-input", str(heavy_file))
    expect(page.locator(PROBLEM)).to_contain_text("heavy.png is too large")
    expect(page.locator(PROBLEM)).to_contain_text("the server takes at most 2.0 MiB")
    assert not [url for url in watch[0].requests if url.endswith("/queries")]


def test_a_picture_that_the_server_finds_too_large_is_told_in_its_words(visit, server, heavy_file):
    page = visit(f"{server.url}/", expects=(413,))

    def generous(route):
        answer = route.fetch()
        info = answer.json()
        info["limits"]["upload_bytes"] = 1 << 30
        route.fulfill(response=answer, json=info)

    page.route("**/api/v1/info", generous)
    page.reload()
    settled(page)
    page.set_input_files("#file-input", str(heavy_file))
    expect(page.locator(PROBLEM)).to_contain_text("The picture is too large")
    expect(page.locator(PROBLEM)).to_contain_text("larger than 2 MB")


def test_too_many_pictures_are_told_and_as_many_as_fit_are_taken(page, tmp_path):
    settled(page)
    files = [scenes.save(tmp_path / f"{n}.png", scenes.noise(n, 2, 2)) for n in range(17)]
    with page.expect_response(is_search):
        page.set_input_files("#file-input", [str(file) for file in files])
    expect(page.locator(PROBLEM)).to_contain_text("You chose 17; there is room for 16")
    expect(page.locator("#query-strip > li:not(.add)")).to_have_count(16)


def test_a_server_that_has_stopped_is_told_and_found_again(visit, index, tmp_path, query_file):
    server = Server(Path(index.path), uploads=tmp_path / "uploads")
    page = visit(f"{server.url}/", expects=("net::ERR_CONNECTION_REFUSED",))
    choose(page, query_file)
    before = shown(page)
    # What is under way when it stops would be cut off, which is not what is looked at here.
    page.wait_for_load_state("networkidle")
    server.stop()
    page.click("#exact")
    trouble = page.locator(PROBLEM)
    expect(trouble).to_contain_text("The server does not answer")
    expect(trouble).to_contain_text("Is dinosearch serve still running?")
    server.start()
    try:
        with page.expect_response(is_search):
            trouble.get_by_role("button", name="Try again").click()
        settled(page)
        expect(trouble).to_be_empty()
        assert shown(page) == before
    finally:
        server.stop()


def test_a_computer_without_network_is_told_and_goes_on_later(visit, server, query_file):
    page = visit(f"{server.url}/", expects=("net::ERR_INTERNET_DISCONNECTED",))
    choose(page, query_file)
    page.context.set_offline(True)
    expect(page.locator(STATUS)).to_have_text("This computer is offline")
    page.click("#exact")
    expect(page.locator(PROBLEM)).to_contain_text("This computer is offline")
    page.context.set_offline(False)
    expect(page.locator(STATUS)).to_have_text("The network is back.")
    with page.expect_response(is_search):
        page.locator(PROBLEM).get_by_role("button", name="Try again").click()
    settled(page)
    expect(page.locator(PROBLEM)).to_be_empty()


def test_a_busy_server_is_waited_for_in_sight(visit, server, query_file):
    page = visit(f"{server.url}/", expects=(503,))
    sent = []

    def busy_once(route):
        sent.append(route.request.url)
        if len(sent) > 1:
            return route.continue_()
        return route.fulfill(status=503, headers={"Retry-After": "1"}, json={"title": "busy"})

    page.route("**/api/v1/search*", busy_once)
    page.set_input_files("#file-input", str(query_file))
    expect(page.locator(STATUS)).to_have_text("The server is busy. Trying again in 1 s (1 of 3).")
    settled(page)
    assert len(sent) == 2
    expect(page.locator(PROBLEM)).to_be_empty()
