"""What one file became: a `Picture`, or a `Refusal` that says why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import Box, PatchGrid, View
from dinosearch.images.reasons import State

CROP_ASPECT = 20
"""Up to this ratio of long to short side a picture is cropped; beyond, it is padded."""

MAX_ASPECT = 200
"""Beyond this ratio of long to short side a picture is refused."""


@dataclass(frozen=True)
class Facts:
    """What is known of a picture besides its pixels.

    `path` is absolute, with surrogate escapes for bytes that are not UTF-8. `width` and
    `height` are pixels of the upright picture at full size, `format` is Pillow's name,
    `sha256` the lower-case hex digest of exactly the bytes that were decoded, `bytes`
    their number and `mtime_ns` the file's time before they were read. `taken` is EXIF
    DateTimeOriginal as ISO text without a zone (`2024-05-17T08:30:00`), or None. `notes`
    holds keys of `reasons.NOTES`.
    """

    path: str
    width: int
    height: int
    format: str
    sha256: str
    bytes: int
    mtime_ns: int
    taken: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Picture(Facts):
    """A picture that was read.

    `view` is uint8 [size, size, 3], the square of `grid` that the encoder is shown;
    `thumbnail` a JPEG of at most 256 pixels a side without metadata, empty when the
    decoder was told to make none.
    """

    grid: PatchGrid
    view: NDArray[np.uint8]
    thumbnail: bytes


@dataclass(frozen=True)
class Refusal:
    """A picture that was not read, and why.

    `code` is a key of `reasons.REASONS`; `sha256` is None when the bytes were not read.
    """

    path: str
    state: State
    code: str
    detail: str
    bytes: int
    mtime_ns: int
    sha256: str | None


def grid_for(
    view: View, width: int, height: int, *, focus: Box | None = None
) -> tuple[PatchGrid, tuple[str, ...]]:
    """The grid of a picture of `width` x `height` pixels, and the notes that come with it.

    A crop of a picture more than `CROP_ASPECT` times as long as wide would show next to
    nothing of it (and cost gigabytes to resize), so it is padded, with a note.
    """
    if view.fit == "crop" and max(width, height) > CROP_ASPECT * min(width, height):
        return View(view.size, view.cell, "pad").grid(width, height), ("padded-extreme-aspect",)
    return view.grid(width, height, focus=focus), ()
