"""The answer: order, scores, boxes, bars, filters, paging."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import Page, expect

import dinosearch
from tests.web.browser import scenes
from tests.web.browser.acting import (
    card,
    id_of,
    is_search,
    settled,
    shown,
)
from tests.web.browser.looking import box_of, shot


def first(index, query, **how):
    return index.answer(query, **{"k": 48, "distinct": True} | how)


def filtered(page: Page, filter_: str) -> None:
    with page.expect_response(is_search):
        page.fill("#filter-input", filter_)
        page.press("#filter-input", "Enter")
    settled(page)


def test_order_and_scores_are_those_of_the_index(asked, index, query_file):
    expected = first(index, str(query_file)).hits
    assert shown(asked) == [hit.id for hit in expected]
    digits = asked.locator(".card .digits").all_text_contents()
    assert digits == [f"{hit.score:.3f}" for hit in expected]
    ranks = asked.locator(".card .rank").all_text_contents()
    assert ranks == [str(rank) for rank in range(1, 49)]


def test_the_status_line_counts_what_was_searched_and_what_is_hidden(asked):
    line = asked.locator("#status-line")
    # Three copies and the picture they are copies of are one card.
    expect(line).to_have_text(
        re.compile(
            rf"^48 of {scenes.COUNT} images; 3 hidden as copies, 0 by filters;"
            r" \d+ ms \(embed \d+, index \d+, re-rank \d+\); exact$"
        )
    )


@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.name)
def test_the_box_lies_on_the_object(visit, asked_url, index, scene):
    page = settled(visit(f"{asked_url}&r=0.250,0.300,0.200,0.150&mode=region"))
    one = card(page, id_of(index, scene.name))
    one.scroll_into_view_if_needed()
    frame, box = box_of(one.locator(".frame")), box_of(one.locator(".box"))
    x, y, w, h = scene.box
    left, top = frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]
    right, bottom = left + w * frame["width"], top + h * frame["height"]
    assert box["x"] == pytest.approx(left, abs=1.5)
    assert box["y"] == pytest.approx(top, abs=1.5)
    assert box["x"] + box["width"] == pytest.approx(right, abs=1.5)
    assert box["y"] + box["height"] == pytest.approx(bottom, abs=1.5)
    # The picture has its own shape, and the frame the picture's.
    assert frame["width"] / frame["height"] == pytest.approx(scene.cols / scene.rows, rel=0.01)
    # And there is a line: blue, on the left side of the box.
    pixels = shot(page, {"x": left - 1, "y": top, "width": 5, "height": bottom - top})
    blue = (pixels[..., 2] > 200) & (pixels[..., 0] < 120) & (pixels[..., 1] > 120)
    assert blue.any(axis=1).mean() > 0.9


def test_the_bar_tells_how_rare_a_score_is(asked):
    with asked.expect_response(is_search) as answer:
        asked.click("#exact")
    settled(asked)
    hits = answer.value.json()["hits"]
    for hit in (hits[0], hits[20], hits[47]):
        one = card(asked, hit["id"])
        bar, fill = box_of(one.locator(".bar")), box_of(one.locator(".fill"))
        # Each quarter is ten times rarer: 90, 99, 99.9, 99.99 %.
        rest = 1 - hit["percentile"] / 100
        share = 1.0 if rest <= 1e-4 else -math.log10(rest) / 4
        assert fill["width"] == pytest.approx(share * bar["width"], abs=1)
        title = one.locator(".score").get_attribute("title")
        assert title is not None
        assert f"cosine {hit['score']:.3f}; higher than" in title
        assert float(title.split("than ")[1].split(" %")[0]) == pytest.approx(
            hit["percentile"], abs=0.06
        )


def test_copies_are_one_card_that_counts_them_and_can_be_shown(page, server, index):
    alike = {id_of(index, name) for name in (scenes.COPIED, *scenes.COPIES)}
    page.goto(f"{server.url}/?q=img:{min(alike)}")
    settled(page)
    folded = page.locator(".card").first
    expect(folded.locator(".copies")).to_contain_text("+3")
    expect(folded.locator(".copies")).to_have_attribute("title", re.compile("3 exact copies"))
    assert len(alike & set(shown(page))) == 1
    with page.expect_response(is_search):
        page.click("#dedupe")
    settled(page)
    expect(page).to_have_url(re.compile("dup=show"))
    assert set(shown(page)[:4]) == alike
    expect(page.locator(".copies")).to_have_count(0)


def test_a_line_is_drawn_where_the_scores_drop(page, server, index):
    green = id_of(index, "plain/green.png")
    page.goto(f"{server.url}/?q=img:{green}&f=label:plain")
    settled(page)
    hits = first(index, green, where=["label:plain"]).hits
    # That a picture is most like itself is no drop.
    assert hits[0].id == green
    rest = dinosearch.knee([hit.score for hit in hits[1:]])
    assert rest is not None
    rank = 1 + rest
    before = page.locator(".knee").evaluate("line => line.previousElementSibling.dataset.id")
    assert int(before) == hits[rank - 1].id
    expect(page.locator(".knee")).to_have_text("scores drop here")


def test_filters_are_added_turned_around_and_dropped(asked, index, query_file):
    def expected(*where: str) -> list[int]:
        return [hit.id for hit in first(index, str(query_file), where=where).hits]

    filtered(asked, "label:plain")
    assert shown(asked) == expected("label:plain")
    assert len(shown(asked)) == len(scenes.PLAIN)
    expect(asked).to_have_url(re.compile("f=label:plain$"))
    with asked.expect_response(is_search):
        asked.locator(".chip .sense").click()
    settled(asked)
    assert shown(asked) == expected("-label:plain")
    expect(asked.locator(".chip .sense")).to_have_text("is not")
    # A bare word is the label of that name.
    filtered(asked, "noise")
    assert shown(asked) == expected("-label:plain", "label:noise")
    expect(asked.locator("#status-line")).to_contain_text(
        f"{scenes.COUNT - scenes.NOISE} by filters"
    )
    filtered(asked, "path:nowhere/")
    expect(asked.locator(".empty h3")).to_have_text("Nothing found")
    with asked.expect_response(is_search):
        asked.get_by_role("button", name="Drop path:nowhere/").click()
    settled(asked)
    assert shown(asked) == expected("-label:plain", "label:noise")
    with asked.expect_response(is_search):
        asked.get_by_role("button", name="Remove label:noise").click()
    settled(asked)
    assert shown(asked) == expected("-label:plain")


def test_what_is_no_filter_is_told_and_asks_for_nothing(asked):
    before = asked.url
    asked.fill("#filter-input", "colour=red")
    asked.press("#filter-input", "Enter")
    expect(asked.locator("#filter-error")).to_contain_text("“colour=red” is not a filter")
    expect(asked.locator("#filter-input")).to_have_attribute("aria-invalid", "true")
    assert asked.url == before


def test_a_label_with_a_comma_and_markup_is_filtered_by_and_kept_in_the_address(asked, index):
    filtered(asked, f"label:{scenes.HOSTILE_FOLDER}")
    wanted = {one.id for one in index.items(where=[f"label:{scenes.HOSTILE_FOLDER}"])}
    assert set(shown(asked)) == wanted
    assert len(wanted) == len(scenes.HOSTILE)
    expect(asked.locator(".chip bdi")).to_have_text(scenes.HOSTILE_FOLDER)
    asked.reload()
    settled(asked)
    assert set(shown(asked)) == wanted


def test_answers_offer_to_narrow_by_what_they_hold(asked, index, query_file):
    filtered(asked, "-label:planted")
    asked.locator("#facets summary").click()
    with asked.expect_response(is_search):
        asked.get_by_role("button", name="Not label:noise").click()
    settled(asked)
    where = ("-label:planted", "-label:noise")
    assert shown(asked) == [hit.id for hit in first(index, str(query_file), where=where).hits]


def test_least_score_and_number_are_as_typed(asked, index, query_file):
    with asked.expect_response(is_search):
        asked.fill("#min-score", "0.9")
        asked.press("#min-score", "Enter")
    settled(asked)
    expected = first(index, str(query_file), min_score=0.9).hits
    assert shown(asked) == [hit.id for hit in expected]
    assert 0 < len(expected) < 48
    with asked.expect_response(is_search):
        asked.fill("#k", "3")
        asked.press("#k", "Enter")
    settled(asked)
    assert shown(asked) == [hit.id for hit in expected[:3]]
    expect(asked).to_have_url(re.compile(r"k=3&min=0\.9"))


def test_more_is_loaded_by_scrolling_and_by_the_button(asked, index, query_file):
    every = [hit.id for hit in first(index, str(query_file), k=scenes.COUNT).hits]
    assert len(every) == scenes.COUNT - len(scenes.COPIES)
    with asked.expect_response(is_search):
        asked.locator(".card").last.scroll_into_view_if_needed()
        asked.mouse.wheel(0, 3000)
    expect(asked.locator(".card")).to_have_count(len(every))
    assert shown(asked) == every
    expect(asked.locator("#load-more")).to_be_hidden()
    expect(asked.locator("#status-line")).to_contain_text(f"{len(every)} of {scenes.COUNT}")
    assert asked.locator(".card .rank").last.text_content() == str(len(every))


def test_the_button_loads_more_for_the_keyboard(asked, index, query_file):
    with asked.expect_response(is_search):
        asked.fill("#k", "9")
        asked.press("#k", "Enter")
    settled(asked)
    asked.set_viewport_size({"width": 1280, "height": 500})
    # The first page may have drawn in the next by itself, for it is short.
    there = asked.locator(".card").count()
    if asked.locator("#load-more").is_visible():
        asked.locator("#load-more").focus()
        asked.keyboard.press("Enter")
        expect(asked.locator(".card").nth(there)).to_be_attached()
    every = [hit.id for hit in first(index, str(query_file), k=scenes.COUNT).hits]
    assert shown(asked) == every[: len(shown(asked))]


def test_an_approximate_answer_can_be_made_exact_and_tells_its_recall(visit, asked_url):
    page = visit("about:blank")

    def approximate(route):
        answer = route.fetch()
        body = answer.json()
        if not route.request.post_data_json["exact"]:
            # This index is too small to need lists: say that it has some, and lose one hit.
            body |= {"approximate": True, "nprobe": 16, "hits": body["hits"][1:]}
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/search", approximate)
    page.goto(asked_url)
    settled(page)
    expect(page.locator("#status-line")).to_contain_text("; approximate, nprobe 16")
    with page.expect_response(is_search):
        page.click("#make-exact")
    expect(page).to_have_url(re.compile("exact=1"))
    # 47 were shown; the best 47 hold the lost one instead of the last.
    expect(page.locator("#status-line")).to_have_text(
        re.compile("; exact; recall of the approximate answer 46/47$")
    )
    expect(page.locator("#make-exact")).to_have_count(0)
