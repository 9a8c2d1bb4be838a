"""Fingers: scrolling past the picture, marking a part of it, and long presses."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.acting import is_search, settled
from tests.web.browser.looking import box_of
from tests.web.browser.marking import answered, painted, rectangle, spot

LABEL = "#region-label"


@pytest.fixture
def phone(visit, few_url) -> Page:
    size = {"width": 390, "height": 844}
    page: Page = settled(visit(few_url, viewport=size, has_touch=True, is_mobile=True))
    page.locator("#query-canvas").scroll_into_view_if_needed()
    return page


def touch(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    fingers = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in points]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    send("touchStart", start)
    for step in range(1, 6):
        x, y = (a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
        send("touchMove", (x, y))
    send("touchEnd")


def test_a_finger_scrolls_the_page_until_a_tool_is_chosen(phone):
    expect(phone.locator("#tool-pan")).to_have_attribute("aria-pressed", "true")
    top = phone.evaluate("() => scrollY")
    touch(phone, spot(phone, 14, 8), spot(phone, 3, 8))
    expect(phone.locator(LABEL)).to_have_text("Region: none, the whole picture")
    assert phone.evaluate("() => scrollY") > top + 50


def test_a_finger_draws_a_rectangle_and_takes_hold_of_a_handle(phone):
    phone.tap("#tool-rect")
    phone.locator("#query-canvas").scroll_into_view_if_needed()
    top = phone.evaluate("() => scrollY")
    answered(phone, lambda: touch(phone, spot(phone, 6, 5), spot(phone, 8, 8)))
    assert rectangle(phone) == (6, 5, 3, 4)
    phone.locator("#query-canvas").scroll_into_view_if_needed()
    answered(phone, lambda: touch(phone, spot(phone, 8.6, 8.6), spot(phone, 11, 12)))
    assert rectangle(phone) == (6, 5, 6, 8)
    assert abs(phone.evaluate("() => scrollY") - top) < 2


def test_a_finger_paints(phone):
    phone.tap("#tool-brush")
    phone.locator("#query-canvas").scroll_into_view_if_needed()
    answered(phone, lambda: touch(phone, spot(phone, 6, 5), spot(phone, 6, 8)))
    assert painted(phone) == {(6, 5), (6, 6), (6, 7), (6, 8)}


def test_a_long_press_on_a_card_shows_its_heat_and_does_not_search(phone, watch):
    one = phone.locator("#results .card").first
    one.scroll_into_view_if_needed()
    box = box_of(one.locator(".frame"))
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = phone.url
    fingers = phone.context.new_cdp_session(phone)
    held = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    fingers.send("Input.dispatchTouchEvent", held)
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(one).to_have_class(re.compile(r"\bhot\b"))
    assert phone.url == before
    # And the next tap is an ordinary one.
    with phone.expect_response(is_search):
        phone.touchscreen.tap(x, y)
    assert phone.url != before
