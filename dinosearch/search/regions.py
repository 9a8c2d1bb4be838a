"""A marked part as it is looked for: its patches, at one size or several.

An object is rarely as large where it is sought as where it was marked, and patches know only
one size. So the part is also encoded zoomed to span a few numbers of cells. Of each size the
rarest patches count: what is everywhere in the corpus says little, and most of what a
rectangle marks is ground. Pure array functions; the engine brings the tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid, Region
from dinosearch.scoring import best_cosines, similarities
from dinosearch.search.query_picture import SPANS
from dinosearch.storage.codecs import Rows

SAME_SPAN = 1.15
"""A zoom that changes the size by less than this factor adds nothing."""

RAREST = 12
"""Patches of each size that count; chosen on the tuning half of `evaluate scenes`."""

NEIGHBOURS = 0.01
"""Share of the corpus' tokens that a rare patch is far from."""

SAMPLED = 5_000
"""Tokens of the corpus that rarity is judged by."""

SECOND_COUNTS = 0.5
"""Weight of the size that fits second best, the best having 1."""

BEYOND, PRICE_BEYOND = 1.3, 2.0
"""What is so many times larger than the largest zoom is seldom meant to be as large elsewhere:
at its own size a picture must stand out by so many spreads more."""

FITS_BETTER = 0.05
"""Cosine by which it must also be more like the part than at any other size."""

NEARLY_ONE = 0.98

NEARBY = 0.1
"""How far from its place a patch may be found when position matters, in sides of the view."""


