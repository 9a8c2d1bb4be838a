"""Everything dinosearch raises on purpose.

Each message says what went wrong, where, and what to do about it. Each class carries
the exit code that the command line ends with, so that no door has to know the others.
"""

from __future__ import annotations


class DinoSearchError(Exception):
    """Base of every error that dinosearch raises on purpose."""

    exit_code = 1


class InvalidInput(DinoSearchError):
    """The caller asked for something that cannot be: no such file, region, k, filter."""

    exit_code = 2


class PictureRefused(InvalidInput):
    """A picture that was handed in cannot be read.

    `code` is the reason code of the images room (`truncated`, `too-many-pixels`, ...).
    """

    def __init__(self, path: str, code: str, detail: str) -> None:
        super().__init__(f"{path}: {code}: {detail}")
        self.path = path
        self.code = code
        self.detail = detail


class UnusableIndex(DinoSearchError):
    """The index cannot be used as it is: format, damage, read-only folder."""

    exit_code = 4


class EncoderMismatch(UnusableIndex):
    """The encoder at hand is not the one the index was built with."""


class EncoderUnavailable(DinoSearchError):
    """The encoder is known, but its weights or its package are not on this machine."""

    exit_code = 4


class DiskFull(DinoSearchError):
    """The disk is full, or too nearly full to start another batch."""

    exit_code = 74


class IndexLocked(DinoSearchError):
    """Another process is writing to this index."""

    exit_code = 75
