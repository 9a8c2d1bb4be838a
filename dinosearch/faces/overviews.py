"""The index at a glance: a map of it, and tables to take away."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

from dinosearch.faces.face import Face

if TYPE_CHECKING:
    from dinosearch.overview.overview import Overview


class Overviews(Face):
    """A map of it, and tables to take away."""

    def map(self, *, method: str = "pca", seed: int = 0, refresh: bool = False) -> Overview:
        """A place in the plane for every item, alike pictures near each other.

        method   `pca`, or `umap`, which needs the extra `map` and some minutes for a hundred
                 thousand pictures; it depends on `seed`, and the same seed gives the same map
        refresh  make it anew, whatever is kept

        A map is kept with the index: items keep their places, new ones are placed on it,
        removed ones are left out. When more than a tenth of what it was made of has come,
        gone or changed, it is made anew. Raises `InvalidInput` where umap is not installed.
        """
        from dinosearch.overview.overview import overview

        return overview(self._corpus, method=method, seed=seed, refresh=refresh)

    def export(
        self,
        file: str | PathLike[str],
        *,
        what: str = "items",
        where: str | Sequence[str] = (),
        overwrite: bool = False,
    ) -> int:
        """Write a table of the index to a file; returns its rows.

        file       its ending says how: `.csv`, `.json`, `.jsonl`, `.parquet` (needs the extra
                   `parquet`), or `.npz` for vectors
        what       `items`, `labels`, `decisions` (about copies) or `vectors` (CLS)
        where      only what belongs to items that match
        overwrite  a file that is there is refused otherwise

        The file appears whole or not at all. Names that are not UTF-8 survive: as their
        bytes in CSV and npz, as escaped surrogates in JSON, in the column `path_bytes` of
        Parquet. A CSV cell that a spreadsheet would take for a formula begins with `'`.
        Raises `InvalidInput`, `DiskFull`.
        """
        from dinosearch.export.export import export

        return export(self._corpus, file, what=what, where=where, overwrite=overwrite)
