"""The status screen: facts, adding a folder, jobs from beginning to end, files not taken."""

from __future__ import annotations

import csv
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import dinosearch
from dinosearch.errors import IndexLocked
from tests.web.browser import scenes
from tests.web.browser.acting import settled
from tests.web.browser.serving import Server

STATUS = "#status-line"
LOCKED = "another process is writing to this index: try again when it is done"


@pytest.fixture(scope="module")
def place(tmp_path_factory, chromium) -> Path:
    """Pictures, three files that are none, and a second folder that may be added."""
    folder: Path = tmp_path_factory.mktemp("status")
    for seed in range(3):
        scenes.save(folder / f"first/{seed}.png", scenes.noise(seed, 4, 4))
    for name in ("broken.png", "<b>broken<b>.png", "=cmd.png"):
        (folder / "first" / name).write_bytes(b"no picture")
    scenes.save(folder / "second/old/a.png", scenes.noise(8, 4, 4))
    scenes.save(folder / "second/new/b.png", scenes.noise(9, 4, 4))
    return folder


@pytest.fixture(scope="module")
def busy(place) -> Iterator[Server]:
    with dinosearch.create(place / "index", encoder="colour", size=56) as index:
        index.add(place / "first")
    server = Server(place / "index", uploads=place / "uploads", roots=(place / "second",))
    yield server
    server.stop()


@pytest.fixture
def page(visit, busy) -> Page:
    shown: Page = visit(f"{busy.url}/status")
    expect(shown.locator("#jobs-home")).not_to_contain_text("Loading")
    return shown


class Held:
    """A job that runs until it is let go, or told to stop."""

    def __init__(self, server: Server) -> None:
        self._end = threading.Event()
        self.job = server.services.jobs.add("changes", "index", {}, self._work)

    def _work(self, job) -> dict[str, Any]:
        job.step, job.done, job.total = "comparing", 3, 10
        while not job.cancelling and not self._end.wait(0.02):
            pass
        if self.fails:
            raise IndexLocked("somebody else writes")
        counts = {"added": 1, "changed": 2, "missing": 3}
        return counts | {"stopped": bool(job.cancelling)}

    fails = False

    def let_go(self) -> None:
        self._end.set()


def job(page: Page, number: int):
    return page.locator(f'#jobs .job[data-id="{number}"]')


def fact(page: Page, name: str):
    return page.locator(".facts-list > div").filter(
        has=page.locator("dt", has_text=re.compile(f"^{name}$"))
    )


def test_facts_are_those_of_the_index(page, busy, place):
    with dinosearch.open(place / "index") as index:
        info = index.info()
    expect(page).to_have_title("Status · dinosearch")
    for name, value in [
        ("Name", "index"),
        ("Images", str(info["items"])),
        ("Patches", str(info["items"] * 16)),
        ("Encoder", "colour, 56 px, crop; 4 × 4 patches; 8 and 8 numbers"),
        ("Folder", str(place / "index")),
        ("Device", "cpu"),
    ]:
        expect(fact(page, name).locator("dd")).to_have_text(value)
    expect(fact(page, "Sources").locator("dd")).to_contain_text("first")


def test_a_folder_is_added_and_its_pictures_are_found(page, busy, place):
    page.select_option("#root", "second")
    page.fill("#folder", "new")
    page.check("#labels-from-folders")
    page.get_by_role("button", name="Add", exact=True).click()
    newest = page.locator("#jobs .job").first
    expect(newest).to_have_attribute("data-state", "done")
    expect(newest).to_contain_text("Adding pictures from second/new")
    expect(newest).to_contain_text("1 added")
    expect(newest.locator(".state")).to_have_text("Done")
    expect(fact(page, "Images").locator("dd")).to_have_text("4")
    page.get_by_role("link", name="Search", exact=True).click()
    settled(page)
    added = page.locator(".card").filter(has_text="b.png")
    added.locator(".stage").click()
    settled(page)
    expect(page.locator(".card").first).to_contain_text("b.png")
    expect(page.locator(".card")).to_have_count(4)


def test_a_folder_outside_the_roots_is_refused_in_words(visit, busy):
    page = visit(f"{busy.url}/status", expects=(422,))
    page.fill("#folder", "../first")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#problem")).to_contain_text("second has no folder '../first'")
    expect(page.locator("#problem code").first).to_have_text("/roots/0/folder")


def test_changes_are_looked_for_and_counted(page, place):
    scenes.save(place / "first/late.png", scenes.noise(30, 4, 4))
    scenes.save(place / "first/0.png", scenes.noise(31, 4, 4))
    (place / "first/1.png").unlink()
    page.click("#look")
    found = page.locator("#drift > p").last
    expect(found).to_have_text(re.compile(r"^1 new file, 1 changed, 1 missing \("))
    page.reload()
    expect(page.locator("#drift > p").last).to_have_text(
        re.compile(r"^1 new file, 1 changed, 1 missing \(")
    )


