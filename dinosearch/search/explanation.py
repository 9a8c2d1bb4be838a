"""A picture of why a hit answers: query and hit side by side, heat, matches and box over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dinosearch.geometry import Box, PatchGrid
from dinosearch.search.evidence import Evidence
from dinosearch.search.sheet import FOUND, INK, PALE, PAPER, font, scaled, shortened

SIDE = 520
_GAP = 16
_HEAD = 44
_FOOT = 58
_RAMP = (180, 12)

# Inferno at nine even places (Smith and van der Walt, matplotlib, CC0), straight between them.
_INFERNO = np.array(
    [
        *((0, 0, 4), (33, 12, 74), (87, 16, 110), (138, 34, 106), (188, 55, 84)),
        *((228, 90, 49), (249, 142, 9), (249, 203, 53), (252, 255, 164)),
    ],
    dtype=np.float64,
)


class Panel(NamedTuple):
    """A picture with the patches the model saw of it, their heat, and its caption."""

    picture: Image.Image
    grid: PatchGrid
    heat: NDArray[np.float32]
    caption: str


def draw_explanation(
    query: Panel, hit: Panel, evidence: Evidence, *, title: str = ""
) -> Image.Image:
    """RGB: the two panels, lines between the pairs, the box, and the scale of the colours."""
    low, high = evidence.range
    low = min(low, high - 0.02)  # maps of equal values would show their rounding
    sheet = Image.new("RGB", (3 * _GAP + 2 * SIDE, _HEAD + SIDE + _FOOT), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 12), shortened(title, 2 * SIDE, 18), fill=INK, font=font(18))
    places = []
    for left, panel in ((_GAP, query), (2 * _GAP + SIDE, hit)):
        picture, place = _shown(panel, left, low, high)
        sheet.paste(picture, place[:2])
        places.append((panel.grid, place))
        caption = shortened(panel.caption, SIDE, 13)
        draw.text((left, _HEAD + SIDE + 6), caption, fill=PALE, font=font(13))
    _draw_pairs(draw, evidence, places)
    if evidence.box is not None:
        _draw_box(draw, evidence.box, *places[1])
    _draw_scale(sheet, draw, low, high)
    return sheet


def _shown(
    panel: Panel, left: int, low: float, high: float
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """The picture under its heat, and where it comes to lie: x, y, width, height."""
    scale = SIDE / max(panel.picture.size)
    size = (
        max(1, round(panel.picture.width * scale)),
        max(1, round(panel.picture.height * scale)),
    )
    picture = panel.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    window = scaled(panel.grid.window, size[0] / panel.grid.width, size[1] / panel.grid.height)
    heat = colours(panel.heat, low, high)
    corner = (round(window.x0), round(window.y0))
    heat = heat.resize(
        (max(1, round(window.x1) - corner[0]), max(1, round(window.y1) - corner[1])),
        Image.Resampling.NEAREST,
    )
    # Pasting cuts off what padding reaches beyond the picture.
    picture.paste(heat.convert("RGB"), corner, heat.getchannel("A"))
    x, y = left + (SIDE - size[0]) // 2, _HEAD + (SIDE - size[1]) // 2
    return picture, (x, y, *size)


def colours(heat: NDArray[np.float32], low: float, high: float) -> Image.Image:
    """RGBA [rows, cols] of a heat map [rows, cols]: hotter is brighter and covers more.

    NaN is transparent.
    """
    share = np.clip((heat - low) / (high - low), 0, 1).astype(np.float64)
    known = np.isfinite(share)
    share = np.where(known, share, 0.0)
    stops = np.linspace(0, 1, len(_INFERNO))
    rgb = np.stack([np.interp(share, stops, _INFERNO[:, c]) for c in range(3)], axis=-1)
    alpha = np.where(known, 255 * 0.85 * share**2, 0)
    pixels = np.concatenate([rgb, alpha[..., None]], axis=-1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _draw_pairs(
    draw: ImageDraw.ImageDraw,
    evidence: Evidence,
    places: Sequence[tuple[PatchGrid, tuple[int, int, int, int]]],
) -> None:
    for pair in evidence.pairs:
        cells = (pair.query, pair.hit)
        ends = [_middle(cell, *place) for cell, place in zip(cells, places, strict=True)]
        width = 1 + round(2 * max(0.0, pair.score))
        # White below, so that the line shows on any picture.
        draw.line(ends, fill=(255, 255, 255), width=width + 2)
        draw.line(ends, fill=FOUND, width=width)
        for x, y in ends:
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=FOUND, outline=(255, 255, 255))


def _middle(
    cell: tuple[int, int], grid: PatchGrid, place: tuple[int, int, int, int]
) -> tuple[float, float]:
    row, col = cell
    box = grid.box_of_cells(row, col, row + 1, col + 1)
    x, y, width, height = place
    return (
        x + (box.x0 + box.x1) / 2 * width / grid.width,
        y + (box.y0 + box.y1) / 2 * height / grid.height,
    )


def _draw_box(
    draw: ImageDraw.ImageDraw, box: Box, grid: PatchGrid, place: tuple[int, int, int, int]
) -> None:
    x, y, width, height = place
    at = scaled(box, width / grid.width, height / grid.height)
    corners = [x + at.x0, y + at.y0, max(x + at.x0, x + at.x1 - 1), max(y + at.y0, y + at.y1 - 1)]
    outer = [corners[0] - 2, corners[1] - 2, corners[2] + 2, corners[3] + 2]
    draw.rectangle(outer, outline=(255, 255, 255), width=1)
    draw.rectangle(corners, outline=FOUND, width=3)


def _draw_scale(sheet: Image.Image, draw: ImageDraw.ImageDraw, low: float, high: float) -> None:
    y = _HEAD + SIDE + 34
    levels = np.linspace(low, high, _RAMP[0], dtype=np.float32)
    ramp = colours(np.tile(levels, (_RAMP[1], 1)), low, high)
    grey = Image.new("RGB", _RAMP, (128, 128, 128))
    grey.paste(ramp.convert("RGB"), (0, 0), ramp.getchannel("A"))
    left = _GAP + 80
    sheet.paste(grey, (left, y))
    draw.text((_GAP, y - 2), f"cosine {low:.2f}", fill=INK, font=font(12))
    draw.text((left + _RAMP[0] + 8, y - 2), f"{high:.2f}", fill=INK, font=font(12))
