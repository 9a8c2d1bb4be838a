"""The engine: from a question to hits, on one snapshot of the index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, PatchGrid, Region, View, check_fit
from dinosearch.scoring import maxsim, top_k
from dinosearch.search.regions import RegionQuery, best_box
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.conditions import Condition
from dinosearch.storage.snapshot import Snapshot

Combine = Literal["mean", "any"]

MAX_K = 1_000

# A picture's tokens are a megabyte or so: enough to keep reading and scoring busy.
_PICTURES_PER_BLOCK = 16


@dataclass(frozen=True)
class Hit:
    """One picture that answers.

    `score` is the cosine (for a region the mean over its patches of the best cosine), in
    [-1, 1], higher is better. `box` is `[x0, y0, x1, y1]` in pixels of the upright
    picture where the marked part lies best, None for a whole-picture search.
    """

    id: int
    path: str
    score: float
    box: Box | None = None
    labels: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Hits, best first, and how they came about.

    `timing_ms` has `encode`, `search` and `total`; `exact` says whether every matching
    picture was compared; `searched` is how many matched the filters.
    """

    hits: list[Hit]
    timing_ms: dict[str, float]
    exact: bool
    searched: int


@dataclass(frozen=True)
class QueryPicture:
    """Features of one picture that is asked with.

    `cls` float32 [D] and `patches` [P, Dp], unit rows, on `grid`.
    """

    cls: NDArray[np.float32]
    patches: NDArray[np.floating]
    grid: PatchGrid


def check_k(k: int) -> int:
    """`k` if it can be asked for, else `InvalidInput`."""
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise InvalidInput(f"k is {k!r}: ask for 1 to {MAX_K} pictures")
    return k


def check_combine(combine: str) -> Combine:
    """`combine` if it is `mean` or `any`, else `InvalidInput`."""
    if combine not in ("mean", "any"):
        raise InvalidInput(f"combine is {combine!r}: use mean or any")
    return combine  # type: ignore[return-value]


class Engine:
    """Answers on one snapshot and a catalog that sees the same generation.

    `view` is the encoder's.
    """

    def __init__(self, snapshot: Snapshot, catalog: Catalog, view: View) -> None:
        self._snapshot = snapshot
        self._catalog = catalog
        self._view = view

    def stored(self, item_id: int, *, with_patches: bool) -> QueryPicture:
        """The features of a picture that the index holds. Raises `InvalidInput` for no such id."""
        item = self._catalog.item(item_id)
        if item is None:
            raise InvalidInput(
                f"the index holds no picture with id {item_id}: `dinosearch info` counts them,"
                " and each search prints the ids it finds"
            )
        position = int(self._snapshot.positions_of(np.array([item_id]))[0])
        cls = self._snapshot.cls(np.array([position]))[0]
        patches = self._snapshot.tokens(position) if with_patches else np.empty((0, 0), np.float16)
        return QueryPicture(cls, patches, self.grid_of(item))

    def grid_of(self, item: Item) -> PatchGrid:
        """Where the stored patches of an item lie in its picture."""
        view = View(self._view.size, self._view.cell, check_fit(item.fit))
        return view.grid(item.width, item.height)

    def whole(
        self,
        queries: Sequence[QueryPicture],
        k: int,
        *,
        combine: Combine = "mean",
        conditions: Sequence[Condition] = (),
        exactly: bool = False,
    ) -> Answer:
        """The k pictures most like the queries as wholes.

        With several queries the score is the mean of the cosines, or with `any` the
        best of them.
        """
        started = time.perf_counter()
        allowed, searched = self._allowed(conditions)
        vectors = np.stack([query.cls for query in queries])
        if combine == "mean":
            # The mean of cosines is the cosine-like product with the mean of unit vectors.
            vectors = vectors.mean(axis=0, keepdims=True)
        k = min(k, searched)
        if k == 0:
            return Answer([], _timing(started), True, searched)
        scores, positions, exact = self._snapshot.search_cls(
            vectors, k, allowed=allowed, exactly=exactly
        )
        best: dict[int, float] = {}
        for score, position in zip(
            scores.ravel().tolist(), positions.ravel().tolist(), strict=True
        ):
            if position >= 0:
                best[position] = max(score, best.get(position, -np.inf))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        hits = self._hits([p for p, _ in ranked], [s for _, s in ranked])
        return Answer(hits, _timing(started), exact, searched)

    def region(
        self,
        query: QueryPicture,
        region: Region,
        k: int,
        *,
        conditions: Sequence[Condition] = (),
    ) -> Answer:
        """The k pictures that hold the marked part of the query best, with its box in each.

        Every stored token of every matching picture is compared.
        """
        started = time.perf_counter()
        part = RegionQuery.cut(region, query.grid, query.patches)
        allowed, searched = self._allowed(conditions)
        mask = self._snapshot.live if allowed is None else self._snapshot.live & allowed
        scores = np.full(len(mask), -np.inf, dtype=np.float32)
        for block in self._snapshot.token_blocks(mask, _PICTURES_PER_BLOCK):
            scores[block.positions] = maxsim(part.tokens, block.tokens)
        ranked = top_k(scores, k)
        hits = self._hits(ranked.tolist(), scores[ranked].tolist(), part)
        return Answer(hits, _timing(started), True, searched)

    def _allowed(self, conditions: Sequence[Condition]) -> tuple[NDArray[np.bool_] | None, int]:
        """bool [positions] or None for all, and how many items that is."""
        if not conditions:
            return None, len(self._snapshot)
        allowed = self._snapshot.allowed(self._catalog.matching(conditions))
        return allowed, int(allowed.sum())

    def _hits(
        self, positions: Sequence[int], scores: Sequence[float], part: RegionQuery | None = None
    ) -> list[Hit]:
        ids = [int(self._snapshot.id_at[position]) for position in positions]
        items = self._catalog.items(ids)
        hits = []
        for position, item, score in zip(positions, items, scores, strict=True):
            hits.append(
                Hit(
                    id=item.id,
                    path=item.path,
                    # Rounding may carry a cosine a hair past 1.
                    score=float(np.clip(score, -1.0, 1.0)),
                    box=self._box(part, position, item) if part else None,
                    labels=item.labels,
                    metadata=item.metadata,
                )
            )
        return hits

    def _box(self, part: RegionQuery, position: int, item: Item) -> Box:
        grid = self.grid_of(item)
        cells = best_box(part, self._snapshot.tokens(position), grid.rows, grid.cols)
        return grid.box_of_cells(cells.row0, cells.col0, cells.row1, cells.col1)


def _timing(started: float) -> dict[str, float]:
    return {"search": round((time.perf_counter() - started) * 1000, 3)}
