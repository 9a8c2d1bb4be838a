"""dinosearch finds pictures by what is in them.

import dinosearch
index = dinosearch.create("indexes/parts", encoder="mini")
index.add("photos/", labels="folders")
hits = index.search("query.jpg", region=(120, 80, 260, 210))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dinosearch.encoders import Encoder, load_encoder
    from dinosearch.errors import DinoSearchError
    from dinosearch.geometry import Box, PatchGrid, Region
    from dinosearch.image_index import ImageIndex
    from dinosearch.images import meaning_of
    from dinosearch.indexing import AddReport, Changes
    from dinosearch.indexing import Progress as AddProgress
    from dinosearch.opening import create, verify
    from dinosearch.opening import open_index as open
    from dinosearch.pca import PcaMap
    from dinosearch.scoring import knee
    from dinosearch.search.evidence import Evidence
    from dinosearch.search.queries import Query
    from dinosearch.search.question import Answer, Hit
    from dinosearch.storage.catalog import Item

# Resolved when first used (PEP 562), so that `import dinosearch` costs nothing.
_HOMES = {
    "AddProgress": ("dinosearch.indexing", "Progress"),
    "AddReport": ("dinosearch.indexing", "AddReport"),
    "Answer": ("dinosearch.search.question", "Answer"),
    "Box": ("dinosearch.geometry", "Box"),
    "Changes": ("dinosearch.indexing", "Changes"),
    "DinoSearchError": ("dinosearch.errors", "DinoSearchError"),
    "Encoder": ("dinosearch.encoders", "Encoder"),
    "Evidence": ("dinosearch.search.evidence", "Evidence"),
    "Hit": ("dinosearch.search.question", "Hit"),
    "ImageIndex": ("dinosearch.image_index", "ImageIndex"),
    "Item": ("dinosearch.storage.catalog", "Item"),
    "PcaMap": ("dinosearch.pca", "PcaMap"),
    "PatchGrid": ("dinosearch.geometry", "PatchGrid"),
    "Query": ("dinosearch.search.queries", "Query"),
    "Region": ("dinosearch.geometry", "Region"),
    "create": ("dinosearch.opening", "create"),
    "knee": ("dinosearch.scoring", "knee"),
    "load_encoder": ("dinosearch.encoders", "load_encoder"),
    "meaning_of": ("dinosearch.images", "meaning_of"),
    "open": ("dinosearch.opening", "open_index"),
    "verify": ("dinosearch.opening", "verify"),
}

__all__ = [
    "AddProgress",
    "AddReport",
    "Answer",
    "Box",
    "Changes",
    "DinoSearchError",
    "Encoder",
    "Evidence",
    "Hit",
    "ImageIndex",
    "Item",
    "PatchGrid",
    "PcaMap",
    "Query",
    "Region",
    "create",
    "knee",
    "load_encoder",
    "meaning_of",
    "open",
    "verify",
]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'dinosearch' has no attribute {name!r}") from None
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
