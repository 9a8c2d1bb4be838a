"""Doing what a plan says, and undoing it: files to a trash folder and back.

Whatever happens in between, each file is whole at one of its two places at least: it is
placed at the other, by a second name or a verified copy, and flushed to the disk, before its
first name goes. A journal is written before the first file moves, so that a run that was
killed can be finished (`apply` again) or undone.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinosearch.duplicates.plan import Plan, PlannedFile
from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.storage.folder import (
    TEMPORARY,
    discard,
    io_error,
    seal,
    sha256_of,
    sync_folder,
)
from dinosearch.storage.set_aside import Rows, put_back, rows_of
from dinosearch.storage.writer import Writer

JOURNAL = "journal.json"


@dataclass(frozen=True)
class Left:
    """A file that stayed where it was, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Applied:
    """`moved` paths lie in `trash` now; `left` stayed; `removed` items are out of the index."""

    trash: str
    moved: tuple[str, ...]
    left: tuple[Left, ...]
    removed: int


@dataclass(frozen=True)
class Undone:
    """`restored` paths are back, `left` are not; the items of `ids` are in the index again.

    `to_index` of the restored files are no items: their features are gone, and the next
    `dinosearch index` adds them under new ids.
    """

    restored: tuple[str, ...]
    left: tuple[Left, ...]
    ids: tuple[int, ...]
    to_index: tuple[str, ...]


def apply_plan(plan: Plan, writer: Writer, *, progress: Callable[[str, int, int], None]) -> Applied:
    """Move the files that a plan moves to the trash, and take them out of the index.

    A file that changed since the plan was made stays, and so does all of a group whose
    keeper is gone or changed. Run again after a kill it finishes. Raises `InvalidInput`,
    `DiskFull`, `UnusableIndex`.
    """
    trash = Path(plan.trash)
    journal = _read_journal(trash)
    if journal is None:
        moves, left = _checked(plan, progress)
        if not moves:
            return Applied(plan.trash, (), tuple(left), 0)
        journal = {
            "moves": [
                {"id": file.id, "path": file.path, "sha256": file.sha256, "as": name}
                for name, file in _named(moves)
            ],
            "rows": rows_of(writer.catalog, [file.id for file in moves]),
            "left": [[one.path, one.reason] for one in left],
        }
        _write_journal(trash, journal)
    left = [Left(*one) for one in journal["left"]]
    moved: list[dict[str, Any]] = []
    for done, move in enumerate(journal["moves"]):
        progress("moving to the trash", done, len(journal["moves"]))
        if _move(Path(move["path"]), trash / move["as"], move["sha256"]):
            moved.append(move)
        else:
            left.append(Left(move["path"], "it has changed, or is gone"))
    items = []
    for move in moved:
        item = writer.catalog.item(move["id"])
        if item is not None and item.path == move["path"] and item.sha256 == move["sha256"]:
            items.append(item)
    # Not kept out: should one of the files come back, it is a picture like any other.
    removed = writer.remove(items, keep_out=False)
    return Applied(plan.trash, tuple(move["path"] for move in moved), tuple(left), removed)


def undo_plan(plan: Plan, writer: Writer, *, progress: Callable[[str, int, int], None]) -> Undone:
    """Put back what a plan moved, and the items as they were where their features still lie.

    A file at whose place another one lies by now stays in the trash. Raises `InvalidInput`
    where nothing was moved, `DiskFull`, `UnusableIndex`.
    """
    trash = Path(plan.trash)
    journal = _read_journal(trash)
    if journal is None:
        raise InvalidInput(f"there is nothing to undo: {trash} holds no journal of this plan")
    restored: list[dict[str, Any]] = []
    left: list[Left] = []
    for done, move in enumerate(journal["moves"]):
        progress("putting back", done, len(journal["moves"]))
        source, target = trash / move["as"], Path(move["path"])
        if not os.path.lexists(source):
            if os.path.lexists(target):
                restored.append(move)  # it was put back before, or never moved
            else:
                left.append(Left(move["path"], f"it is not in {trash} any more"))
        elif os.path.lexists(target) and not _is(target, move["sha256"]):
            left.append(Left(move["path"], f"another file lies there now; it stays as {source}"))
        elif _move(source, target, move["sha256"]):
            restored.append(move)
        else:
            left.append(Left(move["path"], f"what lies in the trash as {source} has changed"))
    back = {move["id"] for move in restored}
    rows: Rows = journal["rows"]
    ids = put_back(
        writer,
        {
            "items": [row for row in rows["items"] if row["id"] in back],
            "labels": [row for row in rows["labels"] if row["item"] in back],
        },
    )
    to_index = tuple(
        move["path"] for move in restored if writer.catalog.item_at(move["path"]) is None
    )
    if not left:
        _clear(trash)
    return Undone(tuple(move["path"] for move in restored), tuple(left), tuple(ids), to_index)


