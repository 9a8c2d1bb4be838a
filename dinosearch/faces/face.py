"""What every face of an index stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dinosearch.corpus import Corpus
from dinosearch.encoders import Fingerprint
from dinosearch.geometry import View
from dinosearch.search.queries import Queries
from dinosearch.search.reader import Reader
from dinosearch.search.searcher import Searcher
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.writer import Writer

if TYPE_CHECKING:
    pass


class Face:
    """The parts of an open index that its methods call; `ImageIndex` sets them up."""

    view: View
    fingerprint: Fingerprint
    _folder: Folder
    _catalog: Catalog
    _reader: Reader
    _queries: Queries
    _searcher: Searcher
    _corpus: Corpus

    @property
    def id(self) -> str:
        """What tells this index from any other; it goes with the folder."""
        return str(self._folder.read_manifest()["id"])

    @property
    def path(self) -> str:
        """The index's folder."""
        return str(self._folder.root)

    def _writer(self, min_free: int) -> Writer:
        grid = self.view.grid(self.view.size, self.view.size)
        return Writer(
            self._folder,
            fingerprint=self.fingerprint.digest,
            grid=(grid.rows, grid.cols),
            min_free=min_free,
        )
