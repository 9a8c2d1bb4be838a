"""Which files of a folder are pictures, by name, in an order that stays the same."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from dinosearch.errors import InvalidInput
from dinosearch.images.formats import has_picture_name
from dinosearch.images.reasons import NOT_A_FILE, NOT_FOUND, SYMLINK, UNREADABLE
from dinosearch.images.source_file import kind, mtime_of


@dataclass(frozen=True)
class Found:
    """A file that should be read, or a name that cannot be and the reason why.

    `path` is absolute, with surrogate escapes for bytes that are not UTF-8; `size` is in
    bytes; `problem` is a reason code with its detail.
    """

    path: str
    size: int
    mtime_ns: int
    problem: tuple[str, str] | None = None


def find_files(source: str | os.PathLike[str]) -> Iterator[Found]:
    """Find the pictures of a folder and all folders in it, or take a single file as it is.

    A folder's own files come first, then its folders, each sorted by the bytes of the
    names. Names without a picture's extension are ignored, and so is whatever starts
    with a dot: `.git` and `.thumbnails` hold no one's pictures, and `._x.jpg` is a
    leftover of macOS, not a picture. Everything else that has a picture's name, or might
    hide pictures, yields a row, with a problem where it cannot be read: links to
    folders or named like a picture (`symlink`, never followed), pipes, sockets and
    devices named like a picture (`not-a-file`), folders that do not open (`unreadable`).
    A folder given as `source` may itself be a link. Raises `InvalidInput` when `source`
    does not exist.
    """
    try:
        root = os.path.abspath(os.fsencode(source))
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except (OSError, ValueError) as error:
        # A link that leads nowhere does exist, and gets its row.
        if not os.path.islink(source):
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidInput(
                f"{os.fsdecode(source)!r} cannot be read: {reason}; name a folder or a picture"
            ) from error
        is_folder = False
    return _walk(root) if is_folder else iter([_found(root)])


def _walk(root: bytes) -> Iterator[Found]:
    folders = [root]
    while folders:
        folder = folders.pop()
        inner = []
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield _problem(folder, UNREADABLE, error.strerror or str(error))
            continue
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_folder(entry):
                inner.append(entry.path)
            elif has_picture_name(entry.name) or _is_link_to_folder(entry):
                yield _found(entry.path)
        folders.extend(reversed(inner))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_link_to_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


def _found(path: bytes) -> Found:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return _problem(path, NOT_FOUND, "it vanished while the folder was read")
    except OSError as error:
        return _problem(path, UNREADABLE, error.strerror or str(error))
    problem = None
    if stat.S_ISLNK(status.st_mode):
        problem = (SYMLINK, "links are not followed")
    elif not stat.S_ISREG(status.st_mode):
        problem = (NOT_A_FILE, kind(status.st_mode))
    return Found(os.fsdecode(path), status.st_size, mtime_of(status), problem)


def _problem(path: bytes, code: str, detail: str) -> Found:
    return Found(os.fsdecode(path), 0, 0, (code, detail))
