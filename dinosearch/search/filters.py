"""Filters: `[-]key:value`, several joined by *and*.

    label:scratch           pictures that carry the label
    path:photos/2024        pictures whose path begins so: absolute, or below their source
    split:train
    date:2024-05            taken (or, not known, last changed) in that year, month or day
    date:2024-01..2024-06   a range, both ends included; either end may be left out
    size:640..              shorter side in pixels, a number or a range
    meta.camera:A7          a column of the labels table; a range compares as numbers

A minus in front keeps the pictures that do *not* match: `-label:good`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from dinosearch.errors import InvalidInput
from dinosearch.storage.conditions import Condition

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def parse_filters(texts: Iterable[str]) -> list[Condition]:
    """Conditions from what the user wrote.

    Raises `InvalidInput` that names the filter and what it should look like.
    """
    return [_parse(text) for text in texts]


def _parse(text: str) -> Condition:
    body = text.removeprefix("-")
    key, colon, value = body.partition(":")
    negated = text.startswith("-")
    if not colon or not value:
        raise InvalidInput(
            f"filter {text!r} is not [-]key:value, such as label:scratch or -path:photos/old"
        )
    if key != "path" and not _is_text(text):
        raise InvalidInput(f"filter {text!r} is not valid text")
    if key in ("label", "split"):
        return Condition(key, (value,), negated=negated)
    if key == "path":
        return Condition(key, (value,), relative=not os.path.isabs(value), negated=negated)
    if key == "date":
        low, high = _range(value)
        if low is None and high is None:
            raise InvalidInput(f"filter {text!r}: give a date at one end of the range at least")
        for part in (low, high):
            if part is not None and not _DATE.fullmatch(part):
                raise InvalidInput(
                    f"filter {text!r}: {part!r} is not a date such as 2024, 2024-05 or 2024-05-17"
                )
        if ".." not in value:
            return Condition(key, (value,), negated=negated)
        return Condition(key, low=low, high=high, negated=negated)
    if key == "size":
        return _numeric(text, Condition(key, negated=negated), value)
    if key.startswith("meta.") and len(key) > 5:
        condition = Condition("meta", (value,), name=key[5:], negated=negated)
        return _numeric(text, condition, value) if _is_range(value) else condition
    raise InvalidInput(
        f"filter {text!r}: {key!r} is not a key; use label, path, split, date, size or meta.NAME"
    )


def _is_range(value: str) -> bool:
    low, dots, high = value.partition("..")
    return bool(dots) and all(_is_number(part) for part in (low, high) if part)


def _range(value: str) -> tuple[str | None, str | None]:
    low, dots, high = value.partition("..")
    if not dots:
        return value, value
    return low or None, high or None


def _numeric(text: str, condition: Condition, value: str) -> Condition:
    low, high = _range(value)
    if (low is None and high is None) or not all(
        _is_number(part) for part in (low, high) if part is not None
    ):
        raise InvalidInput(f"filter {text!r}: {value!r} is not a number or a range such as 640..")
    return Condition(
        condition.key,
        low=low,
        high=high,
        name=condition.name,
        negated=condition.negated,
        numeric=True,
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of a command line that are not UTF-8
        return False
    return True


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
