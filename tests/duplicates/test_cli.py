"""dinosearch duplicates: documents, plain lines and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest

from dinosearch.cli import cli
from dinosearch.errors import DinoSearchError
from tests.cli.commands import ask, run
from tests.painting import RED, SIZE, noise, plain, save


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    save(folder / "photos" / "train" / "a.png", noise(0))
    save(folder / "photos" / "train" / "b.png", plain(RED))
    save(folder / "photos" / "test" / "c.png", noise(1))
    shutil.copy2(folder / "photos" / "train" / "a.png", folder / "photos" / "test" / "a.png")
    arguments = ("index", folder / "photos", "--to", folder / "x", "--encoder", "colour")
    ask(*arguments, "--size", SIZE, "--labels", "folders")
    return folder


@pytest.fixture
def folder(built, tmp_path):
    """A copy of the pictures and, made of it, an index at the same place below."""
    shutil.copytree(built / "photos", tmp_path / "photos")
    arguments = ("index", tmp_path / "photos", "--to", tmp_path / "x", "--encoder", "colour")
    ask(*arguments, "--size", SIZE, "--labels", "folders")
    return tmp_path


def test_groups_in_a_document_and_in_lines(built):
    document = ask("duplicates", "--in", built / "x")
    (group,) = document["groups"]
    assert set(group) == {"kind", "ids", "paths", "score", "keep", "reason", "links"}
    assert (group["kind"], group["score"]) == ("exact", 1.0)
    assert sorted(Path(path).name for path in group["paths"]) == ["a.png", "a.png"]
    assert group["keep"] in group["ids"]
    assert document["pictures"] == 4
    lines = run("duplicates", "--in", built / "x").stdout.splitlines()
    assert lines[0] == "exact  1.000  2 pictures"
    assert [line.rpartition("keep: ")[1] for line in lines[1:]].count("keep: ") == 1


def test_a_picture_of_ones_own(built, tmp_path):
    document = ask("duplicates", "--in", built / "x", "--of", built / "photos" / "test" / "c.png")
    (picture,) = document["pictures"]
    assert [copy["kind"] for copy in picture["copies"]] == ["exact"]
    strange = save(tmp_path / "q.png", noise(9))
    assert run("duplicates", "--in", built / "x", "--of", strange).stdout == ""


def test_a_leak_is_a_check_that_failed(built):
    arguments = ("duplicates", "--in", built / "x", "--leaks")
    leaks = ask(*arguments, "split:train", "split:test", code=1)["leaks"]
    assert [(Path(one["first_path"]).parent.name, one["kind"]) for one in leaks] == [
        ("train", "exact")
    ]
    assert ask(*arguments, f"path:{built}/photos/train/b", "split:test") == {"leaks": []}


def test_plan_apply_and_undo(folder):
    plan = folder / "plan.json"
    document = ask("duplicates", "--in", folder / "x", "--plan", plan)
    assert document["moves"] == 1
    assert json.loads(plan.read_text())["trash"] == document["trash"]
    pictures = lambda: sorted((folder / "photos").rglob("*.png"))  # noqa: E731
    before = pictures()
    applied = ask("duplicates", "apply", "--plan", plan)
    assert (len(applied["moved"]), applied["removed"], applied["left"]) == (1, 1, [])
    assert len(pictures()) == 3
    undone = ask("duplicates", "undo", "--plan", plan)
    assert (undone["restored"], len(undone["ids"])) == (applied["moved"], 1)
    assert pictures() == before
    save(folder / "photos" / "test" / "a.png", noise(5))
    save(folder / "photos" / "train" / "a.png", noise(6))
    left = ask("duplicates", "apply", "--plan", plan, code=3)["left"]
    assert len(left) == 1
    ask("duplicates", "apply", "--plan", folder / "none.json", code=2)
    assert "nothing to undo" in run("duplicates", "undo", "--plan", plan, code=2).stderr


def test_decisions(folder):
    query = folder / "photos" / "test" / "c.png"
    hits = ask("search", query, "--in", folder / "x")["hits"]
    ids = {Path(hit["path"]).name: hit["id"] for hit in hits}
    arguments = ("duplicates", "--in", folder / "x", "--decide", ids["b.png"], ids["c.png"])
    decision = ask(*arguments, "same", "--author", "ann")["decision"]
    assert (decision["verdict"], decision["author"]) == ("same", "ann")
    kinds = {group["kind"] for group in ask("duplicates", "--in", folder / "x")["groups"]}
    assert kinds == {"exact", "decided"}
    assert ask(*arguments, "undecided") == {"forgotten": True}
    assert ask(*arguments, "undecided") == {"forgotten": False}
    run(*arguments, "perhaps", code=2)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--kinds", "similar"),
        ("--threshold", "0"),
        ("--threshold", "1.5"),
        ("--leaks", "split:train", "split:train"),
        ("--of", "no such file.jpg"),
        ("--decide", "a", "2", "same"),
        ("--decide", "1", "999", "same"),
        ("--where", "colour:red"),
        ("--plan", "no such folder/plan.json"),
        ("--plan", "p.json", "--leaks", "split:train", "split:test"),
    ],
)
def test_bad_usage_ends_with_2(built, wrong):
    assert exit_code("--in", str(built / "x"), *wrong) == 2


def exit_code(*arguments: str) -> int:
    """That of the error which a command ends with; without a process of its own."""
    with pytest.raises((DinoSearchError, click.ClickException)) as caught:  # noqa: SIM117
        with cli.make_context("dinosearch", ["duplicates", *arguments]) as context:
            cli.invoke(context)
    assert isinstance(caught.value, DinoSearchError | click.ClickException)
    return caught.value.exit_code


def test_no_index_is_bad_usage_too(tmp_path):
    assert exit_code("--in", str(tmp_path)) == 2
    assert exit_code() == 2
