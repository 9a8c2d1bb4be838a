"""What a bank remembers of good pictures, and how far a token is from it. Pure array functions.

Two steps, each a greedy k-center. Every good picture proposes its most various tokens, and
of all that are proposed the bank keeps as many as its budget allows. What a picture proposes
does not depend on the others, except for how many it may; so a bank that pictures came to or
went from is, token by token, the bank that would be made anew, though only the new ones were
looked at closely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.defects.coreset import k_center, projected
from dinosearch.scoring import similarities

PROPOSED = 4
"""Tokens proposed for each one that the bank keeps."""

LEAST = 4
"""Tokens that each picture proposes at least, however many pictures there are."""

_ROWS = 256
"""Tokens compared at once, so that their scores stay in the cache."""


class Proposal(NamedTuple):
    """The most various tokens of one good picture, most telling first.

    `cells` int32 [q] index its grid, `tokens` float16 [q, D] are unit rows, `usable` counts
    the cells it could have proposed.
    """

    cells: NDArray[np.int32]
    tokens: NDArray[np.float16]
    usable: int


class Memory(NamedTuple):
    """Tokens of good pictures: `tokens` [B, D], unit rows, and where each is from.

    `pictures` int64 [B] are ids, `cells` int32 [B] index the grids of those pictures.
    """

    tokens: NDArray[np.floating]
    pictures: NDArray[np.int64]
    cells: NDArray[np.int32]

    def widened(self) -> Memory:
        """Itself in single precision, to be compared with many pictures."""
        return self._replace(tokens=self.tokens.astype(np.float32))

    def without(self, ids: Sequence[int] | NDArray[np.int64]) -> Memory:
        """What is left without the tokens of some pictures."""
        keep = ~np.isin(self.pictures, np.asarray(ids, dtype=np.int64))
        return Memory(self.tokens[keep], self.pictures[keep], self.cells[keep])


def quota_of(pictures: int, budget: int) -> int:
    """How many tokens each of so many pictures proposes to a bank of `budget` tokens."""
    return max(LEAST, PROPOSED * budget // max(1, pictures))


def propose(
    tokens: NDArray[np.float32], usable: NDArray[np.bool_], quota: int, *, seed: int
) -> Proposal:
    """What a picture of `tokens` [P, D], of which some are usable, proposes.

    The first m of an answer are the answer for a quota of m.
    """
    cells = np.flatnonzero(usable)
    rng = np.random.default_rng(seed)
    own = tokens[cells]
    order = k_center(projected(own, rng=rng), quota, rng=rng)
    return Proposal(cells[order].astype(np.int32), own[order].astype(np.float16), len(cells))


def remember(proposals: Mapping[int, Proposal], *, budget: int, seed: int) -> Memory:
    """The bank of at most `budget` tokens of what pictures, by id, propose.

    It depends on nothing but its arguments: not on the order of the pictures, and not on
    tokens proposed beyond the quota.
    """
    ids = sorted(proposals)
    quota = quota_of(len(ids), budget)
    tokens = np.concatenate([proposals[one].tokens[:quota] for one in ids])
    cells = np.concatenate([proposals[one].cells[:quota] for one in ids])
    pictures = np.repeat(
        np.array(ids, dtype=np.int64), [len(proposals[one].cells[:quota]) for one in ids]
    )
    if len(tokens) > budget:
        rng = np.random.default_rng(seed)
        kept = k_center(projected(tokens, rng=rng), budget, rng=rng)
        tokens, cells, pictures = tokens[kept], cells[kept], pictures[kept]
    return Memory(tokens, pictures, cells)


def best_matches(
    tokens: NDArray[np.float32], known: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """float32 [m] and int64 [m]: each token's best cosine among `known`, and which it was.

    `tokens` [m, D] and `known` [B, D] have unit rows; B is at least 1.
    """
    ready = np.asarray(known, dtype=np.float32)
    cosines = np.empty(len(tokens), dtype=np.float32)
    which = np.empty(len(tokens), dtype=np.int64)
    for low in range(0, len(tokens), _ROWS):
        found = similarities(tokens[low : low + _ROWS], ready)
        best = found.argmax(axis=1)
        which[low : low + _ROWS] = best
        cosines[low : low + _ROWS] = found[np.arange(len(best)), best]
    return cosines, which


def picture_score(scores: NDArray[np.floating], *, share: float) -> float:
    """The mean of the highest `share` of the scores of a picture's patches, of 1 at least."""
    count = top_count(len(scores), share)
    return float(np.partition(scores, len(scores) - count)[-count:].mean(dtype=np.float64))


def top_count(patches: int, share: float) -> int:
    """How many patches the highest `share` of so many are: rounded up, 1 at least."""
    # A hair of tolerance: a hundredth of 300 is 3, not a little more.
    return max(1, int(np.ceil(patches * share - 1e-9)))


def folds_of(pictures: int, folds: int, *, seed: int) -> NDArray[np.int64]:
    """int64 [pictures]: which of at most `folds` parts of about equal size each is drawn into."""
    parts = np.arange(pictures) % max(1, min(folds, pictures))
    drawn: NDArray[np.int64] = np.random.default_rng(seed).permutation(parts)
    return drawn
