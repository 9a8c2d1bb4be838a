"""sha256 of weights files, remembered so that gigabytes are not hashed at each start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from dinosearch.encoders.folders import cache_folder
from dinosearch.errors import EncoderUnavailable


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file.

    Remembered by path, size and modification time in `checksums.json` of the cache
    folder. That file is safe to delete, and one that cannot be read or written only
    costs time.
    """
    stat = path.stat()
    key = str(path.resolve())
    known = _remembered()
    entry = known.get(key)
    if isinstance(entry, list) and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
        return str(entry[2])
    digest = hash_file(path)
    # Read again: another process may have added its files while this one was hashing.
    _remember(_remembered() | {key: [stat.st_size, stat.st_mtime_ns, digest]})
    return digest


def hash_file(path: Path) -> str:
    """Hexadecimal sha256 of a file, always read in full."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar(path: Path) -> Path:
    """The checksum that lies beside a downloaded file, in the form of `sha256sum`."""
    return path.with_name(path.name + ".sha256")


def verified_sha256(path: Path) -> str:
    """sha256 of a weights file, refused if it no longer is what was downloaded.

    Raises `EncoderUnavailable` when a checksum lies beside the file and differs.
    """
    digest = sha256_of(path)
    beside = sidecar(path)
    try:
        recorded = beside.read_text().split()
    except FileNotFoundError:
        return digest
    if recorded[:1] != [digest]:
        raise EncoderUnavailable(
            f"{path} is not the file that was downloaded: its sha256 is {digest[:12]}..., and"
            f" {beside.name} says {(recorded or ['nothing'])[0][:12]}...; delete both and"
            " download it again, or delete the .sha256 file if you changed the weights yourself"
        )
    return digest


def _cache_file() -> Path:
    return cache_folder() / "checksums.json"


def _remembered() -> dict[str, list[object]]:
    try:
        known = json.loads(_cache_file().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: dict[str, list[object]]) -> None:
    with contextlib.suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix="checksums-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(known, file)
            os.replace(name, _cache_file())
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
