"""ImageIndex: the face of an index that users hold."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.encoders import Encoder, Fingerprint
from dinosearch.encoders.bound import BoundEncoder
from dinosearch.errors import InvalidInput, PictureRefused, UnusableIndex
from dinosearch.geometry import PatchGrid, Region, View
from dinosearch.images import Decoder, Facts
from dinosearch.indexing import AddReport, Changes, Progress, add_pictures, find_changes
from dinosearch.indexing.annotations import annotator_for
from dinosearch.indexing.measuring import measure
from dinosearch.search.engine import grid_of
from dinosearch.search.evidence import Evidence
from dinosearch.search.filters import parse_filters
from dinosearch.search.queries import Queries, Query, several
from dinosearch.search.question import Answer, Hit, Question
from dinosearch.search.reader import Reader
from dinosearch.search.searcher import Searcher
from dinosearch.storage.catalog import Catalog, Failure, Item
from dinosearch.storage.conditions import Condition
from dinosearch.storage.facts import facts
from dinosearch.storage.folder import Folder
from dinosearch.storage.thumbnails import Thumbnails
from dinosearch.storage.upkeep import Compaction
from dinosearch.storage.upkeep import compact as compact_index
from dinosearch.storage.verify import VerifyReport
from dinosearch.storage.verify import verify as verify_index
from dinosearch.storage.writer import MIN_FREE, Writer

if TYPE_CHECKING:
    from PIL import Image

    from dinosearch.pca import PcaBasis, PcaMap


class ImageIndex:
    """An index: a folder of features of pictures, to search and to add to.

    Made by `dinosearch.create` and `dinosearch.open`; close it, or use it in a `with`
    block. One object may be used from several threads; several processes may read one
    index while one writes.
    """

    def __init__(self, folder: Folder, catalog: Catalog, encoder: Encoder | None) -> None:
        self._folder = folder
        self._catalog = catalog
        self._decoder: Decoder | None = None
        self._decoder_lock = threading.Lock()
        meta = catalog.meta()
        try:
            self.fingerprint = Fingerprint.from_dict(json.loads(meta["fingerprint"]))
            made_with: dict[str, Any] = json.loads(meta["encoder"])
            self.view = View(**json.loads(meta["view"]))
        except (KeyError, ValueError, TypeError, InvalidInput) as error:
            raise UnusableIndex(
                f"{folder.catalog} does not say which encoder made it ({error}): it is damaged;"
                " restore it from a copy"
            ) from error
        self._encoder = BoundEncoder(folder.root, self.fingerprint, made_with)
        if encoder is not None:
            self._encoder.share(encoder)
        self._reader = Reader(folder, fingerprint=self.fingerprint.digest)
        self._queries = Queries(self.view, lambda: self.encoder, lambda: self.decoder)
        self._searcher = Searcher(self._reader, self._queries, self.view)
        self._corpus = Corpus(
            folder, self._reader, self._searcher, self.view, self.fingerprint.digest
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of items."""
        return self._catalog.count()

    def __repr__(self) -> str:
        name = self._encoder.made_with["name"]
        return f"<ImageIndex {self._folder.root}: {len(self)} items, {name}>"

    @property
    def id(self) -> str:
        """What tells this index from any other; it goes with the folder."""
        return str(self._folder.read_manifest()["id"])

    @property
    def path(self) -> str:
        """The index's folder."""
        return str(self._folder.root)

    def close(self) -> None:
        """Give files and processes back. What was committed needs no closing to be safe."""
        with self._decoder_lock:
            if self._decoder is not None:
                self._decoder.close()
                self._decoder = None
        self._reader.close()
        self._catalog.close()

    # -- writing ---------------------------------------------------------------------

    def add(
        self,
        sources: str | PathLike[str] | Iterable[str | PathLike[str]],
        *,
        labels: str | PathLike[str] | None = None,
        prune: bool = False,
        readd: bool = False,
        workers: int | None = None,
        min_free: int = MIN_FREE,
        progress: Callable[[Progress], None] = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> AddReport:
        """Add new pictures, update changed ones, follow moved ones, skip the rest.

        sources   folders (searched recursively) or files
        labels    `"folders"`, or the path of a CSV with the columns `path,label`
        prune     also remove items whose file has vanished
        readd     also take pictures that were removed earlier
        workers   decoder processes; default one per core
        min_free  bytes that must stay free on the disk
        stop      asked between pictures; when true the open batch is finished and the
                  report says `stopped`

        Safe to interrupt in any way and to run again. Raises `InvalidInput`,
        `IndexLocked`, `DiskFull`, `UnusableIndex`, `EncoderUnavailable`.
        """
        several = [sources] if isinstance(sources, str | PathLike) else list(sources)
        annotator = annotator_for(labels)
        encoder = self.encoder
        with self._writer(min_free) as writer:
            return add_pictures(
                writer,
                encoder,
                [os.fsdecode(source) for source in several],
                annotator=annotator,
                prune=prune,
                readd=readd,
                workers=workers,
                progress=progress,
                stop=stop,
            )

    def remove(self, what: int | str | PathLike[str] | Iterable[int | str | PathLike[str]]) -> int:
        """Take items, by id or path, out of the index; returns how many.

        The pictures themselves stay where they are, and stay out of the index until
        they change. A path of a folder stands for everything below it. Raises
        `InvalidInput`, and removes nothing, when one of them is not in the index.
        """
        several = [what] if isinstance(what, int | str | PathLike) else list(what)
        with self._writer(0) as writer:
            items = [item for one in several for item in self._items_of(one)]
            return writer.remove({item.id: item for item in items}.values())

    def _items_of(self, one: int | str | PathLike[str]) -> list[Item]:
        if isinstance(one, int):
            item = self._catalog.item(one)
            found = [item] if item else []
        else:
            path = os.path.abspath(os.fsdecode(one))
            item = self._catalog.item_at(path)
            ids = self._catalog.matching(parse_filters([f"path:{path.rstrip('/')}/"])).tolist()
            found = [item] if item else self._catalog.items(ids)
        if not found:
            raise InvalidInput(f"the index holds no picture {one!r}: nothing was removed")
        return found

    def compact(self, *, progress: Callable[[str], None] = lambda step: None) -> Compaction:
        """Merge small segments, drop what was removed for good, rebuild what is derived."""
        with self._writer(MIN_FREE) as writer, self._reader.stepped_aside():
            return compact_index(writer, measure=measure, progress=progress)

    def _writer(self, min_free: int) -> Writer:
        grid = self.view.grid(self.view.size, self.view.size)
        return Writer(
            self._folder,
            fingerprint=self.fingerprint.digest,
            grid=(grid.rows, grid.cols),
            min_free=min_free,
        )

    # -- searching -------------------------------------------------------------------

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

    # -- copies ----------------------------------------------------------------------

    # -- defects ---------------------------------------------------------------------

    # -- labels, probes, segmentation ------------------------------------------------

    # -- overview and export ---------------------------------------------------------

    # -- looking ---------------------------------------------------------------------

    def item(self, item_id: int) -> Item:
        """What the index knows of one picture. Raises `InvalidInput` for no such id."""
        item = self._catalog.item(item_id)
        if item is None:
            raise InvalidInput(f"the index holds no picture with id {item_id}")
        return item

    def id_of(self, path: str | PathLike[str]) -> int | None:
        """The id of the picture at a path, None for one the index does not hold."""
        item = self._catalog.item_at(os.path.abspath(os.fsdecode(path)))
        return item.id if item else None

    def items(
        self, *, where: str | Sequence[str] = (), after: int = 0, limit: int = 100
    ) -> list[Item]:
        """The first `limit` items beyond the id `after` that match the filters, by id."""
        return self._catalog.page(_conditions(where), after=after, limit=limit)

    def count(self, *, where: str | Sequence[str] = ()) -> int:
        """Number of items that match the filters."""
        return self._catalog.count(_conditions(where))

    def cls(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [n, D]: the stored CLS vectors of items, of unit length.

        Raises `InvalidInput` for an id that the index does not hold.
        """
        return self._corpus.cls(ids)

    def copies(self, item_id: int) -> list[int]:
        """The other items whose file has the same content, by id."""
        item = self.item(item_id)
        return [o.id for o in self._catalog.items_of_content(item.sha256) if o.id != item.id]

    def grid(self, item: Item) -> PatchGrid:
        """Where the patches of an item lie in its picture."""
        return grid_of(item, self.view)

    def thumbnail(self, item_id: int) -> bytes:
        """JPEG of at most 256 pixels a side. Raises `InvalidInput`, `PictureRefused`."""
        item = self.item(item_id)
        thumbnail = Thumbnails(self._folder).get(item.sha256)
        # Derived, so it may be gone; then it is made again, from what the file holds now.
        return thumbnail or self._queries.decode(item.path).thumbnail

    def preview(self, path: str | PathLike[str], *, max_side: int) -> bytes:
        """JPEG of a picture file, upright, without metadata, no side longer than `max_side`.

        Raises `InvalidInput`, `PictureRefused`.
        """
        return self._queries.jpeg(path, max_side=max_side)

    def pixels(
        self, path: str | PathLike[str], *, max_side: int | None = None
    ) -> tuple[NDArray[np.uint8], Facts]:
        """uint8 [h, w, 3]: a picture file upright, no side longer than `max_side`; its facts."""
        return self._queries.file_pixels(path, max_side=max_side)

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

    def info(self) -> dict[str, Any]:
        """Facts about the index: items, encoder, recall, bytes and more."""
        return {
            **self._reader.ask(lambda now, catalog: facts(self._folder, catalog, now)),
            "encoder": self._encoder.made_with["name"],
            "precision": self._encoder.made_with["precision"],
            "fingerprint": self.fingerprint.to_dict(),
        }

    def sources(self) -> list[str]:
        """The folders that pictures were indexed from."""
        return self._catalog.sources()

    def failures(self) -> list[Failure]:
        """Files that were seen and are not items, with the reason, by path."""
        return self._catalog.failures()

    def changes(self, *, stop: Callable[[], bool] = lambda: False) -> Changes:
        """What has come, changed and gone in the index's sources since they were indexed."""
        return find_changes(self._catalog, stop=stop)

    def verify(
        self, *, full: bool = False, progress: Callable[[str], None] = lambda step: None
    ) -> VerifyReport:
        """Check the index; `full` reads every byte. Finds trouble, repairs nothing."""
        return verify_index(self._folder, full=full, progress=progress)

    # -- parts that are loaded when they are needed ----------------------------------

    @property
    def encoder(self) -> Encoder:
        """The encoder of this index, loaded when first asked for."""
        return self._encoder.get()

    def use_encoder(
        self,
        *,
        name: str | PathLike[str] | None = None,
        weights: str | PathLike[str] | None = None,
        size: int | None = None,
        fit: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        download: bool = False,
    ) -> Encoder:
        """Load the encoder with other options than those the index was made with.

        Where an option is None, the index's own counts; `weights` says where the weights
        are now, when they have moved. Raises `EncoderMismatch` when what the options ask
        for is another encoder.
        """
        return self._encoder.load(
            name=name,
            weights=weights,
            size=size,
            fit=fit,
            device=device,
            precision=precision,
            download=download,
        )

    def prepare(self) -> None:
        """Load now what the first questions would wait for, the encoder among it.

        Raises `EncoderUnavailable`, `UnusableIndex`.
        """
        self._searcher.prepare()
        _ = self.encoder

    def share_encoder(self, encoder: Encoder) -> None:
        """Use an encoder that is loaded already. Raises `EncoderMismatch` for another one."""
        self._encoder.share(encoder)

    @property
    def decoder(self) -> Decoder:
        """Reads pictures for queries, one at a time is enough."""
        with self._decoder_lock:
            if self._decoder is None:
                self._decoder = Decoder(self.view, workers=2)
            return self._decoder


def _id_of(hit: Hit | int) -> int:
    return hit.id if isinstance(hit, Hit) else hit


def _conditions(where: str | Sequence[str]) -> list[Condition]:
    return parse_filters([where] if isinstance(where, str) else where)
