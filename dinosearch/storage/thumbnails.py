"""Thumbnails: one small JPEG per content, in one SQLite file that may be deleted.

Keyed by the SHA-256 of the picture's file, so that a picture that moved keeps its
thumbnail and copies share one. Derived: what is missing is made again from the picture.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from dinosearch.errors import DiskFull
from dinosearch.storage.folder import Folder, discard

log = logging.getLogger(__name__)

log = logging.getLogger(__name__)

BUSY_S = 30.0
"""How long to wait for another process that uses the file."""

_HASHES = "CREATE TABLE IF NOT EXISTS hashes(sha256 TEXT PRIMARY KEY, bits BLOB NOT NULL)"
_TABLE = "CREATE TABLE IF NOT EXISTS thumbs(sha256 TEXT PRIMARY KEY, jpeg BLOB NOT NULL)"


class Thumbnails:
    """Reads and writes `derived/thumbs.sqlite`. Connections are opened per call."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.thumbnails

    def add(self, thumbs: Iterable[tuple[str, bytes]]) -> None:
        """Keep (sha256, JPEG bytes) pairs. A file that cannot be used is made anew.

        Raises `DiskFull`; any other trouble costs thumbnails, never the batch.
        """
        rows = list(thumbs)
        if not rows:
            return
        try:
            try:
                self._insert(rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._forget()
                self._insert(rows)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise DiskFull(
                    f"the disk of {self._path} is full: make room and run the same command again;"
                    " everything committed so far is safe"
                ) from error
            log.warning("%s: %s; %d thumbnails are not kept", self._path, error, len(rows))

    def _insert(self, rows: list[tuple[str, bytes]]) -> None:
        connection = sqlite3.connect(self._path, timeout=BUSY_S)
        try:
            # Derived data: worth a transaction, not worth waiting for the disk.
            connection.execute("PRAGMA synchronous=OFF")
            with connection:
                connection.execute(_TABLE)
                connection.executemany("INSERT OR REPLACE INTO thumbs VALUES(?, ?)", rows)
        finally:
            connection.close()

    def get(self, sha256: str) -> bytes | None:
        """The JPEG of a content, or None where there is none to be had."""
        try:
            connection = self._open()
            try:
                row = connection.execute(
                    "SELECT jpeg FROM thumbs WHERE sha256 = ?", [sha256]
                ).fetchone()
            finally:
                connection.close()
        except sqlite3.Error:
            return None
        return bytes(row[0]) if row else None

    def hashes(self) -> dict[str, bytes]:
        """What `keep_hashes` kept, by content; nothing where it cannot be read."""
        try:
            connection = self._open()
            try:
                return dict(connection.execute("SELECT sha256, bits FROM hashes"))
            finally:
                connection.close()
        except sqlite3.Error:
            return {}

    def keep_hashes(self, hashes: Mapping[str, bytes]) -> None:
        """Keep perceptual hashes beside the thumbnails they were made of, where that can be."""
        if not hashes or not self._path.exists():
            return
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_S)
            try:
                connection.execute("PRAGMA synchronous=OFF")
                with connection:
                    connection.execute(_HASHES)
                    connection.executemany(
                        "INSERT OR REPLACE INTO hashes VALUES(?, ?)", list(hashes.items())
                    )
            finally:
                connection.close()
        except sqlite3.Error as error:  # read-only, busy, full: they are made again next time
            log.info("%s: %s; perceptual hashes are not kept", self._path, error)

    def keep_only(self, contents: set[str]) -> None:
        """Drop the thumbnails of every other content, and the space they took."""
        if not self._path.exists():
            return
        try:
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            try:
                connection.execute("PRAGMA secure_delete=ON")
                stored = {row[0] for row in connection.execute("SELECT sha256 FROM thumbs")}
                connection.executemany(
                    "DELETE FROM thumbs WHERE sha256 = ?", [(s,) for s in stored - contents]
                )
                connection.execute(_HASHES)
                hashed = {row[0] for row in connection.execute("SELECT sha256 FROM hashes")}
                connection.executemany(
                    "DELETE FROM hashes WHERE sha256 = ?", [(s,) for s in hashed - contents]
                )
                connection.execute("VACUUM")
            finally:
                connection.close()
        except sqlite3.OperationalError as error:  # busy, or a full disk: nothing is hurt
            log.warning("old thumbnails stay until the next compact: %s", error)
        except sqlite3.DatabaseError:
            self._forget()

    def problems(self) -> list[str]:
        """What is wrong with the file; a missing one is nothing wrong."""
        if not self._path.exists():
            return []
        try:
            connection = self._open()
            try:
                found = connection.execute("PRAGMA integrity_check(5)").fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            return [f"thumbs.sqlite: {error}; it is derived and may be deleted"]
        return [
            f"thumbs.sqlite: {row[0]}; it is derived and may be deleted"
            for row in found
            if row[0] != "ok"
        ]

    def _open(self) -> sqlite3.Connection:
        """For reading; `rw` because SQLite first undoes what a killed writer left half done."""
        mode = "rw" if os.access(self._path.parent, os.W_OK) else "ro"
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode={mode}", uri=True)

    def _forget(self) -> None:
        for path in (self._path, Path(f"{self._path}-journal")):
            discard(path)
