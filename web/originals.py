"""Files of the corpus: which may be handed out, and which folders may be added.

A path never comes from a request: for a picture it comes from the catalog, and for a folder
a request names one of the configured roots and a folder below it. What counts is where a
file really lies once it is open, so that no link, and nobody who swaps one in between, leads
outside.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from dinosearch import ImageIndex, Item


@dataclass(frozen=True)
class Root:
    """A folder that is open to the page, under the name it is called by."""

    name: str
    path: str


def roots_of(index: ImageIndex, configured: tuple[str | os.PathLike[str], ...]) -> list[Root]:
    """The configured roots and the folders the index was made from, each once."""
    folders = [*(os.fspath(one) for one in configured), *index.sources()]
    roots: dict[str, Root] = {}
    names: set[str] = set()
    for folder in folders:
        real = os.path.realpath(folder)
        if real in roots or not os.path.isdir(real):
            continue
        base = os.path.basename(real) or real
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base} ({number})"
        names.add(name)
        roots[real] = Root(name, real)
    return list(roots.values())


def folder_below(root: Root, folder: str) -> str | None:
    """The real path of a folder below a root; None for anything that is not one."""
    if "\0" in folder or os.path.isabs(folder):
        return None
    real = os.path.realpath(os.path.join(root.path, folder))
    return real if _is_inside(real, root.path) and os.path.isdir(real) else None


def open_original(item: Item, roots: list[Root]) -> BinaryIO | None:
    """The picture's file, open, if it is a regular file that lies under one of the roots."""
    try:
        handle = os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        real = _real_path(handle, item.path)
        if stat.S_ISREG(os.fstat(handle).st_mode) and any(
            _is_inside(real, root.path) for root in roots
        ):
            return os.fdopen(handle, "rb")
    except OSError:
        pass
    os.close(handle)
    return None


def file_state(item: Item, roots: list[Root]) -> tuple[int, int] | None:
    """(bytes, mtime_ns) of the picture's file as it is now; None where it may not be seen."""
    file = open_original(item, roots)
    if file is None:
        return None
    with file:
        state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns


def _real_path(handle: int, path: str) -> str:
    """Where an open file lies; of its name alone where the system does not tell."""
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return os.path.realpath(path)


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
