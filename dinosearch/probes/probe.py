"""A probe: a trained head with its classes, bound to the index whose features it looks at."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import EncoderMismatch, InvalidInput, UnusableIndex
from dinosearch.probes.features import new_features, stored_features
from dinosearch.probes.figures import report, suspects
from dinosearch.probes.heads import Scaling, head_of
from dinosearch.probes.recipe import Recipe
from dinosearch.probes.splitting import stratified_split
from dinosearch.probes.targets import Given, Targets, groups_of, targets_of
from dinosearch.probes.training import Material, Trained, cross_validated, train
from dinosearch.storage.labels import write_predictions
from dinosearch.storage.writer import timestamp

KIND = "picture"
"""What the facts of a probe call it, apart from heads for patches in the same folder."""

FORMAT = 1

_AT_ONCE = 512

Told = Callable[[str, int, int], None]
"""Told how far a long work is: the step, how many of how many."""


def _quiet(step: str, done: int, total: int) -> None:
    return


@dataclass(frozen=True)
class Prediction:
    """What a probe says of a picture.

    `probability` is that of `label`, the likeliest class; `probabilities` has all of them.
    `id` and `path` where the picture is one of the index.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    id: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class LabelError:
    """An item whose label looks wrong: what it is called, what it rather is, how probable."""

    id: int
    path: str
    label: str
    probability: float
    rather: str
    rather_probability: float


