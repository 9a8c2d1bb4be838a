"""What scores are worth: where they lie among those of random pairs of the index.

A cosine of 0.8 is much for one encoder and corpus and little for another. So pairs of
pictures are drawn at random and scored in the same way; the percentile of a score is the
share of them that scores lower. The pairs are drawn when pictures are indexed; where what
was drawn then is lost, they are drawn when first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.scoring import similarities
from dinosearch.search.regions import nearby
from dinosearch.storage.snapshot import Snapshot

PICTURES = 600
"""Drawn for whole pictures: all their 180,000 pairs are scored."""

SOURCES, TARGETS = 24, 48
"""Pictures that parts are cut from, and pictures they are looked for in: 1,152 pairs."""

WINDOW = 4
"""Side of such a part in patches: of the size that people mark."""

TRIES = 20

STALE = 0.1
"""What was drawn when asked for serves until the index has grown or shrunk by this share."""


class Part(NamedTuple):
    """A part of a picture: unit `tokens` float32 [m, Dp] and their `places` int64 [m, 2]."""

    tokens: NDArray[np.float32]
    places: NDArray[np.int64]


Scoring = Callable[[Sequence[Part], NDArray[np.float16], int, int], NDArray[np.float32]]
"""float32 [parts]: how well a picture of tokens [rows * cols, Dp] holds each part.

Called as `scoring(parts, tokens, rows, cols)`; all parts have as many patches.
"""


class Background:
    """Scores of random pairs, stored ones or drawn when first asked for. For any thread.

    `snapshot` is where they come from; set it to the newest, so that no older one's files
    are held.
    """

    def __init__(self, snapshot: Snapshot, *, seed: int = 0) -> None:
        self.snapshot = snapshot
        self.items = len(snapshot)
        self._seed = seed
        self._lock = threading.Lock()
        self._whole: NDArray[np.float32] | None = None
        self._parts: dict[bool, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def prepare(self) -> None:
        """Have the pairs scored now."""
        self.of_whole(0)
        self.of_region(0, 1, False)

    def serves(self, items: int) -> bool:
        """Whether it still stands for an index of so many items."""
        return self.items >= 2 and abs(items - self.items) <= STALE * self.items

    def of_whole(self, score: float) -> float | None:
        """Percentile, 0 to 100, of a whole-picture score; None below two pictures."""
        if self.items < 2:
            return None
        return _percentile(self._whole_scores(), score)

    def of_region(self, score: float, weight: float, position: bool) -> float | None:
        """Percentile of a region score, `weight` of the whole picture's 1 - `weight`."""
        if self.items < 2:
            return None
        parts, wholes = self._part_scores(position)
        return _percentile(np.sort(weight * parts + (1 - weight) * wholes), score)

    def _whole_scores(self) -> NDArray[np.float32]:
        stored = self.snapshot.statistics
        if stored is not None and "whole" in stored.arrays:
            return stored.arrays["whole"]
        with self._lock:
            if self._whole is None:
                self._whole = whole_scores(self.snapshot, seed=self._seed)
            return self._whole

    def _part_scores(self, position: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        name = "parts_near" if position else "parts"
        # Both of one file: a snapshot that is set meanwhile may hold others.
        stored = self.snapshot.statistics
        if stored is not None and {name, "wholes"} <= set(stored.arrays):
            return stored.arrays[name], stored.arrays["wholes"]
        with self._lock:
            if position not in self._parts:
                scoring = near_scores if position else anywhere_scores
                self._parts[position] = part_scores(self.snapshot, scoring, seed=self._seed)
            return self._parts[position]


def whole_scores(snapshot: Snapshot, *, seed: int = 0) -> NDArray[np.float32]:
    """float32 [pairs], ascending: cosines of all pairs of up to 600 pictures."""
    cls = snapshot.cls(draw(snapshot, PICTURES, np.random.default_rng(seed)))
    scores: NDArray[np.float32] = np.sort((cls @ cls.T)[np.triu_indices(len(cls), 1)])
    return scores


def part_scores(
    snapshot: Snapshot, scoring: Scoring, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32 [pairs] twice: a part of one picture in another, and their wholes."""
    rng = np.random.default_rng(seed)
    sources, targets = draw(snapshot, SOURCES, rng), draw(snapshot, TARGETS, rng)
    rows, cols = snapshot.segment(0).grid
    parts = [_cut(snapshot.tokens(one), rows, cols, rng) for one in sources.tolist()]
    # All parts at once, so that a picture's tokens are taken in hand only once.
    found = [scoring(parts, snapshot.tokens(one), rows, cols) for one in targets.tolist()]
    pairs = sources[:, None] != targets[None]
    whole = snapshot.cls(sources) @ snapshot.cls(targets).T
    return np.stack(found, axis=1)[pairs], whole[pairs]


def anywhere_scores(
    parts: Sequence[Part], tokens: NDArray[np.float16], rows: int, cols: int
) -> NDArray[np.float32]:
    """The best cosine of each patch anywhere in the picture, averaged; see `Scoring`."""
    scores = similarities(np.concatenate([part.tokens for part in parts]), tokens)
    mean: NDArray[np.float32] = scores.max(axis=1).reshape(len(parts), -1).mean(axis=1)
    return mean


def near_scores(
    parts: Sequence[Part], tokens: NDArray[np.float16], rows: int, cols: int
) -> NDArray[np.float32]:
    """The same, each patch near its own place only."""
    scores = similarities(np.concatenate([part.tokens for part in parts]), tokens)
    near = np.concatenate([nearby(part.places, rows, cols) for part in parts])
    scores = np.where(near, scores, np.float32(-1))
    mean: NDArray[np.float32] = scores.max(axis=1).reshape(len(parts), -1).mean(axis=1)
    return mean


def draw(snapshot: Snapshot, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64: positions of so many pictures, or of all there are, ascending."""
    alive = np.flatnonzero(snapshot.live)
    return np.sort(rng.choice(alive, min(count, len(alive)), replace=False))


def _cut(tokens: NDArray[np.float16], rows: int, cols: int, rng: np.random.Generator) -> Part:
    """A part of a picture of `tokens` [rows * cols, Dp]."""
    height, width = min(WINDOW, rows), min(WINDOW, cols)
    for _ in range(TRIES):
        top = int(rng.integers(0, rows - height + 1))
        left = int(rng.integers(0, cols - width + 1))
        cells = np.add.outer(np.arange(top, top + height) * cols, np.arange(left, left + width))
        part = tokens[cells.ravel()].astype(np.float32)
        if part.any(axis=1).all():  # else it lies on padding, which nobody marks
            break
    return Part(part, np.stack(np.divmod(cells.ravel(), cols), axis=1))


def _percentile(ordered: NDArray[np.float32], score: float) -> float:
    # A score is a float64 of what was a float32: a hair's difference must not decide.
    below = int(np.searchsorted(ordered, np.float32(score) - 1e-6))
    return round(100.0 * below / len(ordered), 3)
