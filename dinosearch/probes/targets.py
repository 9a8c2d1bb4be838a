"""Which pictures are of which class: from an index's labels, a table, or what the caller says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import InvalidInput
from dinosearch.indexing.annotations import FromTable

Given = str | PathLike[str] | Mapping[Any, Any] | None
"""None or `"label"`: the labels of the items. A path: a CSV with the columns `path,label`. A
mapping from id or path to a class, or to the probability of each class."""


@dataclass(frozen=True)
class Targets:
    """`ids` int64 [n], ascending, `targets` float32 [n, C] with rows that sum to one.

    `groups` int64 [n]: pictures of equal content share one. `without` counts the items that
    have no class, `several` those whose labels name more than one.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    classes: tuple[str, ...]
    groups: NDArray[np.int64]
    without: int = 0
    several: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def given(self) -> NDArray[np.int64]:
        """int64 [n]: the likeliest class of each picture."""
        found: NDArray[np.int64] = self.targets.argmax(axis=1).astype(np.int64)
        return found

    def counts(self) -> dict[str, int]:
        """How many pictures each class has."""
        number = np.bincount(self.given, minlength=len(self.classes))
        return dict(zip(self.classes, number.tolist(), strict=True))


def targets_of(
    corpus: Corpus,
    labels: Given = None,
    *,
    where: str | Sequence[str] = (),
    classes: Sequence[str] | None = None,
) -> Targets:
    """The pictures that match the filters and have a class.

    `classes` are those there may be, in order (pictures of others count as without one);
    by default all that occur, by name. Raises `InvalidInput` for what cannot be a label, a
    path that the index does not hold, or where nothing is left.
    """
    ids = corpus.ids(where)
    without = several = 0
    found: dict[int, dict[str, float]] = {}
    if labels is None or labels == "label":
        for item in corpus.items(ids):
            named = [one for one in item.labels if classes is None or one in classes]
            if len(named) == 1:
                found[item.id] = {named[0]: 1.0}
            else:
                several += bool(named)
                without += not named
    else:
        said = _from_mapping(corpus, labels) if isinstance(labels, Mapping) else None
        said = said if said is not None else _from_table(corpus, labels)  # type: ignore[arg-type]
        wanted = set(ids.tolist())
        for one, shares in said.items():
            kept = {n: s for n, s in shares.items() if classes is None or n in classes}
            if one in wanted and kept:
                found[one] = kept
        without = len(wanted) - len(found)
    names = tuple(sorted({n for shares in found.values() for n in shares}))
    if classes is not None:
        names = tuple(classes)
    if not found:
        raise InvalidInput(
            "no picture there has a class: label some, with `dinosearch labels set` or a table"
            " with the columns path,label"
        )
    kept_ids = np.array(sorted(found), np.int64)
    matrix = np.zeros((len(found), len(names)), np.float32)
    place = {name: number for number, name in enumerate(names)}
    for row, one in enumerate(kept_ids.tolist()):
        for name, share in found[one].items():
            matrix[row, place[name]] = share
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Targets(kept_ids, matrix, names, groups_of(corpus, kept_ids), without, several)


def groups_of(corpus: Corpus, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [n]: for each item the smallest id whose file has the same content."""
    copies = corpus.ask(lambda snapshot, catalog: catalog.copies())
    first = dict(copies.tolist())
    return np.array([first.get(one, one) for one in ids.tolist()], np.int64)


def _from_mapping(corpus: Corpus, labels: Mapping[Any, Any]) -> dict[int, dict[str, float]]:
    found = {}
    for key, value in labels.items():
        item = _id_at(corpus, key) if isinstance(key, str | PathLike) else int(key)
        if item is None:
            raise InvalidInput(f"the index holds no picture {key}: index it first")
        found[item] = _shares(value)
    return found


def _from_table(corpus: Corpus, table: str | PathLike[str]) -> dict[int, dict[str, float]]:
    """One class a path; paths that the index does not hold are left out."""
    found = {}
    for path, row in FromTable.read(table).rows.items():
        item = _id_at(corpus, path)
        if item is not None and row.labels and len(row.labels) == 1:
            found[item] = {row.labels[0]: 1.0}
    return found


def _id_at(corpus: Corpus, path: str | PathLike[str]) -> int | None:
    whole = os.path.abspath(os.fsdecode(path))
    item = corpus.ask(lambda snapshot, catalog: catalog.item_at(whole))
    return item.id if item else None


def _shares(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        return {value: 1.0}
    if isinstance(value, Mapping):
        shares = {str(name): float(share) for name, share in value.items() if share}
        if shares and all(share > 0 for share in shares.values()):
            return shares
    raise InvalidInput(
        f"{value!r} is no class: give a name, or the probability of each class by its name"
    )
