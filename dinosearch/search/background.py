"""What scores are worth: where they lie among those of random pairs of the index.

A cosine of 0.8 is much for one encoder and corpus and little for another. So pairs of
pictures are drawn at random and scored in the same way; the percentile of a score is the
share of them that scores lower.
"""

from __future__ import annotations

import threading

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
"""A background serves until the index has grown or shrunk by this share."""


class Background:
    """Scores of random pairs, drawn when first asked for. For any number of threads.

    `snapshot` is what they are drawn from; set it to the newest, so that no older one's
    files are held.
    """

    def __init__(self, snapshot: Snapshot, *, seed: int = 0) -> None:
        self.snapshot = snapshot
        self.items = len(snapshot)
        self._seed = seed
        self._lock = threading.Lock()
        self._whole: NDArray[np.float32] | None = None
        self._parts: dict[bool, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def prepare(self) -> None:
        """Draw and score the pairs now."""
        self.of_whole(0)
        self.of_region(0, 1, False)

    def serves(self, items: int) -> bool:
        """Whether it still stands for an index of so many items."""
        return self.items >= 2 and abs(items - self.items) <= STALE * self.items

    def of_whole(self, score: float) -> float | None:
        """Percentile, 0 to 100, of a whole-picture score; None below two pictures."""
        if self.items < 2:
            return None
        with self._lock:
            if self._whole is None:
                snapshot = self.snapshot
                drawn = _draw(snapshot, PICTURES, np.random.default_rng(self._seed))
                cls = snapshot.cls(drawn)
                self._whole = np.sort((cls @ cls.T)[np.triu_indices(len(cls), 1)])
        return _percentile(self._whole, score)

    def of_region(self, score: float, weight: float, position: bool) -> float | None:
        """Percentile of a region score, `weight` of the whole picture's 1 - `weight`."""
        if self.items < 2:
            return None
        with self._lock:
            if position not in self._parts:
                rng = np.random.default_rng(self._seed)
                self._parts[position] = _score_parts(self.snapshot, rng, position)
            parts, wholes = self._parts[position]
        return _percentile(np.sort(weight * parts + (1 - weight) * wholes), score)


def _draw(snapshot: Snapshot, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64: positions of so many pictures, or of all there are, ascending."""
    alive = np.flatnonzero(snapshot.live)
    return np.sort(rng.choice(alive, min(count, len(alive)), replace=False))


def _score_parts(
    snapshot: Snapshot, rng: np.random.Generator, position: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32 [pairs] twice: a part of one picture in another, and their wholes."""
    sources, targets = _draw(snapshot, SOURCES, rng), _draw(snapshot, TARGETS, rng)
    rows, cols = snapshot.segment(0).grid
    cut = [_cut(snapshot.tokens(one), rows, cols, rng) for one in sources.tolist()]
    parts = np.concatenate([tokens for tokens, _ in cut])
    near = np.concatenate([nearby(places, rows, cols) for _, places in cut]) if position else None
    found = np.empty((len(sources), len(targets)), dtype=np.float32)
    for column, other in enumerate(targets.tolist()):
        # All parts at once, so that a picture's tokens are taken in hand only once.
        scores = similarities(parts, snapshot.tokens(other))
        if near is not None:
            scores = np.where(near, scores, np.float32(-1))
        found[:, column] = scores.max(axis=1).reshape(len(sources), -1).mean(axis=1)
    pairs = sources[:, None] != targets[None]
    whole = snapshot.cls(sources) @ snapshot.cls(targets).T
    return found[pairs], whole[pairs]


def _cut(
    tokens: NDArray[np.float16], rows: int, cols: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A part of a picture of `tokens` [rows * cols, Dp]: its tokens, and their (row, col)."""
    height, width = min(WINDOW, rows), min(WINDOW, cols)
    for _ in range(TRIES):
        top = int(rng.integers(0, rows - height + 1))
        left = int(rng.integers(0, cols - width + 1))
        cells = np.add.outer(np.arange(top, top + height) * cols, np.arange(left, left + width))
        part = tokens[cells.ravel()].astype(np.float32)
        if part.any(axis=1).all():  # else it lies on padding, which nobody marks
            break
    return part, np.stack(np.divmod(cells.ravel(), cols), axis=1)


def _percentile(ordered: NDArray[np.float32], score: float) -> float:
    # A score is a float64 of what was a float32: a hair's difference must not decide.
    below = int(np.searchsorted(ordered, np.float32(score) - 1e-6))
    return round(100.0 * below / len(ordered), 3)
