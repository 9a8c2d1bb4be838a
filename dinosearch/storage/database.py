"""The SQLite file under the catalog: its tables, its transactions, its errors.

A writer's transaction is one generation. SQLite runs with a write-ahead log and flushes
every commit to the disk (`synchronous=FULL`), so that a commit survives a power cut.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dinosearch.errors import DinoSearchError, DiskFull, UnusableIndex

SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources(id INTEGER PRIMARY KEY, root BLOB NOT NULL UNIQUE);
CREATE TABLE segments(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  dead_since REAL);
CREATE TABLE items(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path BLOB NOT NULL UNIQUE,
  source INTEGER NOT NULL REFERENCES sources(id),
  segment INTEGER NOT NULL REFERENCES segments(id),
  row INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  format TEXT NOT NULL,
  fit TEXT NOT NULL,
  date TEXT NOT NULL,
  split TEXT,
  notes TEXT NOT NULL DEFAULT '[]',
  metadata TEXT NOT NULL DEFAULT '{}',
  added_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE(segment, row));
CREATE INDEX items_sha256 ON items(sha256);
CREATE TABLE labels(
  item INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE,
  label TEXT NOT NULL,
  origin TEXT NOT NULL,
  set_at TEXT NOT NULL,
  PRIMARY KEY(item, label)) WITHOUT ROWID;
CREATE INDEX labels_label ON labels(label);
CREATE TABLE failures(
  path BLOB PRIMARY KEY,
  source INTEGER NOT NULL REFERENCES sources(id),
  state TEXT NOT NULL,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  failed_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE removed(
  path BLOB PRIMARY KEY,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  removed_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vector_index(
  name TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  segments TEXT NOT NULL,
  rows INTEGER NOT NULL,
  nlist INTEGER NOT NULL,
  nprobe INTEGER NOT NULL,
  recall REAL NOT NULL,
  recall_queries INTEGER NOT NULL) WITHOUT ROWID;
"""

ADDED = """
CREATE TABLE IF NOT EXISTS statistics(
  name TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  items INTEGER NOT NULL,
  segments TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS patch_index(
  name TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  segments TEXT NOT NULL,
  rows INTEGER NOT NULL,
  per_item INTEGER NOT NULL,
  nlist INTEGER NOT NULL,
  trained_on INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions(
  first TEXT NOT NULL,
  second TEXT NOT NULL,
  verdict TEXT NOT NULL,
  author TEXT NOT NULL,
  decided_at TEXT NOT NULL,
  PRIMARY KEY(first, second)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS label_log(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  change INTEGER NOT NULL,
  item INTEGER NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  author TEXT NOT NULL,
  set_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS label_log_item ON label_log(item);
CREATE INDEX IF NOT EXISTS label_log_change ON label_log(change)
"""
"""Tables that came later, apart by ";". An index made before lacks them until somebody opens
it to write; whoever only reads must do without."""

SETTLED = (
    "WHERE change > 0 AND author NOT LIKE 'probe:%'"
    " AND NOT EXISTS (SELECT 1 FROM label_log WHERE change = -l.change)"
)
"""The entries `l` of the log by which a person has settled what an item is.

A change below zero says that the change of that number was taken back.
"""


_BUSY_MS = 30_000

Stamp = tuple[int, int, bool]


