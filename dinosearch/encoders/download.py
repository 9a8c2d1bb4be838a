"""Official weights over the network: resumed, checked, and whole or not there at all."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from dinosearch.encoders.checksum import hash_file, sidecar
from dinosearch.encoders.folders import download_folder
from dinosearch.encoders.weights import OFFICIAL, variant_of
from dinosearch.errors import DinoSearchError, DiskFull

Progress = Callable[[int, int], None]

CHUNK = 1 << 20
TIMEOUT = 30.0
TRIES = 5
"""Connections in a row that may bring nothing new before the download gives up."""

PASSING = (408, 429, 500, 502, 503, 504)
"""Answers of a server that may be better a moment later."""


class DownloadFailed(DinoSearchError):
    """The weights did not arrive. What did is kept, and the next try goes on from there."""

    exit_code = 4


def download(
    name: str,
    folder: Path | None = None,
    *,
    base_url: str = OFFICIAL,
    progress: Progress | None = None,
    sha256: str | None = None,
    pause: float = 1.0,
) -> Path:
    """Fetch the official weights of the DINOv2 `name` into `folder`; return the file.

    A file that is there and has the right checksum is not fetched again. `progress` is
    called with bytes so far and bytes in all. `sha256` replaces the known checksum, for
    a mirror that serves other bytes. A broken connection is taken up again after `pause`
    seconds, doubled each time. The bytes lie in FILE.part until they are complete and
    checked; the checksum is then written beside the file, and loading compares it.

    Raises `InvalidInput` for an unknown name, `DownloadFailed` for the network or a wrong
    checksum, `DiskFull`.
    """
    variant = variant_of(name)
    folder = download_folder() if folder is None else folder
    target = folder / variant.file
    expected = (sha256 or variant.sha256).lower()
    if target.is_file():
        if hash_file(target) != expected:
            raise DownloadFailed(
                f"{target} is there, but it is not the official file (sha256 {expected[:12]}...):"
                " move it away, and its .sha256 file, and run the same command again"
            )
        return target
    part = _Part(target, f"{base_url.rstrip('/')}/{variant.path}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.fetch(progress, pause)
        found = hash_file(part.path)
        if found != expected:
            part.forget()
            raise DownloadFailed(
                f"what {part.url} served is not {variant.file}: its sha256 is {found}, expected"
                f" {expected}; it was thrown away. Try again, or check what stands between you"
                " and the server"
            )
        _write_whole(sidecar(target), f"{found}  {target.name}\n".encode())
        os.replace(part.path, target)
        _sync_folder(folder)
        part.forget()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk of {folder} is full; what arrived is kept in {part.path.name}: free"
                " some space and run the same command again"
            ) from error
        raise DownloadFailed(
            f"{target} could not be written ({error}): choose another folder with"
            " DINOSEARCH_WEIGHTS"
        ) from error
    return target


@dataclass
class _Remote:
    """What the server said of the file that a part belongs to."""

    url: str
    validator: str
    total: int


class _Interrupted(Exception):
    """The connection ended before the file did."""


class _Part:
    """A file on its way: FILE.part, and FILE.part.json with what it is a part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.url = url
        self.path = target.with_name(target.name + ".part")
        self.record = target.with_name(target.name + ".part.json")

    def fetch(self, progress: Progress | None, pause: float) -> None:
        """Bring the part to completion, over as many connections as it takes."""
        idle, best = 0, self._length()
        while True:
            try:
                self._connect(progress)
                return
            except (_Interrupted, urllib.error.URLError, http.client.HTTPException) as error:
                reason = _reason(error)
                if isinstance(error, urllib.error.HTTPError) and error.code not in PASSING:
                    raise DownloadFailed(
                        f"{self.url} answers {error.code} {error.reason}: check the address"
                    ) from error
            except (TimeoutError, ConnectionError) as error:
                reason = _reason(error)
            # Measured against the furthest point: a server that starts over each time
            # would otherwise keep this going for ever.
            idle = 0 if self._length() > best else idle + 1
            best = max(best, self._length())
            if idle >= TRIES:
                raise DownloadFailed(
                    f"{self.url} could not be read ({reason}); {self._length()} bytes are kept in"
                    f" {self.path}: run the same command again to go on, or copy the file there"
                    f" by hand as {self.path.name.removesuffix('.part')}"
                )
            time.sleep(pause * 2**idle)

    def forget(self) -> None:
        """Remove the part and its record."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def _connect(self, progress: Progress | None) -> None:
        known, have = self._known(), self._length()
        request = urllib.request.Request(self.url, headers={"User-Agent": "dinosearch"})
        if known and have:
            if have == known.total:
                return
            request.add_header("Range", f"bytes={have}-")
            # Without this a server would append bytes of a file that has changed since.
            request.add_header("If-Range", known.validator)
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            # The part reaches beyond the file that is there now.
            self.forget()
            raise _Interrupted("the file on the server has changed") from error
        with response:
            if response.status == 206 and known:
                start, total = _content_range(response.headers.get("Content-Range", ""))
                if start != have or total != known.total:
                    self.forget()
                    raise _Interrupted("the server sent another range than was asked for")
            else:
                total = int(response.headers.get("Content-Length") or 0)
                have = 0
                self._begin(response.headers, total)
            self._check_space(total - have)
            self._receive(response, have, total, progress)

    def _receive(
        self,
        response: http.client.HTTPResponse,
        have: int,
        total: int,
        progress: Progress | None,
    ) -> None:
        with self.path.open("ab" if have else "wb") as file:
            try:
                while chunk := _read(response):
                    file.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(have, total)
            finally:
                file.flush()
                os.fsync(file.fileno())
        if total and have != total:
            raise _Interrupted(f"the connection ended after {have} of {total} bytes")

    def _begin(self, headers: http.client.HTTPMessage, total: int) -> None:
        """Record what a new part belongs to; without a validator it cannot be resumed."""
        self.forget()
        etag = headers.get("ETag", "")
        # A weak ETag promises the same meaning, not the same bytes.
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        if validator and total:
            record = asdict(_Remote(self.url, validator, total))
            _write_whole(self.record, json.dumps(record).encode())

    def _known(self) -> _Remote | None:
        try:
            remote = _Remote(**json.loads(self.record.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return remote if remote.url == self.url else None

    def _length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DiskFull(
                f"{needed / 1e6:.0f} MB are still to come but {self.path.parent} has"
                f" {free / 1e6:.0f} MB free; what arrived is kept: free some space, or choose"
                " another folder with DINOSEARCH_WEIGHTS"
            )


def _read(response: http.client.HTTPResponse) -> bytes:
    """What has arrived, at most `CHUNK` bytes; b"" at the end."""
    try:
        return response.read1(CHUNK)
    except OSError as error:
        # Told apart here from an error of the disk, which is an OSError as well.
        raise _Interrupted(str(error)) from error


def _content_range(text: str) -> tuple[int, int]:
    """(first byte, total) of `bytes 5-9/10`; (-1, -1) if it says anything else."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    start = span.partition("-")[0]
    return (int(start), int(total)) if start.isdecimal() and total.isdecimal() else (-1, -1)


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None)
    return str(inner or error) or type(error).__name__


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
