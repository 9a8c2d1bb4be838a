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


def test_a_dragged_rectangle_snaps_to_the_cells_that_the_server_marks(few):
    start, end = spot(few, 6.3, 4.7), spot(few, 7.8, 8.4)
    answer = answered(few, lambda: drag(few, start, end))
    # Cells 6 to 8 and 5 to 8: those that the hand was in.
    assert rectangle(few) == (6, 5, 3, 4)
    assert answer["query_patches"] == 12
    expect(few.locator(LABEL)).to_have_text("Region: 12 patches, 4 x 3")
    expect(few.locator("#status-line")).to_contain_text("; 12 patches;")
    expect(few.locator("#mode-region")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("corner", [(8, 8, 6, 5), (8, 5, 6, 8), (6, 8, 8, 5)], ids=str)
def test_a_rectangle_may_be_drawn_from_any_corner(few, corner):
    start, end = spot(few, *corner[:2]), spot(few, *corner[2:])
    answered(few, lambda: drag(few, start, end))
    assert rectangle(few) == (6, 5, 3, 4)


def test_a_rectangle_dragged_beyond_the_picture_ends_at_its_edge(few):
    start, end = spot(few, 15, 16), spot(few, 23, 24)
    answer = answered(few, lambda: drag(few, start, end))
    assert rectangle(few) == (15, 16, 5, 4)
    assert answer["query_patches"] == 20


def test_a_rectangle_is_moved_and_stays_on_the_picture(few):
    mark_object(few)
    inside = spot(few, 7, 6.5)
    answered(few, lambda: drag(few, inside, spot(few, 10, 4.5)))
    assert rectangle(few) == (9, 3, 3, 4)
    answered(few, lambda: drag(few, spot(few, 10, 4.5), spot(few, 10, -9)))
    assert rectangle(few) == (9, 0, 3, 4)


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
def test_each_handle_moves_its_own_sides(few, grip, to, expected):
    mark_object(few)
    answer = answered(few, lambda: drag(few, spot(few, *grip), spot(few, *to)))
    assert rectangle(few) == expected
    assert answer["query_patches"] == expected[2] * expected[3]


def test_while_dragging_the_address_follows_and_the_server_is_left_alone(few, watch):
    few.mouse.move(*spot(few, 6, 5))
    few.mouse.down()
    few.mouse.move(*spot(few, 8, 8), steps=6)
    expect(few).to_have_url(re.compile("r=0.250,0.300,0.200,0.150"))
    searches = [url for url in watch[0].requests if "/v1/search" in url]
    entries = few.evaluate("() => history.length")
    assert len(searches) == 1
    answered(few, few.mouse.up)
    assert len([url for url in watch[0].requests if "/v1/search" in url]) == 2
    assert few.evaluate("() => history.length") == entries + 1


def test_escape_while_dragging_gives_back_what_was_there(few):
    mark_object(few)
    few.mouse.move(*spot(few, 12, 12))
    few.mouse.down()
    few.mouse.move(*spot(few, 15, 15), steps=4)
    expect(few.locator(LABEL)).to_have_text("Region: 16 patches, 4 x 4")
    few.keyboard.press("Escape")
    expect(few.locator(LABEL)).to_have_text("Region: 12 patches, 4 x 3")
    few.mouse.up()
    expect(few).to_have_url(re.compile("r=0.250,0.300,0.200,0.150"))


def test_escape_clears_what_is_marked(few):
    mark_object(few)
    answered(few, lambda: few.keyboard.press("Escape"))
    expect(few.locator(LABEL)).to_have_text("Region: none, the whole picture")
    expect(few).not_to_have_url(re.compile(r"[?&](r|m|mode)="))
    expect(few.locator("#clear-region")).to_be_disabled()


def test_a_brush_paints_the_cells_under_it_and_with_alt_takes_them_away(few):
    few.keyboard.press("b")
    expect(few.locator("#tool-brush")).to_have_attribute("aria-pressed", "true")
    answer = answered(few, lambda: drag(few, spot(few, 3, 2), spot(few, 3, 9)))
    row = {(3, col) for col in range(2, 10)}
    assert painted(few) == row
    assert answer["query_patches"] == 8
    assert {tuple(cell) for cell in answer["asked"]["region"]["patches"]} == row
    expect(few.locator(LABEL)).to_have_text("Region: 8 patches, painted")
    # A larger brush: three by three around the pointer.
    few.keyboard.press("+")
    few.keyboard.press("+")
    expect(few.locator(".brush .size")).to_have_text("3 × 3")
    answered(few, lambda: few.mouse.click(*spot(few, 10, 10)))
    block = {(r, c) for r in (9, 10, 11) for c in (9, 10, 11)}
    assert painted(few) == row | block
    few.keyboard.press("-")
    few.keyboard.press("-")

    def erase() -> None:
        few.keyboard.down("Alt")
        drag(few, spot(few, 3, 2), spot(few, 3, 5))
        few.keyboard.up("Alt")

    answered(few, erase)
    assert painted(few) == (row | block) - {(3, col) for col in range(2, 6)}


def test_a_fast_stroke_leaves_no_gaps(few):
    few.click("#tool-brush")
    answered(few, lambda: drag(few, spot(few, 2, 2), spot(few, 14, 14)))
    assert painted(few) >= {(n, n) for n in range(2, 15)}


def test_patches_are_clicked_on_and_off_and_begin_with_the_rectangle(few):
    mark(few, QUERY, 6, 5, 1, 2)
    few.keyboard.press("p")
    answered(few, lambda: few.mouse.click(*spot(few, 12, 3)))
    assert painted(few) == {(6, 5), (6, 6), (12, 3)}
    answer = answered(few, lambda: few.mouse.click(*spot(few, 6, 5)))
    assert painted(few) == {(6, 6), (12, 3)}
    assert answer["query_patches"] == 2
    answered(few, lambda: few.mouse.click(*spot(few, 6, 6)))
    answered(few, lambda: few.mouse.click(*spot(few, 12, 3)))
    assert painted(few) == set()
    expect(few.locator(LABEL)).to_have_text("Region: none, the whole picture")


def test_the_brush_can_be_told_to_erase_without_a_key(few):
    mark_object(few)
    few.click("#tool-brush")
    few.click("#erase")
    answered(few, lambda: drag(few, spot(few, 6, 5), spot(few, 6, 8)))
    assert painted(few) == {(r, c) for r in (7, 8) for c in (5, 6, 7, 8)}


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
    assert answer["hits"][0]["score"] == pytest.approx(1, abs=1e-2)


def test_painted_patches_keep_to_what_the_model_sees(page, tmp_path):
    choose(page, scenes.save_scene(tmp_path, scenes.WIDE_QUERY))
    canvas = page.locator("#query-canvas")
    page.click("#tool-patch")
    answered(page, lambda: page.mouse.click(*point_on(canvas, 4, 1, 20, 30)))
    # The nearest that it sees: column 5 of the picture, 0 of its grid.
    assert painted(page) == {(4, 0)}


def test_the_keyboard_makes_moves_and_resizes_a_rectangle(few):
    few.locator("#query-canvas").focus()
    press = few.keyboard.press
    answer = answered(few, lambda: press("Enter"))
    assert rectangle(few) == (6, 6, 7, 7)
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
        answered(few, lambda key=key: press(key))
        assert rectangle(few) == expected, key
    # Many presses in a row are one search.
    with few.expect_response(is_search):
        for _ in range(4):
            press("ArrowUp")
    settled(few)
    assert rectangle(few) == (2, 6, 7, 7)


def test_the_keyboard_paints_patches(few):
    press = few.keyboard.press
    few.locator("#query-canvas").focus()
    press("p")
    press("ArrowRight")
    expect(few.locator(LABEL)).to_have_text("Not marked: row 10, column 10")
    press("ArrowRight")
    press("ArrowUp")
    answered(few, lambda: press(" "))
    assert painted(few) == {(9, 11)}
    press("ArrowDown")
    answered(few, lambda: press(" "))
    assert painted(few) == {(9, 11), (10, 11)}
    answered(few, lambda: press(" "))
    assert painted(few) == {(9, 11)}


def test_focus_stays_on_the_canvas_when_facts_of_the_index_come_late(visit, few_url):
    page = visit(few_url.partition("?")[0] + "problems/not-found")  # a page without script
    held: list[Any] = []
    page.route("**/api/v1/info", lambda route: held.append(route))
    page.goto(few_url)
    settled(page)
    page.locator("#query-canvas").focus()
    held[0].continue_()
    answered(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#query-canvas")).to_be_focused()
    answered(page, lambda: page.keyboard.press("ArrowUp"))
    assert rectangle(page) == (5, 6, 7, 7)


def test_numbers_say_and_set_the_rectangle(few):
    mark_object(few)
    few.click("details.numbers summary")
    fields = [few.locator(f"#region-{name}") for name in ("left", "top", "width", "height")]
    for one, value in zip(fields, ("5", "6", "4", "3"), strict=True):
        expect(one).to_have_value(value)
    for one, value in zip(fields, ("2", "11", "5", "40"), strict=True):
        one.fill(value)
        answered(few, lambda one=one: one.press("Enter"))
    # No more than the picture has: rows 11 to 19.
    assert rectangle(few) == (11, 2, 9, 5)
    expect(few.locator(LABEL)).to_have_text("Region: 45 patches, 5 x 9")


def test_region_image_and_both_are_asked_as_chosen(few, index, query_file):
    mark_object(few)
    whole = answered(few, lambda: few.click("#mode-image"))
    assert whole["asked"]["mode"] == "image"
    assert whole["query_patches"] is None
    both = answered(few, lambda: few.click("#mode-both"))
    expect(few.locator("#weight")).to_be_visible()
    assert both["asked"]["weight"] == 0.5
    weighed = answered(few, lambda: few.fill("#weight", "0.2"))
    expect(few.locator("output")).to_have_text("20 %")
    expect(few).to_have_url(re.compile("mode=both&w=0.2"))
    region = (5 * 14, 6 * 14, 9 * 14, 9 * 14)
    expected = index.answer(
        str(query_file), region=region, weight=0.2, k=48, distinct=True, where="label:planted"
    ).hits
    assert [hit["id"] for hit in weighed["hits"]] == [hit.id for hit in expected]
    there = [hit["score"] for hit in weighed["hits"]]
    assert there == pytest.approx([hit.score for hit in expected], abs=1e-5)
    placed = answered(few, lambda: few.click("#position"))
    assert placed["asked"]["position"] is True
    expect(few).to_have_url(re.compile("pos=1"))


def test_region_without_a_mark_asks_for_one(few):
    few.click("#mode-region")
    expect(few.locator(".panel")).to_contain_text("Mark a part on the picture first.")
    expect(few.locator("#status-line")).to_contain_text("nothing is marked yet")
