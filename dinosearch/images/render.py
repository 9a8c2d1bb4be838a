"""One request to a decoder process, answered: from a path to the bytes that are wanted.

Runs in the decoder process. The answers are plain JSON values and raw bytes.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from dinosearch.encoders.preprocess import make_view
from dinosearch.geometry import Box, View
from dinosearch.images.loading import Loaded, conversion_failure, load
from dinosearch.images.picture import grid_for
from dinosearch.images.reasons import Rejected
from dinosearch.images.source_file import SourceFile, read_source, stat_of
from dinosearch.images.upright_picture import UprightPicture

THUMBNAIL_SIDE = 256
THUMBNAIL_QUALITY = 82

Answer = tuple[dict[str, Any], list[bytes | memoryview]]


def answer(request: dict[str, Any]) -> Answer:
    """Do what `request` asks: `{"path", "view": [size, cell, fit], "focus", "thumbnail"}`
    for a view and a thumbnail, `{"path", "max_side", "jpeg", "crop"}` for the upright pixels,
    of all of it or the box `crop`, raw or as a JPEG without metadata. `max_pixels` may be
    given to refuse larger pictures.

    Every file ends in an answer: `{"refused": code, ...}` is one of them.
    """
    path = request["path"]
    source: SourceFile | None = None
    try:
        source = read_source(path)
        facts, parts = _view(source, request) if "view" in request else _pixels(source, request)
    except Exception as error:
        rejected = error if isinstance(error, Rejected) else conversion_failure(error)
        return _refusal(path, source, rejected), []
    facts |= {
        "sha256": source.sha256,
        "bytes": len(source.data),
        "mtime_ns": source.mtime_ns,
    }
    return facts, parts


def _view(source: SourceFile, request: dict[str, Any]) -> Answer:
    size, cell, fit = request["view"]
    view = View(size, cell, fit)
    loaded = load(
        source.data, source.path, wanted=(size, size), max_pixels=request.get("max_pixels")
    )
    focus = Box(*request["focus"]) if request["focus"] else None
    grid, notes = grid_for(view, *loaded.full_size, focus=focus)
    thumb = _fitting(loaded.full_size, THUMBNAIL_SIDE)
    wide, narrow = loaded.upright.narrowed(grid.scaled_width, thumb[0])
    parts: list[bytes | memoryview] = [make_view(wide, grid).data.cast("B")]
    if request["thumbnail"]:
        parts.append(_jpeg(narrow, thumb))
    return _facts(loaded, notes), parts


def _pixels(source: SourceFile, request: dict[str, Any]) -> Answer:
    max_side = request["max_side"]
    small_enough = max_side and not request.get("crop")
    loaded = load(source.data, source.path, wanted=(max_side, max_side) if small_enough else None)
    picture = loaded.upright
    if request.get("crop"):
        pixels = _cropped(loaded, Box(*request["crop"]), max_side)
    elif max_side and max(picture.size) > max_side:
        size = _fitting(picture.size, max_side)
        image = picture.narrowed(size[0])[0].resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
    else:
        pixels = _all_pixels(picture)
    if request.get("jpeg"):
        return _facts(loaded, ()), [_jpeg(Image.fromarray(pixels), pixels.shape[1::-1])]
    return _facts(loaded, ()) | {"shape": pixels.shape}, [pixels.data.cast("B")]


def _cropped(loaded: Loaded, box: Box, max_side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The part `box` (pixels of the full size), no side longer than `max_side`."""
    width, height = loaded.full_size
    pixels = Image.fromarray(_all_pixels(loaded.upright))
    sx, sy = pixels.width / width, pixels.height / height
    part = (
        max(0.0, box.x0 * sx),
        max(0.0, box.y0 * sy),
        min(pixels.width, box.x1 * sx),
        min(pixels.height, box.y1 * sy),
    )
    size = _fitting((round(part[2] - part[0]) or 1, round(part[3] - part[1]) or 1), max_side)
    return np.asarray(pixels.resize(size, Image.Resampling.BICUBIC, box=part))


def _all_pixels(picture: UprightPicture) -> np.ndarray[Any, np.dtype[np.uint8]]:
    width, height = picture.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top, strip in picture.strips():
        pixels[top : top + strip.height] = np.asarray(strip)
    return pixels


def _facts(loaded: Loaded, notes: tuple[str, ...]) -> dict[str, Any]:
    width, height = loaded.full_size
    return {
        "width": width,
        "height": height,
        "format": loaded.format,
        "taken": loaded.taken,
        "notes": sorted({*loaded.notes, *loaded.upright.notes, *notes}),
    }


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size with the same aspect whose longest side is at most `side`, never enlarged."""
    longest = max(size)
    if longest <= side:
        return size
    return max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest))


def _jpeg(image: Image.Image, size: tuple[int, int]) -> bytes:
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    out = io.BytesIO()
    # A fresh picture carries no EXIF, profile or comment along.
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    clean.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


def _refusal(path: str, source: SourceFile | None, rejected: Rejected) -> dict[str, Any]:
    """The answer for a picture that was not read, with what is known of its file."""
    size, mtime_ns = stat_of(path)
    return {
        "refused": rejected.code,
        "detail": rejected.detail,
        "bytes": len(source.data) if source else size,
        "mtime_ns": source.mtime_ns if source else mtime_ns,
        "sha256": source.sha256 if source else None,
    }
