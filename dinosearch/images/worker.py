"""The decoder process: `python -m dinosearch.images.worker`.

Reads requests from stdin and answers them on stdout, one picture at a time, until stdin
ends; so it never outlives the process that owns it. What a hostile picture can do stays in
here: the address space, processor time and files written are limited, and only the view
and the thumbnail leave, never a picture of 200 million pixels.

A subprocess of its own rather than `multiprocessing`: a user's script needs no `__main__`
guard, nothing is forked from a process that runs torch's threads, and nothing is pickled.
"""

from __future__ import annotations

import math
import os
import resource
import sys
from typing import Any

from dinosearch.images.formats import load_plugins
from dinosearch.images.protocol import Ended, receive, send
from dinosearch.images.render import answer

MEMORY = 1536 * 1024 * 1024
"""What decoding may use on top of the fresh process, in bytes of address space."""

_STDERR_BYTES = 256 * 1024
_TEXT_BYTES = 16 * 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve until stdin ends."""
    requests, answers = _private_pipes()
    load_plugins()
    _set_up_pillow()
    _limit()
    fresh = _resident()
    send(answers, {"ready": True})
    while True:
        try:
            request, _ = receive(lambda buffer: os.readv(requests, [buffer]))
        except Ended:
            return
        _limit_time(float(request["timeout_s"]))
        _empty_stderr()
        header, parts = answer(request)
        header["grown"] = max(0, _resident() - fresh)
        try:
            send(answers, header, parts)
        except BrokenPipeError:
            return


def _private_pipes() -> tuple[int, int]:
    """Take stdin and stdout away from C libraries, which print to them as they please."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _set_up_pillow() -> None:
    from PIL import AvifImagePlugin, PngImagePlugin

    # The pool has a process per core already, and every thread costs address space.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # Pillow's own limit of 1 MB turns away colour profiles and notes that people do store.
    PngImagePlugin.MAX_TEXT_CHUNK = _TEXT_BYTES


def _limit() -> None:
    _lower(resource.RLIMIT_CORE, 0)
    # Nothing but stderr is written to a file, and libtiff can write a great deal of it.
    _lower(resource.RLIMIT_FSIZE, _STDERR_BYTES)
    size = _statm()[0]
    if size:
        _lower(resource.RLIMIT_AS, size + MEMORY)


def _lower(limit: int, value: int) -> None:
    """Set a limit of this process, unless it is lower already (`ulimit` of the user)."""
    hard = resource.getrlimit(limit)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def _limit_time(seconds: float) -> None:
    """Bound the processor time of the next picture, for when nobody watches the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds) + 5
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _empty_stderr() -> None:
    """Keep only what is said about one picture; no use where stderr is not a file."""
    sys.stderr.flush()
    try:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
    except OSError:
        return


def _resident() -> int:
    return _statm()[1]


def _statm() -> tuple[int, int]:
    """(address space, resident memory) in bytes; zeros where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            fields: list[Any] = file.read().split()
    except OSError:
        return 0, 0
    return int(fields[0]) * _PAGE, int(fields[1]) * _PAGE


if __name__ == "__main__":
    main()
