"""The policy for the bytes of one file: which decoder, which limits, which refusal.

Everything that can be refused is refused from the header, before a pixel is decoded. Any
bytes whatsoever end as a `Loaded` or a `Rejected`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from PIL import ExifTags, Image, UnidentifiedImageError

from dinosearch.images.formats import describe, ends_early, formats_for, signature
from dinosearch.images.picture import MAX_ASPECT
from dinosearch.images.reasons import (
    EXTREME_ASPECT,
    HEADER_CORRUPT,
    METADATA_TOO_LARGE,
    OUT_OF_MEMORY,
    PIXELS_CORRUPT,
    TOO_MANY_PIXELS,
    TRUNCATED,
    UNSUPPORTED_FORMAT,
    Rejected,
)
from dinosearch.images.upright_picture import UprightPicture, exif_orientation

MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Loaded:
    """A decoded picture. `full_size` is (width, height) upright, before any reduction."""

    upright: UprightPicture
    full_size: tuple[int, int]
    format: str
    taken: str | None
    notes: tuple[str, ...]


def load(
    data: bytes,
    name: str,
    *,
    wanted: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> Loaded:
    """Decode the bytes of a file called `name`.

    With `max_pixels` a picture of more is refused, whatever its format.

    A JPEG beyond `MAX_PIXELS` is reduced 2, 4 or 8 times while decoding: as little as the
    limit allows, or down to twice the upright size `wanted`, which loses nothing once
    it is resized to that. Raises `Rejected`. Not safe to call from two threads at once,
    because Pillow's limits and Python's warnings are settings of the whole process.
    """
    formats = formats_for(name)
    notes = []
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            image = _open(data, formats)
        except Exception as error:
            raise _open_failure(error, data, formats) from error
        _check_size(*image.size, image.format)
        full = image.size
        if max_pixels is not None and full[0] * full[1] > max_pixels:
            raise Rejected(TOO_MANY_PIXELS, f"{full[0]} x {full[1]} pixels")
        reduced = _reduce_jpeg(image, wanted)
        try:
            turned_by_tiff = _tiff_orientation(image)
            with _pixel_limit(MAX_PIXELS):
                image.load()
        except Exception as error:
            raise _failure(error, PIXELS_CORRUPT, data) from error
        if not reduced:
            full = image.size
            _check_size(*full, None)
        try:
            orientation = exif_orientation(image)
            taken = _taken(image.getexif())
        except Exception:
            orientation, taken = 1, None
            notes.append("metadata-damaged")
        frames = _frames(image, data)
    if any(issubclass(c.category, UserWarning) for c in complaints):
        notes.append("decoder-warning")
    if turned_by_tiff:
        notes.append("exif-orientation")
    if reduced:
        notes.append("jpeg-reduced")
    if frames is None:
        notes.append("first-frame")
    elif frames > 1:
        notes.append(f"first-frame-of-{frames}")
    try:
        upright = UprightPicture(image, orientation)
    except Exception as error:
        raise _failure(error, PIXELS_CORRUPT, data) from error
    if orientation >= 5:
        full = (full[1], full[0])
    return Loaded(upright, full, image.format or "", taken, tuple(notes))


def conversion_failure(error: Exception) -> Rejected:
    """The refusal for what went wrong after decoding, while converting the pixels."""
    return _failure(error, PIXELS_CORRUPT, b"")


def _open(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    try:
        with _pixel_limit(MAX_PIXELS):
            return Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        if not data.startswith(b"\xff\xd8"):
            raise
        # A JPEG this large is not refused: its decoder can reduce it on the way.
        with _pixel_limit(None):
            return Image.open(io.BytesIO(data), formats=("JPEG",))


@contextmanager
def _pixel_limit(pixels: int | None) -> Iterator[None]:
    """Let Pillow refuse more than `pixels` itself, also for pictures within pictures."""
    before = Image.MAX_IMAGE_PIXELS
    # Pillow warns beyond its limit and refuses beyond twice that.
    Image.MAX_IMAGE_PIXELS = None if pixels is None else pixels // 2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(width: int, height: int, format: str | None) -> None:
    if width < 1 or height < 1:
        raise Rejected(HEADER_CORRUPT, f"{width} x {height} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Rejected(EXTREME_ASPECT, f"{width} x {height} pixels")
    if width * height > MAX_PIXELS and format not in ("JPEG", "MPO"):
        raise Rejected(TOO_MANY_PIXELS, f"{width} x {height} pixels")


def _reduce_jpeg(image: Image.Image, wanted: tuple[int, int] | None) -> bool:
    width, height = image.size
    if width * height <= MAX_PIXELS:
        return False
    factors = [f for f in (2, 4, 8) if -(-width // f) * -(-height // f) <= MAX_PIXELS]
    factor = factors[0]
    if wanted is not None:
        # Compared side by side in either orientation, since EXIF is not read yet.
        short = min(width, height) / min(wanted)
        long = max(width, height) / max(wanted)
        factor = max([factor, *(f for f in factors if min(short, long) >= 2 * f)])
    image.draft(None, (width // factor, height // factor))
    if image.width * image.height > MAX_PIXELS:
        raise Rejected(TOO_MANY_PIXELS, f"{width} x {height} pixels")
    return True


def _tiff_orientation(image: Image.Image) -> bool:
    """Whether Pillow will turn this TIFF itself while decoding, and forget that it did."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(ExifTags.Base.Orientation, 1) in range(2, 9)


def _taken(exif: Image.Exif) -> str | None:
    text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None


def _frames(image: Image.Image, data: bytes) -> int | None:
    """How many pictures the file holds; None when the later ones are damaged.

    GIF and TIFF do not say; their decoder has to walk through the file, and is opened
    afresh for that because it would lose the first picture on the way.
    """
    if image.format not in ("GIF", "TIFF"):
        return int(getattr(image, "n_frames", 1))
    try:
        with Image.open(io.BytesIO(data), formats=(image.format,)) as again:
            return int(getattr(again, "n_frames", 1))
    except MemoryError:
        raise Rejected(OUT_OF_MEMORY, "while counting the frames") from None
    except Exception:
        return None


def _open_failure(error: Exception, data: bytes, formats: tuple[str, ...]) -> Rejected:
    if not isinstance(error, UnidentifiedImageError):
        return _failure(error, HEADER_CORRUPT, data)
    known = signature(data, formats)
    if known is None:
        return Rejected(UNSUPPORTED_FORMAT, describe(data))
    if ends_early(data):
        return Rejected(TRUNCATED, f"the {known} file is shorter than it says itself")
    return Rejected(HEADER_CORRUPT, f"it starts like {known}, but its header cannot be read")


def _failure(error: Exception, otherwise: str, data: bytes) -> Rejected:
    """The reason code for what a decoder raised: any exception at all."""
    if isinstance(error, Rejected):
        return error
    text = str(error)
    detail = f"{type(error).__name__}: {text}"[:300]
    if isinstance(error, Image.DecompressionBombError):
        return Rejected(TOO_MANY_PIXELS, detail)
    lower = text.lower()
    if isinstance(error, MemoryError) or "out of memory" in lower or "allocate" in lower:
        return Rejected(OUT_OF_MEMORY, detail)
    if "text_chunk" in lower or "text_memory" in lower:
        return Rejected(METADATA_TOO_LARGE, detail)
    if isinstance(error, EOFError) or "truncated" in lower or ends_early(data):
        return Rejected(TRUNCATED, detail)
    return Rejected(otherwise, detail)
