"""The searcher: pictures become features, a question becomes an answer of one generation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from dinosearch.geometry import Region, View
from dinosearch.images import content_of
from dinosearch.search.background import Background
from dinosearch.search.engine import Engine, Scanned
from dinosearch.search.evidence import Evidence
from dinosearch.search.queries import Queries, Query
from dinosearch.search.query_picture import QueryPicture
from dinosearch.search.question import Answer, Question
from dinosearch.search.reader import Reader
from dinosearch.search.recent import Recent
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.snapshot import Snapshot

SCANS_KEPT = 8
"""Region scans whose scores are kept, four bytes an item each."""


class Searcher:
    """Asks for any number of threads; `view` is the encoder's."""

    def __init__(self, reader: Reader, queries: Queries, view: View) -> None:
        self._reader = reader
        self._queries = queries
        self._view = view
        self._lock = threading.Lock()
        self._scanned: Scanned = Recent(SCANS_KEPT)
        self._background: Background | None = None

    def answer(self, queries: Sequence[Any], question: Question) -> Answer:
        """The pictures that answer. Raises what `ImageIndex.search` raises."""
        started = time.perf_counter()
        # Encoded before asking: a view of the catalog is not held longer than needed.
        asked = self._queries.encoded(queries, question.region)
        encoded = time.perf_counter()

        def ask(snapshot: Snapshot, catalog: Catalog) -> Answer:
            engine = Engine(snapshot, catalog, self._view, self._scanned)
            with_patches = question.region is not None or question.explain > 0
            pictures = _features(engine, asked, with_patches=with_patches)
            background = self._background_of(snapshot) if question.percentiles else None
            return engine.answer(pictures, question, background)

        answer = self._reader.ask(ask)
        timing = {
            "encode": round((encoded - started) * 1000, 3),
            **answer.timing_ms,
            "total": round((time.perf_counter() - started) * 1000, 3),
        }
        return replace(answer, timing_ms=timing)

    def prepare(self) -> None:
        """Do now what the first question would wait for."""

        def work(snapshot: Snapshot, catalog: Catalog) -> None:
            snapshot.cls_blocks()  # opened, and their checksums compared
            self._background_of(snapshot).prepare()
            _ = snapshot.vectors

        self._reader.ask(work)

    def query(self, picture: Any, region: Any, *, max_pixels: int | None) -> Query:
        """A `Query` whose features of a window that shows `region` are at hand."""
        if not isinstance(picture, Query):
            picture = self._stored(picture) or self._queries.query(picture, max_pixels=max_pixels)
        query: Query = picture
        if not query.is_ready(region):
            self._queries.encoded([query], None if region is None else Region.parse(region))
        return query

    def _stored(self, picture: Any) -> Query | None:
        """The query of a file whose content is that of an item, from what is stored."""
        if not isinstance(picture, str | PathLike):
            return None
        sha256 = content_of(picture)

        def ask(snapshot: Snapshot, catalog: Catalog) -> Query | None:
            same = catalog.items_of_content(sha256) if sha256 else []
            if not same:
                return None
            item = same[0]
            query = Query(picture, self._view, item.width, item.height, item.notes)
            query.keep(Engine(snapshot, catalog, self._view).stored(item.id, with_patches=True))
            return query

        return self._reader.ask(ask)

    def explain(self, query: Any, item_id: int, question: Question, *, pairs: int) -> Evidence:
        """Why a picture answers."""
        return self._explain(
            query,
            question.region,
            lambda engine, picture: engine.explain(picture, item_id, question, pairs=pairs),
        )

    def explain_patch(
        self, query: Any, item_id: int, patch: tuple[int, int], *, of_query: bool
    ) -> Evidence:
        """What is like one patch of the query, or of the picture."""
        return self._explain(
            query,
            None,
            lambda engine, picture: engine.explain_patch(
                picture, item_id, patch, of_query=of_query
            ),
        )

    def features(self, queries: Sequence[Any]) -> list[QueryPicture]:
        """The features of what is asked with, patches and all, of one generation."""
        asked = self._queries.encoded(queries, None)
        return self._reader.ask(
            lambda snapshot, catalog: _features(
                Engine(snapshot, catalog, self._view), asked, with_patches=True
            )
        )

    def _explain(
        self,
        query: Any,
        region: Region | None,
        work: Callable[[Engine, QueryPicture], Evidence],
    ) -> Evidence:
        asked = self._queries.encoded([query], region)

        def ask(snapshot: Snapshot, catalog: Catalog) -> Evidence:
            engine = Engine(snapshot, catalog, self._view)
            return work(engine, _features(engine, asked, with_patches=True)[0])

        return self._reader.ask(ask)

    def _background_of(self, snapshot: Snapshot) -> Background:
        with self._lock:
            if self._background is None or not self._background.serves(len(snapshot)):
                self._background = Background(snapshot)
            self._background.snapshot = snapshot
            return self._background


def _features(
    engine: Engine, asked: Sequence[QueryPicture | int], *, with_patches: bool
) -> list[QueryPicture]:
    """The features of what is asked with: ids become what is stored."""
    return [
        engine.stored(one, with_patches=with_patches) if isinstance(one, int) else one
        for one in asked
    ]
