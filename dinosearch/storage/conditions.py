"""Filters as the catalog understands them, and the SQL they become."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Condition:
    """One filter as the catalog understands it; made by the search room.

    `key` is `label`, `split`, `path`, `date`, `size` or `meta`. `path` matches a prefix,
    `relative` to the source an item was found under; the others one value (`values[0]`)
    or, when `low` or `high` is given, an inclusive range; `numeric` compares numbers.
    """

    key: str
    values: tuple[str, ...] = ()
    low: str | None = None
    high: str | None = None
    name: str = ""
    negated: bool = False
    relative: bool = False
    numeric: bool = False


def clause_of(condition: Condition) -> tuple[str, list[Any]]:
    """The SQL expression of a condition over `items`, and the values it is run with."""
    if condition.key == "label":
        return "id IN (SELECT item FROM labels WHERE label = ?)", [condition.values[0]]
    if condition.key == "path":
        return _begins(condition.values[0], relative=condition.relative)
    if condition.key == "meta":
        clause, values = _compared("value", condition)
        return (
            f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND {clause})",
            [condition.name, *values],
        )
    column = {"split": "split", "date": "date", "size": "min(width, height)"}[condition.key]
    return _compared(column, condition)


def _begins(prefix: str, *, relative: bool) -> tuple[str, list[Any]]:
    raw = os.fsencode(prefix)
    if relative:  # below any of the sources
        clause = (
            "EXISTS (SELECT 1 FROM sources WHERE sources.id = source AND substr(path,"
            " length(root) + CASE substr(root, -1) WHEN x'2f' THEN 1 ELSE 2 END, ?) = ?)"
        )
        return clause, [len(raw), raw]
    # A range, so that the index on paths serves it.
    return "(path >= ? AND path < ?)", [raw, after_prefix(raw)]


def after_prefix(prefix: bytes) -> bytes:
    """The first byte string after everything that begins with `prefix`."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1])


def _compared(column: str, condition: Condition) -> tuple[str, list[Any]]:
    """`column` against the value or the inclusive range of a condition."""
    if condition.key == "date":
        # A year or a month stands for all its days, so only so much is compared.
        bounds = [(condition.values[0], "=")] if condition.values else []
        bounds += [(v, s) for v, s in ((condition.low, ">="), (condition.high, "<=")) if v]
        clause = " AND ".join(f"substr(date, 1, ?) {sign} ?" for _, sign in bounds)
        return f"({clause})", [v for bound, _ in bounds for v in (len(bound), bound)]
    if not condition.numeric:
        return f"{column} = ?", [condition.values[0]]
    clauses, values = [], []
    for bound, sign in ((condition.low, ">="), (condition.high, "<=")):
        if bound is not None:
            clauses.append(f"number({column}) {sign} ?")
            values.append(float(bound))
    return f"({' AND '.join(clauses)})", values
