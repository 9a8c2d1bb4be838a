"""A plan: which copies go, which stay, as a file that a person can read and edit.

A plan only says what would be done. Groups, or single files to move, may be taken out of it
by hand; `trash` does what is left, and checks every file against the plan first.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from dinosearch.duplicates.finding import Duplicates
from dinosearch.errors import InvalidInput
from dinosearch.storage.catalog import Item
from dinosearch.storage.folder import seal
from dinosearch.storage.writer import timestamp

FORMAT = "dinosearch-duplicates-plan"
VERSION = 1
TRASH = ".trash"
"""Folder of the index that copies go to. Files below a name with a dot are never indexed."""


@dataclass(frozen=True)
class PlannedFile:
    """A file as it was when the plan was made."""

    id: int
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class PlannedGroup:
    """Copies of which `keep` stays, for a `reason`, and `move` go to the trash."""

    kind: str
    score: float
    keep: PlannedFile
    reason: str
    move: tuple[PlannedFile, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be done with the copies of an index, whose id is `index`, in `folder`.

    `trash` is the folder they go to.
    """

    id: str
    index: str
    folder: str
    created: str
    threshold: float
    trash: str
    groups: tuple[PlannedGroup, ...]

    @property
    def moves(self) -> list[PlannedFile]:
        """The files that go."""
        return [file for group in self.groups for file in group.move]


def make_plan(
    found: Duplicates,
    items: Sequence[Item],
    *,
    index: str,
    index_id: str,
    sources: Sequence[str],
    trash: str | PathLike[str] | None,
) -> Plan:
    """The plan for what was found; `items` are those of its groups.

    The trash lies in the folder of the index unless one is named. Raises `InvalidInput` for
    one that lies in a source, whose files would be found and indexed again.
    """
    name = uuid.uuid4().hex
    root = os.path.abspath(os.fsdecode(trash)) if trash else os.path.join(index, TRASH)
    hidden = any(part.startswith(".") for part in Path(root).parts[-1:])
    for source in sources:
        if not hidden and (root == source or root.startswith(source.rstrip("/") + "/")):
            raise InvalidInput(
                f"the trash {root} lies in {source}, whose pictures are indexed: name a folder"
                " outside of it, or one whose name begins with a dot"
            )
    by_id = {item.id: item for item in items}

    def planned(item_id: int) -> PlannedFile:
        item = by_id[item_id]
        return PlannedFile(item.id, item.path, item.sha256, item.bytes)

    groups = tuple(
        PlannedGroup(
            group.kind,
            group.score,
            planned(group.keep),
            group.reason,
            tuple(planned(one) for one in group.ids if one != group.keep),
        )
        for group in found.groups
    )
    trash_of_plan = os.path.join(root, name)
    return Plan(name, index_id, index, timestamp(), found.threshold, trash_of_plan, groups)


def write_plan(plan: Plan, file: str | PathLike[str]) -> None:
    """Write a plan as JSON. Raises `DiskFull`, `UnusableIndex` where it cannot be written."""
    path = Path(os.path.abspath(os.fsdecode(file)))
    if not path.parent.is_dir():
        raise InvalidInput(f"cannot write {path}: there is no folder {path.parent}")
    document = {"format": FORMAT, "version": VERSION, **asdict(plan)}
    # ASCII, so that a name that is not UTF-8 survives as an escaped surrogate.
    seal(path, (json.dumps(document, indent=2) + "\n").encode())


def read_plan(file: str | PathLike[str]) -> Plan:
    """A plan from its file. Raises `InvalidInput` for one that is none, or makes no sense."""
    name = os.fsdecode(file)
    try:
        document = json.loads(Path(name).read_bytes())
        if document["format"] != FORMAT or document["version"] != VERSION:
            raise ValueError(f"it is no {FORMAT} of version {VERSION}")
        plan = Plan(
            id=str(document["id"]),
            index=str(document["index"]),
            folder=str(document["folder"]),
            created=str(document["created"]),
            threshold=float(document["threshold"]),
            trash=str(document["trash"]),
            groups=tuple(_group(group) for group in document["groups"]),
        )
        _check(plan)
    except OSError as error:
        raise InvalidInput(f"cannot read the plan {name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{name} is not a plan of duplicates ({error}): make one with"
            " `dinosearch duplicates --in DIR --plan FILE`"
        ) from error
    return plan


def _group(group: dict[str, Any]) -> PlannedGroup:
    return PlannedGroup(
        str(group["kind"]),
        float(group["score"]),
        _file(group["keep"]),
        str(group["reason"]),
        tuple(_file(file) for file in group["move"]),
    )


def _file(file: dict[str, Any]) -> PlannedFile:
    found = PlannedFile(int(file["id"]), str(file["path"]), str(file["sha256"]), int(file["bytes"]))
    if not os.path.isabs(found.path):
        raise ValueError(f"the path {found.path!r} is not absolute")
    return found


def _check(plan: Plan) -> None:
    """Raise ValueError for a plan that would leave a group without a file."""
    if not plan.id.isalnum() or not os.path.isabs(plan.trash):
        raise ValueError("its id or its trash folder makes no sense")
    moved = [file.path for file in plan.moves]
    if len(set(moved)) != len(moved):
        raise ValueError("it moves a file twice")
    for group in plan.groups:
        if group.keep.path in set(moved):
            raise ValueError(f"it moves {group.keep.path}, which a group keeps")
