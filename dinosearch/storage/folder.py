"""The folder of an index: where each file lies, and how a file comes to rest in it.

Only sealed files live here. A file is written under a temporary name, flushed to the
disk, read back against its checksum and renamed; it never changes afterwards. A crash
can therefore leave a temporary file or one that the catalog does not name, and both are
swept away by the next writer, but never a half-written file under a real name.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinosearch.errors import DiskFull, IndexLocked, InvalidInput, UnusableIndex

log = logging.getLogger(__name__)

FORMAT = "dinosearch-index"
FORMAT_VERSION = 1
TEMPORARY = ".tmp-"
KEPT = ("banks", "probes", "maps")
"""Folders of what the user keeps by name; `named_files` fills them."""

SEALED = (".h5", ".faiss", ".safetensors")
"""Endings of files that are litter where no row of the catalog names them."""


@dataclass(frozen=True)
class Sealed:
    """A file at rest: its name within its folder, its length and the SHA-256 of its bytes."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Folder:
    """Paths of one index."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    @property
    def derived(self) -> Path:
        return self.root / "derived"

    @property
    def thumbnails(self) -> Path:
        return self.derived / "thumbs.sqlite"

    @property
    def lock(self) -> Path:
        return self.root / "LOCK"

    def exists(self) -> bool:
        """True once the index has been created; the manifest is the last file of that."""
        return self.manifest.is_file()

    def prepare(self) -> None:
        """Make the folders of a new index.

        Raises `InvalidInput` when something else already lives in this folder.
        """
        ours = {"segments", "derived", *KEPT, "LOCK", "manifest.json", self.catalog.name}
        ours |= {f"{self.catalog.name}-{end}" for end in ("wal", "shm", "journal")}
        try:
            _make_durably(self.root)
            foreign = [
                entry.name
                for entry in self.root.iterdir()
                if entry.name not in ours and not entry.name.startswith(TEMPORARY)
            ]
            if foreign:
                raise InvalidInput(
                    f"{self.root} is not an index and holds other files ({sorted(foreign)[0]!r}):"
                    " name a folder that is empty or does not exist yet"
                )
            self.segments.mkdir(exist_ok=True)
            self.derived.mkdir(exist_ok=True)
            sync_folder(self.root)
        except FileExistsError as error:
            raise InvalidInput(f"{self.root} is a file: name a folder for the index") from error
        except OSError as error:
            raise io_error(error, f"cannot make the index folder {self.root}") from error

    def clear_killed_creation(self) -> None:
        """Delete a catalog without a manifest; only the holder of the writer lock may."""
        for leftover in self.root.glob(f"{self.catalog.name}*"):
            discard(leftover)

    @staticmethod
    def new_manifest() -> bytes:
        """The manifest of an index that is being made."""
        text = json.dumps(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "id": uuid.uuid4().hex,
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
            indent=2,
        )
        return text.encode() + b"\n"

    def write_manifest(self, manifest: bytes | None = None) -> None:
        """Write the manifest (a new one by default), which makes the folder an index."""
        seal(self.manifest, manifest or self.new_manifest())

    def read_manifest(self) -> dict[str, Any]:
        """The manifest, checked.

        Raises `InvalidInput` where there is no index, `UnusableIndex` where there is one
        that this version of dinosearch cannot read.
        """
        try:
            manifest = json.loads(self.manifest.read_bytes())
            version = manifest["format_version"]
            known = manifest["format"] == FORMAT
        except FileNotFoundError:
            raise InvalidInput(
                f"{self.root} is not an index: make one with"
                f" `dinosearch index PHOTOS --to {self.root}`"
            ) from None
        except NotADirectoryError:
            raise InvalidInput(f"{self.root} is a file, not the folder of an index") from None
        except (ValueError, KeyError, TypeError):
            raise UnusableIndex(
                f"{self.manifest} is damaged: restore it from a copy of the index"
            ) from None
        except OSError as error:
            raise io_error(error, f"cannot read {self.manifest}") from error
        if not known or version != FORMAT_VERSION:
            raise UnusableIndex(
                f"{self.root} has index format {version}, but this dinosearch reads format"
                f" {FORMAT_VERSION}: use the dinosearch that made it, or index the pictures anew"
            )
        return dict(manifest)

    def check_space(self, batch_bytes: int, *, min_free: int) -> None:
        """Raise `DiskFull` unless twice the batch, and `min_free` bytes, are free."""
        free = shutil.disk_usage(self.root).free
        needed = max(2 * batch_bytes, min_free)
        if free < needed:
            raise DiskFull(
                f"the disk of {self.root} has {free / 1e6:,.0f} MB free and the next batch wants"
                f" {needed / 1e6:,.0f} MB: make room and run the same command again;"
                " everything committed so far is safe"
            )

    @contextmanager
    def writer_lock(self) -> Iterator[None]:
        """Hold the lock of the one writer; raises `IndexLocked` naming who holds it.

        The kernel drops the lock with the process, so a killed writer never leaves one.
        """
        try:
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise io_error(error, f"cannot open {self.lock}") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 4096, 0).decode(errors="replace").strip()
                raise IndexLocked(
                    f"another process is writing to {self.root} ({holder or 'holder not known'}):"
                    " wait until it has finished, or stop it"
                ) from None
            note = (
                f"pid {os.getpid()} on {socket.gethostname()}"
                f" since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
            )
            # Who holds the lock is a courtesy: on a full disk it must not stop a removal.
            with suppress(OSError):
                # In this order, so that whoever looks meanwhile finds some name.
                os.pwrite(handle, note.encode(), 0)
                os.ftruncate(handle, len(note))
            yield
        finally:
            os.close(handle)

    def sweep(self, *, segments: set[str], derived: set[str]) -> list[str]:
        """Delete what a killed writer left: temporary files, and files no catalog row names.

        Only the holder of the writer lock may call this. Returns the names deleted.
        """
        swept = []
        for folder, named in ((self.segments, segments), (self.derived, derived)):
            folder.mkdir(exist_ok=True)
            for path in sorted(folder.iterdir()):
                sealed = path.suffix in SEALED and path.name not in named
                if (path.name.startswith(TEMPORARY) or sealed) and discard(path):
                    swept.append(path.name)
        for folder in (self.root, *(self.root / kind for kind in KEPT)):
            swept += [path.name for path in folder.glob(TEMPORARY + "*") if discard(path)]
        return swept


def seal(path: Path, data: bytes | memoryview) -> Sealed:
    """Write `data` to `path` so that it is wholly there or not at all, whatever happens.

    Write, check the size, flush to the disk, read back, rename, flush the folder. A
    write at a full disk has been seen to report success, hence the reading back.
    Raises `DiskFull` or `UnusableIndex` and leaves nothing behind.
    """
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    digest = hashlib.sha256(data).hexdigest()
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if temporary.stat().st_size != len(data) or sha256_of(temporary) != digest:
            raise OSError(errno.EIO, "what was written cannot be read back")
        os.rename(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        discard(temporary)
        raise io_error(error, f"cannot write {path}") from error
    return Sealed(path.name, len(data), digest)


def discard(path: Path) -> bool:
    """Delete a file that nothing needs; False, and a warning, where it stays for a later try."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("cannot delete %s (%s); the next writer will try again", path, error.strerror)
        return False
    return True


def _make_durably(folder: Path) -> None:
    """Make a folder and those above it, each flushed into the one above."""
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, path in enumerate(missing) if path.exists())]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    folder.mkdir(exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_sealed(path: Path, size: int, sha256: str) -> bytes:
    """The bytes of a derived file. Raises ValueError for one that is not what was sealed.

    Who needs them reads what was checked here, not what lies there a moment later.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path} is not the file that was sealed")
    return data


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def io_error(error: OSError, what: str) -> Exception:
    """The dinosearch error for an `OSError` met while doing `what`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(
            f"{what}: the disk is full; make room and run the same command again;"
            " everything committed so far is safe"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return UnusableIndex(
            f"{what}: the folder is read-only for you; searching works there, writing needs a"
            " folder you may write to"
        )
    return UnusableIndex(f"{what}: {error.strerror or error}")
