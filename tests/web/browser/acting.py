"""What people do on the page: bring a picture, mark a part of it, look at a card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Response

from dinosearch import ImageIndex
from tests.web.browser.looking import box_of
from tests.web.browser.scenes import QUERY, TALL, WIDE, Scene

COUNTED = re.compile(r"\d of [\d,]+ image")


def settled(page: Page) -> Page:
    """Wait until the answer that was asked for last is shown."""
    # `wait_for` looks more often than `expect`, which this many waits are long for.
    page.locator('#results[aria-busy="false"]').wait_for(state="attached")
    page.locator("#status-line").filter(has_text=COUNTED).wait_for()
    # What stands above the results pushes them down when its pictures arrive.
    page.wait_for_function(
        "() => [...document.querySelectorAll('.query-picture img')].every((one) => one.complete)"
    )
    return page


def is_search(response: Response) -> bool:
    return response.url.split("?")[0].endswith("/api/v1/search")


def choose(page: Page, *files: Path) -> dict[str, Any]:
    """Choose files, and wait for what is found; returns the answer of the server."""
    with page.expect_response(is_search) as answer:
        page.set_input_files("#file-input", [str(file) for file in files])
    settled(page)
    return dict(answer.value.json())


def point_on(locator: Locator, row: float, col: float, rows: int, cols: int) -> tuple[float, float]:
    """The middle of cell (row, col) of a picture of rows x cols cells, on the screen."""
    box = box_of(locator)
    return (
        box["x"] + (col + 0.5) / cols * box["width"],
        box["y"] + (row + 0.5) / rows * box["height"],
    )


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def mark(page: Page, scene: Scene, row: int, col: int, tall: int, wide: int) -> dict[str, Any]:
    """Draw a rectangle of cells on the query picture; returns what the server answered."""
    settled(page)  # else the panel may still move under the drag
    canvas = page.locator("#query-canvas")
    canvas.scroll_into_view_if_needed()
    shape = (scene.rows, scene.cols)
    page.click("#tool-rect")
    with page.expect_response(is_search) as answer:
        drag(
            page,
            point_on(canvas, row, col, *shape),
            point_on(canvas, row + tall - 1, col + wide - 1, *shape),
        )
    settled(page)
    return dict(answer.value.json())


def mark_object(page: Page, scene: Scene = QUERY) -> dict[str, Any]:
    return mark(page, scene, scene.row, scene.col, TALL, WIDE)


def shown(page: Page) -> list[int]:
    """The ids of the cards, in order."""
    cards = page.locator("#results .card")
    return [int(one) for one in cards.evaluate_all("all => all.map(one => one.dataset.id)")]


def card(page: Page, image_id: int) -> Locator:
    return page.locator(f'#results .card[data-id="{image_id}"]')


def id_of(index: ImageIndex, name: str) -> int:
    found = index.id_of(f"{index.sources()[0]}/{name}")
    assert found is not None, name
    return found


def scale_of(answer: dict[str, Any]) -> tuple[float, float]:
    """The lowest and highest cosine of an answer's heat maps."""
    ranges = [hit["heat"]["range"] for hit in answer["hits"] if hit["heat"]]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def sent(answer: Any) -> dict[str, Any]:
    """What an awaited response was asked with, as JSON."""
    body: dict[str, Any] = answer.value.request.post_data_json
    return body
