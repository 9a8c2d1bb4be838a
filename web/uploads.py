"""Pictures that were uploaded to ask with: kept for a day, so that a link to them works.

A picture is named by its content, so the same one is kept, and encoded, once. On disk there
are the bytes as they came, under the name of their SHA-256, and beside them a few facts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dinosearch import Query

from .problems import Problem

log = logging.getLogger(__name__)

UPLOAD_ID = re.compile(r"[0-9a-f]{24}")

FEATURES_KEPT = 16
"""Uploads whose features are kept in memory, some megabytes each."""

GONE_KEPT_S = 30 * 24 * 3600.0
"""For how long it is known that an upload has expired rather than never been."""

LEFTOVER_S = 3600.0
"""What has no record after so long is not being written any more."""

_PIECE = 1 << 20


@dataclass
class Upload:
    """One uploaded picture. `queries` holds its features, by name of the index."""

    id: str
    path: Path
    name: str
    pinned: bool
    expires_at: float
    queries: dict[str, Query] = field(default_factory=dict, repr=False)


class Uploads:
    """The folder of uploads; for any number of threads and servers."""

    def __init__(self, folder: Path, *, ttl: float, max_bytes: int, max_upload: int) -> None:
        self._folder = folder
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._max_upload = max_upload
        self._lock = threading.RLock()
        self._warm: OrderedDict[str, Upload] = OrderedDict()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tidy()

    def put(self, stream: IO[bytes], name: str) -> Upload:
        """Keep a picture; `name` is only ever shown. Raises `Problem` for too many bytes."""
        temporary = self._folder / f".{uuid.uuid4().hex}"
        digest, size = hashlib.sha256(), 0
        try:
            with open(temporary, "xb") as file:
                while piece := stream.read(_PIECE):
                    size += len(piece)
                    if size > self._max_upload:
                        raise Problem(
                            "too-large",
                            f"the picture is larger than {self._max_upload >> 20} MB",
                            errors=[("/image", f"at most {self._max_upload} bytes")],
                        )
                    digest.update(piece)
                    file.write(piece)
            os.replace(temporary, self._picture(digest.hexdigest()[:24]))
        except OSError as error:
            log.error("uploads in %s: %s", self._folder, error)
            raise Problem("disk-full", "the server cannot keep the picture") from error
        finally:
            temporary.unlink(missing_ok=True)
        with self._lock:
            upload_id = digest.hexdigest()[:24]
            pinned = self._facts(upload_id).get("pinned", False)
            self._write(upload_id, name, pinned)
            self.tidy()
            return self.get(upload_id)

    def get(self, upload_id: str) -> Upload:
        """The upload. Raises `Problem`: query-not-found, or query-expired."""
        with self._lock:
            facts = self._facts(upload_id)
            if not facts:
                raise Problem("query-not-found", f"no picture {upload_id} was uploaded here")
            expired = not facts["pinned"] and facts["expires_at"] < time.time()
            if expired or not self._picture(upload_id).exists():
                self._expire(upload_id)
                raise Problem("query-expired", f"the picture {upload_id} has expired")
            upload = self._warm.pop(upload_id, None)
            if upload is None:
                upload = Upload(upload_id, self._picture(upload_id), "", False, 0)
            upload.name, upload.pinned = str(facts["name"]), bool(facts["pinned"])
            upload.expires_at = float(facts["expires_at"])
            self._warm[upload_id] = upload
            while len(self._warm) > FEATURES_KEPT:
                self._warm.popitem(last=False)
            return upload

    def pin(self, upload_id: str, pinned: bool) -> Upload:
        """Keep an upload for good, or for a day from now. Raises as `get`."""
        with self._lock:
            self._write(upload_id, self.get(upload_id).name, pinned)
            return self.get(upload_id)

    def forget(self, upload_id: str) -> None:
        """As if it had never been uploaded: it is no picture."""
        with self._lock:
            self._warm.pop(upload_id, None)
            self._picture(upload_id).unlink(missing_ok=True)
            self._record(upload_id).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Drop what has expired, and the oldest when there is too much."""
        with self._lock:
            self._sweep()
            now, kept, total = time.time(), [], 0
            for record in self._folder.glob("*.json"):
                upload_id = record.stem
                facts = self._facts(upload_id)
                if not facts or facts["expires_at"] < now - GONE_KEPT_S:
                    if not facts.get("pinned"):
                        self.forget(upload_id)
                    continue
                if facts["pinned"]:
                    continue
                if facts["expires_at"] < now:
                    self._expire(upload_id)
                    continue
                try:
                    size = self._picture(upload_id).stat().st_size
                except OSError:
                    continue
                kept.append((facts["expires_at"], size, upload_id))
                total += size
            for _, size, upload_id in sorted(kept):
                if total <= self._max_bytes:
                    break
                self._expire(upload_id)
                total -= size

    def _sweep(self) -> None:
        """Drop what a server that was killed left half done."""
        for path in self._folder.iterdir():
            named = UPLOAD_ID.fullmatch(path.stem) is not None
            if named and (path.suffix or self._record(path.name).exists()):
                continue
            try:
                if path.stat().st_mtime < time.time() - LEFTOVER_S:
                    path.unlink()
            except OSError:
                continue

    def _expire(self, upload_id: str) -> None:
        self._warm.pop(upload_id, None)
        self._picture(upload_id).unlink(missing_ok=True)

    def _write(self, upload_id: str, name: str, pinned: bool) -> None:
        facts = {"name": name[:255], "pinned": pinned, "expires_at": time.time() + self._ttl}
        temporary = self._folder / f".{uuid.uuid4().hex}"
        try:
            temporary.write_text(json.dumps(facts))
            os.replace(temporary, self._record(upload_id))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Problem("disk-full", "the server cannot keep the picture") from error

    def _facts(self, upload_id: str) -> dict[str, Any]:
        if not UPLOAD_ID.fullmatch(upload_id):
            return {}
        try:
            facts = json.loads(self._record(upload_id).read_text())
            return {
                "name": str(facts["name"]),
                "pinned": facts["pinned"] is True,
                "expires_at": float(facts["expires_at"]),
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _picture(self, upload_id: str) -> Path:
        return self._folder / upload_id

    def _record(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"
