"""Bringing pictures to ask with: choosing, dropping, pasting, the corpus, several at once."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import dinosearch
from tests.web.browser import scenes
from tests.web.browser.acting import card, choose, id_of, is_search, settled, shown

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
    # A wall that was scrolled down loads on by itself.
    assert shown(page)[: len(expected)] == expected
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