class Probe:
    """Says which class a picture is of. Made by `ImageIndex.train_probe` and `probe`.

    `facts` tell how it came about; `evaluation` how right it was on pictures held out from
    its training, None where none were.
    """

    def __init__(
        self,
        corpus: Corpus,
        name: str,
        facts: dict[str, Any],
        trained: Trained,
        seen: NDArray[np.int64],
        held: Targets | None,
    ) -> None:
        self._corpus = corpus
        self._trained = trained
        self._seen = seen
        self._held = held
        self.name = name
        self.facts = facts
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.features: str = facts["recipe"]["features"]
        self.recipe = Recipe.from_dict(facts["recipe"])

    @property
    def evaluation(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.facts["evaluation"]
        return found

    def __repr__(self) -> str:
        return f"<Probe {self.name}: {self.recipe.head} on {self.features}, {self.classes}>"

    def predict(self, pictures: Any) -> Any:
        """A `Prediction` of one picture, or a list of them for a list of pictures.

        Pictures as `ImageIndex.search` takes them: paths, ids, PIL images, arrays. One whose
        content the index holds is not encoded. Raises `InvalidInput`, `PictureRefused`.
        """
        several = isinstance(pictures, list | tuple)
        wanted = list(pictures) if several else [pictures]
        x = new_features(self._corpus, wanted, self.features)
        found = [self._prediction(row) for row in self._trained.probabilities(x)] if wanted else []
        return found if several else found[0]

    def predict_items(
        self, *, where: str | Sequence[str] = (), progress: Told = _quiet
    ) -> list[Prediction]:
        """What the items that match the filters are, by id; nothing is encoded."""
        return self._predictions(self._corpus.ids(where), progress)

    def write_labels(
        self, predictions: Sequence[Prediction], *, min_probability: float = 0.0
    ) -> int:
        """Label items as predicted, where nobody else has said what they are; returns how many.

        Items that carry a label of a person, a folder or a table are left alone, and so
        are those less probable than `min_probability`.
        """
        said = {
            one.id: one.label
            for one in predictions
            if one.id is not None and one.probability >= min_probability
        }
        return write_predictions(self._corpus.folder, self.name, said)

    def evaluate(
        self,
        labels: Given = None,
        *,
        where: str | Sequence[str] = (),
        folds: int | None = None,
        progress: Told = _quiet,
    ) -> dict[str, Any]:
        """How right the probe is: accuracy with its 95 % interval, confusion and more.

        labels  None: those held out when it was trained, unless `where` says others; else as
                in `train_probe`, less the pictures it was trained on and copies of them
        folds   instead of this head, judge its recipe: so many heads, each trained without
                the pictures it is judged on, see every picture once

        Raises `InvalidInput` where no picture is left to judge by.
        """
        if folds is not None:
            targets = self._targets(labels, where)
            probabilities = self._cross_validated(targets, folds, progress)
            how = {"by": f"{folds} folds", "left_out": 0}
            return {**report(targets.given, probabilities, self.classes), **how}
        left_out = 0
        if labels is None and not where:
            if self._held is None:
                raise InvalidInput(
                    f"no picture was held out when {self.name} was trained: give labels, or folds"
                )
            targets, by = self._held, "pictures held out"
        else:
            targets, by = self._targets(labels, where), "pictures given"
            known = set(groups_of(self._corpus, self._seen).tolist())
            kept = np.array([one not in known for one in targets.groups.tolist()], bool)
            left_out = int((~kept).sum())
            targets = _part(targets, np.flatnonzero(kept))
            if not len(targets):
                raise InvalidInput(f"{self.name} was trained on all of these pictures")
        there = np.isin(targets.ids, self._corpus.ids())
        targets = _part(targets, np.flatnonzero(there))
        if not len(targets):
            raise InvalidInput("none of the pictures held out is in the index any more")
        probabilities = self.probabilities_of(targets.ids, progress=progress)
        return {
            **report(targets.given, probabilities, self.classes),
            "by": by,
            "left_out": left_out,
        }

    def label_errors(
        self,
        labels: Given = None,
        *,
        where: str | Sequence[str] = (),
        folds: int = 5,
        progress: Told = _quiet,
    ) -> list[LabelError]:
        """Labels that look wrong, the likeliest error first; see `figures.suspects`.

        Each picture is judged by a head of this recipe that has not seen it.
        """
        targets = self._targets(labels, where)
        probabilities = self._cross_validated(targets, folds, progress)
        found = suspects(targets.given, probabilities)
        items = self._corpus.items([int(targets.ids[row]) for row, _ in found])
        return [
            LabelError(
                *(item.id, item.path, self.classes[targets.given[row]]),
                float(probabilities[row, targets.given[row]]),
                self.classes[other],
                float(probabilities[row, other]),
            )
            for item, (row, other) in zip(items, found, strict=True)
        ]

    def probabilities_of(
        self, ids: NDArray[np.int64], *, progress: Told = _quiet
    ) -> NDArray[np.float64]:
        """float64 [n, C]: the probability of each class for items, from what is stored."""
        found = []
        for low in range(0, len(ids), _AT_ONCE):
            x, _ = stored_features(self._corpus, ids[low : low + _AT_ONCE], self.features)
            found.append(self._trained.probabilities(x))
            progress("predicting", min(low + _AT_ONCE, len(ids)), len(ids))
        return np.concatenate(found) if found else np.empty((0, len(self.classes)))

    def _targets(self, labels: Given, where: str | Sequence[str]) -> Targets:
        return targets_of(self._corpus, labels, where=where, classes=self.classes)

    def _cross_validated(self, targets: Targets, folds: int, progress: Told) -> NDArray[np.float64]:
        x, blocks = stored_features(
            self._corpus,
            targets.ids,
            self.features,
            progress=lambda done, total: progress("reading", done, total),
        )
        material = Material(x, targets.targets, blocks, targets.groups)
        return cross_validated(material, self.recipe, count=folds)

    def _predictions(self, ids: NDArray[np.int64], progress: Told) -> list[Prediction]:
        rows = self.probabilities_of(ids, progress=progress)
        items = self._corpus.items(ids)
        return [
            self._prediction(row, item.id, item.path) for row, item in zip(rows, items, strict=True)
        ]

    def _prediction(
        self, row: NDArray[np.float64], item: int | None = None, path: str | None = None
    ) -> Prediction:
        best = int(row.argmax())
        shares = dict(zip(self.classes, row.tolist(), strict=True))
        return Prediction(self.classes[best], float(row[best]), shares, item, path)


def train_probe(
    corpus: Corpus,
    name: str,
    labels: Given = None,
    *,
    where: str | Sequence[str] = (),
    recipe: Recipe,
    held_out: float | str = 0.2,
    progress: Told = _quiet,
) -> Probe:
    """Train a probe and keep it under its name; see `ImageIndex.train_probe`."""
    kept = corpus.named("probes")
    if kept.has(name) and kept.load(name).facts.get("kind") != KIND:
        raise InvalidInput(f"{name} is the name of a segmenter: give the probe another one")
    targets = targets_of(corpus, labels, where=where)
    if len(targets.classes) < 2:
        raise InvalidInput(
            f"every picture there is {targets.classes[0]}: a probe tells two or more classes apart"
        )
    rows, aside = _divided(corpus, targets, held_out, recipe.seed)
    x, blocks = stored_features(
        corpus,
        targets.ids,
        recipe.features,
        progress=lambda done, total: progress("reading", done, total),
    )
    progress("training", 0, 0)
    material = Material(x, targets.targets, blocks, targets.groups)
    started, busy = time.perf_counter(), time.process_time()
    trained = train(material.of(rows), recipe)
    took, cpu = time.perf_counter() - started, time.process_time() - busy
    held = _part(targets, aside) if len(aside) else None
    evaluation = None
    if held is not None:
        evaluation = report(held.given, trained.probabilities(x[aside]), targets.classes)
    facts = {
        "format": FORMAT,
        "kind": KIND,
        "classes": list(targets.classes),
        "recipe": recipe.to_dict(),
        "where": [where] if isinstance(where, str) else list(where),
        "head": trained.head.kind,
        "head_facts": trained.head.facts(),
        "temperature": trained.temperature,
        "columns": trained.columns,
        "chosen": trained.chosen,
        "tried": trained.tried,
        "trained_on": len(rows),
        "held_out": len(aside),
        "counts": targets.counts(),
        "without_class": targets.without,
        "several_classes": targets.several,
        "evaluation": evaluation,
        "fingerprint": corpus.fingerprint,
        "made_at": timestamp(),
        "training_s": round(took, 3),
        "training_cpu_s": round(cpu, 3),
        "versions": {
            "python": platform.python_version(),
            **{one: version(one) for one in ("dinosearch", "torch", "numpy", "scikit-learn")},
        },
    }
    arrays = {
        **{f"head.{key}": array for key, array in trained.head.arrays().items()},
        "scaling.middle": trained.scaling.middle,
        "scaling.factor": trained.scaling.factor,
        "seen": targets.ids[rows],
        "held": targets.ids[aside],
        "held_targets": targets.targets[aside],
    }
    kept.save(name, facts, arrays)
    return Probe(corpus, name, facts, trained, targets.ids[rows], held)


def load_probe(corpus: Corpus, name: str) -> Probe:
    """The probe kept under a name.

    Raises `InvalidInput` where there is none, `UnusableIndex` for a damaged one, and
    `EncoderMismatch` for one that was trained on the features of another encoder.
    """
    kept = corpus.named("probes").load(name)
    facts, arrays = kept.facts, kept.arrays
    if facts.get("kind") != KIND:
        raise InvalidInput(
            f"{name} is no probe of pictures but a head of the kind {facts.get('kind')}:"
            f" there are: {', '.join(probe_names(corpus)) or 'none yet'}"
        )
    if facts.get("format") != FORMAT:
        raise UnusableIndex(
            f"the probe {name} has format {facts.get('format')}, and this version of dinosearch"
            f" reads {FORMAT}: use the version that made it, or train it anew"
        )
    if facts["fingerprint"] != corpus.fingerprint:
        raise EncoderMismatch(
            f"the probe {name} was trained on features of the encoder {facts['fingerprint']},"
            f" this index has those of {corpus.fingerprint}: train it anew on this index"
        )
    try:
        parts = {
            key.removeprefix("head."): array
            for key, array in arrays.items()
            if key.startswith("head.")
        }
        trained = Trained(
            head_of(facts["head"], facts["head_facts"], parts),
            Scaling(arrays["scaling.middle"], arrays["scaling.factor"]),
            float(facts["temperature"]),
            int(facts["columns"]),
            facts["chosen"],
            facts["tried"],
        )
        held = None
        if len(arrays["held"]):
            groups = groups_of(corpus, arrays["held"])
            classes = tuple(facts["classes"])
            held = Targets(arrays["held"], arrays["held_targets"], classes, groups)
        return Probe(corpus, name, facts, trained, arrays["seen"], held)
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableIndex(f"the probe {name} lacks {error}: train it anew") from error


def probe_names(corpus: Corpus) -> list[str]:
    """The names of the probes of pictures, in order."""
    kept = corpus.named("probes")
    return [name for name in kept.names() if kept.load(name).facts.get("kind") == KIND]


def delete_probe(corpus: Corpus, name: str) -> None:
    """Forget a probe. Raises `InvalidInput` where there is none of that name."""
    if name not in probe_names(corpus):
        load_probe(corpus, name)
    corpus.named("probes").delete(name)


def _divided(
    corpus: Corpus, targets: Targets, held_out: float | str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows held out."""
    everything = np.arange(len(targets))
    if isinstance(held_out, str):
        if held_out != "split":
            raise InvalidInput(f"held_out is {held_out!r}: use a share such as 0.2, 0, or split")
        test = np.array([item.split == "test" for item in corpus.items(targets.ids)], bool)
        if test.all() or not test.any():
            raise InvalidInput(
                "to hold out by split, some items must be of the split test and some not: index"
                " folders called train and test, or a table with the column split"
            )
        return everything[~test], everything[test]
    if held_out == 0:
        return everything, everything[:0]
    return stratified_split(
        targets.given, held_out, rng=np.random.default_rng([seed, 0]), groups=targets.groups
    )


def _part(targets: Targets, rows: NDArray[np.int64]) -> Targets:
    return Targets(targets.ids[rows], targets.targets[rows], targets.classes, targets.groups[rows])
