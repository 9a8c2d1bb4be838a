"""Bringing pictures to ask with: choosing, dropping, pasting, the corpus, several; and what is
said when a picture, a link or the server is no good."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import dinosearch
from tests.web.browser import scenes
from tests.web.browser.acting import card, choose, id_of, is_search, settled, shown
from tests.web.browser.serving import Server

STATUS, PROBLEM = "#status-line", "#problem"

HAND_OVER = """([content, name]) => {
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: 'image/png' }));
    return transfer;
}"""


@pytest.fixture
def second_file(tmp_path) -> Path:
    return scenes.save(tmp_path / "blue.png", np.full((20, 20, 3), (0, 0, 255), dtype=np.uint8))


def best(index: dinosearch.ImageIndex, *files: Path, **how) -> list[int]:
    query = [str(file) for file in files]
    return [hit.id for hit in index.answer(query, **{"k": 48, "distinct": True} | how).hits]


def transfer_of(page: Page, file: Path):
    content = base64.b64encode(file.read_bytes()).decode()
    return page.evaluate_handle(HAND_OVER, [content, file.name])


def test_a_chosen_picture_is_shown_and_searched_with(page, index, query_file):
    choose(page, query_file)
    expect(page.locator(".about .name")).to_have_text("query.png")
    expect(page.locator(".about")).to_contain_text("280 × 280 px")
    expect(page).to_have_url(re.compile(r"\?q=up:[0-9a-f]{24}$"))
    expect(page).to_have_title("Results · dinosearch")
    assert shown(page) == best(index, query_file)


def test_a_dropped_picture_is_searched_with_wherever_it_falls(page, index, query_file):
    settled(page)
    transfer = transfer_of(page, query_file)
    target = page.locator("#results .card").nth(5)
    target.dispatch_event("dragenter", {"dataTransfer": transfer})
    expect(page.locator("body")).to_have_class("dropping")
    target.dispatch_event("dragover", {"dataTransfer": transfer})
    with page.expect_response(is_search):
        target.dispatch_event("drop", {"dataTransfer": transfer})
    settled(page)
    expect(page.locator("body")).not_to_have_class(re.compile("dropping"))
    expect(page.locator(".about .name")).to_have_text("query.png")
    assert shown(page) == best(index, query_file)


def test_a_pasted_picture_is_searched_with(page, index, query_file):
    settled(page)
    with page.expect_response(is_search):
        page.evaluate(
            """(transfer) => document.body.dispatchEvent(
                new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true }))""",
            transfer_of(page, query_file),
        )
    settled(page)
    assert shown(page) == best(index, query_file)


def test_pasting_words_into_a_field_searches_for_nothing(page):
    settled(page)
    page.evaluate("() => navigator.clipboard.writeText('label:noise')")
    page.focus("#filter-input")
    page.keyboard.press("Control+v")
    expect(page.locator("#filter-input")).to_have_value("label:noise")
    expect(page).to_have_url(re.compile(r"/$"))


def test_a_picture_of_the_corpus_is_searched_with_by_a_click(page, index):
    settled(page)
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    blue = id_of(index, "plain/blue.png")
    with page.expect_response(is_search):
        card(page, blue).locator(".stage").click()
    settled(page)
    expect(page).to_have_url(re.compile(rf"\?q=img:{blue}$"))
    expected = [hit.id for hit in index.answer(blue, k=48, distinct=True).hits]
    assert shown(page) == expected
    assert expected[0] == blue


def test_the_corpus_can_be_looked_through_without_losing_the_question(page, query_file):
    choose(page, query_file)
    before = shown(page)
    page.click("#from-corpus")
    expect(page).to_have_url(re.compile("view=browse"))
    expect(page.locator("#results-title")).to_contain_text("The corpus")
    expect(page.locator("#query-canvas")).to_be_visible()
    page.click("#from-corpus")
    expect(page.locator("#results-title")).to_have_text("Results")
    settled(page)
    assert shown(page) == before


def test_several_pictures_are_combined_as_asked_and_can_be_taken_out(
    page, index, query_file, second_file
):
    choose(page, query_file, second_file)
    strip = page.locator("#query-strip > li:not(.add)")
    expect(strip).to_have_count(2)
    expect(page.locator("#combine-mean")).to_have_attribute("aria-pressed", "true")
    assert shown(page) == best(index, query_file, second_file)
    with page.expect_response(is_search):
        page.click("#combine-any")
    settled(page)
    expect(page).to_have_url(re.compile("combine=any"))
    assert shown(page) == best(index, query_file, second_file, combine="any")
    assert shown(page) != best(index, query_file, second_file)
    with page.expect_response(is_search):
        page.get_by_role("button", name="Remove query.png").click()
    settled(page)
    expect(page.locator(".about .name")).to_have_text("blue.png")
    assert shown(page) == best(index, second_file)


def test_a_picture_can_be_added_to_the_question_and_removed_to_the_start(
    page, query_file, second_file
):
    choose(page, query_file)
    with page.expect_file_chooser() as chooser:
        page.click("#add-query")
    with page.expect_response(is_search):
        chooser.value.set_files(str(second_file))
    settled(page)
    expect(page.locator("#query-strip > li:not(.add)")).to_have_count(2)
    page.get_by_role("button", name="Remove query.png").click()
    page.click("#remove-query")
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    expect(page.locator("#query-canvas")).to_have_count(0)


def test_a_card_is_added_to_the_question_by_its_key(page, index, query_file):
    answer = choose(page, query_file)
    third = answer["hits"][2]["id"]
    card(page, third).focus()
    with page.expect_response(is_search):
        page.keyboard.press("a")
    settled(page)
    expect(page).to_have_url(re.compile(rf"q=up:\w+&q=img:{third}$"))
    expected = index.answer([str(query_file), third], k=48, distinct=True).hits
    assert shown(page) == [hit.id for hit in expected]


def test_the_same_picture_again_is_not_encoded_again(page, server, tmp_path):
    file = scenes.save(tmp_path / "fresh.png", scenes.noise(900))
    before = server.encoded()
    choose(page, file)
    assert server.encoded() == before + 1
    page.goto(f"{server.url}/")
    settled(page)
    answer = choose(page, file)
    assert server.encoded() == before + 1
    assert answer["timing_ms"]["embed"] < 5
    with page.expect_response(is_search):
        page.fill("#k", "7")
        page.press("#k", "Enter")
    assert server.encoded() == before + 1


def test_a_picture_is_kept_for_good_when_told_to(page, server, query_file):
    choose(page, query_file)
    expect(page.locator(".about")).to_contain_text("kept until")
    page.click("#keep")
    expect(page.locator(".about")).to_contain_text("kept for good")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "true")
    page.reload()
    settled(page)
    page.click("#keep")
    expect(page.locator(".about")).to_contain_text("kept until")


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
    path = tmp_path / "heavy.png"
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
