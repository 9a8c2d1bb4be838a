"""Which pairs are worth a closer look: by CLS, by perceptual hash. Pure array functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from dinosearch.duplicates.perceptual_hash import as_signs, product_at
from dinosearch.scoring import pairs_above

NEAREST = 3
"""Background pictures whose mean cosine a picture's scores are lowered by (DISC21)."""

BACKGROUND = 300

MAY_BE_COPIES = 10
"""Copies that a picture may have in the index without being taken for usual."""

FLOOR = 0.1
"""Normalised cosine below which no copy was seen but blurred ones, which the hash finds."""

HAMMING = 10
"""Bits of 64 by which the hashes of copies differ at most; more is chance."""

EACH = 8
"""Pairs of a picture that are looked at, of each kind."""

FEW = 200
"""With fewer pictures there is no background worth the name, and cosines count as they are."""

PLAIN_FLOOR = 0.3

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
Finder = Callable[..., Pairs]


def lowering(
    cls: NDArray[np.float32], rng: np.random.Generator, *, of: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """float32 [n]: what score normalisation takes off for each picture of unit `cls` [n, D].

    Half the mean cosine to the `NEAREST` of a drawn background, so that a pair is lowered by
    the mean of both. `of` [m, D]: for these pictures instead, the background being drawn
    from `cls`. Zero where there are too few pictures.
    """
    asked = cls if of is None else of
    if len(cls) < FEW:
        return np.zeros(len(asked), np.float32)
    drawn = np.sort(rng.choice(len(cls), min(BACKGROUND, len(cls)), replace=False))
    cosines = asked @ cls[drawn].T
    if of is None:
        cosines[drawn, np.arange(len(drawn))] = -1  # itself
    # Where much of the index is drawn, so are a picture's copies: they are no background.
    copies = round(MAY_BE_COPIES * len(drawn) / len(cls))
    last = len(drawn) - copies
    near = np.partition(cosines, (last - NEAREST, last - 1), axis=1)[:, last - NEAREST : last]
    return np.asarray(near.mean(axis=1) / 2, dtype=np.float32)


def by_cls(
    cls: NDArray[np.float32],
    lowered: NDArray[np.float32],
    *,
    sides: NDArray[np.bool_] | None = None,
    find: Finder = pairs_above,
) -> NDArray[np.int64]:
    """int64 [pairs, 2], i < j: the `EACH` most alike of every picture, by normalised cosine.

    `find` has the arguments of `scoring.pairs_above`. `sides` bool [n]: pairs only of one
    that is true and one that is not.
    """
    floor = FLOOR if lowered.any() else PLAIN_FLOOR
    return _best_of_each(find(cls, floor, lowered=lowered), len(cls), sides)


def by_hash(
    bits: NDArray[np.bool_],
    mirrored: NDArray[np.bool_],
    known: NDArray[np.bool_],
    *,
    sides: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """int64 [pairs, 2], i < j: pictures whose hashes, or mirrored ones, are near.

    `bits`, `mirrored` bool [n, 64]; `known` bool [n]: those that have a hash.
    """
    places = np.flatnonzero(known)
    plain, turned = as_signs(bits[places]), as_signs(mirrored[places])
    least = product_at(HAMMING) - 1e-4
    first, second, scores = pairs_above(plain, least)
    found = [_best_of_each((places[first], places[second], scores), len(bits), sides)]
    first, second, scores = pairs_above(turned, least, others=plain)
    upper = first < second  # mirroring is its own undoing: the other half says the same
    turned_pairs = places[first[upper]], places[second[upper]], scores[upper]
    found.append(_best_of_each(turned_pairs, len(bits), sides))
    return merged(found)


def merged(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """int64 [pairs, 2]: each pair once, i < j, in order."""
    every = [np.sort(part, axis=1) for part in parts if len(part)]
    if not every:
        return np.empty((0, 2), np.int64)
    return np.asarray(np.unique(np.concatenate(every), axis=0))


def _best_of_each(pairs: Pairs, count: int, sides: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Pairs that are among the `EACH` best of either of the two."""
    first, second, scores = pairs
    if sides is not None:
        across = sides[first] != sides[second]
        first, second, scores = first[across], second[across], scores[across]
    order = np.argsort(-scores, kind="stable")
    rank = np.empty((2, len(order)), np.int64)
    owner = np.concatenate([first[order], second[order]])
    # Both ends of a pair in one list, best first, so that the place within an owner is a rank.
    listed = np.concatenate([np.arange(len(order)), np.arange(len(order))])
    by_owner = np.lexsort((listed, owner))
    starts = np.searchsorted(owner[by_owner], np.arange(count))
    place = np.empty(len(owner), np.int64)
    place[by_owner] = np.arange(len(owner)) - starts[owner[by_owner]]
    rank[:] = place.reshape(2, -1)
    kept = order[(rank < EACH).any(axis=0)]
    return np.stack([first[kept], second[kept]], axis=1)
