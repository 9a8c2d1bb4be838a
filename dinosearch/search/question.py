"""A question to an index, checked, and the answer to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, PatchGrid, Region
from dinosearch.search.evidence import Evidence
from dinosearch.search.filters import parse_filters
from dinosearch.storage.catalog import Item
from dinosearch.storage.conditions import Condition

Combine = Literal["mean", "any"]

MAX_K = 1_000
MAX_DEPTH = 10_000
"""How far down the ranking one may look: `offset + k` at most."""


@dataclass(frozen=True)
class Question:
    """What is asked about the query pictures; made by `Question.of`.

    regions      the marked parts that are looked for; none for whole pictures
    without      the marked parts that a picture should not hold
    k, offset    `k` hits, after the `offset` best
    conditions   what a picture must meet
    combine      how several queries, or several parts, make one score
    exact        compare with every picture
    nprobe       lists of the IVF index to look into; None for as many as its recall needs
    weight       with a region: the score is `weight` times the region's plus the rest of
                 the whole picture's
    position     with a region: a patch counts only near the place it has in the query
    same_size    with a region: it is looked for only as large as it is in the query, and
                 every patch of it counts alike
    distinct     pictures of equal content count once
    min_score    leave out what scores lower
    explain      for so many of the hits, also say why
    percentiles  place each score among those of random pairs
    """

    regions: tuple[Region, ...] = ()
    without: tuple[Region, ...] = ()
    k: int = 10
    offset: int = 0
    conditions: tuple[Condition, ...] = ()
    combine: Combine = "mean"
    exact: bool = False
    nprobe: int | None = None
    weight: float = 1.0
    position: bool = False
    same_size: bool = False
    distinct: bool = False
    min_score: float | None = None
    explain: int = 0
    percentiles: bool = False

    @property
    def marks(self) -> tuple[Region, ...]:
        """All that is marked: what is looked for, then what should not be there."""
        return (*self.regions, *self.without)

    @property
    def is_zoomed(self) -> bool:
        """Whether the marked parts are looked for at several sizes."""
        return bool(self.regions) and not self.same_size and not self.position

    @property
    def least(self) -> float:
        """What a picture must score to be a hit."""
        return -np.inf if self.min_score is None else self.min_score

    @classmethod
    def of(
        cls,
        *,
        queries: int,
        region: Any = None,
        without: Any = None,
        k: int = 10,
        offset: int = 0,
        where: str | Iterable[str] = (),
        combine: str = "mean",
        exact: bool = False,
        nprobe: int | None = None,
        weight: float = 1.0,
        position: bool = False,
        same_size: bool = False,
        distinct: bool = False,
        min_score: float | None = None,
        explain: int = 0,
        percentiles: bool = False,
    ) -> Question:
        """A question about so many `queries`. Raises `InvalidInput` that says what is wrong."""
        if not _is_whole(k) or not 1 <= k <= MAX_K:
            raise InvalidInput(f"k is {k!r}: ask for 1 to {MAX_K} pictures")
        if not _is_whole(offset) or not 0 <= offset <= MAX_DEPTH - k:
            raise InvalidInput(
                f"offset is {offset!r}: offset and k together reach at most {MAX_DEPTH}"
            )
        if combine not in ("mean", "any"):
            raise InvalidInput(f"combine is {combine!r}: use mean or any")
        if nprobe is not None and (not _is_whole(nprobe) or nprobe < 1):
            raise InvalidInput(f"nprobe is {nprobe!r}: look into 1 list or more")
        if not 0 <= weight <= 1:
            raise InvalidInput(f"weight is {weight!r}: it lies between 0 and 1")
        if min_score is not None and not -1 <= min_score <= 1:
            raise InvalidInput(f"min_score is {min_score!r}: a score lies between -1 and 1")
        regions, unwanted = Region.several(region), Region.several(without)
        if regions and queries != 1:
            raise InvalidInput("a region goes with one picture: give one query, or no region")
        if unwanted and not regions:
            raise InvalidInput(
                "there is a part that pictures should be without, but none that they should hold:"
                " mark a region too"
            )
        wanted = [where] if isinstance(where, str) else where
        return cls(
            regions=regions,
            without=unwanted,
            k=k,
            offset=offset,
            conditions=tuple(parse_filters(text for text in wanted if text)),
            combine=combine,  # type: ignore[arg-type]
            exact=exact,
            nprobe=nprobe,
            weight=float(weight),
            position=position,
            same_size=same_size,
            distinct=distinct,
            min_score=min_score,
            explain=explain,
            percentiles=percentiles,
        )


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


@dataclass(frozen=True)
class Hit:
    """One picture that answers.

    `score` is the cosine, in [-1, 1], higher is better; for a region the mean over its
    patches of the best cosine, at the size that fits best, brought to one scale for all
    sizes (`search.regions.Usual`). `box` is `[x0, y0, x1, y1]` in pixels of the upright
    picture where the marked part lies best, None for a whole-picture search; `boxes` are
    all the places where it seems to lie, or of several parts the best place of each.

    `image_score` is the cosine of the whole pictures and `region_score` that of the
    region; `score` is one of them or, weighted, both. `percentile` (0 to 100) is the share
    of random pairs of the index that score lower, where it was asked for; `copies` counts
    the pictures of equal content that this one stands for; `evidence` says why it answers,
    where that was asked for. `item` is all that the index knows of the picture.
    """

    id: int
    path: str
    score: float
    box: Box | None = None
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = field(default=(), kw_only=True)
    metadata: dict[str, str] = field(default_factory=dict)
    image_score: float | None = None
    region_score: float | None = None
    percentile: float | None = None
    copies: int = 0
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    item: Item = field(repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class Answer:
    """Hits, best first, and how they came about.

    `timing_ms` has `encode`, `search`, `explain` (boxes and evidence) and `total`. `exact`
    says whether every matching picture was compared, else `nprobe` how many lists were
    looked into. `searched` is how many matched the filters, of `items` in the index;
    `hidden_copies` of them stand behind another of equal content. `grid` is the query's and
    `region_patches` counts what is marked on it, for a region. `generation` is that of the
    index.
    """

    hits: list[Hit]
    timing_ms: dict[str, float]
    exact: bool
    searched: int
    items: int = 0
    hidden_copies: int = 0
    nprobe: int | None = None
    grid: PatchGrid | None = None
    region_patches: int | None = None
    generation: int = 0
