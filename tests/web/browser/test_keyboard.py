"""Everything without a mouse: every control is reached, seen to be reached, and left again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import scenes
from tests.web.browser.acting import card, id_of, is_search, settled, shown
from tests.web.browser.focus import LISTENING, check_reached, check_visible, ring
from tests.web.browser.looking import box_of, shot

SCREENS = {
    "start": "/?f=label:noise",
    "answer": "{asked}&r=0.250,0.300,0.200,0.150&mode=both&f=label:planted&layer=heat",
    "picture": "/image/{id}?layer=heat",
    "status": "/status",
}


def screen(visit, server, asked_url: str, index, name: str, **options) -> Page:
    path = SCREENS[name].format(asked=asked_url, id=id_of(index, scenes.SQUARE.name))
    page: Page = visit(f"{server.url}/problems/not-found", **options)  # a page without scripts
    page.add_init_script(LISTENING)
    page.goto(path if path.startswith("http") else server.url + path)
    if name in ("start", "answer"):
        settled(page)
        # What helps to write a filter comes with the first visit to its field.
        page.focus("#filter-input")
        expect(page.locator("#filter-words option").first).to_be_attached()
    if name == "picture":
        expect(page.locator("#neighbours")).to_have_attribute("aria-busy", "false")
    if name == "status":
        expect(page.locator("#failures > p")).to_be_visible()
        expect(page.locator("#jobs-home")).not_to_contain_text("Loading")
    return page


@pytest.mark.parametrize("name", SCREENS)
def test_tab_reaches_every_control_and_never_gets_caught(visit, server, asked_url, index, name):
    check_reached(screen(visit, server, asked_url, index, name))


@pytest.mark.parametrize("name", SCREENS)
def test_focus_can_be_seen_on_every_control(visit, server, asked_url, index, name):
    check_visible(screen(visit, server, asked_url, index, name))


def test_focus_can_be_seen_in_the_dark(visit, server, asked_url, index):
    check_visible(
        screen(visit, server, asked_url, index, "start", color_scheme="dark"), theme="dark"
    )


def test_a_card_under_the_focus_has_a_ring(asked):
    one = card(asked, shown(asked)[1])
    asked.locator("#heat-all").focus()
    asked.keyboard.press("Tab")
    asked.keyboard.press("Tab")
    asked.locator("#results .card").first.focus()
    asked.keyboard.press("ArrowRight")
    expect(one).to_be_focused()
    box = box_of(one)
    focused = ring(shot(asked, box), "light")
    one.evaluate("one => one.blur()")
    assert focused - ring(shot(asked, box), "light") > box["width"] + box["height"]


def test_arrows_move_over_the_wall_as_it_lies(visit, asked_url):
    asked = settled(visit(f"{asked_url}&f=label:noise"))
    ids = shown(asked)
    last = len(ids) - 1
    boxes = asked.locator(".card").evaluate_all("all => all.map(one => one.offsetTop)")
    across = boxes.count(boxes[0])
    assert across >= 3
    card(asked, ids[0]).focus()
    for key, at in [
        ("ArrowRight", 1),
        ("ArrowDown", 1 + across),
        ("ArrowLeft", across),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("ArrowLeft", 0),
        ("End", last),
        ("ArrowRight", last),
        ("Home", 0),
    ]:
        asked.keyboard.press(key)
        expect(card(asked, ids[at])).to_be_focused()
        expect(card(asked, ids[at])).to_be_in_viewport()
    # One stop for Tab in the whole wall, wherever it stands.
    assert asked.locator('.card[tabindex="0"]').count() == 1


def test_load_more_hands_the_focus_to_what_it_loaded(page):
    settled(page)
    page.locator("#load-more").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(scenes.COUNT)
    page.wait_for_function("() => document.activeElement !== document.body")


def test_the_skip_link_is_first_and_is_seen(page):
    settled(page)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_the_question_mark_opens_the_list_of_keys_and_gives_the_focus_back(asked):
    one = card(asked, shown(asked)[0])
    one.focus()
    asked.keyboard.press("?")
    keys = asked.locator("dialog#keys")
    expect(keys).to_be_visible()
    expect(keys).to_contain_text("heat maps on all cards")
    for _ in range(6):
        asked.keyboard.press("Tab")
        assert asked.evaluate(
            "() => document.activeElement === document.body"
            " || Boolean(document.activeElement.closest('#keys'))"
        )
    asked.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    expect(one).to_be_focused()


def test_no_letter_acts_while_typing(asked):
    before = asked.url
    for field in ("#filter-input", "#min-score", "#k"):
        asked.focus(field)
        for key in "rbphosax?+-[]":
            asked.keyboard.press(key)
    asked.focus("#filter-input")
    expect(asked.locator("#filter-input")).to_have_value("rbphosax?+-[]")
    expect(asked.locator("#tool-rect")).to_have_attribute("aria-pressed", "true")
    expect(asked.locator("dialog")).to_have_count(0)
    expect(asked.locator("#heat-all")).to_have_attribute("aria-pressed", "false")
    assert asked.url == before


def test_letters_do_nothing_when_they_are_switched_off(asked):
    asked.keyboard.press("?")
    asked.uncheck("#letters")
    asked.keyboard.press("Escape")
    asked.keyboard.press("h")
    asked.keyboard.press("b")
    card(asked, shown(asked)[0]).focus()
    asked.keyboard.press("s")
    asked.keyboard.press("?")
    expect(asked.locator("#heat-all")).to_have_attribute("aria-pressed", "false")
    expect(asked.locator("#tool-rect")).to_have_attribute("aria-pressed", "true")
    expect(asked.locator(".card.selected")).to_have_count(0)
    expect(asked.locator("dialog#keys")).to_have_count(0)


def test_letters_with_a_modifier_are_the_browser_s(asked):
    for key in ("Control+h", "Control+b", "Alt+p"):
        asked.keyboard.press(key)
    expect(asked.locator("#tool-rect")).to_have_attribute("aria-pressed", "true")
    expect(asked.locator("#heat-all")).to_have_attribute("aria-pressed", "false")


def test_the_whole_task_without_a_mouse(page, index, query_file):
    """Bring a picture, mark the object, compare the third result, see its page, the status."""
    settled(page)
    press = page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("(to) => document.activeElement.matches(to)", selector):
                return
            press("Tab")
        raise AssertionError(f"{selector} was never reached")

    tab_to("#file-input")
    with page.expect_response(is_search):
        page.locator(":focus").set_input_files(str(query_file))
    settled(page)
    tab_to("#query-canvas")
    with page.expect_response(is_search):
        press("Enter")
    settled(page)
    # From rows 6 to 12, columns 6 to 12, to rows 6 to 8, columns 5 to 8.
    with page.expect_response(is_search):
        press("ArrowLeft")
        for _ in range(3):
            press("Shift+ArrowLeft")
        for _ in range(4):
            press("Shift+ArrowUp")
    expect(page).to_have_url(re.compile("r=0.250,0.300,0.200,0.150"))
    settled(page)
    planted = {id_of(index, scene.name) for scene in scenes.SCENES}
    ids = shown(page)
    assert set(ids[:5]) == planted
    tab_to(".card")
    press("ArrowRight")
    press("ArrowRight")
    expect(card(page, ids[2])).to_be_focused()
    expect(card(page, ids[2])).to_have_class(re.compile(r"\bhot\b"))
    press(" ")
    expect(page.locator("#compare-query")).to_be_focused()
    press("Enter")
    expect(page.locator("#compare .reading")).to_contain_text("Patch of the query")
    press("Escape")
    expect(card(page, ids[2])).to_be_focused()
    press("o")
    expect(page.locator("h1")).to_be_focused()
    expect(page).to_have_url(re.compile(rf"/image/{ids[2]}$"))
    page.go_back()
    settled(page)
    assert shown(page) == ids
    for _ in range(40):
        press("Shift+Tab")
        if page.evaluate("() => document.activeElement.matches('nav [data-screen=status]')"):
            break
    press("Enter")
    expect(page.locator("h1")).to_have_text("Status")
    expect(page.locator("h1")).to_be_focused()
