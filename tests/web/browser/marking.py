"""Parts of the query picture: where its cells are, and which of them are marked."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.browser import scenes
from tests.web.browser.acting import is_search, point_on, sent, settled
from tests.web.browser.scenes import QUERY

SHAPE = (QUERY.rows, QUERY.cols)


def answered(page: Page, act) -> dict[str, Any]:
    """What the server answers to what `act()` brings about."""
    with page.expect_response(is_search) as answer:
        act()
    settled(page)
    return {**answer.value.json(), "asked": sent(answer)}


def rectangle(page: Page) -> tuple[int, int, int, int]:
    """Row, column, height and width in cells of a square picture, from the address."""
    found = re.search(r"[?&]r=([\d.,]+)", page.url)
    assert found, page.url
    x, y, w, h = (float(one) * scenes.GRID for one in found[1].split(","))
    cells = tuple(round(one) for one in (y, x, h, w))
    assert (y, x, h, w) == pytest.approx(cells, abs=0.02)
    return cells  # type: ignore[return-value]


def painted(page: Page) -> set[tuple[int, int]]:
    """The cells (row, col) that the address says are painted."""
    found = re.search(r"[?&]m=([\w-]+)", page.url)
    if not found:
        return set()
    raw = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
    bits = "".join(f"{byte:08b}" for byte in raw)
    return {divmod(place, scenes.GRID) for place, bit in enumerate(bits) if bit == "1"}


def spot(page: Page, row: float, col: float) -> tuple[float, float]:
    return point_on(page.locator("#query-canvas"), row, col, *SHAPE)
