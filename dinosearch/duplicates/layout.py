"""Where one picture lies in another: a vote of matched patches over place, size and turn.

Pure array functions. Points are complex numbers, x + iy, in pixels of the upright picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.geometry import PatchGrid
from dinosearch.scoring import similarities

MOST = 484
"""Patches of a picture that look for their match: of a finer grid every second or third."""

HYPOTHESES = 600
"""Placements tried, each from two matches, drawn by weight."""

TOLERANCE = 1.1
"""Cells by which a match may miss its place."""

APART = 3.0
"""Cells between two matches that say how large and how turned a picture lies in another."""

SMALLEST, LARGEST = 0.28, 3.6
"""Sizes that are tried, as factors."""

FEWEST = 6
"""Matches below which nothing is said."""

LEAST_WEIGHT = 0.02
"""Of a match that the corpus has everywhere: a plain sky still has a layout."""

NEIGHBOURS = 0.01
"""Share of the corpus' tokens that a usual one is near to."""


@dataclass(frozen=True)
class Patches:
    """The patches of one picture: `tokens` float16 [m, Dp], `points` complex [m], their middles.

    `usual` float32 [m]: the cosine that each has to much of the corpus anyway; `cell`: the
    side of a cell in pixels; `width` and `height` of the picture.
    """

    tokens: NDArray[np.float16]
    points: NDArray[np.complex128]
    usual: NDArray[np.float32]
    cell: float
    width: int
    height: int

    @classmethod
    def of(
        cls, tokens: NDArray[np.floating], grid: PatchGrid, sample: NDArray[np.floating]
    ) -> Patches:
        """From `tokens` [P, Dp] on `grid`; `sample` [n, Dp], tokens of other pictures."""
        shown = grid.shown
        rows, cols = np.nonzero(shown)
        points = (
            grid.window.x0
            + (cols + 0.5) * grid.cell_width
            + 1j * (grid.window.y0 + (rows + 0.5) * grid.cell_height)
        )
        kept = tokens[shown.ravel()]
        usual = np.zeros(len(kept), np.float32)
        if len(sample):
            near = max(1, round(NEIGHBOURS * len(sample)))
            cosines = similarities(kept.astype(np.float32), sample)
            usual = np.partition(cosines, len(sample) - near, axis=1)[:, -near:].mean(axis=1)
        cell = float(np.sqrt(grid.cell_width * grid.cell_height))
        return cls(kept.astype(np.float16), points, usual, cell, grid.width, grid.height)

    def thinned(self) -> NDArray[np.int64]:
        """int64: the patches that look for their match, evenly spread."""
        step = int(np.ceil(np.sqrt(len(self.tokens) / MOST)))
        if step == 1:
            return np.arange(len(self.tokens))
        column = np.floor(self.points.real / self.cell).astype(np.int64)
        row = np.floor(self.points.imag / self.cell).astype(np.int64)
        return np.flatnonzero((column % step == 0) & (row % step == 0))


@dataclass(frozen=True)
class Placement:
    """How one picture lies in another: a point z goes to `turn` * z + `shift`.

    With `mirrored`, to `turn` * conj(z) + `shift`. `agreeing`: how many matches agree, and
    `share`, in [0, 1], their share of the weight of all matches.
    """

    turn: complex
    shift: complex
    mirrored: bool
    agreeing: int
    share: float

    def __call__(self, points: NDArray[np.complex128]) -> NDArray[np.complex128]:
        placed = self.turn * (np.conj(points) if self.mirrored else points) + self.shift
        return np.asarray(placed, dtype=np.complex128)

    def inverse(self) -> Placement:
        """How the other picture lies in this one."""
        turn, shift = 1 / self.turn, -self.shift / self.turn
        if self.mirrored:
            turn, shift = turn.conjugate(), shift.conjugate()
        return Placement(turn, shift, self.mirrored, self.agreeing, self.share)

    @property
    def size(self) -> float:
        """How much larger the picture lies in the other, both counted in their pixels."""
        return abs(self.turn)


