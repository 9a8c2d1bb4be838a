"""Result sheets: one picture that shows a question and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from os.path import basename

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dinosearch.geometry import Box, Region, View
from dinosearch.images import grid_for
from dinosearch.search.question import Hit
from dinosearch.storage.catalog import Item

TILE = 232
COLUMNS = 5
_GAP = 14
_CAPTION = 40
PAPER = (250, 250, 248)
INK = (28, 30, 33)
PALE = (112, 116, 122)
# Orange for what was asked, blue for what was found: told apart by every kind of eye.
_ASKED = (230, 97, 0)
FOUND = (26, 95, 180)


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet. `boxes` are in pixels of `picture`, the best one first."""

    picture: Image.Image
    lines: tuple[str, ...]
    boxes: tuple[Box, ...] = ()
    mask: NDArray[np.bool_] | None = None


def tile_of_query(
    pixels: NDArray[np.uint8], full_size: tuple[int, int], region: Region | None, view: View
) -> Tile:
    """The query as a tile; `pixels` [h, w, 3] may be smaller than `full_size` (w, h) says."""
    picture = Image.fromarray(pixels)
    scale_x, scale_y = picture.width / full_size[0], picture.height / full_size[1]
    boxes: tuple[Box, ...] = ()
    mask = None
    if region is not None:
        bounds = region.bounds()
        if region.mask is not None:
            painted = Image.fromarray(region.mask).resize(picture.size, Image.Resampling.NEAREST)
            mask = np.asarray(painted)
        elif bounds is None:
            mask = _painted(region, full_size, view, picture.size)
        else:
            boxes = (scaled(bounds, scale_x, scale_y),)
    return Tile(picture, ("query",), boxes, mask)


def tile_of_hit(rank: int, hit: Hit, thumbnail: bytes, item: Item) -> Tile:
    """A hit as a tile, from its JPEG thumbnail."""
    picture = Image.open(BytesIO(thumbnail)).convert("RGB")
    across, down = picture.width / item.width, picture.height / item.height
    places = hit.boxes or ((hit.box,) if hit.box else ())
    boxes = tuple(scaled(box, across, down) for box in places)
    name = basename(hit.path).encode(errors="replace").decode()
    labels = f"  {', '.join(hit.labels)}" if hit.labels else ""
    return Tile(picture, (f"{rank}.  {hit.score:.3f}{labels}", name), boxes)


def draw_sheet(queries: Sequence[Tile], hits: Sequence[Tile], *, title: str = "") -> Image.Image:
    """The queries in the first row, the hits below, five in a row; an RGB picture."""
    rows = [
        *(queries[i : i + COLUMNS] for i in range(0, len(queries), COLUMNS)),
        *(hits[i : i + COLUMNS] for i in range(0, len(hits), COLUMNS)),
    ]
    columns = min(COLUMNS, max((len(row) for row in rows), default=1))
    columns = max(columns, 3)
    head = 44 if title else _GAP
    step_x, step_y = TILE + _GAP, TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (_GAP + columns * step_x, head + len(rows) * step_y + _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_GAP, 12), title, fill=INK, font=font(19))
    queries_rows = -(-len(queries) // COLUMNS)
    for number, row in enumerate(rows):
        colour = _ASKED if number < queries_rows else FOUND
        for column, tile in enumerate(row):
            _draw_tile(sheet, draw, tile, _GAP + column * step_x, head + number * step_y, colour)
    if not hits:
        draw.text((_GAP, sheet.height - 30), "nothing found", fill=PALE, font=font(15))
    return sheet


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    x: int,
    y: int,
    colour: tuple[int, int, int],
) -> None:
    scale = min(TILE / tile.picture.width, TILE / tile.picture.height)
    size = (
        max(1, round(tile.picture.width * scale)),
        max(1, round(tile.picture.height * scale)),
    )
    picture = tile.picture.resize(size, Image.Resampling.LANCZOS)
    if tile.mask is not None:
        picture = _tinted(picture, tile.mask, colour)
    left, top = x + (TILE - size[0]) // 2, y + (TILE - size[1]) // 2
    sheet.paste(picture, (left, top))
    for one in reversed(tile.boxes):  # the best on top
        box = scaled(one, size[0] / tile.picture.width, size[1] / tile.picture.height)
        corners = [left + box.x0, top + box.y0]
        # In a panorama a box may be thinner than a pixel of the tile.
        corners += [max(corners[0], left + box.x1 - 1), max(corners[1], top + box.y1 - 1)]
        # A white line around the coloured one shows on any picture.
        draw.rectangle([corners[0] - 2, corners[1] - 2, corners[2] + 2, corners[3] + 2],
                       outline=(255, 255, 255), width=1)  # fmt: skip
        draw.rectangle(corners, outline=colour, width=3)
    for number, line in enumerate(tile.lines):
        draw.text(
            (x, y + TILE + 4 + number * 17),
            shortened(line, TILE, 14 if number == 0 else 12),
            fill=INK if number == 0 else PALE,
            font=font(14 if number == 0 else 12),
        )


def _tinted(
    picture: Image.Image, mask: NDArray[np.bool_], colour: tuple[int, int, int]
) -> Image.Image:
    """The picture with what the mask leaves out faded, and the rest tinted."""
    shape = Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST)
    faded = Image.blend(picture, Image.new("RGB", picture.size, PAPER), 0.55)
    tinted = Image.blend(picture, Image.new("RGB", picture.size, colour), 0.25)
    return Image.composite(tinted, faded, shape)


def _painted(
    region: Region, full_size: tuple[int, int], view: View, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The cells of a region of patches as a mask of `size` (w, h)."""
    grid, _ = grid_for(view, *full_size)
    mask = np.zeros((size[1], size[0]), dtype=bool)
    for row, col in region.patches:
        box = scaled(
            grid.box_of_cells(row, col, row + 1, col + 1),
            size[0] / full_size[0],
            size[1] / full_size[1],
        )
        mask[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)] = True
    return mask


def scaled(box: Box, sx: float, sy: float) -> Box:
    """The box in a picture that is `sx` times as wide and `sy` times as high."""
    return Box(box.x0 * sx, box.y0 * sy, box.x1 * sx, box.y1 * sy)


def shortened(text: str, width: int, size: int) -> str:
    """`text`, its middle replaced by dots until it is at most `width` pixels long.

    `size` is that of the font it is drawn with.
    """
    text = "".join(c if c.isprintable() else "?" for c in text)
    drawn = font(size)
    if drawn.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 4 and drawn.getlength(text[: keep // 2] + "…" + text[-(keep // 2) :]) > width:
        keep -= 1
    return text[: keep // 2] + "…" + text[-(keep // 2) :]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all that is drawn, `size` pixels high."""
    return ImageFont.load_default(size)
