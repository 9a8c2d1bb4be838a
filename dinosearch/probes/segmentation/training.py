"""A segmenter is trained: stored tokens of the pictures that masks or strokes tell of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid
from dinosearch.probes.segmentation.cells import target_shares, upsampled
from dinosearch.probes.segmentation.context import cell_features
from dinosearch.probes.segmentation.head import Head, fit_head
from dinosearch.probes.segmentation.scores import (
    LEVELS,
    ClassIou,
    best_threshold,
    histograms,
    pooled_iou,
)
from dinosearch.probes.segmentation.strokes import stroke_shares

BUDGET = 200_000
"""Cells that a head is fitted to at most."""

FOLDS = 5

_JUDGED_PIXELS = 1_000_000
"""Pixels of a picture that its threshold is chosen by, at most: every second, third, ... of
both directions of a larger one."""

Mask = NDArray[np.uint8]
Strokes = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Recipe:
    """How a head is trained; see `fit_head` and `cell_features`.

    `threshold` is that of every class where there are no masks to choose it by.
    """

    context: tuple[str, ...]
    hidden: int
    decay: float
    balance: float
    threshold: float
    seed: int


@dataclass(frozen=True)
class Trained:
    """A head, the threshold of each class, and how well it did on pictures it had not seen.

    `iou` is cross-fitted over the pictures that have masks, each class against the rest at
    its threshold, which was chosen on the same predictions; empty without masks of two
    pictures at least. `thresholds` are one half then.
    """

    head: Head
    thresholds: NDArray[np.float32]
    iou: list[ClassIou]
    pictures: int
    cells: int


def train_head(
    corpus: Corpus,
    classes: Sequence[str],
    *,
    masks: Mapping[int, Callable[[], Mask]],
    strokes: Mapping[int, Strokes],
    ground: Sequence[int],
    recipe: Recipe,
) -> Trained:
    """Train on items: `masks` reads the mask of each id that has one; `ground` show no class.

    What a stroke says of a cell counts, whatever the mask of the picture says. Raises
    `InvalidInput` where a class or the background has no cell.
    """
    rng = np.random.default_rng(recipe.seed)
    ids = sorted({*masks, *strokes, *ground})
    quota = max(64, BUDGET // max(1, len(ids)))
    rows, targets, weights, owners = [], [], [], []
    for owner, features, grid in _pictures(corpus, ids, recipe.context):
        shares, known = _known(owner, grid, classes, masks, strokes)
        kept, times = _drawn(shares, known, quota, rng)
        rows.append(features[kept])
        targets.append(shares[kept])
        weights.append(known[kept] * times)
        owners.append(np.full(len(kept), owner))
    if not rows:
        raise InvalidInput("no picture of the index has a mask or strokes: there is none to learn")
    x, y, w, who = (np.concatenate(part) for part in (rows, targets, weights, owners))
    _check_classes(y, w, classes)

    def fit(part: NDArray[np.bool_]) -> Head:
        return fit_head(
            x[part], y[part], w[part], hidden=recipe.hidden, decay=recipe.decay,
            balance=recipe.balance, seed=recipe.seed,
        )  # fmt: skip

    head = fit(np.ones(len(x), dtype=bool))
    judged = np.array(sorted(masks), dtype=np.int64)
    thresholds = np.full(len(classes), recipe.threshold, dtype=np.float32)
    found: list[ClassIou] = []
    if len(judged) > 1:
        fold_of = dict(
            zip(rng.permutation(judged).tolist(), np.arange(len(judged)) % FOLDS, strict=True)
        )
        heads = [
            fit(~np.isin(who, [one for one, fold in fold_of.items() if fold == number]))
            for number in range(min(FOLDS, len(judged)))
        ]
        counts = np.stack(
            [
                _judge(heads[fold_of[owner]].probabilities(features), grid, masks[owner]())
                for owner, features, grid in _pictures(corpus, judged, recipe.context)
            ]
        )
        thresholds = np.array([best_threshold(one) for one in counts.sum(axis=0)], np.float32)
        found = pooled_iou(_overlaps_at(counts, thresholds), classes, rng=rng)
    return Trained(head, thresholds, found, len(ids), len(x))


def _pictures(
    corpus: Corpus, ids: Sequence[int] | NDArray[np.int64], context: Sequence[str]
) -> Iterator[tuple[int, NDArray[np.float32], PatchGrid]]:
    """(id, features float32 [P, F], grid) of items, as they lie on the disk."""
    for block, tokens in corpus.tokens(ids):
        vectors, grids = corpus.cls(block), corpus.grids(block)
        for owner, own, cls, grid in zip(block.tolist(), tokens, vectors, grids, strict=True):
            yield owner, cell_features(own, cls, grid, context), grid


def _known(
    owner: int,
    grid: PatchGrid,
    classes: Sequence[str],
    masks: Mapping[int, Callable[[], Mask]],
    strokes: Mapping[int, Strokes],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The shares of the classes in each cell of a picture, and how much of it is known."""
    if owner in masks:
        shares, known = target_shares(masks[owner](), grid, len(classes))
    elif owner in strokes:
        shares, known = stroke_shares(strokes[owner], grid, classes)
    else:
        shares = np.zeros((grid.patches, len(classes) + 1), dtype=np.float32)
        shares[:, 0] = 1
        known = grid.shown.ravel().astype(np.float32)
    if owner in strokes and owner in masks:
        drawn, touched = stroke_shares(strokes[owner], grid, classes)
        shares = np.where(touched[:, None] > 0, drawn, shares)
        known = np.maximum(known, touched)
    return shares, known


