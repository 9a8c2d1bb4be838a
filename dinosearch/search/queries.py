"""What can be asked with: a file, a stored picture, a picture in memory."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.encoders import Encoder
from dinosearch.errors import InvalidInput, PictureRefused
from dinosearch.geometry import Box, PatchGrid, Region, View
from dinosearch.images import Decoder, Facts, Picture, Refusal, grid_for
from dinosearch.search.query_picture import QueryPicture, Zoom, zoom_grids
from dinosearch.search.recent import Recent
from dinosearch.storage.catalog import Item

MAX_QUERIES = 16

WINDOWS = 3
"""Windows of one query whose features are kept: a crop moves with the region it must show."""


def several(query: Any) -> list[Any]:
    """One query or a list of them as a list. Raises `InvalidInput` for none or too many."""
    if isinstance(query, list | tuple):
        if not 1 <= len(query) <= MAX_QUERIES:
            raise InvalidInput(f"ask with 1 to {MAX_QUERIES} pictures, not {len(query)}")
        return list(query)
    return [query]


class Query:
    """A picture to ask with that is decoded and encoded once; made by `ImageIndex.query`.

    `width` and `height` are pixels of the upright picture; `notes` says what was done to
    make it so. For any number of threads.
    """

    def __init__(
        self, picture: Any, view: View, width: int, height: int, notes: Sequence[str]
    ) -> None:
        self.picture = picture
        self.width, self.height = width, height
        self.notes = tuple(notes)
        self.encoding = threading.Lock()
        self._view = view
        self._features: Recent[PatchGrid, QueryPicture] = Recent(WINDOWS)
        self._zooms: Recent[tuple[PatchGrid, ...], tuple[Zoom, ...]] = Recent(WINDOWS)

    def grid(self, region: Any = None) -> PatchGrid:
        """The patches the model is shown, of a window that holds `region`."""
        marked = None if region is None else Region.parse(region)
        # A part the centre crop would cut away is brought into view, so that it can be asked.
        focus = marked.bounds() if marked else None
        return grid_for(self._view, self.width, self.height, focus=focus)[0]

    def zoom_grids(self, region: Any) -> tuple[PatchGrid, ...]:
        """The squares that show `region` at the sizes it is looked for."""
        return zoom_grids(self.grid(region), Region.parse(region))

    def is_ready(self, region: Any = None) -> bool:
        """Whether asking with `region` needs no encoding any more."""
        if self.features(self.grid(region)) is None:
            return False
        return region is None or self.zooms(self.zoom_grids(region)) is not None

    def zooms(self, grids: tuple[PatchGrid, ...]) -> tuple[Zoom, ...] | None:
        """The features of such squares, if they are at hand."""
        return self._zooms.get(grids)

    def keep_zooms(self, grids: tuple[PatchGrid, ...], zooms: tuple[Zoom, ...]) -> None:
        """Have the features of such squares at hand."""
        self._zooms.put(grids, zooms)

    def features(self, grid: PatchGrid) -> QueryPicture | None:
        """The features of one window, if they are at hand."""
        return self._features.get(grid)

    def keep(self, features: QueryPicture) -> None:
        """Have the features of a window at hand."""
        self._features.put(features.grid, features)

    def __repr__(self) -> str:
        return f"<Query {self.width} x {self.height}>"


class Queries:
    """Turns what the user asks with into features, or into pixels to draw.

    A query is a path, the id of an item (int), a PIL image, a uint8 array [H, W, 3] or a
    `Query`. Encoder and decoder are fetched when they are first needed: an id needs neither.
    """

    def __init__(
        self, view: View, encoder: Callable[[], Encoder], decoder: Callable[[], Decoder]
    ) -> None:
        self._view = view
        self._encoder = encoder
        self._decoder = decoder

    def encoded(
        self, queries: Sequence[Any], region: Region | None, *, zoomed: bool = False
    ) -> list[QueryPicture | int]:
        """The features of each picture, of a view that shows `region`; ids stay ids.

        With `zoomed` also those of the region at other sizes. Raises `InvalidInput`,
        `PictureRefused`.
        """
        return [
            int(one) if is_id(one) else self._encode(one, region, zoomed=zoomed) for one in queries
        ]

    def zooms(self, picture: Any, region: Region, grid: PatchGrid) -> tuple[Zoom, ...]:
        """The features of `region` of a picture at other sizes; `grid` is that of its view.

        Raises `InvalidInput`, `PictureRefused`.
        """
        from PIL import Image

        from dinosearch.encoders.preprocess import make_zoom

        grid.cells(region)  # what cannot be marked is refused before anything is decoded
        grids = zoom_grids(grid, region)
        whole = Box(0, 0, grid.width, grid.height)
        windows = [one.window.intersection(whole) for one in grids]
        shows = Box(
            min(one.x0 for one in windows),
            min(one.y0 for one in windows),
            max(one.x1 for one in windows),
            max(one.y1 for one in windows),
        )
        if isinstance(picture, str | PathLike):
            # As sharp as the closest look needs, and no larger.
            finest = max(one.scaled_width / one.width for one in grids)
            side = max(1, math.ceil(finest * max(shows.width, shows.height)))
            pixels = self._decoder().crop(existing(picture), shows, max_side=side)
            image = Image.fromarray(pixels)
        else:
            from dinosearch.images import upright

            image, shows = upright(picture)[0], whole
        encoder = self._encoder()
        return tuple(
            Zoom(encoder.encode_views(make_zoom(image, shows, one)[None]).patches[0], one)
            for one in grids
        )

    def query(self, picture: Any, *, max_pixels: int | None = None) -> Query:
        """A `Query` of a picture, encoded as a whole. Raises `InvalidInput`, `PictureRefused`."""
        query, view, grid = self._opened(picture, None, max_pixels)
        query.keep(self._features_of(view, grid))
        return query

    def _encode(self, query: Any, region: Region | None, *, zoomed: bool) -> QueryPicture:
        if not isinstance(query, Query):
            _, view, grid = self._opened(query, region, None)
            features = self._features_of(view, grid)
            if zoomed and region is not None:
                features = replace(features, zooms=self.zooms(query, region, grid))
            return features
        grid = query.grid(region)
        with query.encoding:  # who asks at the same time waits for the same features
            found = query.features(grid)
            if found is None:
                _, view, grid = self._opened(query.picture, region, None)
                found = self._features_of(view, grid)
                query.keep(found)
            features = found
            if zoomed and region is not None:
                grids = zoom_grids(grid, region)
                zooms = query.zooms(grids)
                if zooms is None:
                    zooms = self.zooms(query.picture, region, grid)
                    query.keep_zooms(grids, zooms)
                features = replace(features, zooms=zooms)
        return features

    def _features_of(self, view: NDArray[np.uint8], grid: PatchGrid) -> QueryPicture:
        features = self._encoder().encode_views(view[None])
        return QueryPicture(features.cls[0], features.patches[0], grid, features.patch_norms[0])

    def _opened(
        self, picture: Any, region: Region | None, max_pixels: int | None
    ) -> tuple[Query, NDArray[np.uint8], PatchGrid]:
        """A picture decoded: as a query, and its view that shows `region` with the grid."""
        focus = region.bounds() if region else None
        if isinstance(picture, str | PathLike):
            found = self.decode(picture, focus=focus, max_pixels=max_pixels)
            query = Query(picture, self._view, found.width, found.height, found.notes)
            return query, found.view, found.grid
        from dinosearch.encoders.preprocess import make_view
        from dinosearch.images import upright

        image, notes = upright(picture)
        grid, more = grid_for(self._view, *image.size, focus=focus)
        query = Query(picture, self._view, *image.size, (*notes, *more))
        return query, make_view(image, grid), grid

    def decode(
        self, path: str | PathLike[str], *, focus: Any = None, max_pixels: int | None = None
    ) -> Picture:
        """A picture file, decoded. Raises `InvalidInput`, `PictureRefused`."""
        text = existing(path)
        found = self._decoder().decode(text, focus=focus, max_pixels=max_pixels)
        if isinstance(found, Refusal):
            raise PictureRefused(text, found.code, found.detail)
        return found

    def jpeg(self, path: str | PathLike[str], *, max_side: int) -> bytes:
        """A JPEG of a file, upright, no side longer than `max_side`, without metadata."""
        return self._decoder().jpeg(existing(path), max_side=max_side)

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
        if isinstance(query, Query):
            query = query.picture
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
