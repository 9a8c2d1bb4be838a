"""The tables that can be taken away: their columns, and their rows in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.decisions import decisions
from dinosearch.storage.labels import label_rows
from dinosearch.storage.snapshot import Snapshot

WHAT = ("items", "labels", "decisions", "vectors")

_BLOCK = 500

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Column:
    """A column: `kind` is `int`, `number`, `text`, `path`, `texts`, `paths`, `json` or
    `vector`.

    A path is text whose bytes need not be UTF-8 (`os.fsencode` gives them back).
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Table:
    """Columns, and rows in blocks. `dim` is the length of vectors, `rows` how many there are."""

    columns: tuple[Column, ...]
    blocks: Iterator[list[Row]]
    rows: int
    dim: int = 0


_ITEMS = {
    "id": "int", "path": "path", "source": "path", "width": "int", "height": "int",
    "format": "text", "fit": "text", "date": "text", "split": "text", "bytes": "int",
    "sha256": "text", "labels": "texts", "notes": "texts", "metadata": "json",
    "added_at": "text", "updated_at": "text",
}  # fmt: skip
_LABELS = {
    "id": "int", "path": "path", "label": "text", "origin": "text", "author": "text",
    "set_at": "text",
}  # fmt: skip
_DECISIONS = {
    "first": "text", "second": "text", "verdict": "text", "author": "text", "decided_at": "text",
    "first_paths": "paths", "second_paths": "paths",
}  # fmt: skip
_VECTORS = {"id": "int", "path": "path", "cls": "vector"}


def table_of(what: str, snapshot: Snapshot, catalog: Catalog, ids: NDArray[np.int64]) -> Table:
    """A table of one generation, of the items `ids`; of decisions those that touch them.

    Labels carry their author where a person gave them, by the origin `person:NAME`.
    """
    if what == "items":
        return Table(_columns(_ITEMS), _items(catalog, ids), len(ids))
    if what == "vectors":
        dim = snapshot.segment(0).dim if snapshot.segment_rows else 0
        return Table(_columns(_VECTORS), _vectors(snapshot, catalog, ids), len(ids), dim)
    if what == "labels":
        rows = label_rows(catalog, ids)
        return Table(_columns(_LABELS), _labels(catalog, rows), len(rows))
    found = list(_decisions(catalog, set(ids.tolist())))
    return Table(_columns(_DECISIONS), iter([found]), len(found))


def _columns(kinds: dict[str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in kinds.items())


def _blocks(catalog: Catalog, ids: NDArray[np.int64]) -> Iterator[list[Item]]:
    for low in range(0, len(ids), _BLOCK):
        yield catalog.items(ids[low : low + _BLOCK].tolist())


def _items(catalog: Catalog, ids: NDArray[np.int64]) -> Iterator[list[Row]]:
    for items in _blocks(catalog, ids):
        yield [tuple(getattr(item, name) for name in _ITEMS) for item in items]


def _vectors(snapshot: Snapshot, catalog: Catalog, ids: NDArray[np.int64]) -> Iterator[list[Row]]:
    for items in _blocks(catalog, ids):
        positions = snapshot.positions_of(np.array([item.id for item in items]))
        vectors = snapshot.cls(positions)
        yield [(item.id, item.path, one) for item, one in zip(items, vectors, strict=True)]


def _labels(catalog: Catalog, rows: list[tuple[int, str, str, str]]) -> Iterator[list[Row]]:
    for low in range(0, len(rows), _BLOCK):
        part = rows[low : low + _BLOCK]
        paths = {item.id: item.path for item in catalog.items(sorted({row[0] for row in part}))}
        yield [
            (one, paths[one], label, origin, _author(origin), at) for one, label, origin, at in part
        ]


def _author(origin: str) -> str:
    return origin.removeprefix("person:") if origin.startswith("person:") else ""


def _decisions(catalog: Catalog, wanted: set[int]) -> Iterator[Row]:
    for row in decisions(catalog):
        both = [catalog.items_of_content(one) for one in (row.first, row.second)]
        owners = {item.id for items in both for item in items}
        # Pictures that are gone meet no filter, but a decision on them is still kept.
        if owners & wanted or not owners:
            yield (*row, *([item.path for item in items] for items in both))
