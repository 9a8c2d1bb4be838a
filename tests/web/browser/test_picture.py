"""The page of one picture: what is known, the heat of a patch over it, its neighbours."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import scenes
from tests.web.browser.acting import id_of, point_on, sent, settled
from tests.web.browser.looking import box_of, cells_of, check_heat, shot
from tests.web.browser.scenes import OBJECT, Scene

VIEW = "#picture-view"
FRAME = f"{VIEW} .frame"


def opened(visit, server, index, name: str, search: str = "", dense: float = 1) -> Page:
    page: Page = visit(f"{server.url}/image/{id_of(index, name)}{search}", dense=dense)
    page.locator(f"{VIEW} img").evaluate("picture => picture.decode()")
    return page


def fact(page: Page, name: str):
    return page.locator(".facts-list > div").filter(
        has=page.locator("dt", has_text=re.compile(f"^{name}$"))
    )


def cells_on(page: Page, scene: Scene) -> np.ndarray:
    return cells_of(page.locator(FRAME), scene.rows, scene.cols, page.locator(VIEW))


def test_what_is_known_is_told(visit, server, index):
    page = opened(visit, server, index, scenes.ROTATED.name)
    item = index.item(id_of(index, scenes.ROTATED.name))
    expect(page).to_have_title("rotated.jpg · dinosearch")
    expect(page.locator("h1")).to_have_text("rotated.jpg")
    for name, value in [
        ("Path", "planted/rotated.jpg"),
        ("Size", "280 × 420 px"),
        ("Labels", "planted"),
        ("Patches", "400 (20 rows, 20 columns)"),
        ("SHA-256", item.sha256),
        ("Id", str(item.id)),
        ("Exact copies", "none"),
        ("Source", "pictures"),
    ]:
        expect(fact(page, name).locator("dd")).to_have_text(value)
    expect(fact(page, "File").locator("dd")).to_contain_text("JPEG, ")
    frame = box_of(page.locator(FRAME))
    assert frame["width"] / frame["height"] == pytest.approx(2 / 3, rel=0.01)


def test_neighbours_are_those_of_the_index_and_lead_on(visit, server, index):
    page = opened(visit, server, index, "plain/red.png")
    me = id_of(index, "plain/red.png")
    others = [hit.id for hit in index.answer(me, k=25, distinct=True).hits[1:]]
    cards = page.locator("#neighbours .card")
    expect(cards).to_have_count(24)
    there = cards.evaluate_all("all => all.map((one) => Number(one.dataset.id))")
    assert there == others
    cards.nth(1).locator(".stage").click()
    expect(page).to_have_url(re.compile(rf"/image/{others[1]}$"))
    expect(page.locator("h1")).to_be_focused()
    page.go_back()
    expect(page.locator("h1")).to_have_text("red.png")


def test_copies_are_linked(visit, server, index):
    page = opened(visit, server, index, scenes.COPIED)
    copies = sorted(id_of(index, name) for name in scenes.COPIES)
    expect(fact(page, "Exact copies").locator("a")).to_have_text([f"Picture {n}" for n in copies])
    fact(page, "Exact copies").locator("a").first.click()
    expect(page.locator("h1")).to_have_text("one.png")


@pytest.mark.parametrize(
    "scene",
    [scenes.SQUARE, scenes.LANDSCAPE, scenes.PORTRAIT, scenes.ROTATED],
    ids=lambda scene: scene.name,
)
def test_heat_of_a_clicked_patch_lies_on_its_cells(visit, server, index, scene):
    page = opened(visit, server, index, scene.name, dense=2)
    before = cells_on(page, scene)
    page.click("#layer-heat")
    row, col = scene.row + 1, scene.col + 2
    with page.expect_response("**/api/v1/explain*") as answer:
        page.mouse.click(*point_on(page.locator(FRAME), row, col, scene.rows, scene.cols))
    expect(page.locator(FRAME)).to_have_class(re.compile("hot"))
    at = f"{row - scene.skip[0]},{col - scene.skip[1]}"
    expect(page).to_have_url(re.compile(rf"\?patch={at}&layer=heat$"))
    page.mouse.move(2, 2)
    after = cells_on(page, scene)
    low, high = answer.value.json()["items"][0]["range"]
    values = scenes.heat_of(scene, OBJECT[1, 2][None])
    check_heat(page, before, after, values, (low, high), opacity=0.8)


def test_a_link_shows_the_heat_of_its_patch_with_its_opacity(visit, server, index):
    scene = scenes.PORTRAIT
    bare = opened(visit, server, index, scene.name, dense=2)
    before = cells_on(bare, scene)
    row, col = scene.row - scene.skip[0], scene.col
    page = opened(visit, server, index, scene.name, f"?patch={row},{col}&layer=heat&o=0.5", dense=2)
    expect(page.locator(FRAME)).to_have_class(re.compile("hot"))
    values = scenes.heat_of(scene, OBJECT[0, 0][None])
    check_heat(page, before, cells_on(page, scene), values, (0, 1), opacity=0.5)
    expect(page.locator("#opacity")).to_have_value("0.5")
    page.fill("#opacity", "0.25")
    expect(page).to_have_url(re.compile("o=0.25"))
    check_heat(page, before, cells_on(page, scene), values, (0, 1), opacity=0.25)
    page.click("#layer-none")
    expect(page.locator(FRAME)).not_to_have_class(re.compile("hot"))
    assert np.abs(cells_on(page, scene) - before).max() < 3
    expect(page.locator("#opacity")).to_be_hidden()


def test_keys_take_a_patch(visit, server, index):
    page = opened(visit, server, index, scenes.SQUARE.name, "?layer=heat")
    page.locator(VIEW).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".large .reading")).to_have_text("row 11, column 11")
    with page.expect_response("**/api/v1/explain*") as answer:
        page.keyboard.press("Enter")
    assert sent(answer)["point"]["patch"] == [11, 11]
    expect(page).to_have_url(re.compile("patch=11,11"))
    expect(page.locator(FRAME)).to_have_class(re.compile("hot"))
    page.keyboard.press("ArrowLeft")
    # Black on black.
    expect(page.locator(".large .reading")).to_have_text("row 11, column 10: cosine 1.000")


def test_the_grid_has_its_lines_between_the_cells(visit, server, index):
    scene = scenes.LANDSCAPE
    page = opened(visit, server, index, scene.name, dense=2)
    page.keyboard.press("g")
    expect(page.locator("#grid")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(re.compile("grid=1"))
    box = box_of(page.locator(FRAME))
    pixels = shot(page, box).sum(axis=2)
    # On the black ground of row 2: bright lines at the sides of columns 5 to 25, and only there.
    middle = pixels[int(2.5 / scene.rows * pixels.shape[0])]
    lines = np.flatnonzero((middle[1:-1] > 120) & (middle[1:-1] >= middle[:-2])) + 1
    places = lines / pixels.shape[1] * scene.cols
    near = {round(float(place)) for place in places}
    assert near == set(range(5, 26))
    assert np.abs(places - np.round(places)).max() < 0.12
    page.keyboard.press("g")
    expect(page).not_to_have_url(re.compile("grid=1"))


def test_zooming_keeps_the_place_under_the_pointer(visit, server, index):
    scene = scenes.SQUARE
    page = opened(visit, server, index, scene.name)
    place = point_on(page.locator(FRAME), scene.row, scene.col, scene.rows, scene.cols)
    page.mouse.move(*place)
    page.mouse.wheel(0, -400)
    expect(page.locator(VIEW)).to_have_class(re.compile("zoomed"))
    again = point_on(page.locator(FRAME), scene.row, scene.col, scene.rows, scene.cols)
    assert again == pytest.approx(place, abs=2)
    pixel = shot(page, {"x": place[0] - 2, "y": place[1] - 2, "width": 4, "height": 4})
    assert np.abs(pixel.mean(axis=(0, 1)) - OBJECT[0, 0]).max() < 12
    page.get_by_role("button", name="Whole picture").click()
    expect(page.locator(VIEW)).not_to_have_class(re.compile("zoomed"))


def test_it_leads_to_a_search_by_this_or_by_a_part_of_it(visit, server, index):
    page = opened(visit, server, index, scenes.SQUARE.name)
    me = id_of(index, scenes.SQUARE.name)
    page.get_by_role("link", name="Mark a part").click()
    settled(page)
    expect(page).to_have_url(re.compile(rf"/\?q=img:{me}&mode=region$"))
    page.go_back()
    page.locator("#known").get_by_role("link", name="Search by this").click()
    settled(page)
    expect(page).to_have_url(re.compile(rf"/\?q=img:{me}$"))


def test_the_original_is_downloaded_under_its_name(visit, server, index, pictures):
    page = opened(visit, server, index, scenes.ROTATED.name)
    with page.expect_download() as download:
        page.get_by_role("link", name="Original").click()
    assert download.value.suggested_filename == "rotated.jpg"
    with open(download.value.path(), "rb") as file:
        assert file.read() == (pictures / scenes.ROTATED.name).read_bytes()


def test_a_picture_that_is_not_there_is_told(visit, server):
    page = visit(f"{server.url}/image/999999", expects=(404,))
    expect(page.locator("h1")).to_have_text("This picture cannot be shown")
    expect(page.locator("#problem")).to_contain_text("The index holds no such picture")
    page.get_by_role("link", name="To the search").click()
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
