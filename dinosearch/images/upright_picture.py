"""A decoded picture as a person sees it: turned upright, in sRGB, piece by piece if large.

A picture of 200 million pixels may fill 800 MB as it comes from its decoder. Converting it
as a whole would double that, so large pictures are converted and narrowed in strips. The
result is the same to the bit: Pillow resizes rows first and columns afterwards, and a row
never depends on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from dinosearch.errors import InvalidInput
from dinosearch.images.colour import ToSrgb
from dinosearch.images.picture import MAX_ASPECT

WHOLE_PIXELS = 24_000_000
"""Up to this size a picture is converted in one piece."""

STRIP_PIXELS = 4_000_000

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UprightPicture:
    """A loaded Pillow picture of any mode and EXIF orientation (1 to 8), seen upright.

    `size` is (width, height) after turning.
    """

    def __init__(self, image: Image.Image, orientation: int = 1) -> None:
        self._image = image
        self._turn = _TURNS.get(orientation)
        self._orientation = orientation
        self._to_srgb = ToSrgb(image)
        width, height = image.size
        self.size = (height, width) if orientation >= 5 else (width, height)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done so far: complete once the pixels were taken."""
        turned = ("exif-orientation",) if self._turn is not None else ()
        return turned + self._to_srgb.notes

    def whole(self) -> Image.Image:
        """RGB, in one piece."""
        return self._finish(self._image)

    def strips(self) -> Iterator[tuple[int, Image.Image]]:
        """(first row, RGB strip of the full width), from top to bottom."""
        width, height = self.size
        if width * height <= WHOLE_PIXELS:
            yield 0, self.whole()
            return
        rows = max(1, STRIP_PIXELS // width)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            yield top, self._finish(self._image.crop(self._raw_box(top, bottom)))

    def narrowed(self, *widths: int) -> list[Image.Image]:
        """RGB pictures of the full height, resized (bicubic) to each of `widths` columns.

        A small picture comes back at its full width for each of them: resizing it in one
        go afterwards gives the same pixels sooner.
        """
        width, height = self.size
        if width * height <= WHOLE_PIXELS:
            return [self.whole()] * len(widths)
        narrow = [Image.new("RGB", (w, height)) for w in widths]
        for top, strip in self.strips():
            for target in narrow:
                size = (target.width, strip.height)
                target.paste(strip.resize(size, Image.Resampling.BICUBIC), (0, top))
        return narrow

    def _finish(self, part: Image.Image) -> Image.Image:
        rgb = self._to_srgb(part)
        return rgb.transpose(self._turn) if self._turn is not None else rgb

    def _raw_box(self, top: int, bottom: int) -> tuple[int, int, int, int]:
        """The box of the picture as stored that becomes rows `top..bottom` upright."""
        width, height = self._image.size
        return {
            1: (0, top, width, bottom),
            2: (0, top, width, bottom),
            3: (0, height - bottom, width, height - top),
            4: (0, height - bottom, width, height - top),
            5: (top, 0, bottom, height),
            6: (top, 0, bottom, height),
            7: (width - bottom, 0, width - top, height),
            8: (width - bottom, 0, width - top, height),
        }[self._orientation]


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation of a loaded picture, 1 to 8; 1 where it says nothing sensible.

    Raises whatever damaged metadata raise.
    """
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image | NDArray[Any]) -> tuple[Image.Image, tuple[str, ...]]:
    """RGB of a picture handed over in memory, and the notes on what was done to it.

    Takes a Pillow picture of any mode (its EXIF orientation, colour profile and
    transparency are honoured as in a file) or a uint8 array [H, W], [H, W, 3] (RGB) or
    [H, W, 4] (RGBA). Raises `InvalidInput` for anything else, for a picture without
    pixels, one over 200 times as long as wide, and one that cannot be decoded.
    """
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    elif not isinstance(image, Image.Image):
        raise InvalidInput(f"a picture must be {_ACCEPTED}, not {type(image).__name__}")
    if min(image.size) < 1:
        raise InvalidInput(f"a picture of {image.width} x {image.height} pixels shows nothing")
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise InvalidInput(
            f"a picture of {image.width} x {image.height} pixels is more than {MAX_ASPECT} times"
            " as long as wide: cut it into pieces"
        )
    try:
        image.load()
    except Exception as error:
        raise InvalidInput(f"the picture in memory cannot be decoded: {error}") from error
    try:
        orientation = exif_orientation(image)
    except Exception:
        orientation = 1
    picture = UprightPicture(image, orientation)
    return picture.whole(), picture.notes


_ACCEPTED = (
    "a path, a Pillow picture, or a uint8 array [height, width], [height, width, 3] (RGB)"
    " or [height, width, 4] (RGBA)"
)


def _from_array(array: NDArray[Any]) -> Image.Image:
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not fits:
        raise InvalidInput(
            f"a picture must be {_ACCEPTED}, not an array of {array.dtype} {list(array.shape)}"
        )
    if array.size == 0:
        raise InvalidInput(f"an array of {list(array.shape)} holds no pixels")
    return Image.fromarray(np.ascontiguousarray(array))
