"""Remembering what somebody decided of two pictures."""

from __future__ import annotations

from typing import cast, get_args

from dinosearch.errors import InvalidInput
from dinosearch.storage import decisions
from dinosearch.storage.catalog import Item
from dinosearch.storage.decisions import Decision, Verdict
from dinosearch.storage.writer import Writer

VERDICTS = get_args(Verdict)


def decide(writer: Writer, one: Item, other: Item, verdict: str, *, author: str) -> Decision:
    """Remember a verdict, `same` or `different`. Raises `InvalidInput` for what cannot be."""
    if verdict not in VERDICTS:
        raise InvalidInput(f"verdict is {verdict!r}: use same or different")
    if not author.strip():
        raise InvalidInput("say who decides: author must not be empty")
    if one.sha256 == other.sha256:
        raise InvalidInput(
            f"items {one.id} and {other.id} hold the very same file: there is nothing to decide"
        )
    return decisions.decide(
        writer.catalog, one.sha256, other.sha256, cast(Verdict, verdict), author=author
    )
