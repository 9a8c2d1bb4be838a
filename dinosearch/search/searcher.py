"""The searcher: pictures become features, a question becomes an answer of one generation."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from dinosearch.errors import EncoderUnavailable, InvalidInput, PictureRefused
from dinosearch.geometry import PatchGrid, Region, View
from dinosearch.images import content_of
from dinosearch.search.background import Background
from dinosearch.search.engine import Engine
from dinosearch.search.evidence import Evidence
from dinosearch.search.queries import Queries, Query
from dinosearch.search.query_picture import QueryPicture, Zoom, zoom_grids
from dinosearch.search.question import Answer, Question
from dinosearch.search.reader import Reader
from dinosearch.search.recent import Recent
from dinosearch.search.scan import Kept
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.snapshot import Snapshot

log = logging.getLogger(__name__)

SCANS_KEPT = 8
"""Region scans whose scores are kept, four bytes an item and size each."""


class Searcher:
    """Asks for any number of threads; `view` is the encoder's."""

    def __init__(self, reader: Reader, queries: Queries, view: View) -> None:
        self._reader = reader
        self._queries = queries
        self._view = view
        self._lock = threading.Lock()
        self._kept: Kept = Recent(SCANS_KEPT)
        self._zoomed: Recent[tuple[str, tuple[PatchGrid, ...]], tuple[Zoom, ...]] = Recent(
            SCANS_KEPT
        )
        self._background: Background | None = None

    def answer(self, queries: Sequence[Any], question: Question) -> Answer:
        """The pictures that answer. Raises what `ImageIndex.search` raises."""
        started = time.perf_counter()
        # Encoded before asking: a view of the catalog is not held longer than needed.
        asked = self._asked(queries, question)
        encoded = time.perf_counter()

        def ask(snapshot: Snapshot, catalog: Catalog) -> Answer:
            engine = Engine(snapshot, catalog, self._view, self._kept)
            with_patches = bool(question.regions) or question.explain > 0
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
            _ = snapshot.vectors, snapshot.patches

        self._reader.ask(work)

    def is_ready(self, query: Query | int, region: Any) -> bool:
        """Whether asking with a region needs no encoding any more."""
        if isinstance(query, Query):
            return query.is_ready(region)
        item, grid = self._item(query)
        return self._zoomed.get((item.sha256, zoom_grids(grid, Region.parse(region)))) is not None

    def make_ready(self, query: Query | int, region: Any) -> None:
        """Encode what asking with a region needs."""
        if isinstance(query, Query):
            self._queries.encoded([query], Region.parse(region), zoomed=True)
        else:
            self._zooms_of(query, Region.parse(region))

    def query(self, picture: Any, region: Any, *, max_pixels: int | None) -> Query:
        """A `Query` whose features of a window that shows `region` are at hand."""
        if not isinstance(picture, Query):
            picture = self._stored(picture) or self._queries.query(picture, max_pixels=max_pixels)
        query: Query = picture
        if not query.is_ready(region):
            marked = None if region is None else Region.parse(region)
            self._queries.encoded([query], marked, zoomed=True)
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
            question,
            lambda engine, pictures: engine.explain(pictures, item_id, question, pairs=pairs),
        )

    def explain_patch(
        self, query: Any, item_id: int, patch: tuple[int, int], *, of_query: bool
    ) -> Evidence:
        """What is like one patch of the query, or of the picture."""
        return self._explain(
            query,
            Question(),
            lambda engine, pictures: engine.explain_patch(
                pictures[0], item_id, patch, of_query=of_query
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
        question: Question,
        work: Callable[[Engine, list[QueryPicture]], Evidence],
    ) -> Evidence:
        asked = self._asked([query], question)

        def ask(snapshot: Snapshot, catalog: Catalog) -> Evidence:
            engine = Engine(snapshot, catalog, self._view, self._kept)
            return work(engine, _features(engine, asked, with_patches=True))

        return self._reader.ask(ask)

    def _asked(self, queries: Sequence[Any], question: Question) -> list[Asked]:
        """The queries encoded; of one with marked parts, a view and its zooms for each part."""
        if not question.marks:
            return list(self._queries.encoded(queries, None))
        zoomed = question.is_zoomed
        asked: list[Asked] = []
        for region in question.marks:
            (one,) = self._queries.encoded(queries, region, zoomed=zoomed)
            if zoomed and isinstance(one, int):
                asked.append(_Zoomed(one, self._zooms_of(one, region)))
            else:
                asked.append(one)
        return asked

    def _zooms_of(self, item_id: int, region: Region) -> tuple[Zoom, ...]:
        """A part of a stored picture at other sizes, from its file; none when that is gone."""
        item, grid = self._item(item_id)
        region.check(grid)
        key = (item.sha256, zoom_grids(grid, region))
        zooms = self._zoomed.get(key)
        if zooms is None:
            try:
                state = os.stat(item.path)
                if (state.st_size, state.st_mtime_ns) != (item.bytes, item.mtime_ns):
                    return ()
                zooms = self._queries.zooms(item.path, region, grid)
            except (OSError, InvalidInput, PictureRefused, EncoderUnavailable) as error:
                log.info("item %d is looked for at its own size only: %s", item_id, error)
                return ()
            self._zoomed.put(key, zooms)
        return zooms

    def _item(self, item_id: int) -> tuple[Item, PatchGrid]:
        def ask(snapshot: Snapshot, catalog: Catalog) -> tuple[Item, PatchGrid]:
            engine = Engine(snapshot, catalog, self._view)
            item = engine.item(item_id)
            return item, engine.grid_of(item)

        return self._reader.ask(ask)

    def _background_of(self, snapshot: Snapshot) -> Background:
        with self._lock:
            if self._background is None or not self._background.serves(len(snapshot)):
                self._background = Background(snapshot)
            self._background.snapshot = snapshot
            return self._background


@dataclass(frozen=True)
class _Zoomed:
    """A stored picture to ask with, and its marked part at other sizes."""

    id: int
    zooms: tuple[Zoom, ...]


Asked = QueryPicture | int | _Zoomed


def _features(engine: Engine, asked: Sequence[Asked], *, with_patches: bool) -> list[QueryPicture]:
    """The features of what is asked with: ids become what is stored."""
    pictures = []
    for one in asked:
        if isinstance(one, _Zoomed):
            stored = engine.stored(one.id, with_patches=with_patches)
            pictures.append(replace(stored, zooms=one.zooms))
        elif isinstance(one, int):
            pictures.append(engine.stored(one, with_patches=with_patches))
        else:
            pictures.append(one)
    return pictures