@dataclass(frozen=True)
class RegionQuery:
    """The patches of a marked part, taken out of its picture at one size.

    `tokens` float32 [m, Dp], unit rows; `places` int64 [m, 2]: row and column of each patch
    in `grid`; `offsets` the same within the part's bounding rectangle of `rows` x `cols`
    cells. `near` bool [m, P]: where in a picture each patch may be found; None for
    anywhere. `weights` float32 [m], of sum 1: how much each patch says; `rarest` int64: the
    patches that count for the score. `is_marked` is false for a whole picture.
    """

    tokens: NDArray[np.float32]
    places: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: int
    cols: int
    grid: PatchGrid
    weights: NDArray[np.float32]
    rarest: NDArray[np.int64]
    near: NDArray[np.bool_] | None = None
    is_marked: bool = True

    @classmethod
    def cut(
        cls,
        region: Region | None,
        grid: PatchGrid,
        patches: NDArray[np.floating],
        *,
        position: bool = False,
        marked: NDArray[np.bool_] | None = None,
    ) -> RegionQuery:
        """The part of a picture whose tokens are `patches` [P, Dp] on `grid`; None for all of it.

        With `position` each patch is looked for only near its own place. `marked` bool
        [rows, cols] says what the region marks, where that is known. Every patch counts
        alike. Raises `InvalidInput` for a region that marks no patch.
        """
        if marked is None:
            marked = grid.shown if region is None else grid.cells(region)
        places = np.argwhere(marked)
        origin = places.min(axis=0)
        span = places.max(axis=0) - origin + 1
        index = places[:, 0] * grid.cols + places[:, 1]
        return cls(
            patches[index].astype(np.float32),
            places,
            places - origin,
            int(span[0]),
            int(span[1]),
            grid,
            np.full(len(places), 1 / len(places), dtype=np.float32),
            np.arange(len(places)),
            nearby(places, grid.rows, grid.cols) if position else None,
            region is not None,
        )

    @property
    def span(self) -> int:
        """The longest side in cells."""
        return max(self.rows, self.cols)

    def weighed(self, corpus: NDArray[np.floating], most: int = RAREST) -> RegionQuery:
        """The same with each patch weighed by its rarity, the `most` rarest counting.

        The rarity of a patch is 1 minus its mean cosine to the nearest hundredth of
        `corpus` [n, Dp], tokens drawn from all pictures.
        """
        cosines = similarities(self.tokens, corpus[:: max(1, len(corpus) // SAMPLED)])
        drawn = cosines.shape[1]
        count = max(1, round(NEIGHBOURS * drawn))
        near = np.partition(cosines, drawn - count, axis=1)[:, -count:].mean(axis=1)
        rarity = np.maximum(1 - near, 1e-6)
        rarest = np.argsort(-rarity, kind="stable")[:most]
        return replace(self, weights=rarity / rarity.sum(), rarest=np.sort(rarest))

    def scores(self, tokens: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 [m, P]: cosine of each patch to each token of a picture, -1 where it may not be.

        `tokens` [P, Dp], unit rows.
        """
        cosines = similarities(self.tokens, tokens)
        return cosines if self.near is None else np.where(self.near, cosines, np.float32(-1))


class MarkedPart:
    """What was marked, at one size or several; `sizes` has its own size first."""

    def __init__(self, sizes: Sequence[RegionQuery]) -> None:
        self.sizes = tuple(sizes)
        counts = [len(one.rarest) for one in self.sizes]
        self._weights = np.zeros((len(counts), sum(counts)))
        end = 0
        for number, (one, count) in enumerate(zip(self.sizes, counts, strict=True)):
            weights = one.weights[one.rarest]
            self._weights[number, end : end + count] = weights / weights.sum()
            end += count

    @cached_property
    def tokens(self) -> NDArray[np.float32]:
        """float32 [q, Dp]: the patches that count, of all sizes."""
        return np.concatenate([one.tokens[one.rarest] for one in self.sizes])

    @cached_property
    def near(self) -> NDArray[np.bool_] | None:
        """bool [q, P]: where each of `tokens` may be found; None for anywhere."""
        own = self.sizes[0]
        return None if own.near is None else own.near[own.rarest]

    def combined(self, best: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 [sizes, ...]: the weighted mean of `best` [q, ...] over the patches of each size.

        For the best cosines in a picture this is how well it holds the part at each size.
        """
        # In double precision, so that it does not show how many pictures were scored at once.
        return (self._weights @ best.astype(np.float64)).astype(np.float32)

    def scores(self, rows: Rows) -> NDArray[np.float32]:
        """float32 [sizes, b]: how well b pictures of tokens [b, P, W] hold it at each size."""
        query = self.tokens if rows.basis is None else self.tokens @ rows.basis.T
        best = best_cosines(query, rows.tokens, scales=rows.scales, near=self.near)
        return self.combined(best)

    def digest(self, generation: int) -> bytes:
        """What a scan for this part depends on, but for which pictures are scanned."""
        parts = [b"%d" % generation]
        for one in self.sizes:
            near = b"" if one.near is None else one.near.tobytes()
            parts += [b" %d %d " % (len(one.rarest), len(near)), one.tokens.tobytes(), near]
        return hashlib.sha256(b"".join(parts)).digest()


@dataclass(frozen=True)
class Usual:
    """How well pictures of the index usually hold a part: `mean` and `spread` float32 [sizes].

    Scores of different sizes are compared as deviations from what is usual for the size,
    less its `price` float32 [sizes].
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    price: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        part: MarkedPart,
        scores: NDArray[np.floating],
        others: NDArray[np.floating],
        count: int,
    ) -> Usual:
        """From `scores` [sizes, c] of some pictures and `others` [sizes], that of all the rest.

        `count` is the number of all pictures. A few pictures do not tell what is usual:
        they count beside a handful of which all sizes have the same.
        """
        rest = max(0, count - scores.shape[1])
        mean = (scores.sum(axis=1) + rest * others) / max(1, count)
        square = ((scores - mean[:, None]) ** 2).sum(axis=1) + rest * (others - mean) ** 2
        mean = (count * mean + _IMAGINED * mean.mean()) / (count + _IMAGINED)
        spread = np.sqrt((square + _IMAGINED * _IMAGINED_SPREAD**2) / (count + _IMAGINED))
        spans = np.array([one.span for one in part.sizes])
        price = np.where(spans > BEYOND * max(SPANS), PRICE_BEYOND, 0.0)
        return cls(mean.astype(np.float32), spread.astype(np.float32), price.astype(np.float32))

    @classmethod
    def alone(cls) -> Usual:
        """For a single size, whose scores are compared as they are."""
        return cls(np.zeros(1, np.float32), np.ones(1, np.float32), np.zeros(1, np.float32))

    def deviations(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [sizes, c]: how many spreads each score lies above the mean, less the price.

        A size that has a price counts as the worst where it does not fit better than all
        others by plain cosines too: few patches at many cells make the spread narrow.
        """
        above = (scores - self.mean[:, None]) / self.spread[:, None]
        deviations: NDArray[np.float32] = above - self.price[:, None]
        dear = self.price > 0
        if dear.any() and not dear.all():
            fits = scores[dear] > scores[~dear].max(axis=0) + FITS_BETTER
            deviations[dear] = np.where(fits, deviations[dear], deviations[~dear].min(axis=0))
        return deviations

    def brought_together(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [c]: one score of `scores` [sizes, c], on the scale of cosines.

        The deviation at the size that fits best, and with less weight at the second best,
        since what is found at one size only is often chance; as many spreads above the mean
        for the mean and the spread of an average size.
        """
        ordered = np.sort(self.deviations(scores), axis=0)
        best = ordered[-1]
        if len(ordered) > 1:
            best = (best + SECOND_COUNTS * ordered[-2]) / (1 + SECOND_COUNTS)
        together: NDArray[np.float32] = self.mean.mean() + self.spread.mean() * best
        if len(ordered) > 1:
            # Never beyond 1, and still in order there.
            beyond = NEARLY_ONE + (1 - NEARLY_ONE) * np.tanh(
                (together - NEARLY_ONE) / (1 - NEARLY_ONE)
            )
            together = np.where(together > NEARLY_ONE, beyond, together)
        return together


_IMAGINED = 8
_IMAGINED_SPREAD = 0.05


def nearby(places: NDArray[np.int64], rows: int, cols: int) -> NDArray[np.bool_]:
    """bool [m, rows * cols]: the cells within `NEARBY` of each of `places` [m, 2].

    Counted in cells of the view, so that it holds across pictures of one aspect ratio,
    such as those of one camera on a line.
    """
    row, col = np.divmod(np.arange(rows * cols), cols)
    down = np.abs(row[None] - places[:, :1]) <= max(1, round(NEARBY * rows))
    across = np.abs(col[None] - places[:, 1:]) <= max(1, round(NEARBY * cols))
    close: NDArray[np.bool_] = down & across
    return close
