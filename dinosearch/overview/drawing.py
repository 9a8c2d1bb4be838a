"""The overview as a file: a picture with a dot for every item, or a table of places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from dinosearch.errors import InvalidInput
from dinosearch.export.export import put_in_place
from dinosearch.export.formats import WRITERS
from dinosearch.export.tables import Column, Table
from dinosearch.overview.overview import Overview
from dinosearch.storage.catalog import Item

MOST_LABELS = 10
"""Labels with a colour of their own: the most frequent ones."""

_PICTURES = (".png", ".pdf", ".svg")
_GREY = "#b8b8b8"


def save_overview(shown: Overview, items: Sequence[Item], path: str | PathLike[str]) -> None:
    """Save an overview of `items` as `.png`, `.pdf` or `.svg`, or as a table.

    A table (`.csv`, `.json`, `.jsonl`, `.parquet`) has the columns id, path, x, y, labels.
    What was there is replaced. Raises `InvalidInput`, `DiskFull`.
    """
    file = Path(path)
    ending = file.suffix.lower()
    if ending in _PICTURES:
        labels = [item.labels for item in items]
        put_in_place(file, lambda to: draw_overview(shown, labels, to), overwrite=True)
        return
    if ending not in WRITERS or ending == ".npz":
        known = [*_PICTURES, *(one for one in WRITERS if one != ".npz")]
        raise InvalidInput(f"{file} does not end in one of {', '.join(known)}")
    columns = {"id": "int", "path": "path", "x": "number", "y": "number", "labels": "texts"}
    rows = [
        (item.id, item.path, float(x), float(y), item.labels)
        for item, (x, y) in zip(items, shown.xy, strict=True)
    ]
    table = Table(tuple(Column(*one) for one in columns.items()), iter([rows]), len(rows))
    put_in_place(file, lambda to: WRITERS[ending](table, to), overwrite=True)


def draw_overview(
    shown: Overview, labels: Sequence[Sequence[str]], path: str | PathLike[str]
) -> None:
    """Save a scatter plot as PNG, PDF or SVG, after the ending of `path`.

    `labels` are those of each item; its first one gives it its colour. Raises `OSError`, and
    `ValueError` for an ending that is not known.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    first = [one[0] if one else "" for one in labels]
    counts = Counter(name for name in first if name)
    named = [name for name, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    named = named[:MOST_LABELS]
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot()
    size = float(np.clip(4000 / max(1, len(first)), 3, 40))
    rest = np.array([name not in named for name in first], dtype=bool)
    if rest.any():
        other = "other labels, or none" if named else None
        axes.scatter(
            shown.xy[rest, 0], shown.xy[rest, 1], s=size, c=_GREY, linewidths=0, label=other
        )
    for number, name in enumerate(named):
        here = np.array([one == name for one in first])
        # A name is a name: a $ in it is no formula, and a leading _ does not hide it.
        label = f"{name.replace('$', chr(92) + '$')} ({counts[name]})"
        label = f" {label}" if label.startswith("_") else label
        colour = colormaps["tab10"](number)
        axes.scatter(
            shown.xy[here, 0], shown.xy[here, 1], s=size, color=colour, linewidths=0, label=label
        )
    axes.set_aspect("equal")
    names = ["x", "y"]
    if shown.explained is not None:
        names = [f"component {i} ({share:.0%})" for i, share in enumerate(shown.explained, 1)]
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.set_title(f"{len(first)} pictures, {shown.method}")
    if named:
        axes.legend(loc="best", fontsize="small", framealpha=0.8)
    figure.savefig(path, dpi=130)
