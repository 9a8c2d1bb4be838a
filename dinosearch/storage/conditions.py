"""Filters as the catalog understands them, and the SQL they become."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Condition:
    """One filter as the catalog understands it; made by the search room.

    `key` is `label`, `split`, `path`, `date`, `size` or `meta`. `path` matches prefixes
    (any of `values`), the others one value (`values[0]`) or, when `low` or `high` is
    given, an inclusive range.
    """

    key: str
    values: tuple[str, ...] = ()
    low: str | None = None
    high: str | None = None
    name: str = ""
    negated: bool = False
    numeric: bool = False


def clause_of(condition: Condition) -> tuple[str, list[Any]]:
    """The SQL expression of a condition over `items`, and the values it is run with."""
    if condition.key == "label":
        return "id IN (SELECT item FROM labels WHERE label = ?)", [condition.values[0]]
    if condition.key == "path":
        # The bytes above every continuation of a prefix: a range, so the index serves it.
        ranges = [os.fsencode(value) for value in condition.values]
        clause = " OR ".join("(path >= ? AND substr(path, 1, ?) = ?)" for _ in ranges)
        return f"({clause})", [v for prefix in ranges for v in (prefix, len(prefix), prefix)]
    column: str
    arguments: list[Any] = []
    if condition.key == "meta":
        column, arguments = "json_extract(metadata, ?)", [f"$.{json.dumps(condition.name)}"]
    else:
        column = {"split": "split", "date": "date", "size": "min(width, height)"}[condition.key]
    cast = "CAST({} AS REAL)" if condition.numeric else "{}"
    if condition.low is None and condition.high is None:
        if condition.key == "date":  # a year or a month stands for all its days
            return "substr(date, 1, ?) = ?", [len(condition.values[0]), condition.values[0]]
        if condition.numeric:
            return f"{cast.format(column)} = ?", [*arguments, float(condition.values[0])]
        return f"{column} = ?", [*arguments, condition.values[0]]
    clauses, values = [f"{column} IS NOT NULL"], list(arguments)
    for bound, sign in ((condition.low, ">="), (condition.high, "<=")):
        if bound is None:
            continue
        if condition.key == "date":
            clauses.append(f"substr(date, 1, ?) {sign} ?")
            values += [len(bound), bound]
        else:
            clauses.append(f"{cast.format(column)} {sign} ?")
            values += [*arguments, float(bound) if condition.numeric else bound]
    return f"({' AND '.join(clauses)})", values
