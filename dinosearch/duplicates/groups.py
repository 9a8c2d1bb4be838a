"""Pairs become groups, and each group has one picture to keep. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

KINDS = ("exact", "pixels", "near", "contains", "decided")
"""From the surest to the loosest: a group is of the loosest kind among its links."""


EXACT_UP_TO = 200_000
"""Pictures up to which every pair of CLS vectors is multiplied."""


class Link(NamedTuple):
    """Two items that are copies: how, and how surely, in [0, 1]."""

    first: int
    second: int
    kind: str
    score: float


class Joined(NamedTuple):
    """Items that are copies of each other, ascending, and the links that hold them together."""

    ids: tuple[int, ...]
    links: tuple[Link, ...]


def joined(links: Iterable[Link], apart: Iterable[tuple[int, int]] = ()) -> list[Joined]:
    """The groups that links make, none of which holds two items that must stay apart.

    Links are taken surest first (what was decided, then by kind and score); one that would
    bring two of `apart` into a group is left out, so that a group falls into its surest parts.
    """
    group_of: dict[int, list[int]] = {}
    held: dict[int, list[Link]] = {}
    enemies: dict[int, set[int]] = {}
    for one, other in apart:
        enemies.setdefault(one, set()).add(other)
        enemies.setdefault(other, set()).add(one)
    ordered = sorted(
        links,
        key=lambda link: (
            link.kind != "decided", KINDS.index(link.kind), -link.score, link.first, link.second
        ),
    )  # fmt: skip
    for link in ordered:
        mine = group_of.setdefault(link.first, [link.first])
        theirs = group_of.setdefault(link.second, [link.second])
        if mine is theirs:
            continue
        smaller, larger = sorted((mine, theirs), key=len)
        inside = set(larger)
        if any(enemies.get(item, set()) & inside for item in smaller):
            continue
        links_of = [*held.pop(id(larger), []), *held.pop(id(smaller), []), link]
        larger += smaller
        for item in smaller:
            group_of[item] = larger
        held[id(larger)] = links_of
    found = {id(group): group for group in group_of.values() if len(group) > 1}
    return sorted(Joined(tuple(sorted(group)), tuple(held[key])) for key, group in found.items())


def kind_of(links: Sequence[Link]) -> str:
    """The loosest kind among the links."""
    return max((link.kind for link in links), key=KINDS.index)


class Candidate(NamedTuple):
    """What decides which picture of a group is kept; `date` as the catalog has it."""

    id: int
    width: int
    height: int
    bytes: int
    date: str
    labelled: bool


def keeper(candidates: Sequence[Candidate]) -> tuple[int, str]:
    """The id of the picture to keep, and why.

    The largest in pixels; of equals the one with most bytes, which is the least compressed;
    then the oldest; then one with labels; then the one that was indexed first.
    """
    left = list(candidates)
    most = max(one.width * one.height for one in left)
    largest = [one for one in left if one.width * one.height == most]
    if len(largest) == 1:
        return largest[0].id, f"the largest, {largest[0].width} x {largest[0].height} pixels"
    heaviest = [one for one in largest if one.bytes == max(c.bytes for c in largest)]
    if len(heaviest) == 1:
        return heaviest[
            0
        ].id, f"as large as any and the least compressed, {heaviest[0].bytes} bytes"
    oldest = [one for one in heaviest if one.date == min(c.date for c in heaviest)]
    if len(oldest) == 1:
        return oldest[0].id, f"the oldest of equals, {oldest[0].date}"
    labelled = [one for one in oldest if one.labelled]
    if len(labelled) == 1:
        return labelled[0].id, "the only one of equals that has labels"
    return min(one.id for one in labelled or oldest), "the first of equals that was indexed"
