"""Whether two pictures agree in detail, once it is known how one lies in the other.

Patches say that two solar cells of one kind are laid out alike; so they are, and yet they are
two cells. What tells a copy from a look-alike is what the picture does *not* share with its
look-alikes. So small grey pictures are compared block by block, and what the mean of the
look-alikes explains of a block does not count: the partial correlation (Fisher, "The
distribution of the partial correlation coefficient", 1924). Pure array functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.duplicates.layout import Placement

LATTICE = 96
"""Points across the longer side of the first picture at which both are read."""

BLOCK = 8

FAINT, STRONG = 1.5, 6.0
"""Root mean square, in grey values, of a block that says nothing, and of one that says all:
what a thumbnail's own compression does to it lies below the first."""

FEWEST = 6
"""Blocks with something in them below which nothing is said."""

HOPELESS = 0.2
"""Plain correlation at the placement itself that no step aside makes good."""

LEFT_OUT = 0.3
"""Share of the blocks, by weight, that may disagree: text laid over a picture is no other
picture."""


@dataclass(frozen=True)
class Grey:
    """A small grey picture: `values` [h, w] of one of `width` x `height` pixels."""

    values: NDArray[np.number]
    width: int
    height: int


def agreement(
    first: Grey, second: Grey, common: NDArray[np.float32], placement: Placement
) -> float | None:
    """How well two pictures agree in detail, at most 1; None where there is none to compare.

    `common` float32 [h, w]: what the look-alikes of the first have in common, stretched to
    any size; `placement`: how the first lies in the second. The weighted mean of the blocks'
    partial correlations, the lowest left out; blocks weigh by what is left of them, up to a
    bound.
    """
    points, shape = _lattice(first)
    step = max(first.width, first.height) / LATTICE
    own = _blocks(_reader(first, step)(points)[0], shape)
    explained = _blocks(_reader(Grey(common, first.width, first.height), step)(points)[0], shape)
    reach = step * placement.size
    read = _reader(second, reach)
    with_common = (own.unit * explained.unit).sum(axis=1)
    best: tuple[float, NDArray[np.float32], NDArray[np.bool_]] | None = None
    place = placement(points)
    for down in (0, 1, -1):
        for across in (0, 1, -1):
            values, inside = read(place + (across + 1j * down) * reach)
            other = _blocks(values, shape)
            shown = _whole(inside, shape)
            plain = (own.unit * other.unit).sum(axis=1)
            strength = np.minimum(own.strength, BLOCK * STRONG)[shown]
            total = float(plain[shown] @ strength)
            if best is None and total < HOPELESS * strength.sum():
                return max(0.0, total / max(float(strength.sum()), 1e-6))
            if best is None or total > best[0]:
                between = (other.unit * explained.unit).sum(axis=1)
                left = (1 - with_common**2) * (1 - between**2)
                partial = (plain - with_common * between) / np.sqrt(np.maximum(left, 1e-4))
                best = total, np.clip(partial, -1, 1), shown
    assert best is not None
    _, partial, shown = best
    strength = own.strength * np.sqrt(np.maximum(1 - with_common**2, 0))
    weights = np.where(strength > BLOCK * FAINT, np.minimum(strength, BLOCK * STRONG), 0)[shown]
    if np.count_nonzero(weights) < FEWEST:
        return None
    return _trimmed(partial[shown], weights)


def _trimmed(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """The weighted mean of the highest, up to 1 - `LEFT_OUT` of the weight."""
    order = np.argsort(-values, kind="stable")
    weights = weights[order]
    total = np.cumsum(weights)
    kept = total <= (1 - LEFT_OUT) * total[-1]
    kept[0] = True
    return float(values[order][kept] @ weights[kept] / weights[kept].sum())


@dataclass(frozen=True)
class _Blocks:
    """`unit` [n, 64]: blocks less their mean, of length 1; `strength` [n]: the length they had."""

    unit: NDArray[np.float32]
    strength: NDArray[np.float32]


def _blocks(values: NDArray[np.float32], shape: tuple[int, int]) -> _Blocks:
    cut = _cut(values, shape)
    cut = cut - cut.mean(axis=1, keepdims=True)
    strength = np.sqrt((cut**2).sum(axis=1))
    return _Blocks(cut / np.maximum(strength, 1e-3)[:, None], strength)


def _whole(inside: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(_cut(inside, shape).all(axis=1))


def _cut(values: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.float32]:
    rows, cols = shape[0] // BLOCK, shape[1] // BLOCK
    cut = values.reshape(rows, BLOCK, cols, BLOCK).swapaxes(1, 2)
    return np.asarray(cut.reshape(rows * cols, BLOCK * BLOCK), dtype=np.float32)


def _lattice(picture: Grey) -> tuple[NDArray[np.complex128], tuple[int, int]]:
    """Points of the picture in its pixels, row by row, and how many rows and columns."""
    step = max(picture.width, picture.height) / LATTICE
    cols = max(BLOCK, int(picture.width / step) // BLOCK * BLOCK)
    rows = max(BLOCK, int(picture.height / step) // BLOCK * BLOCK)
    x = (np.arange(cols) + 0.5) * picture.width / cols
    y = (np.arange(rows) + 0.5) * picture.height / rows
    points = (x[None] + 1j * y[:, None]).ravel()
    return np.asarray(points, dtype=np.complex128), (rows, cols)


Reading = Callable[[NDArray[np.complex128]], tuple[NDArray[np.float32], NDArray[np.bool_]]]


def _reader(picture: Grey, step: float) -> Reading:
    """Reads the picture at points of it, averaged over squares of about `step` pixels a side."""
    rows, cols = picture.values.shape
    across, down = cols / picture.width, rows / picture.height
    smooth = _averaged(picture.values, round(step * across / 2), round(step * down / 2))

    def read(points: NDArray[np.complex128]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        x, y = points.real * across - 0.5, points.imag * down - 0.5
        inside = (x >= -0.5) & (y >= -0.5) & (x <= cols - 0.5) & (y <= rows - 0.5)
        x, y = np.clip(x, 0, cols - 1), np.clip(y, 0, rows - 1)
        left = np.minimum(x.astype(np.int64), max(0, cols - 2))
        top = np.minimum(y.astype(np.int64), max(0, rows - 2))
        right, below = np.minimum(left + 1, cols - 1), np.minimum(top + 1, rows - 1)
        u, v = x - left, y - top
        upper = smooth[top, left] * (1 - u) + smooth[top, right] * u
        lower = smooth[below, left] * (1 - u) + smooth[below, right] * u
        return (upper * (1 - v) + lower * v).astype(np.float32), inside

    return read


def _averaged(values: NDArray[np.number], across: int, down: int) -> NDArray[np.float64]:
    """Means over windows of 2 * down + 1 rows and 2 * across + 1 columns."""
    padded = np.pad(values.astype(np.float64), ((down + 1, down), (across + 1, across)), "edge")
    total = padded.cumsum(axis=0).cumsum(axis=1)
    height, width = 2 * down + 1, 2 * across + 1
    inside = total[height:, width:] - total[:-height, width:]
    inside = inside - total[height:, :-width] + total[:-height, :-width]
    return np.asarray(inside / (height * width))
