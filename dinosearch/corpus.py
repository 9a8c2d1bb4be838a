"""The corpus: what the rooms that answer from stored features need of an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid, View
from dinosearch.search.engine import grid_of
from dinosearch.search.filters import parse_filters
from dinosearch.search.query_picture import QueryPicture
from dinosearch.search.reader import Reader
from dinosearch.search.searcher import Searcher
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.folder import Folder
from dinosearch.storage.named_files import NamedFiles
from dinosearch.storage.snapshot import Snapshot

T = TypeVar("T")

_BLOCK = 32
"""Pictures whose tokens are read at once."""


class Corpus:
    """The stored features of an index, by id, and the features of other pictures.

    Each call sees one whole generation; `ask` makes several of them see the same.
    """

    def __init__(
        self, folder: Folder, reader: Reader, searcher: Searcher, view: View, fingerprint: str
    ) -> None:
        self.folder = folder
        self.view = view
        self.fingerprint = fingerprint
        self._reader = reader
        self._searcher = searcher

    def ask(self, work: Callable[[Snapshot, Catalog], T]) -> T:
        """Do `work` on the newest generation."""
        return self._reader.ask(work)

    def ids(self, where: str | Sequence[str] = ()) -> NDArray[np.int64]:
        """int64 [n]: the items that match the filters, ascending."""
        conditions = parse_filters([where] if isinstance(where, str) else where)
        return self.ask(lambda snapshot, catalog: catalog.matching(conditions))

    def items(self, ids: Sequence[int] | NDArray[np.int64]) -> list[Item]:
        """The items of `ids`, in their order. Raises `InvalidInput` for one there is not."""

        def read(snapshot: Snapshot, catalog: Catalog) -> list[Item]:
            _positions(snapshot, ids)
            return catalog.items([int(one) for one in ids])

        return self.ask(read)

    def cls(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [n, D]: CLS vectors, of unit length. Raises `InvalidInput` for no such id."""

        def read(snapshot: Snapshot, catalog: Catalog) -> NDArray[np.float32]:
            positions = _positions(snapshot, ids)
            if not len(positions):
                dim = snapshot.segment(0).dim if snapshot.segment_rows else 0
                return np.empty((0, dim), np.float32)
            return snapshot.cls(positions)

        return self.ask(read)

    def tokens(
        self, ids: Sequence[int] | NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Blocks of (ids int64 [b], tokens float16 [b, P, Dp] of unit length).

        In the order in which they lie on the disk. Padding is rows of zeros. Raises
        `InvalidInput` for no such id; an item removed meanwhile is left out.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        positions = self.ask(lambda snapshot, catalog: _positions(snapshot, wanted))
        in_order = wanted[np.argsort(positions, kind="stable")]
        for low in range(0, len(in_order), _BLOCK):
            # Asked anew for each block, so that a long loop holds no generation back.
            part = in_order[low : low + _BLOCK]
            kept, block = self.ask(lambda snapshot, catalog, part=part: _block(snapshot, part))  # type: ignore[misc]
            if len(kept):
                yield kept, block

    def grids(self, ids: Sequence[int] | NDArray[np.int64]) -> list[PatchGrid]:
        """Where the tokens of items lie in their pictures."""
        return [grid_of(item, self.view) for item in self.items(ids)]

    def features(self, pictures: Sequence[Any]) -> list[QueryPicture]:
        """CLS, tokens and grid of pictures that may not be in the index.

        Ids, paths, PIL images, uint8 arrays [H, W, 3] or `Query`. Raises `InvalidInput`,
        `PictureRefused`.
        """
        return self._searcher.features(pictures)

    def named(self, kind: str) -> NamedFiles:
        """The files of a kind (`banks`, `probes`, `maps`) that the index keeps by name."""
        return NamedFiles(self.folder, kind)


def _positions(snapshot: Snapshot, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
    positions = snapshot.positions_of(wanted)
    if (positions < 0).any():
        raise InvalidInput(f"the index holds no picture with id {wanted[positions < 0][0]}")
    return positions


def _block(
    snapshot: Snapshot, ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    positions = snapshot.positions_of(ids)
    ids, positions = ids[positions >= 0], positions[positions >= 0]
    if not len(ids):
        return ids, np.empty((0, 0, 0), np.float16)
    return ids, np.stack([snapshot.tokens(int(position)) for position in positions])
