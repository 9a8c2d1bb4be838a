"""Per-region overlap: how well score maps find defects, every defect counting the same.

A pixel-wise figure is ruled by the largest defects. PRO (Bergmann et al., "Uninformed
Students", 2020, and "The MVTec Anomaly Detection Dataset", 2021) averages the found share of
each connected defect, over the share of sound pixels that are marked falsely, and takes the
area up to a false positive rate of 0.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.evaluation.metrics import Estimate, bootstrap

MOST_FALSE = 0.3

_LEVELS = 2_000
"""Thresholds by which the interval is computed, where there are more scores than that."""


def per_region_overlap(
    maps: Sequence[NDArray[np.floating]],
    defects: Sequence[NDArray[np.bool_]],
    *,
    rng: np.random.Generator,
    most_false: float = MOST_FALSE,
    rounds: int = 1_000,
) -> Estimate:
    """Area under the PRO curve up to `most_false`, divided by it: in [0, 1], 1 is perfect.

    `maps`: float [h, w] per picture, higher is more suspicious; `defects`: bool [h, w], what
    is defective. The interval draws pictures again; None where no pixel is defective, or
    none sound. Raises `InvalidInput` for maps that do not fit or are not finite.
    """
    for number, (scores, truth) in enumerate(zip(maps, defects, strict=True)):
        if scores.shape != truth.shape or not np.isfinite(scores).all():
            raise InvalidInput(
                f"map {number} {list(scores.shape)} must be finite and of the shape of its"
                f" defects, {list(truth.shape)}"
            )
    regions = [regions_of(truth) for truth in defects]
    false, found = pro_curve(maps, regions)
    if np.isnan(false).any():
        return Estimate(None, None, None, 0)
    sums = _sums_at(_levels(maps, regions), maps, regions)

    def of_draw(drawn: NDArray[np.float64]) -> float:
        often = np.bincount(drawn.astype(np.int64), minlength=len(maps))
        marked, sound, overlap, count = (often @ one for one in sums)
        if not count or not sound:
            return float("nan")
        return _area(marked / sound, overlap / count, most_false)

    around = bootstrap(
        np.arange(len(maps), dtype=np.float64), rng=rng, rounds=rounds, statistic=of_draw
    )
    return Estimate(_area(false, found, most_false), around.low, around.high, len(maps))


def pro_curve(
    maps: Sequence[NDArray[np.floating]], regions: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float64 [t] twice, both ascending from 0 to 1: false positive rate, mean region overlap.

    One point for every score there is, as the threshold falls; `regions` as `regions_of`
    gives them. NaN where no pixel is defective, or none sound.
    """
    scores = np.concatenate([one.ravel() for one in maps])
    sound = np.concatenate([(one == 0).ravel() for one in regions])
    # Each pixel of a defect finds its share of it.
    shares = np.concatenate([_shares(one).ravel() for one in regions])
    count = sum(int(one.max(initial=0)) for one in regions)
    if not count or not sound.any():
        return np.array([np.nan]), np.array([np.nan])
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered) != 0), len(ordered) - 1)
    false = np.cumsum(sound[order])[last] / sound.sum()
    found = np.cumsum(shares[order])[last] / count
    return np.append(0.0, false), np.append(0.0, found)


def regions_of(truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [h, w]: the number of each pixel's connected region from 1, 0 for none.

    Pixels are connected to their eight neighbours, as in the reference evaluation. Regions
    are numbered in the order of their first pixel.
    """
    padded = np.pad(truth.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    # Runs of a row, and of which run of the row above they are a part.
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)[:, 1]
    first = np.searchsorted(starts[:, 0], np.arange(len(truth) + 1))
    parent = list(range(len(starts)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    for above, here, beyond in zip(first, first[1:], first[2:], strict=False):
        for run in range(here, beyond):
            # Touching includes the corners: one pixel to either side.
            low = above + np.searchsorted(ends[above:here], starts[run, 1], side="left")
            high = above + np.searchsorted(starts[above:here, 1], ends[run], side="right")
            for other in range(low, high):
                one, two = sorted((root(run), root(other)))
                parent[two] = one
    numbers = np.unique([root(run) for run in range(len(starts))], return_inverse=True)[1] + 1
    labels = np.zeros(truth.shape, np.int64)
    for (row, start), end, number in zip(starts, ends, numbers, strict=True):
        labels[row, start:end] = number
    return labels


def _shares(regions: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [h, w]: 1 / the size of the region that each pixel lies in, 0 for none."""
    sizes = np.bincount(regions.ravel()).astype(np.float64)
    sizes[0] = np.inf
    shares: NDArray[np.float64] = 1 / sizes[regions]
    return shares


def _area(false: NDArray[np.float64], found: NDArray[np.float64], most: float) -> float:
    """Mean height of a rising curve from 0 to `most`, by trapezoids."""
    inside = false <= most
    x = np.append(false[inside], most)
    y = np.append(found[inside], np.interp(most, false, found))
    return float((np.diff(x) * (y[1:] + y[:-1])).sum()) / 2 / most


def _levels(
    maps: Sequence[NDArray[np.floating]], regions: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Thresholds, descending: all scores, or as many as tell the curve to a hair."""
    every = np.unique(np.concatenate([np.unique(one) for one in maps])).astype(np.float64)
    if len(every) > _LEVELS:
        sound = np.concatenate(
            [one[region == 0] for one, region in zip(maps, regions, strict=True)]
        )
        # With a level above every sound pixel: what is found before anything is false.
        ends = (every[0], np.nextafter(np.float64(sound.max()), np.inf))
        every = np.unique([*np.quantile(sound, np.linspace(0, 1, _LEVELS)), *ends])
    return every[::-1]


def _sums_at(
    levels: NDArray[np.float64],
    maps: Sequence[NDArray[np.floating]],
    regions: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.float64], ...]:
    """What each picture adds to the curve, so that a draw of pictures is a weighted sum.

    float64 [pictures, t + 1] falsely marked pixels per threshold, from none on; [pictures]
    sound pixels; [pictures, t + 1] found shares of its defects; [pictures] its defects.
    """
    false, found = np.zeros((2, len(maps), len(levels) + 1))
    sound, count = np.zeros((2, len(maps)))
    for number, (scores, region) in enumerate(zip(maps, regions, strict=True)):
        place = np.searchsorted(-levels, -scores.ravel().astype(np.float64)) + 1
        good = (region == 0).ravel()
        bins = len(levels) + 2  # below the last level nothing is counted
        false[number] = np.cumsum(np.bincount(place[good], minlength=bins))[:-1]
        shares = np.bincount(place, weights=_shares(region).ravel(), minlength=bins)
        found[number] = np.cumsum(shares)[:-1]
        sound[number], count[number] = good.sum(), region.max(initial=0)
    return false, sound, found, count
