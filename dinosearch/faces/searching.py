"""Searching: what answers a picture or a part of one, why, and what the model sees."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dinosearch.errors import InvalidInput, PictureRefused
from dinosearch.faces.looking import Looking
from dinosearch.geometry import Region
from dinosearch.search.evidence import Evidence
from dinosearch.search.queries import Query, several
from dinosearch.search.question import Answer, Hit, Question

if TYPE_CHECKING:
    from PIL import Image

    from dinosearch.pca import PcaBasis, PcaMap


class Searching(Looking):
    """What answers a picture or a part of one, why, and what the model sees."""

    def search(
        self,
        query: Any,
        *,
        k: int = 10,
        region: Any = None,
        without: Any = None,
        where: str | Sequence[str] = (),
        combine: str = "mean",
        exact: bool = False,
    ) -> list[Hit]:
        """The k pictures that answer best, best first.

        query    a path, an id, a PIL image, a uint8 array [H, W, 3] or a `Query`; or several
        region   the part that is looked for: `(x0, y0, x1, y1)` in pixels of the upright
                 picture, a mask [H, W], or (row, col) pairs of patches; or a list of such,
                 up to eight
        without  with a region: parts of the query, marked likewise, that a picture should
                 not hold; what it holds of them beyond the usual is taken off its score
        where    filters such as `"label:scratch"`, joined by and
        combine  with several queries or regions: `mean` of their scores, or `any` (the best)
        exact    compare with every picture instead of the likely ones

        Returns k hits whenever k pictures match. Raises `InvalidInput`,
        `PictureRefused`, `EncoderMismatch`, `UnusableIndex`.
        """
        return self.answer(
            query,
            k=k,
            region=region,
            without=without,
            where=where,
            combine=combine,
            exact=exact,
        ).hits

    def answer(
        self,
        query: Any,
        *,
        k: int = 10,
        offset: int = 0,
        region: Any = None,
        without: Any = None,
        where: str | Sequence[str] = (),
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
    ) -> Answer:
        """Like `search`, with timings and how the hits were found, and more to say.

        offset       leave out so many of the best
        nprobe       lists of the IVF index to look into, instead of as many as its recall
                     needs
        weight       with a region: how much it counts, in [0, 1]; the rest is the whole
                     picture's cosine
        position     with a region: its patches count only near their place in the query,
                     within a tenth of the view
        same_size    with a region: it is looked for only as large as it is in the query,
                     and every patch of it counts alike, instead of its rarest patches at
                     several sizes
        distinct     show pictures of equal content once; the hit's `copies` counts the rest
        min_score    leave out what scores lower
        explain      the `evidence` of so many hits, as `explain` gives it without pairs; of
                     several queries, for the first
        percentiles  place each score among those of random pairs of the index
        """
        queries = several(query)
        question = Question.of(
            queries=len(queries),
            region=region,
            without=without,
            k=k,
            offset=offset,
            where=where,
            combine=combine,
            exact=exact,
            nprobe=nprobe,
            weight=weight,
            position=position,
            same_size=same_size,
            distinct=distinct,
            min_score=min_score,
            explain=explain,
            percentiles=percentiles,
        )
        return self._searcher.answer(queries, question)

    def query(self, picture: Any, *, region: Any = None, max_pixels: int | None = None) -> Query:
        """A picture to ask with again and again, decoded and encoded once.

        `picture` as in `search`, but not an id, which needs no encoding; or a `Query`, whose
        features of a window that shows `region` are then at hand too. A file whose content
        the index holds is not encoded: its stored features serve. With `max_pixels` a
        larger picture that must be decoded is refused. Raises `InvalidInput`,
        `PictureRefused`.
        """
        return self._searcher.query(picture, region, max_pixels=max_pixels)

    def is_ready(self, query: Query | int, region: Any) -> bool:
        """Whether asking with a region of `query` needs no encoding any more."""
        return self._searcher.is_ready(query, region)

    def make_ready(self, query: Query | int, region: Any) -> None:
        """Encode now what asking with a region of `query` needs; raises what `search` raises."""
        self._searcher.make_ready(query, region)

    def explain(
        self, query: Any, hit: Hit | int, *, region: Any = None, position: bool = False,
        same_size: bool = False, pairs: int = 12,
    ) -> Evidence:  # fmt: skip
        """Why a picture answers: heat maps over both pictures, matched patches, the box.

        `query`, `region`, `position` and `same_size` as in `answer`; `hit` is a hit or an
        id; `pairs` is how many matches to name at most. Raises what `search` raises.
        """
        question = Question.of(queries=1, region=region, position=position, same_size=same_size)
        return self._searcher.explain(query, _id_of(hit), question, pairs=pairs)

    def explain_patch(
        self, query: Any, hit: Hit | int, patch: tuple[int, int], *, of: str = "query"
    ) -> Evidence:
        """What is like one patch, (row, col) of the query or, with `of="hit"`, of the hit.

        The heat maps hold its cosine to every patch of both pictures.
        """
        if of not in ("query", "hit"):
            raise InvalidInput(f"of is {of!r}: use query or hit")
        return self._searcher.explain_patch(query, _id_of(hit), patch, of_query=of == "query")

    def pca(self, query: Any, *, with_hits: Sequence[Any] = (), basis: str = "shared") -> PcaMap:
        """What the model sees: the first three principal components of patches, as colours.

        `query` as in `search`. With hits (or ids, or further pictures) the basis is fitted to
        all of them together, so that equal colours mean equal things; their maps are the
        `others` of the map. With the basis `corpus`, which is stored with the index, equal
        colours mean equal things in every call. Raises what `search` raises, and
        `InvalidInput` where no such basis is stored.
        """
        from dinosearch.pca import pca_maps

        if basis not in ("shared", "corpus"):
            raise InvalidInput(f"basis is {basis!r}: use shared or corpus")
        stored = self._corpus_basis() if basis == "corpus" else None
        shown = self._searcher.features(
            [query, *(one.id if isinstance(one, Hit) else one for one in with_hits)]
        )
        first, *others = pca_maps(
            [(one.patches, one.grid) for one in shown],
            basis=stored,
            norms=[one.norms for one in shown],
        )
        return replace(first, others=tuple(others))

    def _corpus_basis(self) -> PcaBasis:
        from dinosearch.pca.corpus import basis_of

        statistics = self._reader.ask(lambda snapshot, catalog: snapshot.statistics)
        basis = basis_of(statistics.arrays) if statistics else None
        if basis is None:
            raise InvalidInput(
                f"{self._folder.root} stores no basis of its corpus: the next `dinosearch index`"
                f" or `dinosearch compact --in {self._folder.root}` makes one, of two pictures"
                " or more"
            )
        return basis

    def sheet(
        self, query: Any, hits: Sequence[Hit], *, region: Any = None, title: str = ""
    ) -> Image.Image:
        """A picture of an answer: the query with its region, the hits with score and box.

        `query` and `region` as in `search`; hits are drawn from their thumbnails.
        """
        from dinosearch.search.sheet import draw_sheet, tile_of_hit, tile_of_query

        marked = Region.several(region) or (None,)
        stored = lambda number: (self.item(number), self.thumbnail(number))  # noqa: E731
        queries = [
            tile_of_query(*self._queries.pixels(one, stored), part, self.view)
            for one in several(query)
            for part in marked
        ]
        tiles = [
            tile_of_hit(rank, hit, self.thumbnail(hit.id), self.item(hit.id))
            for rank, hit in enumerate(hits, 1)
        ]
        return draw_sheet(queries, tiles, title=title)

    def explanation(
        self, query: Any, hit: Hit | int, why: Evidence, *, title: str = ""
    ) -> Image.Image:
        """A picture of the evidence that `explain` gave for this query and hit."""
        from PIL import Image

        from dinosearch.search.explanation import Panel, draw_explanation

        item = self.item(_id_of(hit))
        stored = lambda number: (self.item(number), self.thumbnail(number))  # noqa: E731
        asked = Image.fromarray(self._queries.pixels(query, stored)[0])
        try:
            found = Image.fromarray(self.pixels(item.path, max_side=1024)[0])
        except (InvalidInput, PictureRefused):
            # Its file is gone or broken, but the index holds a small picture of it.
            found = Image.fromarray(self._queries.pixels(item.id, stored)[0])
        return draw_explanation(
            Panel(asked, why.query_grid, why.query_heat, "query"),
            Panel(found, why.grid, why.heat, os.path.basename(item.path)),
            why,
            title=title,
        )


def _id_of(hit: Hit | int) -> int:
    return hit.id if isinstance(hit, Hit) else hit
