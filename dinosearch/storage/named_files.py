"""What an index keeps under a name: banks, probes, maps. One sealed file each.

A file is safetensors whose header carries the facts as JSON, so that arrays and facts are
replaced together or not at all, and reading it never runs code. The header also carries a
checksum of both, because nothing else vouches for these files: they are the user's work, not
derived, and no row of the catalog names them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.storage.folder import KEPT, Folder, discard, io_error, seal, sync_folder

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ENDING = ".safetensors"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class NamedFile:
    """One of them, loaded: `facts` are JSON, `arrays` as they were saved."""

    name: str
    facts: dict[str, Any]
    arrays: Arrays


class NamedFiles:
    """The files of one kind, such as `probes`, in an index."""

    def __init__(self, folder: Folder, kind: str) -> None:
        if kind not in KEPT:
            raise ValueError(f"{kind!r} is not one of {', '.join(KEPT)}")
        self._folder = folder.root / kind
        self._one = kind.removesuffix("s")

    def names(self) -> list[str]:
        """The names there are, in order."""
        if not self._folder.is_dir():
            return []
        found = (path.name.removesuffix(_ENDING) for path in self._folder.glob(f"*{_ENDING}"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def save(self, name: str, facts: dict[str, Any], arrays: Arrays) -> None:
        """Keep facts and arrays under a name, instead of what it had before.

        Raises `InvalidInput` for a name that cannot be one, `DiskFull`, `UnusableIndex`.
        """
        path = self._path(name)
        ready = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        text = json.dumps(facts, sort_keys=True, allow_nan=False)
        header = {"facts": text, "sha256": _digest(text, ready)}
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(exist_ok=True)
                sync_folder(self._folder.parent)
        except OSError as error:
            raise io_error(error, f"cannot make {self._folder}") from error
        seal(path, save(ready, metadata=header))

    def load(self, name: str) -> NamedFile:
        """What is kept under a name.

        Raises `InvalidInput` where there is nothing, `UnusableIndex` for a damaged file.
        """
        path = self._path(name)
        if not path.is_file():
            known = ", ".join(self.names()) or "none yet"
            raise InvalidInput(
                f"{self._folder.parent} has no {self._one} {name!r}; there are: {known}"
            )
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            text = header["facts"]
            if _digest(text, arrays) != header["sha256"]:
                raise ValueError("its checksum does not match")
            return NamedFile(name, dict(json.loads(text)), arrays)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise UnusableIndex(
                f"the {self._one} {path} is damaged ({error}): make it anew, or restore the file"
                " from a copy"
            ) from error

    def delete(self, name: str) -> None:
        """Forget what is kept under a name. Raises `InvalidInput` where there is nothing."""
        if not self.has(name):
            self.load(name)
        discard(self._path(name))

    def problems(self) -> list[str]:
        """What is wrong with the files, read from end to end; empty when all is well."""
        found = []
        for name in self.names():
            try:
                self.load(name)
            except UnusableIndex as error:
                found.append(str(error))
        return found

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} cannot name a {self._one}: use small letters, digits, - and _, at most"
                " 64 of them, a letter or digit first"
            )
        return self._folder / f"{name}{_ENDING}"


def _digest(text: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(text.encode())
    for key in sorted(arrays):
        array = arrays[key]
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
