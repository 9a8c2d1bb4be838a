"""What a folder holds: a stable order, and a row for everything that might be a picture."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dinosearch.errors import InvalidInput
from dinosearch.images import EXTENSIONS, find_files


def names(folder: Path) -> list[str]:
    return [os.path.relpath(found.path, folder) for found in find_files(folder)]


def test_order_is_by_bytes_folder_by_folder(tmp_path):
    for name in ("b.jpg", "B.jpg", "ä.jpg", "a.jpg", "z/1.jpg", "Z/1.jpg", "z/y/0.png", "c/9.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    expected = ["B.jpg", "a.jpg", "b.jpg", "ä.jpg", "Z/1.jpg", "c/9.png", "z/1.jpg", "z/y/0.png"]
    assert names(tmp_path) == expected
    assert names(tmp_path) == expected


def test_facts_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"12345")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_890_123_456_789))
    monkeypatch.chdir(tmp_path)
    (found,) = find_files(".")
    assert found.path == str(tmp_path / "a.jpg")
    assert (found.size, found.mtime_ns, found.problem) == (5, 1_234_567_890_123_456_789, None)


def test_only_names_of_pictures_and_no_hidden_ones(tmp_path):
    for name in ("a.txt", "a", "jpg", "._a.jpg", ".b.png", "A.JPEG", "b.TiF", "c.heic"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.jpg").write_bytes(b"x")
    assert names(tmp_path) == ["A.JPEG", "b.TiF", "c.heic"]
    assert all(e == e.lower() and e.startswith(".") for e in EXTENSIONS)


def test_a_single_file_needs_no_extension(tmp_path):
    (tmp_path / "picture").write_bytes(b"x")
    (found,) = find_files(tmp_path / "picture")
    assert found.path == str(tmp_path / "picture")


@pytest.mark.parametrize("name", ["missing", "nul\0l", "x" * 5000])
def test_a_source_that_does_not_exist(tmp_path, name):
    with pytest.raises(InvalidInput, match="cannot be read"):
        find_files(f"{tmp_path}/{name}")


def test_strange_names(tmp_path):
    strange = [
        b"new\nline.jpg",
        b"latin-\xe9.jpg",
        b'quote".jpg',
        b"\xff\xfe.png",
        "🦕.jpg".encode(),
    ]
    for name in strange:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(b"x")
    found = [os.path.basename(os.fsencode(f.path)) for f in find_files(tmp_path)]
    assert found == sorted(strange)


def test_nothing_that_cannot_be_read_goes_without_a_row(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "folder-link").symlink_to("real")
    (tmp_path / "link.jpg").symlink_to("real/a.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "notes-link").symlink_to("nowhere.txt")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "s.png"))
    rows = {os.path.relpath(f.path, tmp_path): f.problem for f in find_files(tmp_path)}
    assert {name: problem and problem[0] for name, problem in rows.items()} == {
        "dangling.jpg": "symlink",
        "folder-link": "symlink",
        "link.jpg": "symlink",
        "pipe.jpg": "not-a-file",
        "s.png": "not-a-file",
        "self.jpg": "symlink",
        "real/a.jpg": None,
        "real/loop": "symlink",
    }
    assert rows["pipe.jpg"] == ("not-a-file", "a pipe")


def test_the_source_itself_may_be_a_link_to_a_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    (found,) = find_files(tmp_path / "link")
    assert (found.path, found.problem) == (str(tmp_path / "link" / "a.jpg"), None)


def test_a_link_given_as_the_single_file_is_a_row(tmp_path):
    (tmp_path / "a.jpg").symlink_to("nowhere")
    (found,) = find_files(tmp_path / "a.jpg")
    assert found.problem is not None
    assert found.problem[0] == "symlink"


def test_a_folder_that_does_not_open(tmp_path, monkeypatch):
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"x")
    scandir = os.scandir

    def guarded(path):
        # Modes do not bind root, and the tests may run as root.
        if path.endswith(b"/locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    rows = {os.path.relpath(f.path, tmp_path): f.problem for f in find_files(tmp_path)}
    assert rows == {"locked": ("unreadable", "Permission denied"), "open/a.jpg": None}
