"""The page that `pca --scatter FILE.html` writes, opened from the disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dinosearch.geometry import View
from dinosearch.pca.basis import PcaBasis
from dinosearch.pca.maps import pca_maps
from dinosearch.pca.scatter_page import save_page

NAMES = ["<b>front</b>.png", "rest.png"]
SIDE = 56


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Two pictures of 16 patches: on a cube's corners and edges, the first red, the other blue."""
    grid = View(SIDE).grid(SIDE, SIDE)
    corners = np.array(np.meshgrid([-1, -0.4, 0.4, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    one = np.array([0.0, 0, 0])
    basis = PcaBasis(one, np.eye(3), np.full(3, 0.3), np.full(3, -1.0), np.full(3, 1.0))
    red, blue = pca_maps([(corners, grid), (0.5 * corners, grid)], basis=basis)
    red.rgb[:], blue.rgb[:] = (255, 0, 0), (0, 0, 255)
    path = tmp_path_factory.mktemp("page") / "s.html"
    save_page([red, blue], NAMES, path)
    return path


@pytest.fixture(params=["light", "dark"])
def page(chromium: Browser, path, request) -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": 800, "height": 700}, color_scheme=request.param, offline=True
    )
    page = context.new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda asked: seen.append(asked.url))
    page.goto(path.as_uri())
    page.locator("#space").focus()
    yield page
    assert seen == [path.as_uri()], "one request, for itself, and not a word on the console"
    context.close()


def settle(page: Page) -> None:
    """Wait until what was asked for last is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def drawn(page: Page) -> dict[str, int]:
    """How many pixels of each of our colours are there."""
    settle(page)
    counted: dict[str, int] = page.evaluate(
        """() => {
          const { width, height } = canvas;
          const options = { willReadFrequently: true };
          const copy = new OffscreenCanvas(width, height).getContext("2d", options);
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, width, height);
          const found = { red: 0, blue: 0 };
          for (let n = 0; n < data.length; n += 4) {
            if (data[n] > 200 && data[n + 2] < 60 && data[n + 3] > 200) found.red++;
            if (data[n + 2] > 200 && data[n] < 60 && data[n + 3] > 200) found.blue++;
          }
          return found;
        }"""
    )
    return counted


def front(page: Page) -> list[float]:
    """Number and place on the canvas of the point nearest to whoever looks."""
    settle(page)
    found: list[float] = page.evaluate(
        "() => { const n = order[order.length - 1]; return [n, at[2 * n], at[2 * n + 1]]; }"
    )
    return found


def place(page: Page, point: float) -> list[float]:
    settle(page)
    found: list[float] = page.evaluate("(n) => [at[2 * n], at[2 * n + 1]]", point)
    return found


def test_points_have_the_colours_of_their_maps(page):
    found = drawn(page)
    assert 16 * 6 <= found["red"] <= 16 * 100
    assert 8 * 6 <= found["blue"] <= 16 * 100
    expect(page.locator("h1")).to_have_text("Patches in space")
    expect(page.locator("header p")).to_contain_text("32 patches of 2 pictures")


def test_dragging_takes_the_point_in_front_along(page):
    point, x, y = front(page)
    box = page.locator("#space").bounding_box()
    assert box is not None
    middle = box["x"] + 400, box["y"] + 200
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1] + 12, steps=3)
    page.mouse.up()
    now = place(page, point)
    assert now[0] > x + 10
    assert now[1] > y + 3


@pytest.mark.parametrize(
    ("key", "axis", "sign"),
    [("ArrowRight", 0, 1), ("ArrowLeft", 0, -1), ("ArrowDown", 1, 1), ("ArrowUp", 1, -1)],
)
def test_arrow_keys_turn_it_their_way(page, key, axis, sign):
    point, *before = front(page)
    page.keyboard.press(key)
    assert sign * (place(page, point)[axis] - before[axis]) > 4


def test_wheel_and_keys_zoom_and_nought_starts_over(page):
    point, x, y = front(page)
    box = page.locator("#space").bounding_box()
    assert box is not None

    def away(at) -> float:
        return float(np.hypot(at[0] - box["width"] / 2, at[1] - box["height"] / 2))

    page.keyboard.press("+")
    assert away(place(page, point)) == pytest.approx(1.25 * away((x, y)), rel=1e-3)
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    assert away(place(page, point)) > 1.5 * away((x, y))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    assert place(page, point) == pytest.approx([x, y])


def test_pointing_at_a_point_says_which_patch_it_is(page):
    point, x, y = front(page)
    box = page.locator("#space").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x + 2, box["y"] + y - 2)
    assert point < 16, "the larger cube is in front"
    row, col = divmod(int(point), 4)
    expect(page.locator("#tip")).to_have_text(f"{NAMES[0]}: row {row}, column {col}")
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    expect(page.locator("#tip")).to_be_hidden()


def test_a_picture_can_be_put_away(page):
    assert drawn(page)["red"]
    page.get_by_label(NAMES[0]).uncheck()
    found = drawn(page)
    assert found["red"] == 0
    assert found["blue"] > 0
