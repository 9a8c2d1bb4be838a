"""The address is the state: links, back and forward, reload, and what cannot be understood."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.acting import (
    card,
    choose,
    id_of,
    is_search,
    mark_object,
    settled,
    shown,
)

REGION = "&r=0.250,0.300,0.200,0.150"
LINKS = {
    "region": f"{REGION}&mode=region",
    "mask": "&m=AAAAAAAAAAAAAAAAAAAAHgAB4A&mode=region",
    "both, with position": f"{REGION}&mode=both&w=0.25&pos=1",
    "filters": "&f=-label:planted,-path:noise%2F&dup=show",
    "exact, few, no low ones": "&k=5&exact=1&min=0.4",
}


@pytest.mark.parametrize("way", LINKS.values(), ids=LINKS.keys())
def test_a_link_gives_the_same_in_a_browser_that_knows_nothing(visit, asked_url, way):
    here = settled(visit(asked_url + way))
    there = settled(visit(here.url, fresh=True))
    assert here.url == asked_url + way
    assert there.url == here.url
    assert shown(there) == shown(here)
    assert len(shown(here)) >= 5
    expect(there.locator("#region-label")).to_have_text(here.locator("#region-label").inner_text())


def test_a_link_of_something_done_by_hand_gives_the_same_elsewhere(visit, page, query_file):
    choose(page, query_file)
    mark_object(page)
    with page.expect_response(is_search):
        page.click("#mode-both")
    with page.expect_response(is_search):
        page.fill("#weight", "0.75")
    with page.expect_response(is_search):
        page.fill("#filter-input", "-label:noise")
        page.press("#filter-input", "Enter")
    settled(page)
    page.keyboard.press("Tab")
    there = settled(visit(page.url, fresh=True))
    assert shown(there) == shown(page)
    for part in ("r=0.250,0.300,0.200,0.150", "mode=both", "w=0.75", "f=-label:noise"):
        assert part in there.url
    expect(there.locator(".chip")).to_contain_text("noise")
    expect(there.locator("#mode-both")).to_have_attribute("aria-pressed", "true")
    expect(there.locator("#region-label")).to_have_text("Region: 12 patches, 4 x 3")


def test_back_and_forward_go_through_what_was_asked(page, index, query_file):
    start = shown(settled(page))
    choose(page, query_file)
    whole = shown(page)
    mark_object(page)
    part = shown(page)
    assert whole != part
    with page.expect_response(is_search):
        card(page, part[3]).locator(".stage").click()
    settled(page)
    by_card = shown(page)
    for expected in (part, whole):
        with page.expect_response(is_search):
            page.go_back()
        settled(page)
        assert shown(page) == expected
    page.go_back()
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    settled(page)
    assert shown(page) == start
    for expected in (whole, part, by_card):
        with page.expect_response(is_search):
            page.go_forward()
        settled(page)
        assert shown(page) == expected


def test_back_restores_what_was_drawn(asked):
    mark_object(asked)
    with asked.expect_response(is_search):
        asked.keyboard.press("Escape")
    settled(asked)
    with asked.expect_response(is_search):
        asked.go_back()
    settled(asked)
    expect(asked.locator("#region-label")).to_have_text("Region: 12 patches, 4 x 3")
    expect(asked.locator("#mode-region")).to_have_attribute("aria-pressed", "true")


def test_reload_shows_the_same(visit, asked_url, index):
    page = settled(visit(f"{asked_url}{REGION}&mode=region&f=label:noise&layer=heat"))
    before, url = shown(page), page.url
    page.reload()
    settled(page)
    assert shown(page) == before
    assert page.url == url
    expect(page.locator("#heat-all")).to_have_attribute("aria-pressed", "true")
    expect(card(page, before[0])).to_have_class(re.compile("hot"))


def test_going_back_from_a_picture_s_page_shows_the_answer_again(asked):
    ids = shown(asked)
    card(asked, ids[4]).focus()
    asked.keyboard.press("o")
    expect(asked).to_have_url(re.compile(rf"/image/{ids[4]}$"))
    expect(asked.locator("h1")).to_be_focused()
    asked.go_back()
    settled(asked)
    assert shown(asked) == ids


def test_back_while_a_screen_is_being_loaded_stays_where_it_leads(visit, asked_url):
    page = visit("about:blank", fresh=True)
    held: list[Any] = []
    page.route("**/js/picture.js", lambda route: held.append(route))
    page.goto(asked_url)
    ids = shown(settled(page))
    card(page, ids[4]).focus()
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile(rf"/image/{ids[4]}$"))
    page.go_back()
    held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.locator("main")).to_have_attribute("data-screen", "search")
    assert shown(page) == ids


BAD = {
    "mode=sideways": "mode=sideways",
    "r=0.5,0.5,0.9,0.1": "r=0.5,0.5,0.9,0.1",
    "k=0": "k=0",
    "min=warm": "min=warm",
    "nonsense=1": "nonsense=1",
    "m=%00%00": "m=\0\0",
    "q=up:zz": "q=up:zz",
    "w=2": "w=2",
    "view=upside": "view=upside",
    "exact=yes": "exact=yes",
}


@pytest.mark.parametrize(("given", "told"), BAD.items(), ids=BAD.keys())
def test_what_is_not_understood_is_told_and_the_rest_still_answers(visit, few_url, given, told):
    page = visit(f"{few_url}&{given}")
    note = page.locator("#problem .trouble")
    expect(note).to_contain_text("were not understood and are ignored")
    expect(note.locator("code")).to_have_text(told)
    settled(page)
    assert len(shown(page)) == 5
    note.get_by_role("button", name="Dismiss").click()
    expect(note).to_have_count(0)


def test_a_filter_that_is_none_is_told_and_the_others_hold(visit, asked_url):
    page = visit(f"{asked_url}&f=label:plain,colour:red")
    expect(page.locator("#problem .trouble code")).to_have_text("f=colour:red")
    settled(page)
    expect(page.locator(".chip")).to_have_count(1)
    assert len(shown(page)) == 12


def test_painted_cells_outside_the_grid_are_told(visit, few_url):
    page = visit(f"{few_url}&m={'_' * 90}&mode=region")
    expect(page.locator("#problem .trouble code")).to_contain_text("m=___")
    settled(page)
    assert len(shown(page)) == 5


def test_bad_parameters_of_a_picture_are_told(visit, server, index):
    me = id_of(index, "plain/red.png")
    page = visit(f"{server.url}/image/{me}?patch=99,99&layer=heat&o=7")
    expect(page.locator("#problem .trouble")).to_contain_text("not understood")
    expect(page.locator("h1")).to_have_text("red.png")


@pytest.mark.parametrize("path", ["/nowhere", "/image/red"])
def test_an_unknown_address_is_a_page_with_a_way_back(visit, server, path):
    page: Page = visit(f"{server.url}{path}", expects=(404,))
    expect(page.locator("h1")).to_have_text("There is nothing here")
    page.get_by_role("link", name="To the search page").click()
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")


def test_the_skip_link_leads_past_the_header_and_leaves_the_state(asked):
    before = shown(asked)
    asked.locator(".skip").focus()
    asked.keyboard.press("Enter")
    expect(asked.locator("#main")).to_be_focused()
    assert shown(asked) == before
