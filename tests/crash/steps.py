"""Every step by which a process changes an index, counted, so that one can be made the last.

A step is a call that opens for writing, writes, flushes, renames or deletes below the
index's folder: Python's own (`os`, `open`) and those of SQLite, whose calls to the system
can be replaced through its VFS (`xSetSystemCall`). What happens at step n:

    count      nothing
    kill       half of a write is done, then SIGKILL
    power-cut  the same, and what was not flushed is lost: files written since their last
               fsync are emptied, and names given since their folder's last fsync undone
               (SQLite's own flushing cannot be seen from here: its files keep all)
    ENOSPC, EIO  the call fails once with that error
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts the steps below `root` from `install` on; `do` happens at step `at` (from 1)."""

    def __init__(self, root: Path, at: int, do: str) -> None:
        self.names: list[str] = []
        self._root = str(root)
        self._at = at
        self._do = do
        self._unflushed: set[str] = set()
        self._unsettled: list[tuple[str, str]] = []
        self._kept: list[Any] = []  # what C code points to must not be collected

    def install(self) -> bool:
        """Replace the calls; False where SQLite's cannot be (a build that hides its VFS)."""
        self._replace("open", lambda path, flags, *_a, **_k: flags & _WRITING and self._in(path))
        self._replace("mkdir", lambda path, *_a, **_k: self._in(path))
        self._replace("unlink", lambda path, *_a, **_k: self._in(path))
        self._replace("rename", lambda old, new, **_k: self._in(new), self._renamed)
        self._replace("fsync", lambda _file: True, self._flushed)
        self._replace("ftruncate", lambda _file, _length: True)
        self._replace("pwrite", lambda *_a: True)
        plain = builtins.open

        def opening(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if set(mode) & set("wxa+") and self._in(file):
                self._step(f"open {mode}")
                return io.BufferedWriter(_Counted(os.fspath(file), mode.replace("b", ""), self))
            return plain(file, mode, *args, **options)

        builtins.open = opening
        return self._install_in_sqlite()

    def _in(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._root)

    def _replace(
        self,
        name: str,
        counts: Callable[..., Any],
        afterwards: Callable[..., None] = lambda *_: None,
    ) -> None:
        plain = getattr(os, name)

        def replaced(*args: Any, **options: Any) -> Any:
            if counts(*args, **options):
                self._step(name)
                result = plain(*args, **options)
                afterwards(*args)
                return result
            return plain(*args, **options)

        setattr(os, name, replaced)

    def _step(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        """Raises OSError where that is what happens at this step."""
        self.names.append(name)
        if len(self.names) != self._at or self._do == "count":
            return
        if self._do in ("kill", "power-cut"):
            half()
            if self._do == "power-cut":
                self._lose()
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self._do)
        raise OSError(number, os.strerror(number))

    # -- what a power cut takes ------------------------------------------------------

    def written(self, path: str) -> None:
        self._unflushed.add(path)

    def _renamed(self, old: Any, new: Any) -> None:
        before, after = os.fspath(old), os.fspath(new)
        self._unsettled.append((before, after))
        if before in self._unflushed:
            self._unflushed.discard(before)
            self._unflushed.add(after)

    def _flushed(self, file: int) -> None:
        status = os.fstat(file)
        same = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            self._unsettled = [
                (old, new) for old, new in self._unsettled if _identity(Path(new).parent) != same
            ]
        self._unflushed = {path for path in self._unflushed if _identity(Path(path)) != same}

    def _lose(self) -> None:
        for path in self._unflushed:
            if os.path.exists(path):
                os.truncate(path, 0)
        for old, new in reversed(self._unsettled):
            if os.path.exists(new):
                os.replace(new, old)

    # -- SQLite ----------------------------------------------------------------------

    def _install_in_sqlite(self) -> bool:
        import _sqlite3

        try:
            library = ctypes.CDLL(_sqlite3.__file__)
            find = library.sqlite3_vfs_find
        except (AttributeError, OSError):
            return False
        find.restype = ctypes.POINTER(_Vfs)
        vfs = find(None).contents
        if vfs.version < 3:
            return False
        self._take(vfs, b"pwrite", _PWRITE)
        self._take(vfs, b"pwrite64", _PWRITE)
        self._take(vfs, b"ftruncate", _FTRUNCATE)
        self._take(vfs, b"unlink", _UNLINK)
        return True

    def _take(self, vfs: _Vfs, name: bytes, kind: Any) -> None:
        address = vfs.get_call(ctypes.byref(vfs), name)
        if not address:
            return
        plain = kind(address)

        def replaced(*args: Any) -> int:
            def half() -> None:
                if kind is _PWRITE:
                    plain(args[0], args[1], args[2] // 2, args[3])

            try:
                self._step(f"sqlite {name.decode()} {_file_of(args[0])}", half)
            except OSError as error:
                ctypes.set_errno(error.errno or 0)
                return -1
            result = plain(*args)
            return int(result)

        callback = kind(replaced)
        self._kept += [plain, callback]
        vfs.set_call(ctypes.byref(vfs), name, ctypes.cast(callback, ctypes.c_void_p))


class _Counted(io.FileIO):
    """A file whose writes are steps."""

    def __init__(self, path: str, mode: str, steps: Steps) -> None:
        super().__init__(path, mode)
        self._path = path
        self._steps = steps

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")

        def half() -> None:
            super(_Counted, self).write(content[: len(content) // 2])

        self._steps.written(self._path)
        self._steps._step("write", half)
        return super().write(content)


def _file_of(place: int | bytes) -> str:
    """The name of the file that SQLite means: by number, or by path."""
    path = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fsdecode(place)
    return os.path.basename(path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
    use_errno=True,
)
_FTRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True)
_UNLINK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, use_errno=True)
_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)


class _Vfs(ctypes.Structure):
    """struct sqlite3_vfs, version 3 (sqlite.org/c3ref/vfs.html)."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("size_of_file", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("calls", ctypes.c_void_p * 13),
        ("set_call", _SET),
        ("get_call", _GET),
    )
