"""The compare view: how it opens and closes, and that a patch of one picture is shown at the
right cells of both, whatever is zoomed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import scenes
from tests.web.browser.acting import card, drag, id_of, point_on, sent, settled, shown
from tests.web.browser.looking import box_of, cells_of, check_heat
from tests.web.browser.scenes import OBJECT, QUERY, Scene

DIALOG = "dialog#compare"


def compared(visit, few_url: str, index, scene: Scene, dense: float = 2) -> Page:
    page: Page = visit(f"{few_url}&view=compare&sel={id_of(index, scene.name)}", dense=dense)
    for side in ("query", "image"):
        page.locator(f"#compare-{side} img").evaluate("picture => picture.decode()")
    return page


def frame_of(page: Page, side: str):
    return page.locator(f"#compare-{side} .frame")


def cells_on(page: Page, side: str, scene: Scene) -> np.ndarray:
    view = page.locator(f"#compare-{side}")
    return cells_of(frame_of(page, side), scene.rows, scene.cols, view)


def values_of(scene: Scene, colour) -> np.ndarray:
    return scenes.heat_of(scene, np.array([colour]))


def pick(page: Page, side: str, scene: Scene, row: int, col: int) -> tuple[float, float]:
    """Click a cell; returns the scale of what is painted."""
    place = point_on(frame_of(page, side), row, col, scene.rows, scene.cols)
    with page.expect_response("**/api/v1/explain*") as answer:
        page.mouse.click(*place)
    expect(frame_of(page, "image")).to_have_class(re.compile("hot"))
    low, high = answer.value.json()["items"][0]["range"]
    return low, high


def test_space_opens_it_and_escape_gives_the_focus_back(few):
    third = shown(few)[2]
    card(few, third).focus()
    few.keyboard.press(" ")
    expect(few.locator(DIALOG)).to_be_visible()
    expect(few).to_have_url(re.compile(rf"view=compare&sel={third}$"))
    expect(few.locator("#compare-query")).to_be_focused()
    expect(few.locator("#compare-title")).to_contain_text("Compare: result 3")
    few.keyboard.press("Escape")
    expect(few.locator(DIALOG)).to_be_hidden()
    expect(card(few, third)).to_be_focused()
    expect(few).not_to_have_url(re.compile("view=|sel="))


def test_focus_stays_inside_while_it_is_open(few):
    card(few, shown(few)[0]).focus()
    few.keyboard.press(" ")
    expect(few.locator("#compare-query")).to_be_focused()
    inside = "() => document.activeElement === document.body ||" + (
        " Boolean(document.activeElement.closest('dialog'))"
    )
    seen = set()
    for _ in range(16):
        few.keyboard.press("Tab")
        assert few.evaluate(inside)
        seen.add(few.evaluate("() => document.activeElement.id"))
    assert {"compare-query", "compare-image"} <= seen


def test_brackets_walk_through_the_results_and_end_at_the_ends(few):
    ids = shown(few)
    card(few, ids[0]).focus()
    few.keyboard.press(" ")
    expect(few.get_by_role("button", name="Previous result")).to_be_disabled()
    few.keyboard.press("]")
    expect(few.locator("#compare-title")).to_contain_text("result 2")
    expect(few).to_have_url(re.compile(rf"sel={ids[1]}$"))
    few.keyboard.press("]")
    expect(few.locator("#compare-title")).to_contain_text("result 3")
    expect(few.locator("#side-image + .path")).to_have_attribute("title", re.compile("planted/"))
    few.keyboard.press("[")
    expect(few.locator("#compare-title")).to_contain_text("result 2")
    few.keyboard.press("Escape")
    expect(card(few, ids[1])).to_be_focused()


def test_a_link_opens_it_and_closing_leaves_the_results(visit, few_url, index):
    page = compared(visit, few_url, index, scenes.PORTRAIT, 1)
    expect(page.locator(DIALOG)).to_be_visible()
    expect(page.locator("#side-image + .path")).to_have_attribute("title", "planted/portrait.png")
    page.get_by_role("button", name="Close").click()
    settled(page)
    assert len(shown(page)) == 5


@pytest.mark.parametrize(
    "scene", [scenes.LANDSCAPE, scenes.PORTRAIT, scenes.ROTATED], ids=lambda scene: scene.name
)
def test_a_patch_of_the_query_is_found_at_its_cells_in_both(visit, few_url, index, scene):
    page = compared(visit, few_url, index, scene)
    before = {"query": cells_on(page, "query", QUERY), "image": cells_on(page, "image", scene)}
    scale = pick(page, "query", QUERY, QUERY.row, QUERY.col)
    colour = OBJECT[0, 0]
    for side, one in (("query", QUERY), ("image", scene)):
        after = cells_on(page, side, one)
        check_heat(page, before[side], after, values_of(one, colour), scale)
    said = page.locator(f"{DIALOG} .reading")
    expect(said).to_contain_text(f"Patch of the query at row {QUERY.row}, column {QUERY.col}")
    expect(said).to_contain_text("cosine 1.000")


def test_a_patch_of_the_result_is_found_at_its_cells_in_both(visit, few_url, index):
    scene = scenes.LANDSCAPE
    page = compared(visit, few_url, index, scene)
    before = {"query": cells_on(page, "query", QUERY), "image": cells_on(page, "image", scene)}
    # The last row of the object, its second cell: violet.
    scale = pick(page, "image", scene, scene.row + 2, scene.col + 1)
    for side, one in (("query", QUERY), ("image", scene)):
        after = cells_on(page, side, one)
        check_heat(page, before[side], after, values_of(one, OBJECT[2, 1]), scale)
    row, col = scene.row + 2 - scene.skip[0], scene.col + 1 - scene.skip[1]
    expect(page.locator(f"{DIALOG} .reading")).to_contain_text(
        f"Patch of the result at row {row}, column {col}"
    )


def test_what_the_model_did_not_see_cannot_be_taken(visit, few_url, index):
    scene = scenes.LANDSCAPE
    page = compared(visit, few_url, index, scene, 1)
    page.mouse.click(*point_on(frame_of(page, "image"), 5, 2, scene.rows, scene.cols))
    expect(page.locator(f"{DIALOG} .reading")).to_have_text(
        "The model did not see this part of the picture."
    )


def test_heat_stays_on_its_cells_while_a_picture_is_zoomed_and_moved(visit, few_url, index):
    scene = scenes.PORTRAIT
    page = compared(visit, few_url, index, scene)
    view = box_of(page.locator("#compare-image"))
    small = box_of(frame_of(page, "image"))["height"]
    middle = view["x"] + view["width"] / 2, view["y"] + view["height"] / 2
    page.mouse.move(*middle)
    page.mouse.wheel(0, -500)
    expect(page.locator("#compare-image")).to_have_class(re.compile("zoomed"))
    drag(page, middle, (middle[0] - 60, middle[1] + 40))
    assert box_of(frame_of(page, "image"))["height"] > 1.4 * small
    before = cells_on(page, "image", scene)
    assert 20 < np.isfinite(before[..., 0]).sum() < scene.rows * scene.cols
    scale = pick(page, "query", QUERY, QUERY.row + 1, QUERY.col + 1)
    after = cells_on(page, "image", scene)
    check_heat(page, before, after, values_of(scene, OBJECT[1, 1]), scale)
    # And what is clicked there is what lies under the pointer.
    pick(page, "image", scene, 14, 12)
    expect(page.locator(f"{DIALOG} .reading")).to_contain_text(
        f"Patch of the result at row {14 - scene.skip[0]}, column 12"
    )
    page.locator("#compare-image").focus()
    page.keyboard.press("0")
    expect(page.locator("#compare-image")).not_to_have_class(re.compile("zoomed"))


def test_keys_take_patches_and_zoom(visit, few_url, index):
    page = compared(visit, few_url, index, scenes.SQUARE, 1)
    image = page.locator("#compare-image")
    image.focus()
    page.keyboard.press("ArrowRight")
    said = page.locator(f"{DIALOG} .reading")
    expect(said).to_have_text("row 10, column 10")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    with page.expect_response("**/api/v1/explain*") as answer:
        page.keyboard.press("Enter")
    assert sent(answer)["point"] == {"in": "image", "patch": [9, 9]}
    expect(said).to_contain_text("Patch of the result at row 9, column 9")
    width = box_of(frame_of(page, "image"))["width"]
    page.keyboard.press("+")
    assert box_of(frame_of(page, "image"))["width"] == pytest.approx(1.5 * width, abs=1)
    page.keyboard.press("-")
    assert box_of(frame_of(page, "image"))["width"] == pytest.approx(width, abs=1)


def test_it_leads_on_to_a_search_by_the_result_and_to_its_page(few):
    ids = shown(few)
    card(few, ids[1]).focus()
    few.keyboard.press(" ")
    few.locator(DIALOG).get_by_role("button", name="Search by this").click()
    settled(few)
    expect(few).to_have_url(re.compile(rf"\?q=img:{ids[1]}&f=label:planted$"))
    expect(few.locator(DIALOG)).to_be_hidden()
    few.go_back()
    settled(few)
    expect(few.locator(DIALOG)).to_be_visible()
    few.locator(DIALOG).get_by_role("link", name="Its page").click()
    expect(few).to_have_url(re.compile(rf"/image/{ids[1]}$"))
    expect(few.locator(DIALOG)).to_be_hidden()
