"""Why a picture was not read, and what was done to one that was: two fixed vocabularies.

A *reason code* ends a picture: `refused` when the file itself is at fault, so that trying
again is no use until it changes, `failed` when the circumstances may have been. A *note*
stays with a picture that was read, so that nothing is changed in silence.
"""

from __future__ import annotations

from typing import Literal

State = Literal["refused", "failed"]

EMPTY = "empty"
TOO_LARGE = "too-large"
SYMLINK = "symlink"
NOT_A_FILE = "not-a-file"
UNSUPPORTED_FORMAT = "unsupported-format"
HEADER_CORRUPT = "header-corrupt"
PIXELS_CORRUPT = "pixels-corrupt"
TRUNCATED = "truncated"
TOO_MANY_PIXELS = "too-many-pixels"
EXTREME_ASPECT = "extreme-aspect"
METADATA_TOO_LARGE = "metadata-too-large"

NOT_FOUND = "not-found"
UNREADABLE = "unreadable"
OUT_OF_MEMORY = "out-of-memory"
TIMEOUT = "timeout"
DECODER_CRASH = "decoder-crash"

REFUSED: dict[str, str] = {
    EMPTY: "The file holds no bytes.",
    TOO_LARGE: "The file is larger than 512 MB.",
    SYMLINK: "The name is a symbolic link; links are not followed.",
    NOT_A_FILE: "The name is a folder, pipe, socket or device rather than a regular file.",
    UNSUPPORTED_FORMAT: "The content is not in a picture format that is read.",
    HEADER_CORRUPT: "The file starts like a picture, but its header makes no sense.",
    PIXELS_CORRUPT: "The header is sound, but the pixels cannot be decoded.",
    TRUNCATED: "The file ends before the picture does.",
    TOO_MANY_PIXELS: "The picture has more than 200 million pixels.",
    EXTREME_ASPECT: "The picture is more than 200 times as long as it is wide.",
    METADATA_TOO_LARGE: "The text stored with the picture unpacks to an absurd size.",
}
FAILED: dict[str, str] = {
    NOT_FOUND: "There is no such file (any more).",
    UNREADABLE: "The file system did not let the file be read.",
    OUT_OF_MEMORY: "Decoding needs more memory than one picture is given.",
    TIMEOUT: "Decoding took longer than one picture is given.",
    DECODER_CRASH: "The decoding process died on this picture, twice.",
}
REASONS: dict[str, str] = {**REFUSED, **FAILED}
"""One sentence for each reason code."""

NOTES: dict[str, str] = {
    "exif-orientation": "Turned or mirrored to stand upright as its metadata say.",
    "icc-to-srgb": "Colours converted from its colour profile to sRGB.",
    "icc-ignored": "Its colour profile is damaged or of another kind of picture.",
    "alpha-on-white": "Transparent parts laid on white.",
    "alpha-ignored": "Its transparency says that nothing is visible, so it was left out.",
    "16-bit": "16-bit levels divided by 257.",
    "float-times-255": "Levels in [0, 1] multiplied by 255.",
    "stretched-min-max": "Levels of unknown range stretched from darkest to brightest.",
    "cmyk": "Printing colours converted to sRGB.",
    "lab": "CIELAB colours converted to sRGB.",
    "first-frame": "One of several pictures in the file, whose number cannot be told.",
    "first-frame-of-N": "The first of N pictures in the file.",
    "padded-extreme-aspect": "Over 20 times as long as wide: padded instead of cropped.",
    "jpeg-reduced": "Over 200 million pixels: reduced while decoding.",
    "metadata-damaged": "Its metadata cannot be read in full.",
    "decoder-warning": "The decoder complained, but gave a picture.",
}
"""One sentence for each note; `first-frame-of-N` carries a number in place of N."""


def meaning_of(code: str) -> str:
    """The sentence for a reason code or a note; empty for one that is not known."""
    frames = code.removeprefix("first-frame-of-")
    if frames != code:
        return NOTES["first-frame-of-N"].replace("N", frames)
    return REASONS.get(code) or NOTES.get(code) or ""


def state_of(code: str) -> State:
    """`failed` for a code that is worth another try, else `refused`."""
    return "failed" if code in FAILED else "refused"


class Rejected(Exception):
    """Inside the images room: this picture ends here, for the reason `code`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
