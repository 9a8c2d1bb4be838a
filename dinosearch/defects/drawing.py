"""Pictures of what a bank says: heat and boxes over the picture, and the mask."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dinosearch.defects.report import DefectReport
from dinosearch.search.explanation import colours
from dinosearch.search.sheet import FOUND, scaled


def draw_report(picture: Image.Image, report: DefectReport) -> Image.Image:
    """RGB of the size of `picture`: its heat, bright from the threshold on, and its boxes.

    The colours go from 0 to twice the threshold, so that they mean the same for all pictures
    of a bank; without a threshold to the hottest patch.
    """
    heat, grid = report.heat, report.grid
    hottest = 2 * report.threshold if report.threshold is not None else float(np.nanmax(heat))
    shown = picture.convert("RGB")
    across, down = shown.width / grid.width, shown.height / grid.height
    window = scaled(grid.window, across, down)
    corner = (round(window.x0), round(window.y0))
    size = (max(1, round(window.x1) - corner[0]), max(1, round(window.y1) - corner[1]))
    layer = colours(heat, 0.0, max(hottest, 1e-6)).resize(size, Image.Resampling.NEAREST)
    # Pasting cuts off what padding reaches beyond the picture.
    shown.paste(layer.convert("RGB"), corner, layer.getchannel("A"))
    draw = ImageDraw.Draw(shown)
    for box in report.boxes:
        x0, y0, x1, y1 = scaled(box, across, down)
        draw.rectangle([x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)], outline=FOUND, width=2)
    return shown


def mask_image(report: DefectReport) -> Image.Image:
    """Grey of the full size of the picture: 255 where the mask marks it, else 0."""
    return Image.fromarray(np.where(report.mask_in_pixels(), 255, 0).astype(np.uint8))