def placed(
    first: Patches, second: Patches, rng: np.random.Generator, *, mirrored: bool = False
) -> Placement | None:
    """The placement of `first` in `second` that most weight of matches agrees with, or None.

    Patches match that are each other's best; the weight of a match is how far its cosine lies
    above what the corpus has anyway. Placements come from two matches at a time and the best
    is fitted to all that agree with it (Fischler and Bolles, "Random sample consensus", 1981).
    """
    asking = first.thinned()
    cosines = similarities(first.tokens[asking].astype(np.float32), second.tokens)
    match = cosines.argmax(axis=1)
    mutual = cosines.argmax(axis=0)[match] == np.arange(len(asking))
    match, asking = match[mutual], asking[mutual]
    if len(asking) < FEWEST:
        return None
    best = cosines[np.flatnonzero(mutual), match]
    usual = np.maximum(first.usual[asking], second.usual[match])
    weights = np.maximum(LEAST_WEIGHT, (best - usual) / (1 - usual + 1e-3)).astype(np.float64)
    points, places = first.points[asking], second.points[match]
    if mirrored:
        points = np.conj(points)
    relative = second.cell / first.cell
    drawn = rng.choice(len(asking), (HYPOTHESES, 2), p=weights / weights.sum())
    across = points[drawn[:, 0]] - points[drawn[:, 1]]
    good = np.abs(across) >= APART * first.cell
    turns = (places[drawn[:, 0]] - places[drawn[:, 1]]) / np.where(good, across, 1)
    sizes = np.abs(turns) / relative
    good &= (sizes >= SMALLEST) & (sizes <= LARGEST)
    if not good.any():
        return None
    turns = turns[good]
    shifts = places[drawn[good, 0]] - turns * points[drawn[good, 0]]
    missed = np.abs(turns[:, None] * points + shifts[:, None] - places)
    allowed = TOLERANCE * np.maximum(second.cell, np.abs(turns) * first.cell)
    chosen = int(((missed <= allowed[:, None]) @ weights).argmax())
    turn, shift = complex(turns[chosen]), complex(shifts[chosen])
    for _ in range(3):
        agree = _agree(first, second, points, places, turn, shift)
        if agree.sum() < FEWEST:
            return None
        fitted = _fit(points[agree], places[agree], weights[agree])
        if fitted is None:
            return None
        turn, shift = fitted
    agree = _agree(first, second, points, places, turn, shift)
    share = float(weights[agree].sum() / weights.sum())
    return Placement(turn, shift, mirrored, int(agree.sum()), share)


def coverage(placement: Placement, first: Patches, second: Patches) -> tuple[float, float]:
    """Shares, in [0, 1]: of the first picture that the second shows, and the other way round."""
    there, back = placement(_lattice(first)), placement.inverse()(_lattice(second))
    return _inside(there, second), _inside(back, first)


def _agree(
    first: Patches,
    second: Patches,
    points: NDArray[np.complex128],
    places: NDArray[np.complex128],
    turn: complex,
    shift: complex,
) -> NDArray[np.bool_]:
    missed = np.abs(turn * points + shift - places)
    close: NDArray[np.bool_] = missed <= TOLERANCE * max(second.cell, abs(turn) * first.cell)
    return close


def _fit(
    points: NDArray[np.complex128], places: NDArray[np.complex128], weights: NDArray[np.float64]
) -> tuple[complex, complex] | None:
    """The turn and shift that miss least, by weighted squares; None for a single place."""
    total = weights.sum()
    middle, target = (weights @ points) / total, (weights @ places) / total
    off = points - middle
    spread = float(weights @ (np.abs(off) ** 2))
    if spread < 1e-9:
        return None
    turn = complex((weights * (places - target)) @ np.conj(off) / spread)
    return turn, complex(target - turn * middle)


_STEPS = 24


def _lattice(picture: Patches) -> NDArray[np.complex128]:
    steps = (np.arange(_STEPS) + 0.5) / _STEPS
    lattice = steps[None] * picture.width + 1j * steps[:, None] * picture.height
    return np.asarray(lattice.ravel(), dtype=np.complex128)


def _inside(points: NDArray[np.complex128], picture: Patches) -> float:
    inside = (points.real >= 0) & (points.real <= picture.width)
    inside &= (points.imag >= 0) & (points.imag <= picture.height)
    return float(inside.mean())