def _drawn(
    shares: NDArray[np.float32],
    known: NDArray[np.float32],
    quota: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """At most `quota` of the known cells, and how many cells each of them stands for.

    Half of them from the cells that hold some class, which are the rarer ones.
    """
    some = np.flatnonzero((known > 0) & (shares[:, 0] < 1))
    none = np.flatnonzero((known > 0) & (shares[:, 0] >= 1))
    room = max(quota // 2, quota - len(none))
    few = rng.permutation(some)[:room]
    rest = rng.permutation(none)[: quota - len(few)]
    times = np.concatenate(
        [np.full(len(few), len(some) / max(1, len(few))),
         np.full(len(rest), len(none) / max(1, len(rest)))]
    )  # fmt: skip
    return np.concatenate([few, rest]), times.astype(np.float32)


def _check_classes(
    targets: NDArray[np.float32], weights: NDArray[np.float32], classes: Sequence[str]
) -> None:
    mass = (targets * weights[:, None]).sum(axis=0)
    for name, one in zip(["background", *classes], mass, strict=True):
        if one <= 0:
            raise InvalidInput(
                f"no cell that the model is shown is {name}: mark some of it, or leave the class"
                " out; for strokes, pictures that show nothing of the classes can be background"
            )


def _judge(probabilities: NDArray[np.float32], grid: PatchGrid, mask: Mask) -> NDArray[np.int64]:
    """int64 [classes, 2, LEVELS + 1]: `histograms` of one picture, each class against the rest."""
    step = max(1, math.isqrt(-(-mask.size // _JUDGED_PIXELS)))
    found = []
    for number in range(1, probabilities.shape[1]):
        pixels = upsampled(probabilities[:, number].reshape(grid.rows, grid.cols), grid)
        # What the model was not shown is found nowhere, but counts as missed.
        pixels = np.nan_to_num(pixels[::step, ::step], nan=0.0)
        found.append(histograms(pixels, mask[::step, ::step], number))
    return np.stack(found)


def _overlaps_at(counts: NDArray[np.int64], thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 [pictures, classes, 2]: intersection and union at the threshold of each class."""
    found = np.empty((*counts.shape[:2], 2), dtype=np.int64)
    for number, threshold in enumerate(thresholds):
        level = round(float(threshold) * LEVELS)
        wrong, right = np.moveaxis(counts[:, number], 1, 0)
        found[:, number, 0] = right[:, level:].sum(axis=1)
        found[:, number, 1] = right.sum(axis=1) + wrong[:, level:].sum(axis=1)
    return found
