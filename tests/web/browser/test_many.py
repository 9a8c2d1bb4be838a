"""Five hundred results: every card gets its picture, and the keyboard comes to the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import dinosearch
from tests.web.browser.acting import is_search, settled, shown
from tests.web.browser.serving import Server

COUNT, LIMIT = 530, 500


@pytest.fixture(scope="module")
def many(tmp_path_factory, chromium) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("many")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(5)
    for number in range(COUNT):
        shape = [(56, 56), (56, 84), (84, 56)][number % 3]
        cells = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (*shape, 3))
        Image.fromarray(np.ascontiguousarray(cells)).save(folder / f"pictures/{number:03d}.png")
    with dinosearch.create(folder / "index", encoder="colour", size=56) as index:
        index.add(folder / "pictures")
    server = Server(folder / "index", uploads=folder / "uploads")
    yield server
    server.stop()


@pytest.fixture
def wall(many, visit) -> Page:
    page: Page = settled(visit(f"{many.url}/?q=img:1&k=100"))
    while (there := page.locator(".card").count()) < LIMIT:
        with page.expect_response(is_search):
            page.locator(".card").last.scroll_into_view_if_needed()
            page.mouse.wheel(0, 4000)
        expect(page.locator(".card").nth(there)).to_be_attached()
    return page


def test_every_card_of_five_hundred_is_painted(wall, many):
    with dinosearch.open(many.settings.indexes[0]) as index:
        best = [hit.id for hit in index.answer(1, k=LIMIT, distinct=True).hits]
    assert shown(wall) == best
    # Further ones come when told to, not by themselves.
    wall.mouse.wheel(0, 9000)
    wall.wait_for_timeout(300)
    expect(wall.locator(".card")).to_have_count(LIMIT)
    expect(wall.locator("#load-more")).to_be_visible()
    for start in range(0, LIMIT, 20):
        wall.locator(".card").nth(start).scroll_into_view_if_needed()
    pictures = wall.locator(".card img")
    lost = pictures.evaluate_all(
        """async (all) => {
            await Promise.all(all.map((one) => { one.loading = 'eager'; return one.decode(); }));
            return all.filter((one) => !one.naturalWidth).length;
        }"""
    )
    assert lost == 0
    assert wall.locator(".frame.lost").count() == 0
    with wall.expect_response(is_search):
        wall.click("#load-more")
    expect(wall.locator(".card")).to_have_count(COUNT)
    expect(wall.locator("#load-more")).to_be_hidden()


def test_keys_come_to_the_last_of_five_hundred_and_back(wall):
    cards = wall.locator(".card")
    cards.first.focus()
    wall.keyboard.press("End")
    expect(cards.last).to_be_focused()
    expect(cards.last).to_be_in_viewport()
    for _ in range(3):
        wall.keyboard.press("ArrowUp")
    wall.keyboard.press("ArrowLeft")
    focused = wall.locator(":focus")
    expect(focused).to_be_in_viewport()
    place = int(focused.get_attribute("aria-posinset") or 0)
    assert LIMIT - 40 < place < LIMIT
    for _ in range(12):
        wall.keyboard.press("ArrowDown")
    assert int(wall.locator(":focus").get_attribute("aria-posinset") or 0) > LIMIT - 15
    wall.keyboard.press("Home")
    expect(cards.first).to_be_focused()
    expect(cards.first).to_be_in_viewport()
