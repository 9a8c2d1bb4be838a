"""Labels that people give, one change after another, each with its author and time.

A change is one small transaction. It takes no writer lock: SQLite lets it in between two
commits of an indexer that runs beside it, and readers see it with their next question.

What a person said of an item stands, "no label" included: folders, tables and probes
are not heard on that item any more, until the change is taken back. The log remembers every
change, so the last one of an author can be undone; the undoing is logged too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.database import SETTLED
from dinosearch.storage.folder import Folder
from dinosearch.storage.writer import timestamp

LONGEST = 200
"""Letters of a label or of an author's name, at most."""

PROBE = "probe:"
"""How the origin of a label begins that a probe wrote, and its author in the log."""

Labels = tuple[str, ...]
_Rows = list[tuple[str, str, str]]


@dataclass(frozen=True)
class LabelChange:
    """One item's part of a change: its labels `before` and `after`, by whom, when (UTC).

    `undone`: the change was taken back. `undoes`: it took back the change of that number.
    """

    change: int
    item: int
    before: Labels
    after: Labels
    author: str
    set_at: str
    undone: bool = False
    undoes: int | None = None


def set_labels(
    folder: Folder, wanted: Mapping[int, Sequence[str]], *, author: str, add: bool = False
) -> int:
    """Make the labels of items exactly those wanted, as one change of `author`; returns how many.

    With `add` what people gave stays beside them. Items that already carry just that from
    a person are left alone. Raises `InvalidInput`, and changes nothing, for an item there is
    not or a label that is none.
    """
    author = checked(author, "author")
    if author.startswith(PROBE):
        raise InvalidInput(f"the author {author!r} is kept for probes: give the name of a person")
    clean = {item: _checked_labels(labels) for item, labels in wanted.items()}
    origin = f"person:{author}"
    return _change(
        folder,
        lambda db, now: {
            item: _given(_labels_of(db, item), labels, origin, now, add=add)
            for item, labels in clean.items()
        },
        author=author,
    )


def take_labels(
    folder: Folder, items: Sequence[int], *, author: str, label: str | None = None
) -> int:
    """Take one label off the items that carry it, or all off all; returns how many.

    That they lack it stands too. Raises `InvalidInput`, and changes nothing, for an item
    there is not.
    """
    author = checked(author, "author")
    taken = None if label is None else checked(label, "label")
    origin = f"person:{author}"

    def left(db: sqlite3.Connection, now: str) -> dict[int, _Rows]:
        kept = {}
        for item in items:
            before = _labels_of(db, item)
            rows = [row for row in before if taken is not None and row[0] != taken]
            if taken is not None and rows == before and before:
                continue
            # What stays was seen by this person, who therefore says it too.
            kept[item] = [row if _by_person(row) else (row[0], origin, now) for row in rows]
        return kept

    return _change(folder, left, author=author)


def write_predictions(folder: Folder, probe: str, predicted: Mapping[int, str]) -> int:
    """Label items as a probe says, where nobody else has spoken; returns how many.

    What probes wrote before on them is replaced; the log calls the author `probe:NAME`.
    """
    origin = f"{PROBE}{checked(probe, 'probe')}"
    clean = {item: checked(label, "label") for item, label in predicted.items()}

    def written(db: sqlite3.Connection, now: str) -> dict[int, _Rows]:
        wanted = {}
        for item, label in clean.items():
            rows = _labels_of(db, item)
            if all(row[1].startswith(PROBE) for row in rows) and not _is_settled(db, item):
                same = [row for row in rows if row[:2] == (label, origin)]
                wanted[item] = same if len(same) == len(rows) == 1 else [(label, origin, now)]
        return wanted

    return _change(folder, written, author=origin, only_news=True)


def undo(folder: Folder, *, author: str) -> list[LabelChange]:
    """Take back the last change of `author` that stands; empty where there is none.

    Raises `InvalidInput`, and changes nothing, where somebody has changed one of its items
    since. Items that were removed meanwhile are passed over.
    """
    author = checked(author, "author")
    catalog = Catalog.open(folder.catalog, writable=True)
    try:
        with catalog.write() as db:
            last = db.execute(
                "SELECT max(change) FROM label_log AS l WHERE author = ? AND change > 0"
                " AND NOT EXISTS (SELECT 1 FROM label_log WHERE change = -l.change)",
                [author],
            ).fetchone()[0]
            if last is None:
                return []
            now, undone = timestamp(), []
            for item, before, after in db.execute(
                "SELECT item, before, after FROM label_log WHERE change = ? ORDER BY id", [last]
            ).fetchall():
                was, became = _loaded(before), _loaded(after)
                gone = not db.execute("SELECT 1 FROM items WHERE id = ?", [item]).fetchone()
                if not gone:
                    if _labels_of(db, item) != became:
                        raise InvalidInput(
                            f"change {last} of {author} cannot be taken back: the labels of"
                            f" picture {item} have been changed since; set them anew instead"
                        )
                    _put(db, item, was)
                _log(db, -last, item, became, was, author, now)
                undone.append(
                    LabelChange(-last, item, _names(became), _names(was), author, now, undoes=last)
                )
    finally:
        catalog.close()
    return undone


