"""Items taken out of the index in a way that can be taken back.

The features of an item stay in its segment until the next `compact`. As long as they do, the
rows of the catalog that pointed there can be put back as they were, under the same id.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Any

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.writer import Writer

Rows = dict[str, list[dict[str, Any]]]
"""Rows of the tables `items` and `labels`, by column; what JSON can hold."""

_OWNER = {"items": "id", "labels": "item"}


def rows_of(catalog: Catalog, ids: Sequence[int]) -> Rows:
    """What the catalog says of some items, to be put back by `put_back`."""
    found: Rows = {}
    with catalog.read() as db:
        for table, owner in _OWNER.items():
            found[table] = []
            for one in ids:
                cursor = db.execute(f"SELECT * FROM {table} WHERE {owner} = ?", [one])
                names = [column[0] for column in cursor.description]
                for row in cursor.fetchall():
                    values = (os.fsdecode(v) if isinstance(v, bytes) else v for v in row)
                    found[table].append(dict(zip(names, values, strict=True)))
    return found


def put_back(writer: Writer, rows: Rows) -> list[int]:
    """Put items back as they were; returns the ids of those that were.

    Left out are items whose features are gone, whose path is an item again, or whose place
    or id is taken.
    """
    done: list[int] = []
    with writer.catalog.write() as db:
        for item in rows["items"]:
            live = db.execute(
                "SELECT count(*) FROM segments WHERE id = ? AND dead_since IS NULL AND rows > ?",
                [item["segment"], item["row"]],
            ).fetchone()[0]
            if live and _insert(db, "items", {**item, "path": os.fsencode(item["path"])}):
                done.append(int(item["id"]))
        for label in rows["labels"]:
            if int(label["item"]) in done:
                _insert(db, "labels", label)
    return done


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> bool:
    known = {column[1] for column in db.execute(f"PRAGMA table_info({table})")}
    names = [name for name in row if name in known]
    marks = ", ".join("?" * len(names))
    try:
        done = db.execute(
            f"INSERT OR IGNORE INTO {table}({', '.join(names)}) VALUES({marks})",
            [row[name] for name in names],
        ).rowcount
    except sqlite3.IntegrityError:  # its source is no more
        return False
    return done > 0
