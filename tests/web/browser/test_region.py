"""Marking a part of the query picture by mouse, keyboard and numbers. What the page says is
marked must be what the server says it was asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.browser import scenes
from tests.web.browser.acting import choose, drag, is_search, mark, mark_object, point_on, settled
from tests.web.browser.marking import answered, painted, rectangle, spot
from tests.web.browser.scenes import QUERY, TALL, WIDE

LABEL = "#region-label"


def test_a_dragged_rectangle_snaps_to_the_cells_that_the_server_marks(asked):
    start, end = spot(asked, 6.3, 4.7), spot(asked, 7.8, 8.4)
    answer = answered(asked, lambda: drag(asked, start, end))
    # Cells 6 to 8 and 5 to 8: those that the hand was in.
    assert rectangle(asked) == (6, 5, 3, 4)
    assert answer["query_patches"] == 12
    expect(asked.locator(LABEL)).to_have_text("Region: 12 patches, 4 x 3")
    expect(asked.locator("#status-line")).to_contain_text("; 12 patches;")
    expect(asked.locator("#mode-region")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("corner", [(8, 8, 6, 5), (8, 5, 6, 8), (6, 8, 8, 5)], ids=str)
def test_a_rectangle_may_be_drawn_from_any_corner(asked, corner):
    start, end = spot(asked, *corner[:2]), spot(asked, *corner[2:])
    answered(asked, lambda: drag(asked, start, end))
    assert rectangle(asked) == (6, 5, 3, 4)


def test_a_rectangle_dragged_beyond_the_picture_ends_at_its_edge(asked):
    start, end = spot(asked, 15, 16), spot(asked, 23, 24)
    answer = answered(asked, lambda: drag(asked, start, end))
    assert rectangle(asked) == (15, 16, 5, 4)
    assert answer["query_patches"] == 20


def test_a_rectangle_is_moved_and_stays_on_the_picture(asked):
    mark_object(asked)
    inside = spot(asked, 7, 6.5)
    answered(asked, lambda: drag(asked, inside, spot(asked, 10, 4.5)))
    assert rectangle(asked) == (9, 3, 3, 4)
    answered(asked, lambda: drag(asked, spot(asked, 10, 4.5), spot(asked, 10, -9)))
    assert rectangle(asked) == (9, 0, 3, 4)


@pytest.mark.parametrize(
    ("grip", "to", "expected"),
    [
        ((5.5, 4.5), (3, 2), (3, 2, 6, 7)),
        ((5.5, 6.5), (4, 6), (4, 5, 5, 4)),
        ((5.5, 8.5), (7, 11), (7, 5, 2, 7)),
        ((7, 8.5), (7, 12), (6, 5, 3, 8)),
        ((8.5, 8.5), (10, 10), (6, 5, 5, 6)),
        ((8.5, 6.5), (12, 6), (6, 5, 7, 4)),
        ((8.5, 4.5), (9, 1), (6, 1, 4, 8)),
        ((7, 4.5), (7, 7), (6, 7, 3, 2)),
    ],
    ids=["nw", "n", "ne", "e", "se", "s", "sw", "w"],
)
def test_each_handle_moves_its_own_sides(asked, grip, to, expected):
    mark_object(asked)
    answer = answered(asked, lambda: drag(asked, spot(asked, *grip), spot(asked, *to)))
    assert rectangle(asked) == expected
    assert answer["query_patches"] == expected[2] * expected[3]


def test_while_dragging_the_address_follows_and_the_server_is_left_alone(asked, watch):
    asked.mouse.move(*spot(asked, 6, 5))
    asked.mouse.down()
    asked.mouse.move(*spot(asked, 8, 8), steps=6)
    expect(asked).to_have_url(re.compile("r=0.250,0.300,0.200,0.150"))
    searches = [url for url in watch[0].requests if "/v1/search" in url]
    entries = asked.evaluate("() => history.length")
    assert len(searches) == 1
    answered(asked, asked.mouse.up)
    assert len([url for url in watch[0].requests if "/v1/search" in url]) == 2
    assert asked.evaluate("() => history.length") == entries + 1


def test_escape_while_dragging_gives_back_what_was_there(asked):
    mark_object(asked)
    asked.mouse.move(*spot(asked, 12, 12))
    asked.mouse.down()
    asked.mouse.move(*spot(asked, 15, 15), steps=4)
    expect(asked.locator(LABEL)).to_have_text("Region: 16 patches, 4 x 4")
    asked.keyboard.press("Escape")
    expect(asked.locator(LABEL)).to_have_text("Region: 12 patches, 4 x 3")
    asked.mouse.up()
    expect(asked).to_have_url(re.compile("r=0.250,0.300,0.200,0.150"))


def test_escape_clears_what_is_marked(asked):
    mark_object(asked)
    answered(asked, lambda: asked.keyboard.press("Escape"))
    expect(asked.locator(LABEL)).to_have_text("Region: none, the whole picture")
    expect(asked).not_to_have_url(re.compile(r"[?&](r|m|mode)="))
    expect(asked.locator("#clear-region")).to_be_disabled()


def test_a_brush_paints_the_cells_under_it_and_with_alt_takes_them_away(asked):
    asked.keyboard.press("b")
    expect(asked.locator("#tool-brush")).to_have_attribute("aria-pressed", "true")
    answer = answered(asked, lambda: drag(asked, spot(asked, 3, 2), spot(asked, 3, 9)))
    row = {(3, col) for col in range(2, 10)}
    assert painted(asked) == row
    assert answer["query_patches"] == 8
    assert {tuple(cell) for cell in answer["asked"]["region"]["patches"]} == row
    expect(asked.locator(LABEL)).to_have_text("Region: 8 patches, painted")
    # A larger brush: three by three around the pointer.
    asked.keyboard.press("+")
    asked.keyboard.press("+")
    expect(asked.locator(".brush .size")).to_have_text("3 × 3")
    answered(asked, lambda: asked.mouse.click(*spot(asked, 10, 10)))
    block = {(r, c) for r in (9, 10, 11) for c in (9, 10, 11)}
    assert painted(asked) == row | block
    asked.keyboard.press("-")
    asked.keyboard.press("-")

    def erase() -> None:
        asked.keyboard.down("Alt")
        drag(asked, spot(asked, 3, 2), spot(asked, 3, 5))
        asked.keyboard.up("Alt")

    answered(asked, erase)
    assert painted(asked) == (row | block) - {(3, col) for col in range(2, 6)}


def test_a_fast_stroke_leaves_no_gaps(asked):
    asked.click("#tool-brush")
    answered(asked, lambda: drag(asked, spot(asked, 2, 2), spot(asked, 14, 14)))
    assert painted(asked) >= {(n, n) for n in range(2, 15)}


def test_patches_are_clicked_on_and_off_and_begin_with_the_rectangle(asked):
    mark(asked, QUERY, 6, 5, 1, 2)
    asked.keyboard.press("p")
    answered(asked, lambda: asked.mouse.click(*spot(asked, 12, 3)))
    assert painted(asked) == {(6, 5), (6, 6), (12, 3)}
    answer = answered(asked, lambda: asked.mouse.click(*spot(asked, 6, 5)))
    assert painted(asked) == {(6, 6), (12, 3)}
    assert answer["query_patches"] == 2
    answered(asked, lambda: asked.mouse.click(*spot(asked, 6, 6)))
    answered(asked, lambda: asked.mouse.click(*spot(asked, 12, 3)))
    assert painted(asked) == set()
    expect(asked.locator(LABEL)).to_have_text("Region: none, the whole picture")


def test_the_brush_can_be_told_to_erase_without_a_key(asked):
    mark_object(asked)
    asked.click("#tool-brush")
    asked.click("#erase")
    answered(asked, lambda: drag(asked, spot(asked, 6, 5), spot(asked, 6, 8)))
    assert painted(asked) == {(r, c) for r in (7, 8) for c in (5, 6, 7, 8)}


def test_a_rectangle_beyond_the_crop_is_asked_for_as_drawn(page, tmp_path, index):
    """The model sees columns 5 to 24 of 30; the crop moves to hold what is marked."""
    asked = scenes.Scene("at the edge.png", 20, 30, 6, 1, skip=(0, 5))
    file = scenes.save_scene(tmp_path, asked)
    choose(page, file)
    expect(page.locator(".panel .hatched")).to_contain_text("outside the crop")
    answer = mark_object(page, asked)
    assert answer["query_patches"] == TALL * WIDE
    expect(page.locator(LABEL)).to_have_text("Region: 12 patches, 4 x 3")
    left, top, size = 1 * 14, 6 * 14, 14
    region = (left, top, left + WIDE * size, top + TALL * size)
    expected = index.answer(str(file), region=region, k=48, distinct=True).hits
    assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in expected]
    assert answer["hits"][0]["score"] == pytest.approx(1, abs=1e-3)


def test_painted_patches_keep_to_what_the_model_sees(page, tmp_path):
    choose(page, scenes.save_scene(tmp_path, scenes.WIDE_QUERY))
    canvas = page.locator("#query-canvas")
    page.click("#tool-patch")
    answered(page, lambda: page.mouse.click(*point_on(canvas, 4, 1, 20, 30)))
    # The nearest that it sees: column 5 of the picture, 0 of its grid.
    assert painted(page) == {(4, 0)}


def test_the_keyboard_makes_moves_and_resizes_a_rectangle(asked):
    asked.locator("#query-canvas").focus()
    press = asked.keyboard.press
    answer = answered(asked, lambda: press("Enter"))
    assert rectangle(asked) == (6, 6, 7, 7)
    assert answer["query_patches"] == 49
    for key, expected in [
        ("ArrowLeft", (6, 5, 7, 7)),
        ("ArrowDown", (7, 5, 7, 7)),
        ("Shift+ArrowRight", (7, 5, 7, 8)),
        ("Shift+ArrowUp", (7, 5, 6, 8)),
        ("ArrowUp", (6, 5, 6, 8)),
        ("ArrowRight", (6, 6, 6, 8)),
        ("Shift+ArrowLeft", (6, 6, 6, 7)),
        ("Shift+ArrowDown", (6, 6, 7, 7)),
    ]:
        answered(asked, lambda key=key: press(key))
        assert rectangle(asked) == expected, key
    # Many presses in a row are one search.
    with asked.expect_response(is_search):
        for _ in range(4):
            press("ArrowUp")
    settled(asked)
    assert rectangle(asked) == (2, 6, 7, 7)


def test_the_keyboard_paints_patches(asked):
    press = asked.keyboard.press
    asked.locator("#query-canvas").focus()
    press("p")
    press("ArrowRight")
    expect(asked.locator(LABEL)).to_have_text("Not marked: row 10, column 10")
    press("ArrowRight")
    press("ArrowUp")
    answered(asked, lambda: press(" "))
    assert painted(asked) == {(9, 11)}
    press("ArrowDown")
    answered(asked, lambda: press(" "))
    assert painted(asked) == {(9, 11), (10, 11)}
    answered(asked, lambda: press(" "))
    assert painted(asked) == {(9, 11)}


def test_focus_stays_on_the_canvas_when_facts_of_the_index_come_late(visit, asked_url):
    page = visit(asked_url.partition("?")[0] + "problems/not-found")  # a page without script
    held: list[Any] = []
    page.route("**/api/v1/info", lambda route: held.append(route))
    page.goto(asked_url)
    settled(page)
    page.locator("#query-canvas").focus()
    held[0].continue_()
    answered(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#query-canvas")).to_be_focused()
    answered(page, lambda: page.keyboard.press("ArrowUp"))
    assert rectangle(page) == (5, 6, 7, 7)


def test_numbers_say_and_set_the_rectangle(asked):
    mark_object(asked)
    asked.click("details.numbers summary")
    fields = [asked.locator(f"#region-{name}") for name in ("left", "top", "width", "height")]
    for one, value in zip(fields, ("5", "6", "4", "3"), strict=True):
        expect(one).to_have_value(value)
    for one, value in zip(fields, ("2", "11", "5", "40"), strict=True):
        one.fill(value)
        answered(asked, lambda one=one: one.press("Enter"))
    # No more than the picture has: rows 11 to 19.
    assert rectangle(asked) == (11, 2, 9, 5)
    expect(asked.locator(LABEL)).to_have_text("Region: 45 patches, 5 x 9")


def test_region_image_and_both_are_asked_as_chosen(asked, index, query_file):
    mark_object(asked)
    whole = answered(asked, lambda: asked.click("#mode-image"))
    assert whole["asked"]["mode"] == "image"
    assert whole["query_patches"] is None
    both = answered(asked, lambda: asked.click("#mode-both"))
    expect(asked.locator("#weight")).to_be_visible()
    assert both["asked"]["weight"] == 0.5
    weighed = answered(asked, lambda: asked.fill("#weight", "0.2"))
    expect(asked.locator("output")).to_have_text("20 %")
    expect(asked).to_have_url(re.compile("mode=both&w=0.2"))
    region = (5 * 14, 6 * 14, 9 * 14, 9 * 14)
    expected = index.answer(str(query_file), region=region, weight=0.2, k=48, distinct=True).hits
    assert [hit["id"] for hit in weighed["hits"]] == [hit.id for hit in expected]
    there = [hit["score"] for hit in weighed["hits"]]
    assert there == pytest.approx([hit.score for hit in expected], abs=1e-5)
    placed = answered(asked, lambda: asked.click("#position"))
    assert placed["asked"]["position"] is True
    expect(asked).to_have_url(re.compile("pos=1"))


def test_region_without_a_mark_asks_for_one(asked):
    asked.click("#mode-region")
    expect(asked.locator(".panel")).to_contain_text("Mark a part on the picture first.")
    expect(asked.locator("#status-line")).to_contain_text("nothing is marked yet")
