"""Plans: written, applied, undone, and killed in between. No file is ever lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dinosearch
from dinosearch.duplicates import trash
from dinosearch.errors import InvalidInput
from dinosearch.storage.folder import seal, sha256_of, sync_folder
from dinosearch.storage.set_aside import put_back
from dinosearch.storage.writer import Writer
from tests.painting import BLUE, RED, SIZE, noise, pixels, plain, save


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


@pytest.fixture
def corpus(tmp_path):
    """Three copies of one picture, two of another, and one alone."""
    folder = tmp_path / "photos"
    save(folder / "a" / "one.png", noise(0))
    for name in ("b/one copy.png", "b/one \udcff.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "a" / "one.png", path)
    save(folder / "a" / "two.png", plain(RED))
    shutil.copy2(folder / "a" / "two.png", folder / "b" / "two.png")
    save(folder / "a" / "three.png", plain(BLUE))
    return folder


@pytest.fixture
def index(corpus, tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as opened:
        opened.add(corpus, labels="folders")
        yield opened


@pytest.fixture
def plan(index, tmp_path):
    file = tmp_path / "plan.json"
    index.plan_duplicates(index.duplicates(kinds=["exact"]), file)
    return file


def contents(folder: Path) -> dict[str, str]:
    """Every picture below a folder, by its SHA-256."""
    return {str(p): sha256_of(p) for p in folder.rglob("*.png") if p.is_file()}


def held(index) -> dict[int, tuple[str, tuple[str, ...]]]:
    return {item.id: (item.path, item.labels) for item in index.items()}


def test_a_plan_is_a_document_a_person_can_read(index, plan, corpus):
    document = json.loads(plan.read_text())
    assert document["format"] == "dinosearch-duplicates-plan"
    assert document["trash"].startswith(str(index.path))
    assert [len(group["move"]) for group in document["groups"]] == [2, 1]
    first = document["groups"][0]
    assert first["keep"]["path"] == str(corpus / "a" / "one.png")
    assert first["keep"]["sha256"] == sha256_of(corpus / "a" / "one.png")
    assert "first of equals" in first["reason"]


def test_apply_and_undo_leave_everything_as_it_was(index, plan, corpus):
    before, items = contents(corpus), held(index)
    done = index.apply_plan(plan)
    assert (len(done.moved), done.left, done.removed) == (3, (), 3)
    assert {Path(path).name for path in contents(corpus)} == {"one.png", "two.png", "three.png"}
    assert sorted(contents(Path(done.trash)).values()) == sorted(
        before[path] for path in done.moved
    )
    assert len(index) == 3
    assert index.duplicates(kinds=["exact"]).groups == ()
    report = index.add(corpus)
    assert (report.unchanged, report.added, report.vanished) == (3, 0, 0)
    undone = index.undo_plan(plan)
    assert (len(undone.restored), undone.left, undone.to_index) == (3, (), ())
    assert contents(corpus) == before
    assert held(index) == items
    assert not Path(done.trash).exists()
    hits = index.search(corpus / "b" / "two.png", k=2)
    assert {Path(hit.path).name for hit in hits} == {"two.png"}
    assert index.add(corpus).unchanged == 6
    assert index.verify(full=True).ok
    with pytest.raises(InvalidInput, match="nothing to undo"):
        index.undo_plan(plan)
    assert len(index.apply_plan(plan).moved) == 3


def test_after_compact_the_files_come_back_and_the_items_must_be_indexed(index, plan, corpus):
    before = contents(corpus)
    index.apply_plan(plan)
    with dinosearch.open(index.path):  # a reader, for whom the old segments stay a while
        index.compact()
    undone = index.undo_plan(plan)
    assert contents(corpus) == before
    assert (undone.ids, len(undone.to_index)) == ((), 3)
    assert index.add(corpus).added == 3
    assert index.verify(full=True).ok


def test_what_changed_since_the_plan_stays(index, plan, corpus):
    save(corpus / "b" / "one copy.png", noise(5))
    save(corpus / "a" / "two.png", noise(6))  # a keeper
    done = index.apply_plan(plan)
    assert [Path(path).name for path in done.moved] == [os.fsdecode(b"one \xff.png")]
    reasons = {Path(one.path).name: one.reason for one in done.left}
    assert "changed since the plan" in reasons["one copy.png"]
    assert "was to be kept instead" in reasons["two.png"]
    assert (corpus / "b" / "two.png").exists()


def test_another_file_at_its_place_is_never_written_over(index, plan, corpus):
    index.apply_plan(plan)
    save(corpus / "b" / "two.png", noise(7))
    other = sha256_of(corpus / "b" / "two.png")
    undone = index.undo_plan(plan)
    assert ["another file lies there" in one.reason for one in undone.left] == [True]
    assert sha256_of(corpus / "b" / "two.png") == other
    assert len(undone.restored) == 2
    (corpus / "b" / "two.png").unlink()
    assert index.undo_plan(plan).left == ()
    assert len(contents(corpus)) == 6


def test_a_plan_that_keeps_nothing_of_a_group_is_refused(index, plan):
    document = json.loads(plan.read_text())
    document["groups"][0]["move"].append(document["groups"][0]["keep"])
    plan.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match="which a group keeps"):
        index.apply_plan(plan)
    plan.write_text("{}")
    with pytest.raises(InvalidInput, match="not a plan"):
        index.apply_plan(plan)


def test_the_plan_of_another_index_is_refused(plan, tmp_path):
    with (
        dinosearch.create(tmp_path / "y", encoder="colour", size=SIZE) as other,
        pytest.raises(InvalidInput, match="another index"),
    ):
        other.apply_plan(plan)


def test_a_trash_that_would_be_indexed_is_refused(index, corpus, tmp_path):
    found = index.duplicates(kinds=["exact"])
    with pytest.raises(InvalidInput, match="whose pictures are indexed"):
        index.plan_duplicates(found, tmp_path / "p.json", trash=corpus / "trash")
    plan = index.plan_duplicates(found, tmp_path / "p.json", trash=corpus / ".trash")
    index.apply_plan(tmp_path / "p.json")
    assert Path(plan.trash).parent == corpus / ".trash"
    assert index.add(corpus).added == 0


def kill_at(monkeypatch, step: int) -> list[str]:
    """Let the step-th change of the disk be the last; returns the list of those seen."""
    seen: list[str] = []

    def counted(name, real):
        def call(*arguments, **options):
            if len(seen) == step:
                raise Killed
            seen.append(name)
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "link", counted("link", os.link))
    monkeypatch.setattr(Path, "unlink", counted("unlink", Path.unlink))
    monkeypatch.setattr(trash, "sync_folder", counted("sync", sync_folder))
    monkeypatch.setattr(trash, "seal", counted("seal", seal))
    monkeypatch.setattr(trash, "put_back", counted("put back", put_back))
    monkeypatch.setattr(Writer, "remove", counted("remove", Writer.remove))
    return seen


@pytest.mark.parametrize("after", ["undo", "finish"])
@pytest.mark.parametrize("copying", [False, True])
def test_killed_at_any_step_it_is_finished_or_undone(
    index, plan, corpus, monkeypatch, after, copying
):
    before, items = contents(corpus), held(index)
    if copying:  # as where the trash lies on another disk
        monkeypatch.setattr(trash, "_link", lambda source, target: False)
    step = 0
    while True:
        with monkeypatch.context() as patch:
            seen = kill_at(patch, step)
            try:
                index.apply_plan(plan)
                break
            except Killed:
                pass
        everywhere = set(contents(corpus).values()) | set(contents(Path(index.path)).values())
        assert everywhere >= set(before.values()), f"lost after {seen}"
        for path, digest in before.items():
            if not Path(path).exists():
                assert digest in contents(Path(index.path)).values(), f"lost after {seen}"
        if after == "finish":
            assert len(index.apply_plan(plan).moved) == 3
            assert len(index) == 3
        elif "seal" in seen:
            assert index.undo_plan(plan).left == ()
        if after == "finish":
            index.undo_plan(plan)
        assert (contents(corpus), held(index)) == (before, items), f"after {seen}"
        step += 1
    assert step > 12


def test_an_undo_killed_at_any_step_is_undone_again(index, plan, corpus, monkeypatch):
    before, items = contents(corpus), held(index)
    step = 0
    index.apply_plan(plan)
    while True:
        with monkeypatch.context() as patch:
            seen = kill_at(patch, step)
            try:
                index.undo_plan(plan)
                break
            except Killed:
                pass
        index.undo_plan(plan)
        assert (contents(corpus), held(index)) == (before, items), f"after {seen}"
        index.apply_plan(plan)
        step += 1
    assert step > 6
    assert (contents(corpus), held(index)) == (before, items)


def test_a_process_that_is_killed_loses_nothing(index, plan, corpus):
    before, items = contents(corpus), held(index)
    slow = (
        "import sys, time, dinosearch\n"
        "from dinosearch.duplicates import trash\n"
        "real = trash._place\n"
        "def place(*a):\n    real(*a); print('placed', flush=True); time.sleep(60)\n"
        "trash._place = place\n"
        "dinosearch.open(sys.argv[1]).apply_plan(sys.argv[2])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, index.path, str(plan)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "placed\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(contents(corpus)) == 6
    assert len(contents(Path(index.path))) == 1
    assert len(index.apply_plan(plan).moved) == 3
    index.undo_plan(plan)
    assert (contents(corpus), held(index)) == (before, items)


def test_pixels_are_still_those_of_the_files(index, plan, corpus):
    index.apply_plan(plan)
    index.undo_plan(plan)
    array, _ = index.pixels(corpus / "b" / "two.png")
    assert (array == pixels(plain(RED))).all()
