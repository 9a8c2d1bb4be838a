"""Labels by people, as an index's users give them: by id or path, by hand or from a table."""

from __future__ import annotations

import csv
import getpass
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike

from dinosearch.corpus import Corpus
from dinosearch.errors import InvalidInput
from dinosearch.export.guard import guarded, unguarded
from dinosearch.indexing.annotations import FromTable
from dinosearch.storage.labels import (
    LabelChange,
    history,
    label_rows,
    set_labels,
    take_labels,
    undo,
)

COLUMNS = ("path", "label", "author", "time")


@dataclass(frozen=True)
class LabelImport:
    """What came of a table: items `labelled`, items `unchanged`, paths `unmatched`."""

    labelled: int
    unchanged: int
    unmatched: tuple[str, ...]


def label(
    corpus: Corpus,
    what: Iterable[int | str | PathLike[str]],
    labels: str | Sequence[str],
    *,
    author: str | None = None,
    add: bool = False,
) -> int:
    """Label items, by id or path; see `ImageIndex.label`."""
    wanted = [labels] if isinstance(labels, str) else list(labels)
    if not wanted:
        raise InvalidInput("give a label; `unlabel` takes labels away")
    by_item = dict.fromkeys(ids_of(corpus, what), wanted)
    return set_labels(corpus.folder, by_item, author=author_or_user(author), add=add)


def unlabel(
    corpus: Corpus,
    what: Iterable[int | str | PathLike[str]],
    one: str | None = None,
    *,
    author: str | None = None,
) -> int:
    """Take labels off items, by id or path; see `ImageIndex.unlabel`."""
    items = list(dict.fromkeys(ids_of(corpus, what)))
    return take_labels(corpus.folder, items, author=author_or_user(author), label=one)


def undo_label(corpus: Corpus, *, author: str | None = None) -> list[LabelChange]:
    """Take back the author's last change; see `ImageIndex.undo_label`."""
    return undo(corpus.folder, author=author_or_user(author))


def label_history(
    corpus: Corpus, *, item: int | None = None, author: str | None = None, limit: int = 100
) -> list[LabelChange]:
    """The changes of labels, newest first; see `ImageIndex.label_history`."""
    return corpus.ask(
        lambda snapshot, catalog: history(catalog, item=item, author=author, limit=limit)
    )


def import_labels(
    corpus: Corpus, table: str | PathLike[str], *, author: str | None = None
) -> LabelImport:
    """Take the labels of a CSV with the columns `path,label`, as one change of the author.

    A path with several rows gets all their labels, one without a label loses its labels.
    """
    rows = FromTable.read(table).rows
    wanted: dict[int, tuple[str, ...]] = {}
    unmatched = []

    def at(path: str) -> int | None:
        found = corpus.ask(lambda snapshot, catalog: catalog.item_at(path))
        return None if found is None else found.id

    for path, row in rows.items():
        item = at(path)
        if item is None:
            unmatched.append(path)
        else:
            wanted[item] = tuple(unguarded(one) for one in row.labels or ())
    done = set_labels(corpus.folder, wanted, author=author_or_user(author))
    return LabelImport(done, len(wanted) - done, tuple(sorted(unmatched)))


def export_labels(corpus: Corpus, *, where: str | Sequence[str] = ()) -> str:
    """CSV with the columns `path,label,author,time`, a row for each label of the items.

    The author is a person's name, `folders`, `table` or `probe:NAME`; the time is UTC. A
    cell that a spreadsheet would take for a formula begins with `'`, which `import_labels`
    takes off again.
    """
    ids = corpus.ids(where)
    rows = corpus.ask(lambda snapshot, catalog: label_rows(catalog, ids))
    carrying = sorted({row[0] for row in rows})
    paths = {item.id: item.path for item in corpus.items(carrying)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item, name, origin, at in rows:
        cells = (paths[item], name, origin.removeprefix("person:"), at)
        writer.writerow([guarded(cell) for cell in cells])
    return out.getvalue()


def ids_of(corpus: Corpus, what: Iterable[int | str | PathLike[str]]) -> list[int]:
    """The ids of items given by id or path. Raises `InvalidInput` for one there is not."""
    ids = []
    for one in what:
        if not isinstance(one, str | PathLike):
            ids.append(int(one))
            continue
        path = os.path.abspath(os.fsdecode(one))
        item = corpus.ask(lambda snapshot, catalog, path=path: catalog.item_at(path))  # type: ignore[misc]
        if item is None:
            raise InvalidInput(f"the index holds no picture {path}: index it first")
        ids.append(item.id)
    return ids


def author_or_user(author: str | None) -> str:
    """`author`, or else the name this person is logged in under."""
    if author is not None:
        return author
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a user without a name, as containers have
        raise InvalidInput("nobody knows your login name here: say who labels, author") from error
