"""Labels, splits and metadata that come with a corpus: from its folders, or from a table."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from os import PathLike
from typing import Protocol

from dinosearch.errors import InvalidInput
from dinosearch.storage.writer import Annotation

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Annotator(Protocol):
    """What to write beside the picture of a path; None for nothing."""

    def annotation(self, path: str, source: str) -> Annotation | None: ...

    def unmatched(self) -> list[str]:
        """What was given for paths that were never asked about."""
        ...


class FromFolders:
    """The label is the name of the folder a picture lies in, below its source.

    A folder called train, val, valid, validation or test above it names the split.
    """

    def annotation(self, path: str, source: str) -> Annotation | None:
        folders = os.path.relpath(os.path.dirname(path), source).split(os.sep)
        if folders == ["."]:  # no folder below the source says anything about it
            return None
        split = next((SPLITS[name.lower()] for name in folders if name.lower() in SPLITS), "")
        own = () if len(folders) == 1 and split else (printable(folders[-1]),)
        return Annotation(path, "folders", labels=own, split=split)

    def unmatched(self) -> list[str]:
        return []


@dataclass
class FromTable:
    """A CSV with the columns `path,label`; `split` and further columns are kept too.

    Paths are absolute or relative to the file. A path may have several rows: it gets all
    their labels, and the metadata of the last.
    """

    rows: dict[str, Annotation]
    _used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, file: str | PathLike[str]) -> FromTable:
        """Raises `InvalidInput` for a file that cannot be read or lacks a column."""
        folder = os.path.dirname(os.path.abspath(file))
        rows: dict[str, Annotation] = {}
        try:
            # Paths may hold any bytes; labels and metadata are text, which is checked below.
            with open(file, newline="", encoding="utf-8-sig", errors="surrogateescape") as text:
                reader = csv.DictReader(text)
                names = reader.fieldnames or []
                missing = [name for name in ("path", "label") if name not in names]
                if missing:
                    raise InvalidInput(
                        f"{file} has no column {missing[0]!r}: its first line must name the"
                        f" columns path,label; it names {','.join(names) or 'nothing'}"
                    )
                for row in reader:
                    _take(rows, row, folder, f"{file}, line {reader.line_num}")
        except OSError as error:
            raise InvalidInput(f"labels file {file}: {error.strerror}") from error
        except csv.Error as error:
            raise InvalidInput(f"labels file {file} is not CSV: {error}") from error
        return cls(rows)

    def annotation(self, path: str, source: str) -> Annotation | None:
        found = self.rows.get(path)
        if found is not None:
            self._used.add(path)
        return found

    def unmatched(self) -> list[str]:
        return sorted(self.rows.keys() - self._used)


def _take(rows: dict[str, Annotation], row: dict[str | None, str], folder: str, where: str) -> None:
    if None in row or not row.get("path"):
        raise InvalidInput(f"{where} does not have a cell for each column, path among them")
    for name, cell in row.items():
        if name != "path" and not _is_text(f"{name}{cell}"):
            raise InvalidInput(f"{where} is not UTF-8: save the file as UTF-8 and try again")
    path = os.path.normpath(os.path.join(folder, row["path"]))
    label = (row.get("label") or "").strip()
    before = rows.get(path)
    labels = before.labels or () if before else ()
    if label and label not in labels:
        labels = (*labels, label)
    metadata = {
        name: value
        for name, value in row.items()
        if name is not None and name not in ("path", "label", "split") and value
    }
    rows[path] = Annotation(path, "table", labels=labels, split=row.get("split"), metadata=metadata)


def annotator_for(labels: str | PathLike[str] | None) -> Annotator | None:
    """The annotator for `"folders"`, the path of a table, or nothing."""
    if labels is None:
        return None
    return FromFolders() if labels == "folders" else FromTable.read(labels)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A label that is text: bytes of a folder's name that are not UTF-8 are replaced."""
    return os.fsencode(name).decode(errors="replace")
