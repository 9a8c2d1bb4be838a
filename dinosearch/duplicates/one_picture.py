"""The copies of one picture that need not be in the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.duplicates.candidates import (
    EACH,
    FLOOR,
    HAMMING,
    PLAIN_FLOOR,
    lowering,
)
from dinosearch.duplicates.comparing import Shown, compare, score_of
from dinosearch.duplicates.detail import Grey
from dinosearch.duplicates.finding import CROPS_EACH, details_of, proposed_by_patches
from dinosearch.duplicates.layout import Patches
from dinosearch.duplicates.pool import SQUARE, Pool, hashes_of
from dinosearch.scoring import top_k
from dinosearch.search.query_picture import QueryPicture

THUMBNAIL = 256


@dataclass(frozen=True)
class CopyOf:
    """An item that a picture is a copy of; `kind` and `score` as in `DuplicateGroup`.

    Of the kind `contains`, `part` says which of the two is a part of the other: `picture` or
    `item`.
    """

    id: int
    path: str
    kind: str
    score: float
    part: str | None = None


def copies_of(
    corpus: Corpus,
    pool: Pool,
    features: QueryPicture,
    pixels: NDArray[np.uint8],
    *,
    sha256: str | None,
    threshold: float,
    without: Sequence[int] = (),
) -> list[CopyOf]:
    """The items that a picture is a copy of, surest first.

    `pixels` uint8 [h, w, 3]: the upright picture, reduced as one likes; `sha256`: of its
    file, where it is one; `without`: ids of items that do not count.
    """
    numbers = candidates_for(corpus, pool, features, square_of(pixels))
    own = _shown(pool, features, pixels)
    usual: float | None = None
    found: list[CopyOf] = []
    for number, item in enumerate(pool.items):
        if item.sha256 == sha256:
            found += [CopyOf(one.id, one.path, "exact", 1.0) for one in pool.same[number]]
            numbers.discard(number)
    for number in sorted(numbers):
        other = pool.shown(number)
        comparison = other and compare(own, other, np.random.default_rng(number))
        if not comparison or comparison.kind is None or comparison.detail < threshold:
            continue
        if usual is None:
            alike = pool.lookalikes(features.cls, square_of(pixels), set(numbers))
            usual = max(details_of(own, pool, alike), default=0.0)
        score = score_of(comparison.detail, usual)
        if score < threshold:
            continue
        part = None
        if comparison.kind == "contains":
            part = "picture" if comparison.first_seen > comparison.second_seen else "item"
        found += [
            CopyOf(one.id, one.path, comparison.kind, round(score, 4), part)
            for one in pool.same[number]
        ]
    found = [one for one in found if one.id not in set(without)]
    return sorted(found, key=lambda one: (-one.score, one.id))


def candidates_for(
    corpus: Corpus, pool: Pool, features: QueryPicture, square: NDArray[np.uint8]
) -> set[int]:
    """The numbers of the pictures of the pool that are worth a closer look."""
    lowered = lowering(pool.cls, np.random.default_rng(0), of=features.cls[None])[0]
    scores = pool.cls @ features.cls - pool.lowered - lowered
    floor = FLOOR if pool.lowered.any() else PLAIN_FLOOR
    found = {int(one) for one in top_k(scores, EACH) if scores[one] >= floor}
    plain, mirrored = hashes_of(square)
    for bits in (plain, mirrored):
        near = -(pool.bits != bits).sum(axis=1).astype(np.float32)
        near[~pool.known] = -np.inf
        found |= {int(one) for one in top_k(near, EACH) if near[one] >= -HAMMING}
    ids = np.array([item.id for item in pool.items])
    patches = Patches.of(features.patches, features.grid, pool.sample)
    for one in proposed_by_patches(corpus, patches, ids, count=CROPS_EACH):
        found.add(int(np.searchsorted(ids, one)))
    return found


def square_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [64, 64]: a picture in grey, squeezed into a square."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((SQUARE, SQUARE), Image.Resampling.BOX))


def _shown(pool: Pool, features: QueryPicture, pixels: NDArray[np.uint8]) -> Shown:
    from PIL import Image

    small = Image.fromarray(pixels).convert("L")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    grid = features.grid
    return Shown(
        Patches.of(features.patches, grid, pool.sample),
        Grey(np.asarray(small), grid.width, grid.height),
        lambda: pool.common(features.cls),
    )
