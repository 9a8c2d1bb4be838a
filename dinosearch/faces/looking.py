"""Looking: what the index knows of its pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.faces.face import Face
from dinosearch.geometry import PatchGrid
from dinosearch.images import Facts
from dinosearch.search.engine import grid_of
from dinosearch.search.filters import parse_filters
from dinosearch.storage.catalog import Item
from dinosearch.storage.conditions import Condition
from dinosearch.storage.thumbnails import Thumbnails

if TYPE_CHECKING:
    pass


class Looking(Face):
    """What the index knows of its pictures."""

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

    def sources(self) -> list[str]:
        """The folders that pictures were indexed from."""
        return self._catalog.sources()


def _conditions(where: str | Sequence[str]) -> list[Condition]:
    return parse_filters([where] if isinstance(where, str) else where)
