"""Pictures of PCA maps: beside their pictures, and as points in space."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from PIL import Image, ImageDraw

from dinosearch.pca.maps import PcaMap
from dinosearch.pca.points import MOST, points_of
from dinosearch.search.sheet import INK, PALE, PAPER, font, shortened

SIDE = 300
_GAP = 14
_CAPTION = 26
_HEAD = 40


def draw_maps(
    pictures: Sequence[Image.Image],
    maps: Sequence[PcaMap],
    names: Sequence[str],
    *,
    smooth: bool = False,
) -> Image.Image:
    """RGB: in each row a picture, its map over its full size, and its probable subject."""
    columns = ("picture", "first three components", "probable subject")
    width = _GAP + len(columns) * (SIDE + _GAP)
    height = _HEAD + len(maps) * (SIDE + _CAPTION + _GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    ratio = ", ".join(f"{share:.0%}" for share in maps[0].explained_variance_ratio)
    title = f"Principal components of the patches ({ratio} of the variance)"
    draw.text((_GAP, 11), shortened(title, width - 2 * _GAP, 17), fill=INK, font=font(17))
    for row, (picture, one, name) in enumerate(zip(pictures, maps, names, strict=True)):
        top = _HEAD + row * (SIDE + _CAPTION + _GAP)
        shown = _fitted(picture.convert("RGB"))
        how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
        cells = Image.fromarray(one.rgb)
        subject = Image.fromarray(np.where(one.foreground, 255, 70).astype(np.uint8))
        tiles = (
            shown,
            _placed(cells, one, shown.size, how),
            Image.composite(
                shown,
                Image.new("RGB", shown.size, (0, 0, 0)),
                _placed(subject, one, shown.size, Image.Resampling.NEAREST),
            ),
        )
        for column, tile in enumerate(tiles):
            left = _GAP + column * (SIDE + _GAP)
            at = (left + (SIDE - tile.width) // 2, top + (SIDE - tile.height) // 2)
            sheet.paste(tile, at)
            caption = shortened(name if column == 0 else columns[column], SIDE, 12)
            draw.text((left, top + SIDE + 5), caption, fill=PALE, font=font(12))
    return sheet


def save_scatter(maps: Sequence[PcaMap], path: str | PathLike[str], *, most: int = MOST) -> None:
    """Save the patches of all maps as points in space, in the colours of their maps.

    A PNG, PDF or SVG by matplotlib, after the ending of `path`. Raises `OSError`, and
    `ValueError` for an ending that is not known.
    """
    from matplotlib.figure import Figure

    points = points_of(maps, most=most)
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.add_subplot(projection="3d")
    axes.scatter(*points.xyz.T, c=points.rgb / 255, s=6, linewidths=0)
    for number, axis in enumerate("xyz"):
        share = maps[0].explained_variance_ratio[number]
        axes.set(**{f"{axis}label": f"component {number + 1} ({share:.0%})"})
    figure.savefig(path, dpi=130)


def _fitted(picture: Image.Image) -> Image.Image:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _placed(
    cells: Image.Image, one: PcaMap, size: tuple[int, int], how: Image.Resampling
) -> Image.Image:
    """Cells as large as the picture of `size`, where they lie in it; black beyond them."""
    window, grid = one.grid.window, one.grid
    across, down = size[0] / grid.width, size[1] / grid.height
    left, top = round(window.x0 * across), round(window.y0 * down)
    right, bottom = round(window.x1 * across), round(window.y1 * down)
    target = Image.new(cells.mode, size)
    target.paste(cells.resize((max(1, right - left), max(1, bottom - top)), how), (left, top))
    return target
