"""Statistics of the corpus: named arrays that were measured on a sample of it.

Measured when pictures are indexed, so that nobody has to wait for it later, and so that what
rests on them (percentiles, the colours of PCA maps) says the same in every process. Derived:
the file may be lost at any time. What is measured, the layer above knows.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dinosearch.storage.catalog import StatisticsRow
from dinosearch.storage.folder import Folder, Sealed, read_sealed, seal, sha256_of

SMALLEST = 2
"""Below so many pictures there are no pairs to measure, and no file is made."""

CHANGED_SHARE = 0.25
"""Measured anew when the number of items has changed by more than this share since."""

Arrays = dict[str, NDArray[Any]]


class Statistics:
    """The arrays of one catalog row, loaded."""

    def __init__(self, folder: Folder, row: StatisticsRow) -> None:
        """Raises ValueError for a file that is missing or not what the catalog says."""
        path = folder.derived / row.name
        data = read_sealed(path, row.bytes, row.sha256)
        try:
            self.arrays: Arrays = load(data)
        except SafetensorError as error:
            raise ValueError(f"{path}: {error}") from error
        self.row = row


def store(folder: Folder, arrays: Arrays) -> Sealed:
    """Write the arrays to a sealed file, which is nothing until the catalog names it."""
    ready = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return seal(folder.derived / f"{uuid.uuid4().hex}.safetensors", save(ready))


def serve(folder: Folder, row: StatisticsRow | None, items: int) -> bool:
    """Whether what a row names is sound and still stands for an index of so many items."""
    if row is None or abs(items - row.items) > CHANGED_SHARE * row.items:
        return False
    path = folder.derived / row.name
    try:
        return path.stat().st_size == row.bytes and sha256_of(path) == row.sha256
    except OSError:
        return False
