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
    from dinosearch.geometry import Box
    from dinosearch.image_index import ImageIndex
    from dinosearch.indexing import AddReport
    from dinosearch.opening import create, verify
    from dinosearch.opening import open_index as open
    from dinosearch.search.engine import Hit

# Resolved when first used (PEP 562), so that `import dinosearch` costs nothing.
_HOMES = {
    "AddReport": ("dinosearch.indexing", "AddReport"),
    "Box": ("dinosearch.geometry", "Box"),
    "DinoSearchError": ("dinosearch.errors", "DinoSearchError"),
    "Encoder": ("dinosearch.encoders", "Encoder"),
    "Hit": ("dinosearch.search.engine", "Hit"),
    "ImageIndex": ("dinosearch.image_index", "ImageIndex"),
    "create": ("dinosearch.opening", "create"),
    "load_encoder": ("dinosearch.encoders", "load_encoder"),
    "open": ("dinosearch.opening", "open_index"),
    "verify": ("dinosearch.opening", "verify"),
}

__all__ = [
    "AddReport",
    "Box",
    "DinoSearchError",
    "Encoder",
    "Hit",
    "ImageIndex",
    "create",
    "load_encoder",
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
