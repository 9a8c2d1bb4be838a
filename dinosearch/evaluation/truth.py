"""Ground-truth files: what a search should find, in JSON that a person can write.

    {"format": "dinosearch-ground-truth", "version": 1, "task": "regions",
     "queries": [{"image": "queries/7.jpg", "region": [120, 80, 260, 210],
                  "positives": [{"image": "scenes/12.jpg", "box": [40, 60, 150, 170]}],
                  "junk": ["scenes/9.jpg"]}]}

Paths are absolute or relative to the file. `task` is `regions`, `retrieval` or `copies`.
`region` and `box` are `[x0, y0, x1, y1]` in pixels of the upright picture. `junk` neither helps
nor hurts: it is taken out of a ranking before it is judged.

In `copies` the positives are what a query was made from, or what was made from it, and a query
may have none: then whatever is found for it is wrong. `"background": [...]` beside `queries`
may name pictures of the index that are no copy of any query, for score normalisation.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, cast, get_args

from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box

Task = Literal["regions", "retrieval", "copies"]

FORMAT, VERSION = "dinosearch-ground-truth", 1
TASKS = get_args(Task)


@dataclass(frozen=True)
class Positive:
    """A picture that should be found; `box` is where the part lies in it, if that is known."""

    image: str
    box: Box | None = None


@dataclass(frozen=True)
class TrueQuery:
    """What one query should find. Paths are absolute."""

    image: str
    region: Box | None
    positives: tuple[Positive, ...]
    junk: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroundTruth:
    """All queries of one task; `background` are pictures that are no copy of any."""

    task: Task
    queries: tuple[TrueQuery, ...]
    background: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str | PathLike[str]) -> GroundTruth:
        """Raises `InvalidInput` that says what in the file is wrong, and where."""
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
        except OSError as error:
            raise InvalidInput(f"ground truth {path}: {error.strerror}") from error
        except ValueError as error:
            raise InvalidInput(f"ground truth {path} is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InvalidInput(f'{path} is no ground truth: it lacks "format": "{FORMAT}"')
        if content.get("version") != VERSION:
            raise InvalidInput(f"{path} has version {content.get('version')!r}, not {VERSION}")
        if content.get("task") not in TASKS:
            raise InvalidInput(f"{path}: task is {content.get('task')!r}: use {', '.join(TASKS)}")
        task = cast(Task, content["task"])
        folder = os.path.dirname(os.path.abspath(path))
        queries = content.get("queries")
        if not isinstance(queries, list) or not queries:
            raise InvalidInput(f"{path} holds no queries")
        return cls(
            task,
            tuple(
                _query(one, folder, task, f"{path}, query {number}")
                for number, one in enumerate(queries)
            ),
            _paths(folder, content.get("background"), f"{path}: background"),
        )

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file, paths relative to it."""
        folder = os.path.dirname(os.path.abspath(path))
        content = {
            "format": FORMAT,
            "version": VERSION,
            "task": self.task,
            "queries": [_as_json(query, folder) for query in self.queries],
        }
        if self.background:
            content["background"] = [os.path.relpath(name, folder) for name in self.background]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)


def _query(one: Any, folder: str, task: Task, where: str) -> TrueQuery:
    if not isinstance(one, dict) or not isinstance(one.get("image"), str):
        raise InvalidInput(f"{where} does not name its image")
    unknown = set(one) - {"image", "region", "positives", "junk"}
    if unknown:
        raise InvalidInput(f"{where} has a field that is not known: {sorted(unknown)[0]}")
    region = _box(one.get("region"), f"{where}: region")
    if task == "regions" and region is None:
        raise InvalidInput(f"{where} has no region, which the task regions needs")
    positives = []
    for each in one.get("positives") or []:
        each = {"image": each} if isinstance(each, str) else each
        if not isinstance(each, dict) or not isinstance(each.get("image"), str):
            raise InvalidInput(f"{where}: a positive does not name its image")
        box = _box(each.get("box"), f"{where}: box of {each['image']}")
        positives.append(Positive(_path(folder, each["image"]), box))
    if not positives and task != "copies":
        raise InvalidInput(f"{where} has no positives: there is nothing to find")
    junk = _paths(folder, one.get("junk"), f"{where}: junk")
    return TrueQuery(_path(folder, one["image"]), region, tuple(positives), junk)


def _paths(folder: str, value: Any, where: str) -> tuple[str, ...]:
    names = value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"{where} is not a list of paths")
    return tuple(_path(folder, name) for name in names)


def _box(value: Any, where: str) -> Box | None:
    if value is None:
        return None
    try:
        box = Box(*(float(number) for number in value))
    except (TypeError, ValueError):
        box = Box(0, 0, 0, 0)
    if not box.area:
        raise InvalidInput(f"{where} is {value!r}, not [x0, y0, x1, y1] with an area")
    return box


def _path(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))


def _as_json(query: TrueQuery, folder: str) -> dict[str, Any]:
    content: dict[str, Any] = {"image": os.path.relpath(query.image, folder)}
    if query.region is not None:
        content["region"] = [round(v, 2) for v in query.region]
    content["positives"] = [
        {"image": os.path.relpath(one.image, folder)}
        | ({} if one.box is None else {"box": [round(v, 2) for v in one.box]})
        for one in query.positives
    ]
    if query.junk:
        content["junk"] = [os.path.relpath(name, folder) for name in query.junk]
    return content
