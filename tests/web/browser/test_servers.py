"""Servers of other kinds: one that wants a token, one with several indexes, one with nothing."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.web.browser.acting import is_search, settled
from tests.web.browser.conftest import TOKEN
from tests.web.browser.serving import Server


def sign_in(page: Page) -> None:
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()


def test_who_has_no_token_is_asked_for_it_and_led_on(visit, locked):
    page = visit(f"{locked.url}/status", fresh=True, expects=(403,))
    expect(page.locator("h1")).to_have_text("Sign in to dinosearch")
    expect(page.get_by_label("Token")).to_be_focused()
    page.get_by_label("Token").fill("not the token, but long enough")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not this server's token.")
    sign_in(page)
    expect(page.locator("h1")).to_have_text("Status")
    cookie = next(one for one in page.context.cookies() if "dinosearch" in one["name"])
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert TOKEN not in cookie["value"]


def test_who_is_signed_out_meanwhile_comes_back_to_where_they_were(visit, locked):
    page = visit(locked.url, fresh=True, expects=(401,))
    sign_in(page)
    settled(page)
    page.context.clear_cookies()
    page.locator(".card .stage").first.click()
    expect(page).to_have_url(re.compile("/login"))
    sign_in(page)
    settled(page)
    expect(page).to_have_url(re.compile(r"/\?q=img:1$"))


def test_several_indexes_are_chosen_from_and_kept_in_the_address(visit, locked):
    page = visit(locked.url, fresh=True)
    sign_in(page)
    settled(page)
    expect(page.locator("#index option")).to_have_text(["crates (2)", "jars (3)"])
    expect(page.locator(".card")).to_have_count(2)
    page.select_option("#index", "jars")
    expect(page.locator(".card")).to_have_count(3)
    expect(page).to_have_url(re.compile(r"/\?i=jars$"))
    with page.expect_response(is_search) as answer:
        page.locator(".card .stage").nth(1).click()
    settled(page)
    assert "index=jars" in answer.value.url
    expect(page).to_have_url(re.compile(r"q=img:2&i=jars$"))
    expect(page.locator(".card .path").first).to_have_text("jars1.png")
    page.get_by_role("link", name="Status").click()
    expect(page.locator(".facts-list")).not_to_have_count(0)
    expect(page.locator("#index-facts")).to_contain_text("jars")
    page.go_back()
    settled(page)
    expect(page.locator("#index")).to_have_value("jars")
    page.locator(".card a.button").first.click()
    expect(page).to_have_url(re.compile(r"/image/2\?i=jars$"))
    expect(page.locator("h1")).to_have_text("jars1.png")


def test_an_index_that_is_not_there_is_told(visit, server):
    page = visit(f"{server.url}/?i=gone", expects=(404,))
    expect(page.locator("#problem")).to_contain_text("this server has no index of that name")


def test_an_index_without_pictures_tells_how_to_fill_it(visit, empty: Server):
    page = visit(empty.url)
    expect(page.locator(".empty h3")).to_have_text("This index holds no pictures yet")
    command = f"dinosearch index PHOTOS --to {empty.settings.indexes[0]}"
    expect(page.locator(".empty pre")).to_have_text(command)
    page.locator(".empty").get_by_role("link", name="Add a folder here").click()
    expect(page.locator("h1")).to_have_text("Status")
    expect(page.locator("#failures")).to_contain_text("Every picture that was seen is in")