def _checked(
    plan: Plan, progress: Callable[[str, int, int], None]
) -> tuple[list[PlannedFile], list[Left]]:
    """The files that may go, and those that may not."""
    moves: list[PlannedFile] = []
    left: list[Left] = []
    for done, group in enumerate(plan.groups):
        progress("checking files", done, len(plan.groups))
        if not _is(Path(group.keep.path), group.keep.sha256):
            why = f"{group.keep.path}, which was to be kept instead, has changed or is gone"
            left += [Left(file.path, why) for file in group.move]
            continue
        for file in group.move:
            if _is(Path(file.path), file.sha256):
                moves.append(file)
            else:
                left.append(Left(file.path, "it has changed since the plan was made, or is gone"))
    return moves, left


def _named(moves: list[PlannedFile]) -> list[tuple[str, PlannedFile]]:
    """Names in the trash: a number, which no two share, and the end of the name it had."""
    return [
        (f"{number:05d}{os.path.splitext(file.path)[1]}", file) for number, file in enumerate(moves)
    ]


def _is(path: Path, sha256: str) -> bool:
    """Whether an ordinary file of that content lies there."""
    try:
        return not path.is_symlink() and path.is_file() and sha256_of(path) == sha256
    except OSError:
        return False


def _move(source: Path, target: Path, sha256: str) -> bool:
    """Move a file of that content; False, and nothing done, where it is not that content."""
    try:
        if not _is(target, sha256):
            if os.path.lexists(target) or not _is(source, sha256):
                return False
            _place(source, target, sha256)
        sync_folder(target.parent)
        if _is(source, sha256):
            source.unlink()
            sync_folder(source.parent)
    except OSError as error:
        raise io_error(error, f"cannot move {source} to {target}") from error
    return True


def _place(source: Path, target: Path, sha256: str) -> None:
    """Give a file a second name; where that cannot be, on another disk, make a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if _link(source, target):
        return
    temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        shutil.copy2(source, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if sha256_of(temporary) != sha256:
            raise UnusableIndex(
                f"what was copied from {source} cannot be read back: nothing is lost"
            )
        os.rename(temporary, target)
    finally:
        discard(temporary)


def _link(source: Path, target: Path) -> bool:
    """Whether a second name could be given; not across disks, nor on every file system."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _read_journal(trash: Path) -> dict[str, Any] | None:
    path = trash / JOURNAL
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UnusableIndex(
            f"{path} cannot be read ({error}): the files beside it are whole; move them back by"
            " hand, as the plan says"
        ) from error


def _write_journal(trash: Path, journal: dict[str, Any]) -> None:
    try:
        trash.mkdir(parents=True, exist_ok=True)
        sync_folder(trash.parent)
    except OSError as error:
        raise io_error(error, f"cannot make the trash folder {trash}") from error
    seal(trash / JOURNAL, (json.dumps(journal, indent=1) + "\n").encode())


def _clear(trash: Path) -> None:
    """Forget an undone plan; whatever else lies in its folder stays."""
    for leftover in trash.glob(f"{TEMPORARY}*"):
        discard(leftover)
    if discard(trash / JOURNAL):
        with suppress(OSError):
            trash.rmdir()
