"""Training a head on arrays: settings are chosen on a part held out, then all is trained on.

No picture is looked at here, and nothing of an index: features in, a head out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.probes.calibration import best_temperature, cross_entropy, modest, softmax
from dinosearch.probes.descent import OFFICIAL_RATES, descend
from dinosearch.probes.heads import (
    Head,
    KernelHead,
    LinearHead,
    NeighbourHead,
    Scaling,
    squared_distances,
)
from dinosearch.probes.recipe import Recipe
from dinosearch.probes.splitting import folds, stratified_split

NEIGHBOURS = (10, 20, 100, 200)
"""Numbers of neighbours that DINOv2's evaluation tries."""

PENALTIES = (0.0001, 0.001, 0.01, 0.1)
"""Inverse strengths of the penalty of logistic regression (scikit-learn's C)."""

MACHINES = ((0.5, 10.0), (0.25, 10.0), (1.0, 10.0))
"""(gamma, C) of the support vector machine, for distances whose mean square is about 2.

The first is the usual one; another must be better by more than chance.
"""

CHOOSING = 0.2
"""Share of the training pictures on which settings are chosen."""

ENOUGH = 5_000
"""Pictures that are enough to choose on."""

FEW = 4_000
"""Up to so many training pictures a machine's settings are chosen by folds instead of one part."""

FOLDS = 3

Matrix = NDArray[np.float32]
Setting = tuple[Any, ...]


@dataclass(frozen=True)
class Material:
    """What is trained on: n pictures of C classes.

    `x` float32 [n, F], in blocks of the widths `blocks`; `targets` float32 [n, C], rows that
    sum to one; `groups` [n], copies share one.
    """

    x: Matrix
    targets: Matrix
    blocks: tuple[int, ...]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> NDArray[np.int64]:
        """int64 [n]: the likeliest class of each picture."""
        found: NDArray[np.int64] = self.targets.argmax(axis=1).astype(np.int64)
        return found

    def of(self, rows: NDArray[np.int64]) -> Material:
        return replace(self, x=self.x[rows], targets=self.targets[rows], groups=self.groups[rows])


