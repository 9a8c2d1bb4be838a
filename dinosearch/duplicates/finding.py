"""Finding copies in an index: candidates, a closer look at each, groups."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.duplicates.calibration import Calibration
from dinosearch.duplicates.candidates import EACH, by_cls, by_hash, merged
from dinosearch.duplicates.comparing import Comparison, Shown, compare, score_of
from dinosearch.duplicates.groups import (
    EXACT_UP_TO,
    KINDS,
    Candidate,
    Joined,
    Link,
    joined,
    keeper,
    kind_of,
)
from dinosearch.duplicates.layout import Patches
from dinosearch.duplicates.pool import Pool
from dinosearch.errors import DinoSearchError, InvalidInput
from dinosearch.scoring import pairs_above
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.decisions import decisions
from dinosearch.storage.near_pairs import near_pairs
from dinosearch.storage.snapshot import Snapshot

CROPS_UP_TO = 20_000
"""Pictures up to which small crops are looked for by patches unless one says so: each costs
some hundredths of a second."""

CALIBRATED_ON = 60

RAREST = 12
"""Patches of a picture that ask where else they are."""

DEPTH = 64
CROPS_EACH = 4
"""Chosen tokens looked at for each, and pictures proposed at most for each picture."""

STANDS_OUT = 2.0
"""Spreads above the mean of all that are proposed: look-alikes all hold each other's patches."""

FAMILY = 32

SAME_PIXELS = 0.999
"""Cosine from which two pictures of one size are decoded to see whether they are equal."""