def test_a_running_job_shows_how_far_it_is_and_is_cancelled(page, busy):
    held = Held(busy)
    row = job(page, held.job.id)
    expect(row).to_have_attribute("data-state", "running")
    expect(row.locator(".numbers")).to_have_text("comparing · 3 of 10")
    assert row.locator("progress").evaluate("bar => [bar.value, bar.max]") == [3, 10]
    row.get_by_role("button", name=f"Cancel job {held.job.id}").click()
    expect(row).to_have_attribute("data-state", "cancelled")
    expect(row.locator(".state")).to_have_text("Cancelled")
    expect(row.locator("progress")).to_be_hidden()


def test_a_job_in_the_queue_is_cancelled_before_it_begins(page, busy):
    first, second = Held(busy), Held(busy)
    row = job(page, second.job.id)
    expect(row.locator(".state")).to_have_text("Waiting")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".state")).to_have_text("Cancelled")
    first.let_go()
    expect(job(page, first.job.id).locator(".state")).to_have_text("Done")


def test_a_failed_job_says_why_runs_again_and_is_deleted(page, busy):
    held = Held(busy)
    held.fails = True
    held.let_go()
    row = job(page, held.job.id)
    expect(row.locator(".state")).to_have_text("Failed")
    expect(row.locator(".errors")).to_have_text(LOCKED)
    row.locator("summary").click()
    expect(row.locator("pre")).to_contain_text(LOCKED)
    held.fails = False
    row.get_by_role("button", name=f"Retry job {held.job.id}").click()
    again = page.locator("#jobs .job").first
    expect(again).to_have_attribute("data-state", "done")
    assert int(again.get_attribute("data-id") or 0) > held.job.id
    row.get_by_role("button", name=f"Delete job {held.job.id}").click()
    expect(row).to_have_count(0)
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator(STATUS)).to_have_text(f"Job {held.job.id} is deleted from the list.")


def test_the_address_of_a_job_opens_it(visit, busy):
    held = Held(busy)
    held.let_go()
    page = visit(f"{busy.url}/status/job/{held.job.id}")
    row = job(page, held.job.id)
    expect(row).to_have_class(re.compile("wanted"))
    expect(row.locator("details")).to_have_attribute("open", "")


def test_a_job_that_is_gone_is_told(visit, busy):
    page = visit(f"{busy.url}/status/job/9999")
    expect(page.locator("#jobs-home")).to_contain_text("There is no job 9999 any more.")


def test_files_that_were_not_taken_are_listed_with_their_reasons(page):
    table = page.locator("#failures table")
    expect(page.locator("#failures > p").first).to_have_text("3 files")
    expect(table.locator("tbody tr")).to_have_count(3)
    row = table.locator("tr").filter(has_text="<b>broken<b>.png")
    expect(row).to_contain_text("Refused")
    expect(row.locator("b")).to_have_count(0)
    with page.expect_download() as download:
        page.click("#failures-csv")
    with open(download.value.path(), newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 4
    assert not any(cell.startswith("=") for row in rows for cell in row)


def test_asking_again_costs_a_304(page, busy):
    known = 'dinosearch_requests_total{method="GET",route="/api/v1/jobs",status="304"}'
    before = busy.count(known)
    # About one a second while somebody is there.
    for _ in range(2):
        with page.expect_response(lambda one: one.url.endswith("/jobs") and one.status == 304):
            page.mouse.move(310, 310)
    assert busy.count(known) >= before + 2


def test_nobody_asks_often_when_nobody_looks_nor_from_another_screen(visit, busy):
    """A clock that the test turns: a minute without a hand on the page, and polls are rare."""
    page = visit("about:blank")
    page.clock.install()
    page.goto(f"{busy.url}/status")
    expect(page.locator("#jobs-home")).not_to_contain_text("Loading")
    asked = 'dinosearch_requests_total{method="GET",route="/api/v1/jobs"'

    def polls_in(seconds: int) -> float:
        before = busy.count(asked)
        for _ in range(seconds):
            page.clock.run_for(1000)
            page.wait_for_timeout(20)
        return float(busy.count(asked) - before)

    for _ in range(4):
        with page.expect_response(lambda one: one.url.endswith("/jobs")):
            page.clock.run_for(1100)
    page.clock.fast_forward(70_000)
    page.wait_for_timeout(50)
    assert polls_in(20) <= 3
    page.get_by_role("link", name="Search", exact=True).click()
    settled(page)
    assert polls_in(15) == 0


def test_without_a_folder_to_add_the_command_is_told(visit, tmp_path):
    scenes.save(tmp_path / "pictures/a.png", scenes.noise(1, 4, 4))
    with dinosearch.create(tmp_path / "alone", encoder="colour", size=56) as index:
        index.add(tmp_path / "pictures")
    shutil.rmtree(tmp_path / "pictures")
    server = Server(tmp_path / "alone", uploads=tmp_path / "uploads")
    try:
        page = visit(f"{server.url}/status")
        command = f"dinosearch serve --in {tmp_path / 'alone'} --root PHOTOS"
        expect(page.locator("#add pre")).to_have_text(command)
        page.locator("#add").get_by_role("button", name="Copy").click()
        expect(page.locator(STATUS)).to_have_text("Copied.")
        assert page.evaluate("() => navigator.clipboard.readText()") == command
        page.goto("about:blank")
    finally:
        server.stop()
