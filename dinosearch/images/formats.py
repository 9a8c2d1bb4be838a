"""The picture formats that are read, the names such files have, and how to tell them.

A short list on purpose: every further decoder is a way in for a hostile file. EPS, WMF,
PSD, FITS, BLP, PDF and the like are never opened, whatever Pillow could do with them.
"""

from __future__ import annotations

import importlib
import os
from functools import cache

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".avif"}
    | {".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc", ".bmp", ".dib", ".ico"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst"}
    | {".heic", ".heif", ".hif"}
)
"""Endings of names, in lower case, that are taken for pictures inside a folder."""

_PLUGINS = {
    "JPEG": "JpegImagePlugin",  # brings MPO, which has no opener of its own
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "TIFF": "TiffImagePlugin",
    "AVIF": "AvifImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "PPM": "PpmImagePlugin",
    "ICO": "IcoImagePlugin",
    "DIB": "BmpImagePlugin",
    "TGA": "TgaImagePlugin",
}
_TGA_NAMES = (".tga", ".icb", ".vda", ".vst")
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_OTHERS = {
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop file",
    b"%!PS": "a PostScript file",
    b"<svg": "an SVG drawing",
    b"<?xm": "an XML file",
    b"<!DO": "an HTML page",
    b"<htm": "an HTML page",
    b"PK\x03\x04": "a ZIP archive",
}


@cache
def load_plugins() -> tuple[str, ...]:
    """Import the decoders that are allowed and no other; return their names for Pillow.

    HEIC is among them when the package `pi_heif` is installed.
    """
    from PIL import Image

    for module in _PLUGINS.values():
        importlib.import_module(f"PIL.{module}")
    formats = tuple(name for name in _PLUGINS if name in Image.OPEN)
    try:
        import pi_heif
    except ImportError:
        return formats
    pi_heif.register_heif_opener(thumbnails=False)
    return (*formats, "HEIF")


def formats_for(path: str) -> tuple[str, ...]:
    """The formats that a file of this name is tried as.

    TGA has no signature, so that any bytes might pass for it: only a name can tell.
    """
    formats = load_plugins()
    if path.lower().endswith(_TGA_NAMES):
        return formats
    return tuple(name for name in formats if name != "TGA")


def has_picture_name(name: str | bytes) -> bool:
    """Whether a file of this name is taken for a picture inside a folder."""
    return os.path.splitext(os.fsdecode(name))[1].lower() in EXTENSIONS


def signature(data: bytes, formats: tuple[str, ...]) -> str | None:
    """The format whose signature the bytes start with, if it is one that is read."""
    from PIL import Image

    prefix = data[:16]
    for name in formats:
        accept = Image.OPEN[name][1]
        try:
            if accept is not None and accept(prefix):
                return name
        except Exception:
            continue
    return None


def ends_early(data: bytes) -> bool:
    """Whether a container (WebP, AVIF, HEIC, JPEG 2000) declares more bytes than there are.

    Their decoders only say that something is wrong.
    """
    if data[:4] == b"RIFF":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data[4:8] not in (b"ftyp", b"jP  "):
        return False
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8:
            return False
        position += length
    return position > len(data)


def describe(data: bytes) -> str:
    """What bytes of no known picture format look like, for a person to read."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "HEIC is read only with pi-heif: pip install 'dinosearch[heic]'"
    for start, meaning in _OTHERS.items():
        if data.lstrip()[: len(start)] == start:
            return f"this is {meaning}"
    return "the content has no known picture signature"
