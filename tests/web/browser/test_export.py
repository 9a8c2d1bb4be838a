"""Taking an answer away: as a table, as lines, as paths; and as a command and as Python that
are run here and must find the same."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser import scenes
from tests.web.browser.acting import card, choose, id_of, mark_object, settled, shown
from tests.web.browser.scenes import FORMULAS

COMMANDS = Path(sys.executable).parent


def exported(page: Page, button: str) -> str:
    page.click("#export")
    with page.expect_download() as download:
        page.click(f"#{button}")
    return Path(download.value.path()).read_bytes().decode()


def copied(page: Page, button: str) -> str:
    page.click("#export")
    page.click(f"#{button}")
    expect(page.locator("#status-line")).to_have_text("Copied.")
    return str(page.evaluate("() => navigator.clipboard.readText()"))


def test_csv_holds_what_is_shown_and_no_formula(asked, index):
    answer = mark_object(asked)
    text = exported(asked, "export-csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [int(row["id"]) for row in rows] == shown(asked)
    assert [float(row["score"]) for row in rows] == [hit["score"] for hit in answer["hits"]]
    assert [float(row["box_x"]) for row in rows] == [h["matched"]["box"][0] for h in answer["hits"]]
    paths = {int(row["id"]): row["path"] for row in rows}
    shown_formulas = [one for one in FORMULAS if id_of(index, one) in paths]
    assert len(shown_formulas) == len(FORMULAS)
    for name in FORMULAS:
        assert paths[id_of(index, name)] == f"'{name}"
    assert not re.search(r"(^|[,\n])\"?[=+@]", text)
    assert {row["labels"] for row in rows} >= {"planted", "noise", scenes.HOSTILE_FOLDER, ""}


def test_json_lines_hold_what_is_shown(asked):
    lines = [json.loads(line) for line in exported(asked, "export-jsonl").splitlines()]
    assert [line["id"] for line in lines] == shown(asked)
    assert lines[0]["path"].startswith("planted/")


def test_only_what_is_selected_is_exported(asked):
    ids = shown(asked)
    card(asked, ids[3]).locator(".rank").click()
    card(asked, ids[1]).focus()
    asked.keyboard.press("s")
    expect(asked.locator(".chosen")).to_contain_text("2 selected")
    lines = [json.loads(line) for line in exported(asked, "export-jsonl").splitlines()]
    assert [line["id"] for line in lines] == [ids[1], ids[3]]
    asked.get_by_role("button", name="Clear selection").click()
    expect(asked.locator(".card.selected")).to_have_count(0)
    paths = copied(asked, "copy-paths")
    assert paths.count("\n") == 48 + 1  # one of the names holds a line end itself


WAYS = [
    "",
    "&r=0.250,0.300,0.200,0.150&mode=region",
    "&r=0.250,0.300,0.200,0.150&mode=both&w=0.3&pos=1&k=20",
    "&f=-label:planted,label:noise&min=0.5&dup=show&exact=1&k=9",
]


@pytest.mark.parametrize("way", WAYS, ids=["whole", "region", "both", "filters"])
def test_the_copied_command_finds_the_same(visit, asked_url, query_file, way):
    page = settled(visit(asked_url + way))
    command = copied(page, "copy-command")
    done = subprocess.run(
        ["sh", "-c", f"{command} --json"],
        cwd=query_file.parent,
        env=os.environ | {"PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == shown(page)


@pytest.mark.parametrize(
    "way", [*WAYS, "&m=AAAAAAAAAAAAAAAAAAAAHgAB4A&mode=region"], ids=lambda way: way or "whole"
)
def test_the_copied_python_finds_the_same(visit, asked_url, query_file, monkeypatch, way):
    page = settled(visit(asked_url + way))
    if "m=" in way:
        page.click("#export")
        expect(page.locator("#copy-command")).to_be_disabled()
        expect(page.locator("#export-menu")).to_contain_text("no words for painted patches")
        page.keyboard.press("Escape")
    code = copied(page, "copy-python")
    monkeypatch.chdir(query_file.parent)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - that it runs is what is tested
    assert [hit.id for hit in found["hits"]] == shown(page)


def test_the_copied_command_names_pictures_of_the_corpus_by_id(page, server, index, query_file):
    one, other = (
        id_of(index, "plain/red.png"),
        id_of(index, scenes.HOSTILE_FOLDER + "/new\nline.png"),
    )
    page.goto(f"{server.url}/?q=img:{one}&q=img:{other}&combine=any")
    settled(page)
    command = copied(page, "copy-command")
    assert f"--id {one} --id {other}" in command
    assert "--combine any" in command


def test_a_hostile_file_name_is_quoted_for_the_shell(page, tmp_path):
    name = "$(touch pwned) 'x' \"y\".png"
    choose(page, scenes.save(tmp_path / name, scenes.noise(77)))
    command = copied(page, "copy-command")
    done = subprocess.run(
        ["sh", "-c", f"{command} --json"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == shown(page)
    assert sorted(os.listdir(tmp_path)) == [name]
