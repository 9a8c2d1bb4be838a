"""Decoder: files become pictures in processes that a hostile file may kill.

Pillow and the C libraries below it never run in the process that searches or serves.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import PictureRefused
from dinosearch.geometry import Box, View
from dinosearch.images.picture import Facts, Picture, Refusal, grid_for
from dinosearch.images.process import WorkerDied, WorkerProcess, WorkerTimedOut
from dinosearch.images.reasons import DECODER_CRASH, OUT_OF_MEMORY, TIMEOUT, state_of
from dinosearch.images.source_file import stat_of

AHEAD = 3
"""Pictures in flight per process when many are decoded: enough to hide a slow one."""

MAX_GROWTH = 256 * 1024 * 1024
"""A process that keeps this many bytes more than when it was fresh is replaced."""

_MAX_DEFAULT_WORKERS = 8

Path = str | os.PathLike[str]
Reply = tuple[dict[str, Any], list[bytearray]]


class Decoder:
    """A pool of decoder processes that show pictures through one `View`.

    `workers` is the number of processes (default: one per core, at most 8); they start
    when first needed and are reused. `timeout_s` is the time a picture may take. Without
    `thumbnails`, `Picture.thumbnail` is empty. Close it, or use it in a `with` block.

    Whatever a file holds, it ends as a `Picture` or a `Refusal`. When a process dies, runs
    over time or runs out of memory, only its picture is affected: it is tried once more
    in a fresh process, by itself among the retries, and then given up. All methods may be
    called from several threads.
    """

    def __init__(
        self,
        view: View,
        *,
        workers: int | None = None,
        timeout_s: float = 60,
        thumbnails: bool = True,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.view = view
        self.workers = workers or min(_cores(), _MAX_DEFAULT_WORKERS)
        self.timeout_s = timeout_s
        self._thumbnails = thumbnails
        self._threads = ThreadPoolExecutor(self.workers, "dinosearch-decoder")
        self._lock = threading.Lock()
        self._retrying = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._alive: set[WorkerProcess] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the decoder processes that run now."""
        with self._lock:
            return tuple(worker.pid for worker in self._alive)

    def decode(
        self, path: Path, *, focus: Box | None = None, max_pixels: int | None = None
    ) -> Picture | Refusal:
        """Decode one picture now; with `fit=crop` the crop moves to hold `focus`.

        With `max_pixels` a larger picture is refused from its header.
        """
        return self._submit(path, focus, max_pixels).result()

    def decode_many(self, paths: Iterable[Path]) -> Iterator[Picture | Refusal]:
        """Decode pictures in the order given, a few ahead of the consumer.

        At most `AHEAD * workers` pictures are in memory: `paths` may be endless, and a
        slow consumer slows the reading down. The iterator may be dropped at any point.
        """
        pending: deque[Future[Picture | Refusal]] = deque()
        try:
            for path in paths:
                pending.append(self._submit(path))
                if len(pending) >= AHEAD * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def pixels(self, path: Path, *, max_side: int | None = None) -> tuple[NDArray[np.uint8], Facts]:
        """uint8 [height, width, 3]: the upright sRGB pixels of a whole picture, and its facts.

        With `max_side` the picture is reduced (bicubic) until no side is longer. Without
        it the array has the size that the facts state, except for a JPEG beyond 200
        million pixels, which is reduced (note `jpeg-reduced`). Raises `PictureRefused`.
        """
        if max_side is not None and max_side < 1:
            raise ValueError(f"max_side must be at least 1, not {max_side}")
        absolute = _absolute(path)
        header, parts = self._answer({"path": absolute, "max_side": max_side})
        pixels = np.frombuffer(parts[0], dtype=np.uint8).reshape(header["shape"])
        return pixels, Facts(**_facts(absolute, header))

    def crop(self, path: Path, box: Box, *, max_side: int) -> NDArray[np.uint8]:
        """uint8 [h, w, 3]: the part `box` (pixels of the upright picture), as `pixels` gives it.

        Raises `PictureRefused`.
        """
        request = {"path": _absolute(path), "max_side": max_side, "crop": list(box)}
        header, parts = self._answer(request)
        return np.frombuffer(parts[0], dtype=np.uint8).reshape(header["shape"])

    def jpeg(self, path: Path, *, max_side: int) -> bytes:
        """A JPEG of the upright picture without metadata, no side longer than `max_side`.

        Raises `PictureRefused`.
        """
        request = {"path": _absolute(path), "max_side": max_side, "jpeg": True}
        return bytes(self._answer(request)[1][0])

    def _answer(self, request: dict[str, Any]) -> Reply:
        result = self._threads.submit(self._ask, request).result()
        if isinstance(result, Refusal):
            raise PictureRefused(result.path, result.code, result.detail)
        return result

    def close(self) -> None:
        """End all processes and threads; what was not decoded yet never will be."""
        with self._lock:
            self._closed = True
            workers = list(self._alive)
        for worker in workers:
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in workers:
            self._retire(worker)

    def _submit(
        self, path: Path, focus: Box | None = None, max_pixels: int | None = None
    ) -> Future[Picture | Refusal]:
        return self._threads.submit(self._picture, _absolute(path), focus, max_pixels)

    def _picture(self, path: str, focus: Box | None, max_pixels: int | None) -> Picture | Refusal:
        view = self.view
        request = {
            "path": path,
            "view": [view.size, view.cell, view.fit],
            "focus": focus,
            "thumbnail": self._thumbnails,
            "max_pixels": max_pixels,
        }
        result = self._ask(request)
        if isinstance(result, Refusal):
            return result
        header, parts = result
        facts = _facts(path, header)
        grid, _ = grid_for(view, facts["width"], facts["height"], focus=focus)
        pixels = np.frombuffer(parts[0], dtype=np.uint8).reshape(view.size, view.size, 3)
        thumbnail = bytes(parts[1]) if self._thumbnails else b""
        return Picture(**facts, grid=grid, view=pixels, thumbnail=thumbnail)

    def _ask(self, request: dict[str, Any]) -> Reply | Refusal:
        """One request answered, by a second process if the first did not live to do it."""
        worker = self._take()
        was_fresh = worker.answered == 0
        result = self._ask_once(worker, request)
        if isinstance(result, Refusal) and (
            result.code in (DECODER_CRASH, TIMEOUT)
            # What earlier pictures left behind may have been in the way.
            or (result.code == OUT_OF_MEMORY and not was_fresh)
        ):
            with self._retrying:
                result = self._ask_once(self._start(), request)
        return result

    def _ask_once(self, worker: WorkerProcess, request: dict[str, Any]) -> Reply | Refusal:
        path = request["path"]
        try:
            header, parts = worker.ask(request, self.timeout_s)
        except (WorkerDied, WorkerTimedOut) as error:
            self._retire(worker)
            code = TIMEOUT if isinstance(error, WorkerTimedOut) else DECODER_CRASH
            return _refusal(path, {"refused": code, "detail": str(error)})
        except BaseException:
            self._retire(worker)
            raise
        if header.pop("grown") > MAX_GROWTH or header.get("refused") == OUT_OF_MEMORY:
            self._retire(worker)
        else:
            with self._lock:
                self._idle.append(worker)
        return _refusal(path, header) if "refused" in header else (header, parts)

    def _take(self) -> WorkerProcess:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> WorkerProcess:
        with self._lock:
            if self._closed:
                raise RuntimeError("the decoder has been closed")
            worker = WorkerProcess()
            self._alive.add(worker)
        try:
            worker.wait_until_ready()
        except BaseException:
            self._retire(worker)
            raise
        return worker

    def _retire(self, worker: WorkerProcess) -> None:
        worker.close()
        with self._lock:
            self._alive.discard(worker)


def _facts(path: str, header: dict[str, Any]) -> dict[str, Any]:
    names = ("width", "height", "format", "sha256", "bytes", "mtime_ns", "taken")
    facts = {name: header[name] for name in names}
    return {"path": path, **facts, "notes": tuple(header["notes"])}


def _refusal(path: str, header: dict[str, Any]) -> Refusal:
    size, mtime_ns = stat_of(path)
    return Refusal(
        path=path,
        state=state_of(header["refused"]),
        code=header["refused"],
        detail=header["detail"],
        bytes=header.get("bytes", size),
        mtime_ns=header.get("mtime_ns", mtime_ns),
        sha256=header.get("sha256"),
    )


def _absolute(path: Path) -> str:
    """The path as text, whatever the folder of a process that was started earlier."""
    text = os.fsdecode(path)
    try:
        return os.path.abspath(text)
    except ValueError:
        return text


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
