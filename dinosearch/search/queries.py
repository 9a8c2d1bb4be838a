"""What can be asked with: a file, a stored picture, a picture in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.encoders import Encoder
from dinosearch.errors import InvalidInput, PictureRefused
from dinosearch.geometry import PatchGrid, Region, View
from dinosearch.images import Decoder, Facts, Picture, Refusal, grid_for
from dinosearch.search.engine import QueryPicture
from dinosearch.storage.catalog import Item

MAX_QUERIES = 16


def several(query: Any) -> list[Any]:
    """One query or a list of them as a list. Raises `InvalidInput` for none or too many."""
    if isinstance(query, list | tuple):
        if not 1 <= len(query) <= MAX_QUERIES:
            raise InvalidInput(f"ask with 1 to {MAX_QUERIES} pictures, not {len(query)}")
        return list(query)
    return [query]


class Queries:
    """Turns what the user asks with into features, or into pixels to draw.

    A query is a path, the id of an item (int), a PIL image or a uint8 array [H, W, 3].
    Encoder and decoder are fetched when they are first needed: an id needs neither.
    """

    def __init__(
        self, view: View, encoder: Callable[[], Encoder], decoder: Callable[[], Decoder]
    ) -> None:
        self._view = view
        self._encoder = encoder
        self._decoder = decoder

    def encoded(self, queries: Sequence[Any], region: Region | None) -> list[QueryPicture | int]:
        """The features of each picture, of a view that shows `region`; ids stay ids.

        Raises `InvalidInput`, `PictureRefused`.
        """
        return [int(one) if is_id(one) else self._encode(one, region) for one in queries]

    def _encode(self, query: Any, region: Region | None) -> QueryPicture:
        view, grid = self._view_of(query, region)
        features = self._encoder().encode_views(view[None])
        return QueryPicture(features.cls[0], features.patches[0], grid)

    def _view_of(self, query: Any, region: Region | None) -> tuple[NDArray[np.uint8], PatchGrid]:
        # A part the centre crop would cut away is brought into view, so that it can be asked.
        focus = region.bounds() if region else None
        if isinstance(query, str | PathLike):
            found = self.decode(query, focus=focus)
            return found.view, found.grid
        from dinosearch.encoders.preprocess import make_view
        from dinosearch.images import upright

        image, _ = upright(query)
        grid, _ = grid_for(self._view, *image.size, focus=focus)
        return make_view(image, grid), grid

    def decode(self, path: str | PathLike[str], *, focus: Any = None) -> Picture:
        """A picture file, decoded. Raises `InvalidInput`, `PictureRefused`."""
        text = existing(path)
        found = self._decoder().decode(text, focus=focus)
        if isinstance(found, Refusal):
            raise PictureRefused(text, found.code, found.detail)
        return found

    def file_pixels(
        self, path: str | PathLike[str], *, max_side: int | None = None
    ) -> tuple[NDArray[np.uint8], Facts]:
        """uint8 [h, w, 3] of a file, upright, no side longer than `max_side`; its facts."""
        return self._decoder().pixels(existing(path), max_side=max_side)

    def pixels(
        self, query: Any, stored: Callable[[int], tuple[Item, bytes]]
    ) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Pixels to draw a query by, and its full (width, height).

        `stored` gives the item of an id and its JPEG thumbnail.
        """
        if is_id(query):
            from PIL import Image

            item, thumbnail = stored(int(query))
            picture = Image.open(BytesIO(thumbnail)).convert("RGB")
            return np.asarray(picture), (item.width, item.height)
        if isinstance(query, str | PathLike):
            pixels, facts = self.file_pixels(query, max_side=1024)
            return pixels, (facts.width, facts.height)
        from dinosearch.images import upright

        image, _ = upright(query)
        return np.asarray(image), image.size


def is_id(query: Any) -> bool:
    """True for the id of an item; raises `InvalidInput` for what is no query at all."""
    if isinstance(query, bool) or query is None:
        raise InvalidInput(f"{query!r} is not a path, an id or a picture")
    return isinstance(query, int | np.integer)


def existing(path: str | PathLike[str]) -> str:
    """The path as text. Raises `InvalidInput` when nothing is there."""
    text = os.fsdecode(path)
    if not os.path.lexists(text):
        raise InvalidInput(f"there is no file {text}")
    return text
