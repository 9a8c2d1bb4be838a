"""The engine: from a question to hits, on one snapshot of the index."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid, Region, View, check_fit
from dinosearch.scoring import top_k
from dinosearch.search.background import Background
from dinosearch.search.evidence import Evidence, brought_together, evidence_of, patch_evidence
from dinosearch.search.query_picture import QueryPicture, marked_on
from dinosearch.search.question import Answer, Hit, Question
from dinosearch.search.recent import Recent
from dinosearch.search.regions import SAME_SPAN, MarkedPart, RegionQuery, Usual
from dinosearch.search.scan import CANDIDATES, Kept, Scanner
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.snapshot import Snapshot

# Patches of a part at its own size that propose pictures; all of them would be slow to ask.
_HINTS = 32


class Engine:
    """Answers on one snapshot and a catalog that sees the same generation.

    `view` is the encoder's.
    """

    def __init__(
        self, snapshot: Snapshot, catalog: Catalog, view: View, kept: Kept | None = None
    ) -> None:
        self._snapshot = snapshot
        self._catalog = catalog
        self._view = view
        self._scanner = Scanner(snapshot, kept if kept is not None else Recent(1))

    def stored(self, item_id: int, *, with_patches: bool) -> QueryPicture:
        """The features of a picture that the index holds. Raises `InvalidInput` for no such id."""
        item = self.item(item_id)
        position = self._position(item_id)
        cls = self._snapshot.cls(np.array([position]))[0]
        if not with_patches:
            return QueryPicture(cls, np.empty((0, 0), np.float16), self.grid_of(item))
        norms = self._snapshot.norms(position)
        return QueryPicture(cls, self._snapshot.tokens(position), self.grid_of(item), norms)

    def item(self, item_id: int) -> Item:
        """What the index knows of a picture. Raises `InvalidInput` for no such id."""
        item = self._catalog.item(item_id)
        if item is None:
            raise InvalidInput(
                f"the index holds no picture with id {item_id}: `dinosearch info` counts them,"
                " and each search prints the ids it finds"
            )
        return item

    def grid_of(self, item: Item) -> PatchGrid:
        """Where the stored patches of an item lie in its picture."""
        return grid_of(item, self._view)

    def answer(
        self,
        queries: Sequence[QueryPicture],
        question: Question,
        background: Background | None = None,
    ) -> Answer:
        """The pictures most like the queries as wholes, or those that hold the marked part best.

        For a region the stored tokens of every likely picture are compared; `queries` has
        the picture once for each mark of the question. With several queries or parts the
        score is the mean of theirs, or with `any` the best.
        """
        if not question.regions:
            return self._whole(queries, question, background)
        return self._regions(queries, question, background)

    def _whole(
        self, queries: Sequence[QueryPicture], question: Question, background: Background | None
    ) -> Answer:
        started = time.perf_counter()
        allowed, searched, copies = self._allowed(question)
        vectors = np.stack([query.cls for query in queries])
        if question.combine == "mean":
            # The mean of cosines is the cosine-like product with the mean of unit vectors.
            vectors = vectors.mean(axis=0, keepdims=True)
        depth = min(question.offset + question.k, searched - _folded(copies))
        exact, ranked = True, []
        if depth > question.offset:
            scores, positions, exact = self._snapshot.search_cls(
                vectors, depth, allowed=allowed, exactly=question.exact, nprobe=question.nprobe
            )
            best: dict[int, float] = {}
            for score, position in zip(
                scores.ravel().tolist(), positions.ravel().tolist(), strict=True
            ):
                if position >= 0:
                    best[position] = max(score, best.get(position, -np.inf))
            ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))
            ranked = [
                (position, score)
                for position, score in ranked[question.offset : depth]
                if score >= question.least
            ]
        items = self._items([position for position, _ in ranked])
        found, started = _since(started), time.perf_counter()
        first, part = queries[0], None
        if question.explain:
            part = MarkedPart([RegionQuery.cut(None, first.grid, first.patches)])
        hits: list[Hit] = []
        for (position, raw), item in zip(ranked, items, strict=True):
            score = _cosine(raw)
            percentile = background.of_whole(score) if background else None
            evidence = None
            if part is not None and len(hits) < question.explain:
                evidence = self._evidence([part], [Usual.alone()], position, item, pairs=0)
            hits.append(
                Hit(
                    id=item.id,
                    path=item.path,
                    score=score,
                    labels=item.labels,
                    metadata=item.metadata,
                    image_score=score,
                    percentile=percentile,
                    copies=copies.get(position, 0),
                    evidence=evidence,
                    item=item,
                )
            )
        return Answer(
            hits,
            {"search": found, "explain": _since(started)},
            exact,
            searched,
            items=len(self._snapshot),
            hidden_copies=_folded(copies),
            nprobe=None if exact else question.nprobe or self._nprobe(),
            generation=self._snapshot.generation,
        )

    def _regions(
        self, queries: Sequence[QueryPicture], question: Question, background: Background | None
    ) -> Answer:
        started = time.perf_counter()
        query = queries[0]
        parts = self._parts(queries, question)
        allowed, searched, copies = self._allowed(question)
        mask = self._snapshot.live if allowed is None else self._snapshot.live & allowed
        weight, depth = question.weight, question.offset + question.k
        also = np.empty(0, dtype=np.int64)
        if weight < 1 and mask.any():
            # What is alike as a whole may win whatever it holds.
            _, near, _ = self._snapshot.search_cls(
                query.cls[None], max(depth, CANDIDATES), allowed=mask, nprobe=question.nprobe
            )
            also = near[0][near[0] >= 0]
        of_region, usuals, exact = self._held(
            parts,
            mask,
            question,
            wanted=min(depth, int(mask.sum())),
            also=also,
        )
        scores = np.where(np.isnan(of_region), np.float32(-np.inf), of_region)
        if weight < 1:
            places = np.flatnonzero(np.isfinite(scores))
            if len(places):
                whole = self._snapshot.cls(places) @ query.cls
                scores[places] = weight * of_region[places] + (1 - weight) * whole
        ranked = top_k(scores, question.offset + question.k)[question.offset :]
        ranked = ranked[scores[ranked] >= question.least]
        items = self._items(ranked.tolist())
        whole = self._snapshot.cls(ranked) @ query.cls if len(ranked) else np.empty(0)
        searching, started = _since(started), time.perf_counter()
        hits: list[Hit] = []
        for position, item, image_score in zip(ranked.tolist(), items, whole, strict=True):
            score = _cosine(scores[position])
            evidence = self._evidence(parts, usuals, position, item, pairs=0)
            hits.append(
                Hit(
                    id=item.id,
                    path=item.path,
                    score=score,
                    box=evidence.box,
                    boxes=evidence.boxes,
                    labels=item.labels,
                    metadata=item.metadata,
                    image_score=_cosine(image_score),
                    region_score=_cosine(of_region[position]),
                    percentile=(
                        background.of_region(score, weight, question.position)
                        if background
                        else None
                    ),
                    copies=copies.get(position, 0),
                    evidence=evidence if len(hits) < question.explain else None,
                    item=item,
                )
            )
        return Answer(
            hits,
            {"search": searching, "explain": _since(started)},
            exact,
            searched,
            items=len(self._snapshot),
            hidden_copies=_folded(copies),
            grid=query.grid,
            region_patches=sum(len(part.sizes[0].tokens) for part in parts),
            generation=self._snapshot.generation,
        )

    def explain(
        self, queries: Sequence[QueryPicture], item_id: int, question: Question, *, pairs: int
    ) -> Evidence:
        """Why a picture answers; raises `InvalidInput` for no such id."""
        item = self.item(item_id)
        parts = self._parts(queries, question)
        usuals = [self._scanner.usual(part) for part in parts]
        return self._evidence(parts, usuals, self._position(item_id), item, pairs=pairs)

    def _held(
        self,
        parts: Sequence[MarkedPart],
        mask: NDArray[np.bool_],
        question: Question,
        *,
        wanted: int,
        also: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], list[Usual], bool]:
        """float32 [positions]: how well the likely pictures hold the parts, else NaN.

        What a picture holds of an unwanted part beyond what is usual for the index is taken
        off. Also what is usual for each wanted part, and whether all were compared.
        """
        exactly = question.exact or question.position

        def scan(
            part: MarkedPart, also: NDArray[np.int64], wanted: int
        ) -> tuple[NDArray[np.float32], Usual, bool]:
            return self._scanner.scan(
                part, mask, hint=self._hint(part), wanted=wanted, exactly=exactly, also=also
            )

        count = len(question.regions)
        scans = [scan(part, also, wanted) for part in parts[:count]]
        if len(parts) > 1:
            # What one part proposed is compared with the others too.
            likely = np.flatnonzero(
                np.logical_or.reduce([~np.isnan(found[0]) for found, _, _ in scans])
            )
            scans = [scan(part, likely, 0) for part in parts]
        together = [usual.brought_together(found) for found, usual, _ in scans]
        held = np.stack(together[:count])
        of_region = held.mean(axis=0) if question.combine == "mean" else held.max(axis=0)
        for part, unwanted in zip(parts[count:], together[count:], strict=True):
            of_region = of_region - np.maximum(unwanted - self._scanner.level(part), 0)
        usuals = [usual for _, usual, _ in scans[:count]]
        return of_region, usuals, all(exact for _, _, exact in scans)

    def _parts(self, queries: Sequence[QueryPicture], question: Question) -> list[MarkedPart]:
        """What is looked for and what is unwanted, each at its own size and as it was zoomed."""
        marks = question.marks or (None,)
        return [
            self._part(query, region, question)
            for query, region in zip(queries, marks, strict=True)
        ]

    def _part(self, query: QueryPicture, region: Region | None, question: Question) -> MarkedPart:
        own = RegionQuery.cut(region, query.grid, query.patches, position=question.position)
        if region is None or question.same_size or question.position:
            return MarkedPart([own])
        sizes = [own]
        for zoom in query.zooms:
            marked = marked_on(zoom.grid, region, query.grid)
            if marked.any():
                size = RegionQuery.cut(region, zoom.grid, zoom.patches, marked=marked)
                if not 1 / SAME_SPAN < size.span / own.span < SAME_SPAN:
                    sizes.append(size)
        corpus = self._snapshot.token_sample
        return MarkedPart(sizes if corpus is None else [one.weighed(corpus) for one in sizes])

    def _hint(self, part: MarkedPart) -> MarkedPart:
        """The patches that propose pictures for a part."""
        own, corpus = part.sizes[0], self._snapshot.token_sample
        if len(part.sizes) > 1 or len(own.rarest) <= _HINTS or corpus is None:
            return part
        return MarkedPart([own.weighed(corpus, _HINTS)])

    def _evidence(
        self,
        parts: Sequence[MarkedPart],
        usuals: Sequence[Usual],
        position: int,
        item: Item,
        *,
        pairs: int,
    ) -> Evidence:
        """Why a picture answers, told by the parts that are looked for, one `usual` each."""
        tokens, grid = self._snapshot.tokens(position), self.grid_of(item)
        return brought_together(
            [
                evidence_of(part, usual, tokens, grid, pairs=pairs)
                for part, usual in zip(parts, usuals, strict=False)
            ]
        )

    def explain_patch(
        self, query: QueryPicture, item_id: int, patch: tuple[int, int], *, of_query: bool
    ) -> Evidence:
        """What else is like one patch, of the query or of the picture `item_id`."""
        grid = self.grid_of(self.item(item_id))
        tokens = self._snapshot.tokens(self._position(item_id))
        return patch_evidence(query, QueryPicture(query.cls, tokens, grid), patch, of_query)

    def _allowed(self, question: Question) -> tuple[NDArray[np.bool_] | None, int, dict[int, int]]:
        """bool [positions] or None for all; how many items match; copies folded, by position."""
        allowed, searched = None, len(self._snapshot)
        if question.conditions:
            allowed = self._snapshot.allowed(self._catalog.matching(question.conditions))
            searched = int(allowed.sum())
        copies: dict[int, int] = {}
        if question.distinct:
            positions, groups = self._snapshot.copies(self._catalog)
            if allowed is not None:
                inside = allowed[positions]
                positions, groups = positions[inside], groups[inside]
            _, first, count = np.unique(groups, return_index=True, return_counts=True)
            copies = dict(zip(positions[first].tolist(), (count - 1).tolist(), strict=True))
            if _folded(copies):
                allowed = self._snapshot.live.copy() if allowed is None else allowed
                allowed[np.delete(positions, first)] = False
        return allowed, searched, copies

    def _items(self, positions: Sequence[int]) -> list[Item]:
        return self._catalog.items([int(self._snapshot.id_at[p]) for p in positions])

    def _position(self, item_id: int) -> int:
        return int(self._snapshot.positions_of(np.array([item_id]))[0])

    def _nprobe(self) -> int | None:
        return self._snapshot.vector_row.nprobe if self._snapshot.vector_row else None


def grid_of(item: Item, view: View) -> PatchGrid:
    """Where the stored patches of an item lie in its picture; `view` is the encoder's."""
    return View(view.size, view.cell, check_fit(item.fit)).grid(item.width, item.height)


def _cosine(score: float) -> float:
    """Rounding may carry a cosine a hair past 1."""
    return float(np.clip(score, -1.0, 1.0))


def _folded(copies: dict[int, int]) -> int:
    return sum(copies.values())


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