Pixels = Callable[[str], NDArray[np.uint8]]


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are copies of each other.

    `kind` is `exact` (equal files), `pixels` (equal pixels), `near`, `contains` (one shows a
    part of another) or `decided` (somebody said so): the loosest among the `links`. `score`
    is the least of the links'; `keep` the id proposed to be kept, for the `reason` given.
    """

    kind: str
    ids: tuple[int, ...]
    paths: tuple[str, ...]
    score: float
    keep: int
    reason: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Duplicates:
    """The groups, largest first, and how they were found.

    `links`: all pairs that are copies, of which a group names only those that hold it;
    `expected_false`: false copies expected in a million pairs at this `threshold`, None where
    the index is too small to say; `compared`: pairs that were looked at closely, of `pictures`.
    """

    groups: tuple[DuplicateGroup, ...]
    links: tuple[Link, ...]
    threshold: float
    expected_false: float | None
    compared: int
    pictures: int


class Search:
    """A search for copies among the pictures of one pool."""

    def __init__(
        self,
        corpus: Corpus,
        pool: Pool,
        pixels: Pixels,
        *,
        sides: NDArray[np.bool_] | None = None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> None:
        self.corpus = corpus
        self.pool = pool
        self._pixels = pixels
        self._sides = sides
        self._progress = progress
        self._usual: dict[int, float] = {}
        self._near: dict[int, set[int]] = {}
        self.pairs: NDArray[np.int64] = np.empty((0, 2), np.int64)

    def propose(self, *, crops: bool, exact_up_to: int) -> None:
        """Settle which pairs are looked at."""
        pool = self.pool
        self._progress("comparing whole pictures", 0, 0)
        find = pairs_above if len(pool) <= exact_up_to else near_pairs
        parts = [
            by_cls(pool.cls, pool.lowered, sides=self._sides, find=find),
            by_hash(pool.bits, pool.mirrored, pool.known, sides=self._sides),
        ]
        if crops and len(pool) > EACH:
            parts.append(self._by_patches())
        self.pairs = merged(parts)
        for one, other in self.pairs.tolist():
            self._near.setdefault(one, set()).add(other)
            self._near.setdefault(other, set()).add(one)

    def calibrate(self) -> Calibration:
        """What look-alikes that are no candidates reach: see `Calibration`."""
        pool = self.pool
        rng = np.random.default_rng(0)
        drawn = np.sort(rng.choice(len(pool), min(CALIBRATED_ON, len(pool)), replace=False))
        margins, each = [], 1
        for done, number in enumerate(drawn.tolist()):
            self._progress("calibrating", done, len(drawn))
            details = sorted(self._lookalike_details(number), reverse=True)
            if len(details) > 1:
                each = len(details)
                margins.append(np.arctanh(details[0]) - np.arctanh(details[1]))
        count = len(pool)
        return Calibration.of(
            np.array(margins), each=each, looked_at=len(self.pairs), pairs=count * (count - 1) // 2
        )

    def links(self, threshold: float) -> list[Link]:
        """The pairs, by id, that are copies."""
        found: list[Link] = []
        agreeing: list[tuple[int, int, Comparison]] = []
        for done, (one, other) in enumerate(self.pairs.tolist()):
            self._progress("looking closely", done, len(self.pairs))
            first, second = self.pool.items[one], self.pool.items[other]
            if self._same_pixels(one, other):
                found.append(Link(first.id, second.id, "pixels", 1.0))
                continue
            a, b = self.pool.shown(one), self.pool.shown(other)
            comparison = a and b and compare(a, b, _rng(first.id, second.id))
            if comparison and comparison.kind and comparison.detail >= threshold:
                agreeing.append((one, other, comparison))
        for group in few_together([(one, other) for one, other, _ in agreeing]):
            for number in group:
                self._near.setdefault(number, set()).update(group)
        self._usual.clear()
        for done, (one, other, comparison) in enumerate(agreeing):
            self._progress("comparing with look-alikes", done, len(agreeing))
            score = score_of(comparison.detail, max(self.usual(one), self.usual(other)))
            if score >= threshold and comparison.kind:
                first, second = self.pool.items[one], self.pool.items[other]
                found.append(Link(first.id, second.id, comparison.kind, round(score, 4)))
        return found

    def usual(self, number: int) -> float:
        """The best agreement in detail of a picture with look-alikes that are no candidates."""
        if number not in self._usual:
            self._usual[number] = max(self._lookalike_details(number), default=0.0)
        return self._usual[number]

    def _lookalike_details(self, number: int) -> list[float]:
        pool = self.pool
        own = pool.shown(number)
        if own is None:
            return []
        without = self._near.get(number, set()) | {number}
        square = pool.square(number)
        if square is None:
            return []
        alike = pool.lookalikes(pool.cls[number], square, without)
        return details_of(own, pool, alike)

    def _same_pixels(self, one: int, other: int) -> bool:
        pool = self.pool
        first, second = pool.items[one], pool.items[other]
        if (first.width, first.height) != (second.width, second.height):
            return False
        if float(pool.cls[one] @ pool.cls[other]) < SAME_PIXELS:
            return False
        if not (_unchanged(first) and _unchanged(second)):
            return False
        try:
            return np.array_equal(self._pixels(first.path), self._pixels(second.path))
        except DinoSearchError:
            return False

    def _by_patches(self) -> NDArray[np.int64]:
        """int64 [pairs, 2]: pictures that hold the rarest patches of another one."""
        pool = self.pool
        ids = np.array([item.id for item in pool.items])
        number_of = {int(one): number for number, one in enumerate(ids)}
        found: list[tuple[int, int]] = []
        for number in range(len(pool)):
            self._progress("looking for crops", number, len(pool))
            own = pool.shown(number)
            if own is None:
                continue
            for other in proposed_by_patches(self.corpus, own.patches, ids, count=CROPS_EACH + 1):
                there = number_of[other]
                if there != number and self._may_pair(number, there):
                    found.append((number, there))
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _may_pair(self, one: int, other: int) -> bool:
        return self._sides is None or bool(self._sides[one] != self._sides[other])


def few_together(pairs: Sequence[tuple[int, int]]) -> list[set[int]]:
    """What hangs together by `pairs`, where that is no more than `FAMILY` pictures.

    A chain of agreements that holds few pictures is a picture and its copies, none of which
    is a look-alike to judge another by; one of very many is a family of look-alikes.
    """
    groups = joined([Link(one, other, "near", 1.0) for one, other in pairs])
    return [set(group.ids) for group in groups if len(group.ids) <= FAMILY]


def find_duplicates(
    corpus: Corpus,
    pixels: Pixels,
    *,
    threshold: float | None,
    where: str | Sequence[str],
    kinds: Sequence[str] = KINDS,
    crops: bool | None,
    exact_up_to: int = EXACT_UP_TO,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Duplicates:
    """The groups of copies among the items that match; see `ImageIndex.duplicates`."""
    items = corpus.items(corpus.ids(where))
    check_threshold(threshold)
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise InvalidInput(f"{wrong[0]!r} is not a kind of copy: use {', '.join(KINDS)}")
    if not items:
        return Duplicates((), (), threshold or 0.0, None, 0, 0)
    pool = Pool(corpus, items)
    search = Search(corpus, pool, pixels, progress=progress)
    search.propose(
        crops=len(pool) <= CROPS_UP_TO if crops is None else crops, exact_up_to=exact_up_to
    )
    calibration = search.calibrate()
    threshold = calibration.threshold() if threshold is None else threshold
    links = [*_exact(pool), *search.links(threshold)]
    decided, apart = decided_links(corpus, pool)
    counted = [link for link in [*links, *decided] if link.kind in kinds]
    by_id = {item.id: item for item in items}
    groups = [_group(one, by_id) for one in joined(counted, apart)]
    groups.sort(key=lambda group: (-len(group.ids), group.ids))
    known = calibration.pictures > 0
    return Duplicates(
        tuple(groups),
        tuple(counted),
        round(threshold, 4),
        round(calibration.expected(threshold), 4) if known else None,
        len(search.pairs),
        len(items),
    )


def details_of(own: Shown, pool: Pool, numbers: Sequence[int]) -> list[float]:
    """How well a picture agrees in detail with some of the pool; 0 where no layout agrees."""
    found = []
    for number in numbers:
        other = pool.shown(number)
        if other is not None:
            comparison: Comparison | None = compare(own, other, np.random.default_rng(number))
            found.append(comparison.detail if comparison else 0.0)
    return found


def proposed_by_patches(
    corpus: Corpus, patches: Patches, ids: NDArray[np.int64], *, count: int
) -> list[int]:
    """Ids, of `ids`, of the pictures that hold the rarest patches of one, best first."""
    rarest = np.argsort(patches.usual, kind="stable")[:RAREST]

    def ask(snapshot: Snapshot, catalog: Catalog) -> list[int]:
        proposal = snapshot.propose(
            patches.tokens[rarest].astype(np.float32), snapshot.allowed(ids), DEPTH
        )
        scores = proposal.best.mean(axis=0)
        order = np.argsort(-scores, kind="stable")[:count]
        order = order[scores[order] >= scores.mean() + STANDS_OUT * scores.std()]
        return [int(one) for one in snapshot.id_at[proposal.positions[order]]]

    return corpus.ask(ask)


def decided_links(corpus: Corpus, pool: Pool) -> tuple[list[Link], list[tuple[int, int]]]:
    """What was decided of items of the pool: links, and pairs that must stay apart."""
    by_content = {group[0].sha256: group for group in pool.same}
    links: list[Link] = []
    apart: list[tuple[int, int]] = []
    for decision in corpus.ask(lambda snapshot, catalog: decisions(catalog)):
        ones, others = by_content.get(decision.first), by_content.get(decision.second)
        if ones is None or others is None:
            continue
        if decision.verdict == "same":
            links.append(Link(ones[0].id, others[0].id, "decided", 1.0))
        else:
            apart += [(one.id, other.id) for one in ones for other in others]
    return links, apart


def _exact(pool: Pool) -> list[Link]:
    return [Link(group[0].id, other.id, "exact", 1.0) for group in pool.same for other in group[1:]]


def _group(found: Joined, by_id: Mapping[int, Item]) -> DuplicateGroup:
    members = [by_id[one] for one in found.ids]
    keep, reason = keeper(
        [
            Candidate(one.id, one.width, one.height, one.bytes, one.date, bool(one.labels))
            for one in members
        ]
    )
    return DuplicateGroup(
        kind_of(found.links),
        found.ids,
        tuple(one.path for one in members),
        min(link.score for link in found.links),
        keep,
        reason,
        found.links,
    )


def _unchanged(item: Item) -> bool:
    try:
        state = os.stat(item.path)
    except OSError:
        return False
    return (state.st_size, state.st_mtime_ns) == (item.bytes, item.mtime_ns)


def _rng(one: int, other: int) -> np.random.Generator:
    """What is drawn for a pair must not depend on which pairs came before."""
    return np.random.default_rng((one, other))


def check_threshold(threshold: float | None) -> None:
    if threshold is not None and not 0 < threshold <= 1:
        raise InvalidInput(f"threshold is {threshold}: use a number above 0 and up to 1")
