"""From an upright picture to the square a model is shown, without torch.

Every decoder process imports this file, so it needs Pillow and numpy only. It follows
torchvision's v2 transforms `Resize(size, BICUBIC, antialias=True)` and `CenterCrop(size)`
to the bit, and `torch_encoder.normalised` what comes after; the tests compare them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dinosearch.geometry import Box, PatchGrid

MEAN = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, RGB in [0, 1]."""

STD = (0.229, 0.224, 0.225)
"""ImageNet's standard deviation, RGB in [0, 1]."""

PAD_COLOUR = (124, 116, 104)
"""What surrounds a padded picture: `MEAN` in 8 bits, so that it is about 0 once normalised."""


def make_view(image: Image.Image, grid: PatchGrid) -> NDArray[np.uint8]:
    """uint8 [size, size, 3]: the square of an upright RGB picture that a model is shown.

    The picture is resized to the scaled size of `grid` whatever number of pixels it
    has: it may have been reduced while decoding, on one axis or both. With `fit=crop`
    the resized picture is held in memory as a whole, so pictures of extreme aspect must
    come with a padding grid (`dinosearch.images.grid_for` gives it to them).
    """
    if image.mode != "RGB":
        raise ValueError(f"a view is made of an RGB picture, not of {image.mode}")
    scaled = (grid.scaled_width, grid.scaled_height)
    if image.size != scaled:
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    if scaled == (grid.size, grid.size):
        return np.array(image)
    pixels = np.asarray(image)
    view = np.full((grid.size, grid.size, 3), PAD_COLOUR, dtype=np.uint8)
    x0, y0 = max(0, grid.left), max(0, grid.top)
    x1 = min(grid.scaled_width, grid.left + grid.size)
    y1 = min(grid.scaled_height, grid.top + grid.size)
    view[y0 - grid.top : y1 - grid.top, x0 - grid.left : x1 - grid.left] = pixels[y0:y1, x0:x1]
    return view


def make_zoom(image: Image.Image, shows: Box, grid: PatchGrid) -> NDArray[np.uint8]:
    """uint8 [size, size, 3]: what `grid` marks out, of a cutting from a picture.

    `image` is RGB and shows the part `shows` (picture pixels) of the upright picture, at any
    resolution. What of the square is not in it is padded.
    """
    if image.mode != "RGB":
        raise ValueError(f"a view is made of an RGB picture, not of {image.mode}")
    seen = grid.window.intersection(shows)
    at = grid.to_view(seen)
    x0, y0 = round(at.x0), round(at.y0)
    x1, y1 = max(x0 + 1, round(at.x1)), max(y0 + 1, round(at.y1))
    sx, sy = image.width / shows.width, image.height / shows.height
    part = image.resize(
        (x1 - x0, y1 - y0),
        Image.Resampling.BICUBIC,
        box=(
            (seen.x0 - shows.x0) * sx,
            (seen.y0 - shows.y0) * sy,
            min(image.width, (seen.x1 - shows.x0) * sx),
            min(image.height, (seen.y1 - shows.y0) * sy),
        ),
    )
    view = np.full((grid.size, grid.size, 3), PAD_COLOUR, dtype=np.uint8)
    pixels = np.asarray(part)[: grid.size - y0, : grid.size - x0]
    view[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]] = pixels
    return view
