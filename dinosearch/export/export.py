"""A table of an index is written to a file: wholly, or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

from dinosearch.corpus import Corpus
from dinosearch.errors import InvalidInput
from dinosearch.export.formats import WRITERS
from dinosearch.export.tables import WHAT, table_of
from dinosearch.search.filters import parse_filters
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import TEMPORARY, discard, io_error, sync_folder
from dinosearch.storage.snapshot import Snapshot

T = TypeVar("T")


def export(
    corpus: Corpus,
    file: str | PathLike[str],
    *,
    what: str = "items",
    where: str | Sequence[str] = (),
    overwrite: bool = False,
) -> int:
    """Write a table and return its rows; `ImageIndex.export` explains.

    All of it is of one generation of the index. It is written under a temporary name,
    flushed to the disk and renamed; what a killed export leaves is called `.tmp-...`.
    """
    path = Path(file)
    writer = WRITERS.get(path.suffix.lower())
    if what not in WHAT:
        raise InvalidInput(f"{what!r} cannot be exported: use {', '.join(WHAT)}")
    if writer is None:
        raise InvalidInput(f"{path} does not end in one of {', '.join(sorted(WRITERS))}")
    conditions = parse_filters([where] if isinstance(where, str) else where)

    def write(temporary: Path) -> int:
        def work(snapshot: Snapshot, catalog: Catalog) -> int:
            discard(temporary)  # of a generation that went away meanwhile
            table = table_of(what, snapshot, catalog, catalog.matching(conditions))
            writer(table, temporary)
            return table.rows

        return corpus.ask(work)

    return put_in_place(path, write, overwrite=overwrite)


def put_in_place(path: Path, write: Callable[[Path], T], *, overwrite: bool) -> T:
    """Have `write` fill a file, which appears under its name once it is whole.

    Raises `InvalidInput` for a folder that is not there, or a file that is and may not be
    overwritten; `DiskFull` and `UnusableIndex` where it cannot be written.
    """
    if not path.parent.is_dir():
        raise InvalidInput(f"there is no folder {path.parent} to write {path.name} to")
    _check_free(path, overwrite)
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}{path.suffix}"
    try:
        result = write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        _check_free(path, overwrite)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise io_error(error, f"cannot write {path}") from error
    finally:
        discard(temporary)
    return result


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file")
    if not overwrite and os.path.lexists(path):
        raise InvalidInput(f"{path} is there already: name another file, or allow overwriting")
