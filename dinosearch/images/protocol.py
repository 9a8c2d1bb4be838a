"""How a decoder process and its owner talk: messages of JSON and raw bytes over pipes.

A message is 4 bytes (big-endian length of the header), the header in JSON, and then the
raw parts whose lengths the header's `parts` lists. No pickle: a decoder that a hostile
picture has taken over must not be able to run code in the process that owns it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

MAX_HEADER = 1 << 20
MAX_PARTS = 1 << 30

ReadInto = Callable[[memoryview], int]
"""Fills the start of a buffer and returns the number of bytes, 0 at the end."""


class Ended(Exception):
    """The other side closed the pipe, or wrote what is not a message."""


def send(file: int, header: dict[str, Any], parts: Sequence[bytes | memoryview] = ()) -> None:
    """Write one message to a file descriptor; raises `OSError` when nobody reads it."""
    text = json.dumps({**header, "parts": [len(part) for part in parts]}).encode("ascii")
    for piece in (len(text).to_bytes(4, "big") + text, *parts):
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(file, rest) :]


def receive(read_into: ReadInto) -> tuple[dict[str, Any], list[bytearray]]:
    """Read one message. Raises `Ended`."""
    length = int.from_bytes(_exactly(read_into, 4), "big")
    if length > MAX_HEADER:
        raise Ended(f"a header of {length} bytes")
    text = _exactly(read_into, length)
    try:
        header = json.loads(text)
        lengths = [int(n) for n in header.pop("parts")]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Ended(f"not a message: {error}") from error
    if min(lengths, default=0) < 0 or sum(lengths) > MAX_PARTS:
        raise Ended(f"parts of {lengths} bytes")
    return header, [_exactly(read_into, n) for n in lengths]


def _exactly(read_into: ReadInto, length: int) -> bytearray:
    buffer = bytearray(length)
    rest = memoryview(buffer)
    while rest:
        count = read_into(rest)
        if count == 0:
            raise Ended("the pipe was closed")
        rest = rest[count:]
    return buffer