class Database:
    """A connection to the catalog's file.

    One instance may be used from several threads; its own lock keeps calls apart. A
    reader uses `read()` for a view of one generation, the writer `write()`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._frozen_at: Stamp | None = None

    @classmethod
    def create(cls, path: Path, meta: dict[str, str]) -> Self:
        """A new catalog with its tables and `meta`, generation 0."""
        database = cls._open(path, f"{path.absolute().as_uri()}?mode=rwc")
        with database._errors():
            database._connection.execute("PRAGMA journal_mode=WAL")
        with database.write() as db:
            for statement in f"{SCHEMA};{ADDED}".split(";"):
                db.execute(statement)
            db.executemany(
                "INSERT INTO meta VALUES(?, ?)", [("generation", "-1"), *sorted(meta.items())]
            )
        return database

    @classmethod
    def open(cls, path: Path, *, writable: bool) -> Self:
        """Open an existing catalog.

        A reader shares the log of a writer. Where SQLite cannot set that up (read-only
        media, a folder of somebody else's, with no writer about) the file is read as the
        unchanging thing it is then, and `refresh` notices when it changes after all.
        A log that nobody can read there is an error, because what it holds would be
        missing.
        """
        if not path.is_file():
            raise UnusableIndex(
                f"{path} is missing: the index cannot be read without its catalog; restore it"
                " from a copy, or index the pictures into a new folder"
            )
        uri = path.absolute().as_uri()
        if writable:
            database = cls._open(path, f"{uri}?mode=rw")
            try:
                database._add_tables()
            except BaseException:
                database.close()
                raise
            return database
        try:
            return cls._open(path, f"{uri}?mode=ro")
        except UnusableIndex as error:
            code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise UnusableIndex(
                f"{path.parent} is read-only for you and its last writer did not finish: open"
                " the index once as somebody who may write there"
            )
        stamp = _stamp(path)
        database = cls._open(path, f"{uri}?immutable=1")
        database._frozen_at = stamp
        return database

    @classmethod
    def _open(cls, path: Path, uri: str) -> Self:
        try:
            # Transactions are opened and closed by hand: no isolation level.
            connection = sqlite3.connect(
                uri,
                uri=True,
                timeout=_BUSY_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise _sqlite_error(error, path) from error
        database = cls(path, connection)
        with database._errors():
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            # What is removed for privacy must not linger in free pages.
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.create_function("number", 1, _number, deterministic=True)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return database

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _add_tables(self) -> None:
        """Bring the tables of an older index up to date; each is there wholly or not at all."""
        with self._lock, self._errors():
            for statement in ADDED.split(";"):
                self._connection.execute(statement)

    def has_table(self, name: str) -> bool:
        """Whether the file has a table, which an index made before that table lacks."""
        with self.view() as db:
            found = db.execute(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", [name]
            ).fetchone()
        return bool(found[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _sqlite_error(error, self.path) from error

    @contextmanager
    def view(self) -> Iterator[sqlite3.Connection]:
        """One consistent view: everything read inside belongs to one generation."""
        with self._transaction("BEGIN DEFERRED") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A `view` for reading values: those that cannot be what was written are damage.

        Such as no number where there must be one: `UnusableIndex`.
        """
        try:
            with self.view() as connection:
                yield connection
        except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
            raise UnusableIndex(
                f"{self.path} holds values that make no sense ({error}): run `dinosearch verify"
                f" --in {self.path.parent}`, and restore the folder from a copy"
            ) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction that either happens, as the next generation, or does not."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection
            connection.execute(
                "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
            )

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            connection = self._connection
            if connection.in_transaction:  # nested: part of the outer one
                yield connection
                return
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def refresh(self) -> None:
        """Notice that a file which was read as unchanging has changed after all."""
        with self._lock:
            if self._frozen_at is not None and _stamp(self.path) != self._frozen_at:
                fresh = type(self).open(self.path, writable=False)
                self._connection.close()
                self._connection, self._frozen_at = fresh._connection, fresh._frozen_at

    def checkpoint(self) -> None:
        """Move the log into the main file, so that the folder can be copied or frozen."""
        with self._lock, self._errors():
            # A reader in the middle of a long question would be waited for; the next will do.
            self._connection.execute("PRAGMA busy_timeout=1000")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk."""
        with self._lock, self._errors():
            self._connection.execute("VACUUM")
        self.checkpoint()

    def integrity_problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when all is well."""
        with self._lock:
            try:
                check = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
                foreign = self._connection.execute("PRAGMA foreign_key_check").fetchall()
            except sqlite3.Error as error:
                return [f"catalog.sqlite: {error}"]
        problems = [f"catalog.sqlite: {row[0]}" for row in check if row[0] != "ok"]
        return problems + [f"catalog.sqlite: {row[0]} row {row[1]} has no owner" for row in foreign]


def _stamp(path: Path) -> Stamp:
    """What changes when somebody writes to the file after all."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size, path.with_name(path.name + "-wal").exists()


def _number(text: object) -> float | None:
    """A value of the metadata as a number; None for text that is none."""
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _is_full(path: Path) -> bool:
    """Whether no room is what an I/O error means: of its shared memory SQLite says no more."""
    try:
        return shutil.disk_usage(path.parent).free < 64 << 10
    except OSError:
        return False


def _sqlite_error(error: sqlite3.Error, path: Path) -> DinoSearchError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path)):
        return DiskFull(
            f"the disk of {path} is full: make room and run the same command again;"
            " everything committed so far is safe"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return UnusableIndex(f"{path} cannot be written ({error}): the folder is read-only for you")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return UnusableIndex(
            f"{path} is damaged ({error}): run `dinosearch verify --in {path.parent}` to see what"
            " is hurt, and restore the folder from a copy"
        )
    return UnusableIndex(f"{path}: {error}")
