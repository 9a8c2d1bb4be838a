"""Patches of pictures, stored or new, made ready to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.defects.smoothing import smoothed
from dinosearch.geometry import PatchGrid
from dinosearch.pca.artefacts import artefacts_of
from dinosearch.search.engine import grid_of
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.snapshot import Snapshot

_BLOCK = 32
"""Pictures whose tokens are read at once."""


class Ready(NamedTuple):
    """`tokens` float32 [P, D] on `grid`, of which `usable` bool [P] may be compared."""

    tokens: NDArray[np.float32]
    usable: NDArray[np.bool_]
    grid: PatchGrid


def ready(
    patches: NDArray[np.floating],
    norms: NDArray[np.floating] | None,
    grid: PatchGrid,
    *,
    around: int,
) -> Ready:
    """Patches [P, D], of lengths `norms` [P] if known, smoothed; padding and artefacts left out."""
    usable = grid.shown.ravel() & np.any(patches, axis=1)
    if norms is not None:
        usable = usable & ~artefacts_of(norms, usable)
    return Ready(smoothed(patches, usable, cols=grid.cols, around=around), usable, grid)


def stored(
    corpus: Corpus, ids: Sequence[int] | NDArray[np.int64], *, around: int
) -> Iterator[tuple[Item, Ready]]:
    """Items with their patches, in the order of `ids`; one removed meanwhile is left out."""
    wanted = [int(one) for one in ids]
    for low in range(0, len(wanted), _BLOCK):
        # Asked anew for each block, so that a long loop holds no generation back.
        part = wanted[low : low + _BLOCK]
        yield from corpus.ask(
            lambda snapshot, catalog, part=part: _block(  # type: ignore[misc]
                snapshot, catalog, part, corpus, around
            )
        )


def _block(
    snapshot: Snapshot, catalog: Catalog, ids: Sequence[int], corpus: Corpus, around: int
) -> list[tuple[Item, Ready]]:
    positions = snapshot.positions_of(np.asarray(ids, dtype=np.int64))
    left = [one for one, position in zip(ids, positions, strict=True) if position >= 0]
    found = []
    for item, position in zip(catalog.items(left), positions[positions >= 0], strict=True):
        at = int(position)
        patches, norms = snapshot.tokens(at), snapshot.norms(at)
        found.append((item, ready(patches, norms, grid_of(item, corpus.view), around=around)))
    return found
