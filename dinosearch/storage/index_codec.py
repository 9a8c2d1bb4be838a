"""Which codec the new segments of an index are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.storage import codecs
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.codecs import Codec
from dinosearch.storage.folder import Folder
from dinosearch.storage.segments import Segment


def check_codec(name: str) -> str:
    """A codec's name, else `InvalidInput`."""
    if name not in codecs.NAMES:
        raise InvalidInput(f"tokens must be one of {', '.join(codecs.NAMES)}, not {name!r}")
    return name


def codec_name(catalog: Catalog) -> str:
    """The codec that an index was made with; fp16 for one from before there were others."""
    name = catalog.meta().get("tokens", codecs.Exact.name)
    if name not in codecs.NAMES:
        raise UnusableIndex(
            f"{catalog.path} keeps tokens as {name!r}, which this dinosearch does not know: use"
            " the one that made it, or restore the folder from a copy"
        )
    return name


class IndexCodec:
    """The codec of an index, for its writer.

    A codebook is learned once, from the first batch that has tokens enough, and read from
    the newest segment ever after; until there is one, pictures are kept in half precision.
    """

    def __init__(self, folder: Folder, catalog: Catalog, *, fingerprint: str) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fingerprint = fingerprint
        self.name = codec_name(catalog)
        self._codec: Codec | None = None

    def choose(self, dim: int, tokens: Callable[[], Sequence[NDArray[np.float16]]]) -> Codec:
        """The codec for a segment of tokens of `dim` numbers.

        `tokens()` gives those of some of its pictures, [P, dim] each, to learn from.
        """
        if not codecs.is_trained(self.name):
            return codecs.plain(self.name, dim)
        if self._codec is None:
            self._codec = self._newest() or codecs.train(self.name, tokens())
        return self._codec or codecs.Exact(dim)

    def _newest(self) -> Codec | None:
        for row in reversed(self._catalog.live_segments()):
            segment = Segment(self._folder, row, fingerprint=self._fingerprint)
            try:
                if segment.codec.name == self.name:
                    return segment.codec
            finally:
                segment.close()
        return None
