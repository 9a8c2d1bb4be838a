"""The catalog: which pictures the index holds and where their features lie.

One SQLite file, and the only commit point: a segment exists for dinosearch from the
moment a catalog row names it. Paths are kept as bytes, as the file system has them, so
that a name that is not UTF-8 is a name like any other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.conditions import Condition, after_prefix, clause_of
from dinosearch.storage.database import SETTLED, Database

ITEM_COLUMNS = (
    "items.id, path, segment, row, sha256, bytes, mtime_ns, width, height, format, fit, date,"
    " split, notes, metadata, added_at, updated_at, root"
)

_FAILURES = (
    "SELECT path, state, code, detail, bytes, mtime_ns, attempts, failed_at, root"
    " FROM failures JOIN sources ON sources.id = source"
)


@dataclass(frozen=True)
class Item:
    """One picture of the index. `source` is the folder it was found under."""

    id: int
    path: str
    segment: int
    row: int
    sha256: str
    bytes: int
    mtime_ns: int
    width: int
    height: int
    format: str
    fit: str
    date: str
    split: str | None
    notes: tuple[str, ...]
    metadata: dict[str, str]
    added_at: str
    updated_at: str
    source: str
    labels: tuple[str, ...] = ()

    @property
    def relative_path(self) -> str:
        """The path below its source."""
        return os.path.relpath(self.path, self.source)


@dataclass(frozen=True)
class SegmentRow:
    """What the catalog knows of one sealed segment."""

    id: int
    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class VectorIndexRow:
    """What the catalog knows of the derived FAISS file."""

    name: str
    bytes: int
    sha256: str
    segments: tuple[int, ...]
    rows: int
    nlist: int
    nprobe: int
    recall: float
    recall_queries: int


@dataclass(frozen=True)
class PatchIndexRow:
    """What the catalog knows of the derived patch index: rows are pictures."""

    name: str
    bytes: int
    sha256: str
    segments: tuple[int, ...]
    rows: int
    per_item: int
    nlist: int
    trained_on: int


@dataclass(frozen=True)
class StatisticsRow:
    """What the catalog knows of the derived statistics: of how many items, drawn from where."""

    name: str
    bytes: int
    sha256: str
    items: int
    segments: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """A file that was seen and did not become an item."""

    path: str
    state: str
    code: str
    detail: str
    bytes: int
    mtime_ns: int
    attempts: int
    failed_at: str
    source: str

    @property
    def relative_path(self) -> str:
        """The path below its source."""
        return os.path.relpath(self.path, self.source)


class Catalog(Database):
    """What the index holds, read from the database; the writer changes it."""

    def meta(self) -> dict[str, str]:
        with self.read() as db:
            return dict(db.execute("SELECT key, value FROM meta").fetchall())

    def generation(self) -> int:
        return int(self.meta()["generation"])

    def count(self, conditions: Iterable[Condition] = ()) -> int:
        """Number of items that meet every condition."""
        clause, values = _where(conditions)
        with self.read() as db:
            row = db.execute(f"SELECT count(*) FROM items WHERE {clause}", values).fetchone()
        return int(row[0])

    def live_segments(self) -> list[SegmentRow]:
        """The segments that hold items, oldest first."""
        with self.read() as db:
            rows = db.execute(
                "SELECT id, name, rows, bytes, sha256 FROM segments WHERE dead_since IS NULL"
                " ORDER BY id"
            ).fetchall()
        return [SegmentRow(*row) for row in rows]

    def dead_segments(self) -> list[tuple[int, str, float]]:
        """(id, name, dead since) of the segments that no item lies in any more."""
        with self.read() as db:
            return db.execute(
                "SELECT id, name, dead_since FROM segments WHERE dead_since IS NOT NULL"
            ).fetchall()

    def vector_index(self) -> VectorIndexRow | None:
        with self.read() as db:
            row = db.execute("SELECT * FROM vector_index").fetchone()
        if row is None:
            return None
        values = list(row)
        values[3] = tuple(json.loads(row[3]))
        return VectorIndexRow(*values)

    def patch_index(self) -> PatchIndexRow | None:
        if not self.has_table("patch_index"):
            return None
        with self.read() as db:
            row = db.execute("SELECT * FROM patch_index").fetchone()
            if row is None:
                return None
            name, size, sha256, segments, *numbers = row
            return PatchIndexRow(name, size, sha256, tuple(json.loads(segments)), *numbers)

    def statistics(self) -> StatisticsRow | None:
        if not self.has_table("statistics"):
            return None
        with self.read() as db:
            row = db.execute("SELECT * FROM statistics").fetchone()
            if row is None:
                return None
            name, size, sha256, items, segments = row
            return StatisticsRow(name, size, sha256, items, tuple(json.loads(segments)))

    def places(self) -> NDArray[np.int64]:
        """int64 [items, 3]: id, segment, row of every item, by id."""
        with self.read() as db:
            rows = db.execute("SELECT id, segment, row FROM items ORDER BY id").fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def item(self, item_id: int) -> Item | None:
        found = self.items([item_id])
        return found[0] if found else None

    def items(self, ids: Sequence[int]) -> list[Item]:
        """The items of `ids` that exist, in the order given."""
        found: dict[int, Item] = {}
        with self.read() as db:
            for start in range(0, len(ids), 500):
                part = [int(i) for i in ids[start : start + 500] if abs(int(i)) < 1 << 63]
                marks = ",".join("?" * len(part))
                labels: dict[int, list[str]] = {}
                for owner, label in db.execute(
                    f"SELECT item, label FROM labels WHERE item IN ({marks}) ORDER BY label", part
                ):
                    labels.setdefault(owner, []).append(label)
                for row in db.execute(
                    f"SELECT {ITEM_COLUMNS} FROM items JOIN sources ON sources.id = source"
                    f" WHERE items.id IN ({marks})",
                    part,
                ):
                    found[row[0]] = _item(row, labels.get(row[0], ()))
        return [found[int(i)] for i in ids if int(i) in found]

    def item_at(self, path: str) -> Item | None:
        """The item of a path."""
        with self.read() as db:
            row = db.execute("SELECT id FROM items WHERE path = ?", [os.fsencode(path)]).fetchone()
        return self.item(row[0]) if row else None

    def items_of_content(self, sha256: str) -> list[Item]:
        """The items whose file had this content, by id."""
        with self.read() as db:
            rows = db.execute("SELECT id FROM items WHERE sha256 = ? ORDER BY id", [sha256])
            return self.items([row[0] for row in rows.fetchall()])

    def paths_under(self, source: str) -> Iterator[tuple[int, str]]:
        """(id, path) of the items whose path is `source` or lies below it, by path."""
        root = os.fsencode(source)
        below = root.rstrip(b"/") + b"/"
        last, end = below, after_prefix(below)
        if own := self.item_at(source):
            yield own.id, own.path
        while True:
            with self.read() as db:
                rows = db.execute(
                    "SELECT id, path FROM items WHERE path > ? AND path < ?"
                    " ORDER BY path LIMIT 1000",
                    [last, end],
                ).fetchall()
            if not rows:
                return
            for item_id, path in rows:
                yield item_id, os.fsdecode(path)
            last = rows[-1][1]

    def sources(self) -> list[str]:
        with self.read() as db:
            return [os.fsdecode(r[0]) for r in db.execute("SELECT root FROM sources ORDER BY id")]

    def failures(self) -> list[Failure]:
        with self.read() as db:
            return [_failure(row) for row in db.execute(f"{_FAILURES} ORDER BY path")]

    def failure_at(self, path: str) -> Failure | None:
        with self.read() as db:
            row = db.execute(f"{_FAILURES} WHERE path = ?", [os.fsencode(path)]).fetchone()
        return _failure(row) if row else None

    def was_removed(self, path: str) -> tuple[str, int, int] | None:
        """(sha256, bytes, mtime_ns) of a path the user removed, None for any other."""
        with self.read() as db:
            row = db.execute(
                "SELECT sha256, bytes, mtime_ns FROM removed WHERE path = ?", [os.fsencode(path)]
            ).fetchone()
        return row if row is None else (row[0], row[1], row[2])

    def corpus_labels(self, item_id: int) -> set[str]:
        """The labels that a folder or a table gave an item, not those that people gave."""
        with self.read() as db:
            rows = db.execute(
                "SELECT label FROM labels WHERE item = ? AND origin IN ('folders', 'table')",
                [item_id],
            )
            return {row[0] for row in rows}

    def is_settled(self, item_id: int) -> bool:
        """Whether a person has said what an item is; folders and tables are not heard then."""
        if not self.has_table("label_log"):
            return False
        with self.read() as db:
            found = db.execute(f"SELECT 1 FROM label_log AS l {SETTLED} AND item = ?", [item_id])
            return found.fetchone() is not None

    def source_of(self, item_id: int) -> str | None:
        """The folder or file that an item was found under."""
        with self.read() as db:
            row = db.execute(
                "SELECT root FROM items JOIN sources ON sources.id = source WHERE items.id = ?",
                [item_id],
            ).fetchone()
        return os.fsdecode(row[0]) if row else None

    def label_counts(self) -> dict[str, int]:
        with self.read() as db:
            return dict(
                db.execute("SELECT label, count(*) FROM labels GROUP BY label ORDER BY label")
            )

    def matching(self, conditions: Iterable[Condition]) -> NDArray[np.int64]:
        """int64: the ids of the items that meet every condition, ascending."""
        clause, values = _where(conditions)
        with self.read() as db:
            rows = db.execute(f"SELECT id FROM items WHERE {clause} ORDER BY id", values).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1)

    def page(self, conditions: Iterable[Condition], *, after: int, limit: int) -> list[Item]:
        """The first `limit` items beyond the id `after` that meet every condition, by id."""
        clause, values = _where(conditions)
        with self.read() as db:
            rows = db.execute(
                f"SELECT id FROM items WHERE id > ? AND {clause} ORDER BY id LIMIT ?",
                [after, *values, limit],
            ).fetchall()
            return self.items([row[0] for row in rows])

    def copies(self) -> NDArray[np.int64]:
        """int64 [n, 2]: (id, group) of the items whose content others have too, by id.

        A group is the smallest id of its content.
        """
        with self.read() as db:
            rows = db.execute(
                "SELECT id, first FROM items JOIN (SELECT sha256 AS content, min(id) AS first"
                " FROM items GROUP BY sha256 HAVING count(*) > 1) ON sha256 = content ORDER BY id"
            ).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _where(conditions: Iterable[Condition]) -> tuple[str, list[Any]]:
    """The SQL expression over `items` that all conditions make together, and its values."""
    clauses, values = ["1"], []
    for condition in conditions:
        clause, arguments = clause_of(condition)
        clauses.append(f"NOT ifnull({clause}, 0)" if condition.negated else clause)
        values += arguments
    return " AND ".join(clauses), values


def _item(row: Sequence[Any], labels: Iterable[str]) -> Item:
    values = list(row)
    values[1] = os.fsdecode(values[1])
    values[13] = tuple(json.loads(values[13]))
    values[14] = json.loads(values[14])
    values[17] = os.fsdecode(values[17])
    values.append(tuple(labels))
    return Item(*values)


def _failure(row: Sequence[Any]) -> Failure:
    values = list(row)
    values[0], values[8] = os.fsdecode(row[0]), os.fsdecode(row[8])
    return Failure(*values)