@dataclass(frozen=True)
class Trained:
    """A head, the scaling before it and the temperature after it.

    `columns` are how many of the features it looks at, from the first. `chosen` says which
    settings were chosen, `tried` how right each was on the pictures held out for that.
    """

    head: Head
    scaling: Scaling
    temperature: float
    columns: int
    chosen: dict[str, Any]
    tried: list[dict[str, Any]]

    def scores(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        return self.head.scores(self.scaling(x[:, : self.columns]))

    def probabilities(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [n, C] for features [n, F]."""
        return softmax(self.scores(x), temperature=self.temperature)


Fit = Callable[[Material, Sequence[Setting]], list[tuple[Head, Scaling, int]]]
"""Trains a head for each setting: the head, its scaling, how many columns it looks at."""


def train(material: Material, recipe: Recipe) -> Trained:
    """Train a head.

    Where there is a choice of settings, or of a temperature, it is made on pictures held out
    from the training, and the head is then trained again on all of them. Raises `InvalidInput`
    for fewer than two classes.
    """
    counts = np.bincount(material.classes, minlength=material.targets.shape[1])
    if (counts > 0).sum() < 2:
        raise InvalidInput("a probe tells classes apart: give pictures of two or more")
    fit, settings, names = _ways(material, recipe)
    # Each picture of a set this small is needed to train; nothing could be chosen on the rest.
    if len(material) < 10 or counts[counts > 0].min() < 2:
        middle = settings[len(settings) // 2]
        head, scaling, columns = fit(material, [middle])[0]
        return Trained(head, scaling, 1.0, columns, dict(zip(names, middle, strict=True)), [])
    scores, held = _held_out(material, recipe, fit, settings)
    targets, classes = modest(material.targets[held]), material.classes[held]
    tried, keys = [], []
    for setting, found in zip(settings, scores, strict=True):
        right = float((found.argmax(axis=1) == classes).mean())
        temperature = best_temperature(found, targets)
        loss = cross_entropy(softmax(found, temperature=temperature), targets)
        tried.append({**dict(zip(names, setting, strict=True)), "accuracy": right, "loss": loss})
        keys.append((-right, loss))
    best = min(range(len(settings)), key=keys.__getitem__)
    if recipe.head == "svm" and not clearly_better(
        scores[best].argmax(axis=1) == classes, scores[0].argmax(axis=1) == classes
    ):
        best = 0
    head, scaling, columns = fit(material, [settings[best]])[0]
    return Trained(
        *(head, scaling, best_temperature(scores[best], targets), columns),
        dict(zip(names, settings[best], strict=True)),
        tried,
    )


def clearly_better(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether `one` is right more often than `other` by more than two standard errors.

    Both bool [n], of the same pictures: only those where they differ tell (McNemar, 1947).
    """
    wins, losses = int((one & ~other).sum()), int((other & ~one).sum())
    return wins - losses > 2 * math.sqrt(wins + losses)


def cross_validated(material: Material, recipe: Recipe, *, count: int) -> NDArray[np.float64]:
    """float64 [n, C]: the probabilities of each picture by a head that has not seen it."""
    rng = np.random.default_rng([recipe.seed, 2])
    fold = folds(material.classes, count, rng=rng, groups=material.groups)
    result = np.zeros(material.targets.shape)
    for one in range(count):
        held = np.flatnonzero(fold == one)
        trained = train(material.of(np.flatnonzero(fold != one)), recipe)
        result[held] = trained.probabilities(material.x[held])
    return result


def _held_out(
    material: Material, recipe: Recipe, fit: Fit, settings: Sequence[Setting]
) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """Scores [m, C] under each setting of pictures held out from it, and which those are."""
    rng = np.random.default_rng([recipe.seed, 1])
    if recipe.head == "svm" and len(material) <= FEW:
        count = min(FOLDS, int(np.bincount(material.classes).max()))
        fold = folds(material.classes, count, rng=rng, groups=material.groups)
        parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)]
    else:
        share = min(CHOOSING, ENOUGH / len(material))
        parts = [stratified_split(material.classes, share, rng=rng, groups=material.groups)]
    found: list[list[NDArray[np.float64]]] = [[] for _ in settings]
    for learnt, held in parts:
        heads = fit(material.of(learnt), settings)
        for scores, (head, scaling, columns) in zip(found, heads, strict=True):
            scores.append(head.scores(scaling(material.x[held][:, :columns])))
    return [np.concatenate(one) for one in found], np.concatenate([held for _, held in parts])


def _ways(material: Material, recipe: Recipe) -> tuple[Fit, list[Setting], tuple[str, ...]]:
    """How a recipe trains, the settings it chooses from, and what those are called."""
    whole = material.x.shape[1]
    if recipe.head == "linear":
        return _descent_of(recipe), [(recipe.rate, whole)], ("rate", "columns")
    if recipe.head == "sweep":
        # CLS stands first, so that the smaller feature set is the first columns of the larger.
        sets = dict.fromkeys((material.blocks[0], whole))
        scale = recipe.descent.batch / 256
        settings = [(rate * scale, columns) for columns in sets for rate in OFFICIAL_RATES]
        return _descent_of(recipe), list(settings), ("rate", "columns")
    if recipe.head == "logistic":
        return _logistic_of(recipe), [(c,) for c in PENALTIES], ("c",)
    if recipe.head == "knn":
        return _neighbours, [(k,) for k in NEIGHBOURS], ("k",)
    return _machines_of(recipe), list(MACHINES), ("gamma", "c")


def picture_weights(material: Material, recipe: Recipe) -> NDArray[np.float64]:
    """float64 [n]: how much each picture counts, 1 on average."""
    if recipe.class_weights == "none":
        return np.ones(len(material))
    counts = np.bincount(material.classes, minlength=material.targets.shape[1])
    each: NDArray[np.float64] = 1 / counts[material.classes]
    return np.asarray(each * len(material) / each.sum())