def history(
    catalog: Catalog, *, item: int | None = None, author: str | None = None, limit: int = 100
) -> list[LabelChange]:
    """The last `limit` entries of the log, newest first."""
    if not catalog.has_table("label_log"):
        return []
    with catalog.read() as db:
        rows = db.execute(
            "SELECT change, item, before, after, author, set_at,"
            " EXISTS (SELECT 1 FROM label_log WHERE change = -l.change AND l.change > 0)"
            " FROM label_log AS l WHERE (?1 IS NULL OR item = ?1) AND (?2 IS NULL OR author = ?2)"
            " ORDER BY id DESC LIMIT ?3",
            [item, author, limit],
        ).fetchall()
        return [
            LabelChange(
                *(change, of, _names(_loaded(before)), _names(_loaded(after)), by, at),
                undone=bool(undone),
                undoes=-change if change < 0 else None,
            )
            for change, of, before, after, by, at, undone in rows
        ]


def label_rows(catalog: Catalog, items: NDArray[np.int64]) -> list[tuple[int, str, str, str]]:
    """(item, label, origin, time) of every label that the items carry, by item and label."""
    wanted = set(items.tolist())
    with catalog.read() as db:
        rows = db.execute("SELECT item, label, origin, set_at FROM labels ORDER BY item, label")
        return [row for row in rows.fetchall() if row[0] in wanted]


def settled(catalog: Catalog) -> set[int]:
    """The items on which a person has spoken, "no label" included."""
    if not catalog.has_table("label_log"):
        return set()
    with catalog.read() as db:
        return {row[0] for row in db.execute(f"SELECT DISTINCT item FROM label_log AS l {SETTLED}")}


def checked(text: str, what: str) -> str:
    """`text` without blanks around it, else `InvalidInput`."""
    clean = text.strip()
    if not clean or len(clean) > LONGEST or not clean.isprintable():
        raise InvalidInput(
            f"{text!r} cannot be a {what}: use 1 to {LONGEST} printable letters on one line"
        )
    return clean


def _checked_labels(labels: Sequence[str]) -> Labels:
    several = [labels] if isinstance(labels, str) else list(labels)
    return tuple(dict.fromkeys(checked(label, "label") for label in several))


def _given(before: _Rows, labels: Labels, origin: str, now: str, *, add: bool) -> _Rows:
    by_people = {row[0]: row for row in before if _by_person(row)}
    wanted = dict.fromkeys((*by_people, *labels) if add else labels)
    return sorted(by_people.get(label, (label, origin, now)) for label in wanted)


def _change(
    folder: Folder,
    work: Callable[[sqlite3.Connection, str], dict[int, _Rows]],
    *,
    author: str,
    only_news: bool = False,
) -> int:
    """Do one change: `work(db, now)` says which rows the items get."""
    catalog = Catalog.open(folder.catalog, writable=True)
    try:
        with catalog.write() as db:
            now = timestamp()
            last = db.execute("SELECT max(abs(change)) FROM label_log").fetchone()[0]
            number, count = (last or 0) + 1, 0
            for item, rows in work(db, now).items():
                if not db.execute("SELECT 1 FROM items WHERE id = ?", [item]).fetchone():
                    raise InvalidInput(
                        f"the index holds no picture with id {item}: nothing was changed"
                    )
                before = _labels_of(db, item)
                # Nothing changes on the item, and whoever may speak there has done so.
                if before == rows and (only_news or _is_settled(db, item)):
                    continue
                _put(db, item, rows)
                _log(db, number, item, before, rows, author, now)
                count += 1
    finally:
        catalog.close()
    return count


def _put(db: sqlite3.Connection, item: int, rows: _Rows) -> None:
    db.execute("DELETE FROM labels WHERE item = ?", [item])
    db.executemany("INSERT INTO labels VALUES(?, ?, ?, ?)", [(item, *row) for row in rows])


def _log(
    db: sqlite3.Connection,
    change: int,
    item: int,
    before: _Rows,
    after: _Rows,
    author: str,
    now: str,
) -> None:
    db.execute(
        "INSERT INTO label_log(change, item, before, after, author, set_at)"
        " VALUES(?, ?, ?, ?, ?, ?)",
        [change, item, json.dumps(before), json.dumps(after), author, now],
    )


def _labels_of(db: sqlite3.Connection, item: int) -> _Rows:
    return db.execute(
        "SELECT label, origin, set_at FROM labels WHERE item = ? ORDER BY label", [item]
    ).fetchall()


def _is_settled(db: sqlite3.Connection, item: int) -> bool:
    found = db.execute(f"SELECT 1 FROM label_log AS l {SETTLED} AND item = ? LIMIT 1", [item])
    return found.fetchone() is not None


def _by_person(row: tuple[str, str, str]) -> bool:
    return row[1].startswith("person:")


def _loaded(text: str) -> _Rows:
    return [(str(label), str(origin), str(at)) for label, origin, at in json.loads(text)]


def _names(rows: _Rows) -> Labels:
    return tuple(label for label, _, _ in rows)
