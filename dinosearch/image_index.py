"""ImageIndex: the face of an index that users hold."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from dinosearch.corpus import Corpus
from dinosearch.duplicates.of_generation import OfGeneration
from dinosearch.encoders import Encoder, Fingerprint
from dinosearch.encoders.bound import BoundEncoder
from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.geometry import View
from dinosearch.images import Decoder
from dinosearch.indexing import AddReport, Changes, Progress, add_pictures, find_changes
from dinosearch.indexing.annotations import annotator_for
from dinosearch.indexing.measuring import measure
from dinosearch.search.filters import parse_filters
from dinosearch.search.queries import Queries
from dinosearch.search.reader import Reader
from dinosearch.search.searcher import Searcher
from dinosearch.storage.catalog import Catalog, Failure, Item
from dinosearch.storage.facts import facts
from dinosearch.storage.folder import Folder
from dinosearch.storage.upkeep import Compaction
from dinosearch.storage.upkeep import compact as compact_index
from dinosearch.storage.verify import VerifyReport
from dinosearch.storage.verify import verify as verify_index
from dinosearch.storage.writer import MIN_FREE

if TYPE_CHECKING:
    from dinosearch.duplicates.pool import Pool


from dinosearch.faces.copies import Copies
from dinosearch.faces.defects import Defects
from dinosearch.faces.labelling import Labelling
from dinosearch.faces.overviews import Overviews
from dinosearch.faces.searching import Searching
from dinosearch.faces.segmenting import Segmenting


class ImageIndex(Copies, Defects, Searching, Labelling, Segmenting, Overviews):
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
        self._pools: OfGeneration[Pool] = OfGeneration()
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

    # -- care ------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Facts about the index: items, encoder, recall, bytes and more."""
        return {
            **self._reader.ask(lambda now, catalog: facts(self._folder, catalog, now)),
            "encoder": self._encoder.made_with["name"],
            "precision": self._encoder.made_with["precision"],
            "fingerprint": self.fingerprint.to_dict(),
        }

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
