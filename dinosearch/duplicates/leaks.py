"""Pictures of one set that are copies of pictures of another, such as of train in test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dinosearch.corpus import Corpus
from dinosearch.duplicates.finding import (
    CROPS_UP_TO,
    Pixels,
    Search,
    check_threshold,
    decided_links,
)
from dinosearch.duplicates.groups import EXACT_UP_TO, Link
from dinosearch.duplicates.pool import Pool
from dinosearch.errors import InvalidInput


@dataclass(frozen=True)
class Leak:
    """A picture of the first set and its copy in the second; `kind`, `score` as in a group."""

    first: int
    second: int
    first_path: str
    second_path: str
    kind: str
    score: float


def find_leaks(
    corpus: Corpus,
    pixels: Pixels,
    first: str | Sequence[str],
    second: str | Sequence[str],
    *,
    threshold: float | None,
    crops: bool | None,
    exact_up_to: int = EXACT_UP_TO,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> list[Leak]:
    """Copies of pictures of one set in another; see `ImageIndex.leaks`."""
    check_threshold(threshold)
    ones, others = set(corpus.ids(first).tolist()), set(corpus.ids(second).tolist())
    for name, ids in ((first, ones), (second, others)):
        if not ids:
            raise InvalidInput(f"no picture of the index matches {name!r}: nothing to compare")
    both = ones & others
    if both:
        raise InvalidInput(
            f"{len(both)} pictures match both {first!r} and {second!r}, such as id {min(both)}:"
            " name two sets that have no picture in common"
        )
    items = corpus.items(sorted(ones | others))
    pool = Pool(corpus, items)
    sides = np.array([item.id in ones for item in pool.items])
    search = Search(corpus, pool, pixels, sides=sides, progress=progress)
    search.propose(
        crops=len(pool) <= CROPS_UP_TO if crops is None else crops, exact_up_to=exact_up_to
    )
    threshold = search.calibrate().threshold() if threshold is None else threshold
    decided, apart = decided_links(corpus, pool)
    kept_apart = {frozenset(pair) for pair in apart}
    by_id = {item.id: item for item in items}
    same = {item.id: one for one in pool.same for item in one}
    best: dict[tuple[int, int], Link] = {}
    every = [*search.links(threshold), *decided]
    # What is true of a picture is true of all items of its content.
    spread = [
        link._replace(first=one.id, second=other.id)
        for link in every
        for one in same[link.first]
        for other in same[link.second]
    ]
    equal = [
        Link(one.id, other.id, "exact", 1.0)
        for group in pool.same
        for place, one in enumerate(group)
        for other in group[place + 1 :]
    ]
    for link in [*equal, *spread]:
        one, other = link.first, link.second
        if one not in ones:
            one, other = other, one
        if one in ones and other in others and frozenset((one, other)) not in kept_apart:
            best.setdefault((one, other), link)
    return [
        Leak(one, other, by_id[one].path, by_id[other].path, link.kind, link.score)
        for (one, other), link in sorted(best.items())
    ]
