"""The scan for a part: pictures are proposed by a few of their patches, then compared exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.scoring import top_k
from dinosearch.search.recent import Recent
from dinosearch.search.regions import MarkedPart, Usual
from dinosearch.storage.snapshot import Snapshot

CANDIDATES = 120
"""Pictures that are compared patch by patch. Measured in benchmarks/regions.py."""

DEPTH = 500
"""Chosen tokens that are looked at for each patch of the part."""

# A picture's tokens are a megabyte or so: enough to keep reading and scoring busy.
_PICTURES_PER_BLOCK = 16


@dataclass(frozen=True)
class Scan:
    """What is known of a part: `scores` float32 [sizes, positions], NaN where not compared."""

    scores: NDArray[np.float32]
    usual: Usual


Kept = Recent[bytes, Scan]
"""Scans by what was asked: a part is looked for again with other filters, further down the
ranking, or with another weight, and none of that changes how well a picture holds it."""


class Scanner:
    """Looks for parts in one snapshot."""

    def __init__(self, snapshot: Snapshot, kept: Kept) -> None:
        self._snapshot = snapshot
        self._kept = kept

    def usual(self, part: MarkedPart) -> Usual:
        """How well the pictures of the index usually hold the part."""
        if len(part.sizes) == 1:  # compared as it is: nothing has to be looked up
            return Usual.alone()
        known = self._kept.get(part.digest(self._snapshot.generation))
        if known:
            return known.usual
        _, scores, others = self._proposed(part)
        return Usual.of(part, scores, others, len(self._snapshot))

    def level(self, part: MarkedPart) -> float:
        """What a picture of the index usually scores for the part, on the scale of cosines."""
        _, scores, others = self._proposed(part)
        return float(Usual.of(part, scores, others, len(self._snapshot)).mean.mean())

    def scan(
        self,
        part: MarkedPart,
        allowed: NDArray[np.bool_],
        *,
        hint: MarkedPart,
        wanted: int,
        exactly: bool,
        also: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], Usual, bool]:
        """float32 [sizes, positions]: how well the likely pictures hold the part, else NaN.

        At least `wanted` of the `allowed` bool [positions], if there are so many, and those
        of `also`; with `exactly` all of them. `hint` proposes the pictures: the part itself,
        or fewer patches of it. The last value says whether all were compared.
        """
        snapshot = self._snapshot
        key = part.digest(snapshot.generation)
        known = self._kept.get(key)
        everything = exactly or int(allowed.sum()) <= max(CANDIDATES, wanted)
        named = None
        if known is None:
            usual = Usual.alone()
            if len(part.sizes) > 1:
                named = self._proposed(part)
                usual = Usual.of(part, named[1], named[2], len(snapshot))
            known = Scan(self._blank(part), usual)
        targets = allowed
        if not everything:
            if named is None or hint is not part or not (allowed == snapshot.live).all():
                named = self._proposed(hint, allowed)
            positions, scores, _ = named
            # One size has no other to be compared with.
            usual = known.usual if len(hint.sizes) > 1 else Usual.alone()
            likely = top_k(usual.brought_together(scores), max(CANDIDATES, wanted))
            everything = len(likely) < wanted
            if not everything:
                targets = np.zeros_like(allowed)
                targets[positions[likely]] = True
                targets[also] = True
                targets &= allowed
        found = known.scores.copy()
        missing = targets & np.isnan(found[0])
        for block in snapshot.token_blocks(missing, _PICTURES_PER_BLOCK):
            found[:, block.positions] = part.scores(block.rows)
        if missing.any() or self._kept.get(key) is None:
            self._kept.put(key, Scan(found, known.usual))
        # What an earlier question left behind must not change the answer to this one.
        return np.where(targets, found, np.nan), known.usual, everything

    def _blank(self, part: MarkedPart) -> NDArray[np.float32]:
        shape = (len(part.sizes), len(self._snapshot.live))
        return np.full(shape, np.nan, dtype=np.float32)

    def _proposed(
        self, part: MarkedPart, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Positions int64 [c], their scores [sizes, c], and [sizes], which no other exceeds."""
        allowed = self._snapshot.live if allowed is None else allowed
        proposal = self._snapshot.propose(part.tokens, allowed, DEPTH)
        return proposal.positions, part.combined(proposal.best), part.combined(proposal.floor)
