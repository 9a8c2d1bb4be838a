"""One file's bytes, taken so that no name can hurt: links, pipes, devices, giants."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass

from dinosearch.images.reasons import (
    EMPTY,
    NOT_A_FILE,
    NOT_FOUND,
    SYMLINK,
    TOO_LARGE,
    UNREADABLE,
    Rejected,
)

MAX_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class SourceFile:
    """The bytes that are decoded, their hex digest, and the file's time before reading."""

    path: str
    data: bytes
    sha256: str
    mtime_ns: int


def read_source(path: str) -> SourceFile:
    """Read a regular file whole.

    The whole content is held (at most `MAX_BYTES`), so that what is hashed is what is
    decoded even while somebody writes to the file. Raises `Rejected`.
    """
    # Without O_NONBLOCK opening a pipe waits for its other end; a terminal could take over.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        file = os.open(path, flags)
    except OSError as error:
        raise Rejected(_why_not_opened(path, error), error.strerror or str(error)) from error
    except ValueError as error:
        raise Rejected(NOT_FOUND, f"no file can have this name: {error}") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise Rejected(NOT_A_FILE, kind(found.st_mode))
        if found.st_size > MAX_BYTES:
            raise Rejected(TOO_LARGE, f"{found.st_size} bytes")
        data = _read(file, found.st_size)
    except OSError as error:
        raise Rejected(UNREADABLE, error.strerror or str(error)) from error
    finally:
        os.close(file)
    if not data:
        raise Rejected(EMPTY, "0 bytes")
    return SourceFile(path, data, hashlib.sha256(data).hexdigest(), mtime_of(found))


def content_of(path: str | os.PathLike[str]) -> str | None:
    """The hex SHA-256 of a regular file; None for what cannot be read as one."""
    try:
        return read_source(os.fsdecode(path)).sha256
    except Rejected:
        return None


def stat_of(path: str) -> tuple[int, int]:
    """(bytes, mtime_ns) of a name, zeros when the file system does not tell."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, mtime_of(status)


def mtime_of(status: os.stat_result) -> int:
    """Time of the last change in ns, held within 64 bits: file systems go beyond 2262."""
    return min(max(status.st_mtime_ns, -(1 << 63)), (1 << 63) - 1)


def kind(mode: int) -> str:
    """A word for what a file mode says that is not a regular file."""
    for test, word in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    ):
        if test(mode):
            return word
    return "not a regular file"


def _why_not_opened(path: str, error: OSError) -> str:
    if error.errno == errno.ELOOP and os.path.islink(path):
        return SYMLINK
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return NOT_FOUND
    if error.errno in (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP):
        return NOT_A_FILE
    return UNREADABLE


def _read(file: int, size: int) -> bytes:
    with open(file, "rb", buffering=0, closefd=False) as stream:
        first = stream.read(size + 1) or b""
        parts = [first]
        total = len(first)
        while parts[-1]:
            parts.append(stream.read(1 << 20) or b"")
            total += len(parts[-1])
            if total > MAX_BYTES:
                raise Rejected(TOO_LARGE, f"more than {MAX_BYTES} bytes, and growing")
    return first if len(parts) == 2 else b"".join(parts)
