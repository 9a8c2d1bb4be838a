"""A file becomes an upright sRGB picture, or a refusal with a reason code.

`find_files` lists what a folder holds, `Decoder` reads it in processes of its own, and
`upright` treats a picture that is in memory already by the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dinosearch.images.decoder import Decoder
from dinosearch.images.find import Found, find_files
from dinosearch.images.formats import EXTENSIONS
from dinosearch.images.picture import Facts, Picture, Refusal, grid_for
from dinosearch.images.reasons import NOTES, REASONS, meaning_of
from dinosearch.images.source_file import content_of

if TYPE_CHECKING:
    from dinosearch.images.upright_picture import upright

__all__ = [
    "EXTENSIONS",
    "NOTES",
    "REASONS",
    "Decoder",
    "Facts",
    "Found",
    "Picture",
    "Refusal",
    "content_of",
    "find_files",
    "grid_for",
    "meaning_of",
    "upright",
]


def __getattr__(name: str) -> object:
    # Pillow is loaded by those only who hand over pictures in memory.
    if name == "upright":
        from dinosearch.images.upright_picture import upright

        return upright
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