def _descent_of(recipe: Recipe) -> Fit:
    def fit(material: Material, settings: Sequence[Setting]) -> list[tuple[Head, Scaling, int]]:
        found: dict[Setting, tuple[Head, Scaling, int]] = {}
        for columns in dict.fromkeys(columns for _, columns in settings):
            rates = [rate for rate, of in settings if of == columns]
            x = material.x[:, :columns]
            scaling = Scaling.standard(x)
            weight, bias = descend(
                *(scaling(x), material.targets, picture_weights(material, recipe)),
                rates=rates,
                how=recipe.descent,
                rng=np.random.default_rng([recipe.seed, 3]),
            )
            for number, rate in enumerate(rates):
                head = LinearHead(weight[number], bias[number])
                found[rate, columns] = head, scaling, columns
        return [found[setting] for setting in settings]

    return fit


def _logistic_of(recipe: Recipe) -> Fit:
    def fit(material: Material, settings: Sequence[Setting]) -> list[tuple[Head, Scaling, int]]:
        from sklearn.linear_model import LogisticRegression

        scaling = Scaling.standard(material.x)
        counts = picture_weights(material, recipe)[:, None] * material.targets
        # A picture that may be either of two classes is learnt as both, each as far as it is.
        rows, classes = np.nonzero(counts)
        x = scaling(material.x)[rows]
        number = material.targets.shape[1]
        found: list[tuple[Head, Scaling, int]] = []
        # From the strongest penalty on, each begins where the last ended.
        model = LogisticRegression(max_iter=500, tol=1e-3, warm_start=True)
        for (c,) in settings:
            model.set_params(C=c)
            model.fit(x, classes, sample_weight=counts[rows, classes])
            weight = np.zeros((x.shape[1], number), np.float32)
            bias = np.full(number, -30.0, np.float32)  # for a class without a picture
            if len(model.classes_) == 2:
                weight[:, model.classes_] = np.stack([-model.coef_[0], model.coef_[0]], 1) / 2
                bias[model.classes_] = np.array([-1, 1]) * model.intercept_[0] / 2
            else:
                weight[:, model.classes_] = model.coef_.T
                bias[model.classes_] = model.intercept_
            found.append((LinearHead(weight, bias), scaling, x.shape[1]))
        return found

    return fit


def _neighbours(material: Material, settings: Sequence[Setting]) -> list[tuple[Head, Scaling, int]]:
    unit = material.x / np.maximum(np.linalg.norm(material.x, axis=1, keepdims=True), 1e-12)
    vectors, width = unit.astype(np.float16), material.x.shape[1]
    return [
        (NeighbourHead(vectors, material.targets, k), Scaling.none(width), width)
        for (k,) in settings
    ]


def _machines_of(recipe: Recipe) -> Fit:
    def fit(material: Material, settings: Sequence[Setting]) -> list[tuple[Head, Scaling, int]]:
        scaling = Scaling.standard(material.x, blocks=list(material.blocks))
        x = scaling(material.x)
        apart = squared_distances(x, x)
        # A picture counts as far as it is sure to be what it is called.
        counts = picture_weights(material, recipe) * material.targets.max(axis=1)
        heads = [_machine(x, apart, material, counts, *setting) for setting in settings]
        return [(head, scaling, x.shape[1]) for head in heads]

    return fit


def _machine(
    x: Matrix,
    apart: NDArray[np.float64],
    material: Material,
    counts: NDArray[np.float64],
    gamma: float,
    c: float,
) -> KernelHead:
    from sklearn.svm import SVC

    near = np.exp(-gamma * apart)
    number = material.targets.shape[1]
    weight = np.zeros((len(x), number), np.float32)
    bias = np.full(number, -30.0, np.float32)  # for a class without a picture
    present = np.unique(material.classes)
    for one in present[1:] if len(present) == 2 else present:
        machine = SVC(C=c, kernel="precomputed", cache_size=500)
        machine.fit(near, material.classes == one, sample_weight=counts)
        weight[machine.support_, one] = machine.dual_coef_[0]
        bias[one] = machine.intercept_[0]
    if len(present) == 2:
        weight[:, present[0]], bias[present[0]] = -weight[:, present[1]], -bias[present[1]]
    used = np.flatnonzero(weight.any(axis=1))
    return KernelHead(x[used], weight[used], bias, gamma)
