"""The features a probe looks at, read from an index or made of a new picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.probes.pooling import needs_tokens, pool, widths

BLOCK = 16
"""New pictures encoded, or stored CLS vectors read, at once per step of a long loop."""

Matrix = NDArray[np.float32]


def stored_features(
    corpus: Corpus,
    ids: NDArray[np.int64],
    features: str,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Matrix, tuple[int, ...]]:
    """float32 [n, F] of items, in the order of `ids`, and the widths of their blocks.

    Read from the store: nothing is encoded. `progress` is told how many of how many.
    """
    cls = corpus.cls(ids)
    if not needs_tokens(features):
        progress(len(ids), len(ids))
        return cls, (cls.shape[1],)
    place = {one: row for row, one in enumerate(ids.tolist())}
    x: Matrix | None = None
    blocks: tuple[int, ...] = ()
    done = 0
    for part, tokens in corpus.tokens(ids):
        for one, own in zip(part.tolist(), tokens, strict=True):
            vector = pool(features, cls[place[one]], own)
            if x is None:
                x = np.zeros((len(ids), len(vector)), np.float32)
                blocks = tuple(widths(features, cls.shape[1], own.shape[1]))
            x[place[one]] = vector
        done += len(part)
        progress(done, len(ids))
    return (np.empty((0, 0), np.float32) if x is None else x), blocks


def new_features(corpus: Corpus, pictures: Sequence[Any], features: str) -> Matrix:
    """float32 [n, F] of pictures as `ImageIndex.search` takes them; encoded where they are new."""
    rows = []
    for low in range(0, len(pictures), BLOCK):
        for one in corpus.features(pictures[low : low + BLOCK]):
            tokens = np.array(one.patches, np.float32)
            # In the store the padding around a picture is zeros; here the model saw it.
            tokens[~one.grid.shown.reshape(-1)] = 0
            rows.append(pool(features, one.cls, tokens))
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)
