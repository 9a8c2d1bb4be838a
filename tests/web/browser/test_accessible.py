"""axe on every screen and state, in light and dark; phones; sizes of targets; stillness."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

import dinosearch
from dinosearch.errors import IndexLocked
from tests.web.browser import scenes
from tests.web.browser.acting import card, id_of, settled, shown
from tests.web.browser.serving import Server

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BY_EYE = ["color-contrast", "link-in-text-block"]
PHONE = {"viewport": {"width": 390, "height": 844}}
REGION = "&r=0.250,0.300,0.200,0.150&mode=both"


def violations(page: Page, only: dict[str, Any]) -> list[str]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("(only) => axe.run(document, { runOnly: only })", only)
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][-160:]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def check(page: Page) -> None:
    """All rules by light; by dark those that colours decide."""
    assert violations(page, {"type": "tag", "values": WCAG}) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, {"type": "rule", "values": BY_EYE}) == []


Open = Callable[..., Page]
State = Callable[[Open, Any], Page]


def _start(open_: Open, at) -> Page:
    return settled(open_(f"{at.server.url}/?f=label:plain"))


def _answer(open_: Open, at) -> Page:
    return settled(open_(f"{at.asked}&f=label:plain"))


def _region(open_: Open, at) -> Page:
    page = settled(open_(f"{at.few}{REGION}"))
    page.click("details.numbers summary")
    page.click("#facets summary")
    return page


def _painted(open_: Open, at) -> Page:
    page = settled(open_(f"{at.few}&m=AAAAAAAAAAAAAAAAAAAAHgAB4A&mode=region"))
    page.click("#tool-brush")
    return page


def _heat(open_: Open, at) -> Page:
    page = settled(open_(f"{at.few}{REGION}&layer=heat"))
    one = card(page, shown(page)[0])
    one.scroll_into_view_if_needed()
    expect(one).to_have_class(re.compile("hot"))
    return page


def _export(open_: Open, at) -> Page:
    page = settled(open_(at.few))
    card(page, shown(page)[0]).locator(".rank").click()
    page.click("#export")
    expect(page.locator("#export-menu")).to_be_visible()
    return page


def _several(open_: Open, at) -> Page:
    return settled(open_(f"{at.few}&q=img:1&q=img:2"))


def _nothing(open_: Open, at) -> Page:
    page = settled(open_(f"{at.asked}&f=path:nowhere/&min=0.9"))
    expect(page.locator(".empty h3")).to_have_text("Nothing found")
    return page


def _error(open_: Open, at) -> Page:
    page = open_(f"{at.server.url}/?q=up:{'0' * 24}&mode=odd", expects=(404,))
    expect(page.locator("#problem .trouble")).to_have_count(2)
    return page


def _compare(open_: Open, at) -> Page:
    page = open_(f"{at.few}&view=compare&sel={at.square}")
    page.locator("#compare-query").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare .legend")).not_to_have_class(re.compile("off"))
    return page


def _keys(open_: Open, at) -> Page:
    page = settled(open_(f"{at.server.url}/?f=label:planted"))
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    return page


def _picture(open_: Open, at) -> Page:
    page = open_(f"{at.server.url}/image/{at.square}")
    expect(page.locator("#neighbours")).to_have_attribute("aria-busy", "false")
    return page


def _picture_heat(open_: Open, at) -> Page:
    page = open_(f"{at.server.url}/image/{at.square}?layer=heat&patch=4,11&grid=1")
    expect(page.locator("#picture-view .frame")).to_have_class(re.compile("hot"))
    expect(page.locator("#neighbours")).to_have_attribute("aria-busy", "false")
    return page


def _missing(open_: Open, at) -> Page:
    page = open_(f"{at.server.url}/image/99999", expects=(404,))
    expect(page.locator("h1")).to_have_text("This picture cannot be shown")
    return page


def _status(open_: Open, at) -> Page:
    page = open_(f"{at.failed.url}/status")
    expect(page.locator("#failures table")).to_be_visible()
    expect(page.locator('.job[data-state="done"]')).to_be_visible()
    expect(page.locator('.job[data-state="failed"]')).to_be_visible()
    page.locator(".job summary").first.click()
    return page


def _empty(open_: Open, at) -> Page:
    page = open_(at.empty.url)
    expect(page.locator(".empty")).to_be_visible()
    return page


def _login(open_: Open, at) -> Page:
    return open_(f"{at.locked.url}/login")


def _problem(open_: Open, at) -> Page:
    return open_(f"{at.server.url}/problems/too-large")


STATES: dict[str, State] = {
    "start": _start, "answer": _answer, "region": _region, "painted": _painted, "heat": _heat,
    "export": _export, "several": _several, "nothing": _nothing, "error": _error,
    "compare": _compare, "keys": _keys, "picture": _picture, "picture with heat": _picture_heat,
    "no picture": _missing, "status": _status, "empty": _empty, "login": _login,
    "problem": _problem,
}  # fmt: skip


class Place:
    """Where the states are to be found."""

    def __init__(self, server, asked, square, locked, empty, failed) -> None:
        self.server, self.asked, self.square = server, asked, square
        self.few = f"{asked}&f=label:planted"
        self.locked, self.empty, self.failed = locked, empty, failed


@pytest.fixture
def at(server, asked_url, index, locked, empty, failed) -> Place:
    square = id_of(index, scenes.SQUARE.name)
    return Place(server, asked_url, square, locked, empty, failed)


@pytest.fixture(scope="module")
def failed(tmp_path_factory, chromium):
    """A server with jobs that ended well and badly, and files that were not taken."""
    folder = tmp_path_factory.mktemp("failed")
    scenes.save(folder / "pictures/a.png", scenes.noise(1, 4, 4))
    for name in ("broken.png", f"{'n' * 200}.png"):
        (folder / "pictures" / name).write_bytes(b"no picture")
    with dinosearch.create(folder / "index", encoder="colour", size=56) as one:
        one.add(folder / "pictures")
    server = Server(folder / "index", uploads=folder / "uploads")
    for found in ({"added": 1, "changed": 0, "missing": 2}, None):
        server.services.jobs.add("changes", "index", {}, _ending_with(found))
    yield server
    server.stop()


def _ending_with(found: dict[str, int] | None) -> Callable[[Any], dict[str, int]]:
    def work(job: Any) -> dict[str, int]:
        if found is None:
            raise IndexLocked("somebody else writes")
        return found

    return work


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(visit, at, state):
    check(STATES[state](visit, at))


@pytest.mark.parametrize("state", STATES)
def test_a_phone_shows_it_without_scrolling_sideways(visit, at, state):
    page = STATES[state](lambda url, **more: visit(url, **PHONE, **more), at)
    wide = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide == [390, 390]
    small = page.evaluate(SMALL)
    assert small == []


# Of whatever can be pressed: what is narrower or lower than 40 px; links in a line of words
# may be 24 px high. A box to tick is as large as its label.
SMALL = """() => [...document.querySelectorAll(
        'a[href], button, input, select, summary, [role=button]')]
    .filter((one) => one.checkVisibility({ checkVisibilityCSS: true }) && !one.disabled)
    .filter((one) => !one.closest('.vh, .skip') && !one.matches('.vh'))
    .map((one) => {
        const box = (one.closest('label') ?? one).getBoundingClientRect();
        const words = one.matches('.facts-list a, .job a, .plain p > a');
        const enough = words ? box.height >= 23.5 : box.width >= 39.5 && box.height >= 39.5;
        return enough ? null : `${box.width} x ${box.height}: ${one.outerHTML.slice(0, 100)}`;
    })
    .filter(Boolean)"""


@pytest.mark.parametrize("state", ["answer", "region", "compare", "picture with heat", "status"])
def test_what_can_be_pressed_is_large_enough(visit, at, state):
    assert STATES[state](visit, at).evaluate(SMALL) == []


def test_nothing_moves_for_those_who_want_it_still(visit, asked_url):
    page = settled(visit(asked_url, reduced_motion="reduce"))
    moving = """() => [...document.querySelectorAll('*')].filter((one) => {
        const style = getComputedStyle(one);
        return style.transitionDuration.split(', ').some((time) => parseFloat(time) > 0)
            || style.animationName !== 'none' || style.scrollBehavior === 'smooth';
    }).length"""
    assert page.evaluate(moving) == 0
    page.click("#exact")
    assert page.evaluate("() => document.getAnimations().length") == 0
    settled(page)


def test_the_choice_of_light_and_dark_is_kept(page):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.select_option("#theme", "dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    settled(page)
    assert page.evaluate(ground) == dark
    expect(page.locator("#theme")).to_have_value("dark")
    page.select_option("#theme", "auto")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == dark


def test_what_happens_is_told_to_those_who_do_not_see_it(asked):
    expect(asked.get_by_role("status").first).to_contain_text("48 of")
    expect(asked.get_by_role("feed")).to_have_accessible_name("Results")
    first = asked.get_by_role("article").first
    expect(first).to_have_accessible_name(re.compile(r"^1: score 1\.000, planted/"))
    expect(asked.locator("#query-canvas")).to_have_accessible_name("Mark a part of query.png")
    expect(asked.locator("#query-canvas")).to_have_accessible_description(
        re.compile("Rectangle: Enter makes one")
    )
