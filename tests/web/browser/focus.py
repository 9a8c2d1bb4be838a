"""Where the focus goes, and whether one can see where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from playwright.sync_api import Page

from tests.web.browser.looking import shot

RING = {"light": np.array([11, 92, 173]), "dark": np.array([116, 182, 255])}

# What a hand can use and a key must reach: not what is hidden, disabled, or one of a group
# that arrow keys move in.
CONTROLS = """() => [...document.querySelectorAll(
        'a[href], button, input, select, summary, [tabindex="0"]')]
    .filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility()
        && !one.closest('[hidden], dialog:not([open]), details:not([open]) > :not(summary)'))
    .map((one, i) => { one.dataset.stop ??= String(i); return one.dataset.stop; })"""
HERE = """() => {
    const one = document.activeElement;
    if (one === document.body) return null;
    const box = (one.id === 'file-input' ? one.nextElementSibling : one).getBoundingClientRect();
    return { stop: one.dataset.stop, what: one.outerHTML.slice(0, 90),
        box: { x: box.x, y: box.y, width: box.width, height: box.height } };
}"""
# Installed before the page's own scripts: remembers who listens to hands.
LISTENING = """(() => {
    const add = EventTarget.prototype.addEventListener;
    EventTarget.prototype.addEventListener = function (type, ...more) {
        if (['click', 'pointerdown'].includes(type) && this instanceof HTMLElement)
            this.dataset.hand = [this.dataset.hand, type].join(' ');
        return add.call(this, type, ...more);
    };
})()"""
# Whoever listens to hands must be a control by itself, or one that the keyboard comes to, or
# must listen for the controls inside it.
HANDS_ONLY = """() => [...document.querySelectorAll('[data-hand]')]
    .filter((one) => one.checkVisibility() && !one.disabled && !one.matches('html, body'))
    .filter((one) => !one.querySelector('a[href], button, input, select, [tabindex="0"]'))
    .filter((one) => !one.matches('a[href], button, input, select, summary, label'))
    .filter((one) => one.tabIndex < 0 || one.dataset.hand.includes('click'))
    .map((one) => one.outerHTML.slice(0, 120))"""


def walk(page: Page, key: str = "Tab", most: int = 90) -> list[dict[str, Any]]:
    """Press Tab through the whole page; where the focus stood, in order."""
    stops: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press(key)
        here = page.evaluate(HERE)
        # Behind the last control the focus leaves the page, or begins again.
        if here is None or any(here["stop"] == one["stop"] for one in stops):
            return stops
        stops.append(here)
    raise AssertionError(f"the focus never left the page; it last stood on {stops[-3:]}")


def check_reached(page: Page) -> None:
    """Tab goes to every control, in the order of the page, and back again."""
    assert page.evaluate(HANDS_ONLY) == []
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    wanted = page.evaluate(CONTROLS)
    page.locator(".skip").focus()
    first = page.evaluate(HERE)
    there = [first, *walk(page)]
    assert [one["stop"] for one in there] == wanted, [one["what"] for one in there]
    back = [there[-1], *walk_back(page, there[-1])]
    assert [one["stop"] for one in back] == wanted[::-1]


def walk_back(page: Page, last: dict[str, Any]) -> list[dict[str, Any]]:
    page.locator(f'[data-stop="{last["stop"]}"]').focus()
    stops = walk(page, "Shift+Tab")
    return [one for one in stops if one["stop"] != last["stop"]]


def ring(pixels: np.ndarray, theme: str) -> int:
    """How many pixels have the colour of the focus ring."""
    return int((np.abs(pixels - RING[theme]).max(axis=2) < 40).sum())


def check_visible(page: Page, theme: str = "light") -> None:
    """Wherever the focus stands, a ring is there that was not there before."""
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.locator(".skip").focus()
    size = page.viewport_size
    assert size is not None
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here is None:
            return
        box = here["box"]
        top = max(0, box["y"])
        inside = {
            "x": max(0, box["x"]),
            "y": top,
            "width": min(box["width"], size["width"] - max(0, box["x"])),
            "height": min(box["y"] + box["height"], size["height"]) - top,
        }
        assert inside["height"] > 8, f"focus stands out of sight: {here['what']}"
        focused = shot(page, inside, 7)
        page.evaluate("() => { window.held = document.activeElement; held.blur(); }")
        plain = shot(page, inside, 7)
        page.evaluate("() => held.focus({ preventScroll: true, focusVisible: true })")
        # Three pixels wide; at least along half of what can be seen of the edge.
        gained = ring(focused, theme) - ring(plain, theme)
        assert gained > inside["width"] + inside["height"], f"no ring on {here['what']}"
