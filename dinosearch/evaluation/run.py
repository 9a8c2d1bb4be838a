"""Judging an index against a ground truth: every query asked, every answer scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from dinosearch.errors import InvalidInput
from dinosearch.evaluation.copies import Pairs, choose_background
from dinosearch.evaluation.metrics import Estimate, average_precision, bootstrap, recall_at
from dinosearch.evaluation.truth import GroundTruth, TrueQuery
from dinosearch.search.question import MAX_DEPTH, MAX_K

if TYPE_CHECKING:
    from dinosearch.geometry import Box
    from dinosearch.image_index import ImageIndex
    from dinosearch.search.queries import Query
    from dinosearch.search.question import Hit

RECALLS = (1, 5, 10, 50)
GOOD_BOX = 0.5
"""A box is right from this intersection over union on."""


@dataclass(frozen=True)
class Judged:
    """How one query went. `iou` is that of a right first hit's box, NaN without one."""

    image: str
    average_precision: float
    recall: dict[int, float]
    iou: float
    first_wrong: str | None
    seconds: float


@dataclass(frozen=True)
class Result:
    """What an evaluation found, with all it takes to repeat it."""

    task: str
    figures: dict[str, Estimate]
    judged: list[Judged]
    made_with: dict[str, Any]

    def to_dict(self, *, details: bool = False) -> dict[str, Any]:
        """For JSON; with `details` query by query."""
        content: dict[str, Any] = {
            "task": self.task,
            "figures": {name: asdict(one) for name, one in self.figures.items()},
            **self.made_with,
        }
        if details:
            content["queries"] = [_plain(asdict(one)) for one in self.judged]
        return content


def evaluate(
    index: ImageIndex,
    truth: GroundTruth,
    *,
    depth: int = 100,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Ask every query of a ground truth and judge the first `depth` answers.

    A query picture that the index holds is taken out of its own ranking. `seed` is that of
    the bootstrap. Raises `InvalidInput` when none of the positives is in the index.
    """
    ids = _ids(index, truth)
    rng = np.random.default_rng(seed)
    if not any(ids.get(one.image) for query in truth.queries for one in query.positives):
        first = next((p.image for query in truth.queries for p in query.positives), None)
        raise InvalidInput(
            "the index holds none of the pictures that the ground truth calls positives: is it"
            f" another index, or were they moved? The first is {first}"
            if first
            else "the ground truth has no positives at all: there is nothing to find"
        )
    aside = choose_background(index, truth, ids, rng) if truth.task == "copies" else []
    pairs = Pairs(index.cls(aside)) if truth.task == "copies" else None
    judged = []
    for number, query in enumerate(truth.queries):
        progress(number, len(truth.queries))
        judged.append(_judge(index, query, ids, depth, set(aside), pairs))
    progress(len(truth.queries), len(truth.queries))
    figures: dict[str, Estimate] = {}
    if pairs is not None:
        figures |= pairs.figures(rng)
    else:
        figures["mAP"] = bootstrap([one.average_precision for one in judged], rng=rng)
    for k in RECALLS if pairs is None else RECALLS[:1]:
        if k <= depth:
            figures[f"recall@{k}"] = bootstrap([one.recall[k] for one in judged], rng=rng)
    ious = np.array([one.iou for one in judged])
    if truth.task == "regions":
        ious = ious[np.isfinite(ious)]
        figures["IoU of right first hits"] = bootstrap(ious, rng=rng)
        figures[f"IoU >= {GOOD_BOX} of them"] = bootstrap(ious >= GOOD_BOX, rng=rng)
    made_with = _made_with(index, depth, seed, judged)
    if pairs is not None:
        made_with["background"] = len(aside)
    return Result(truth.task, figures, judged, made_with)


def _judge(
    index: ImageIndex,
    query: TrueQuery,
    ids: dict[str, int | None],
    depth: int,
    aside: set[int],
    pairs: Pairs | None,
) -> Judged:
    """`aside` are no candidates; what was found becomes part of `pairs`."""
    started = time.perf_counter()
    itself = ids.get(query.image)
    junk = {one for name in query.junk if (one := ids.get(name)) is not None} | aside
    if itself is not None:
        junk.add(itself)
    # For pairs its vector is needed beside its hits: encoded once, for both.
    picture = index.query(query.image) if pairs is not None else None
    hits = _hits(index, picture or query.image, query.region, junk, depth)
    # A positive that is not in the index counts as one that is never found.
    positives = {ids.get(one.image) or -number for number, one in enumerate(query.positives, 1)}
    positives -= junk
    ranked = [hit.id for hit in hits]
    first = hits[0] if hits else None
    if pairs is not None and picture is not None:
        features = picture.features(picture.grid())
        assert features is not None, "the query was encoded as a whole"
        scores = np.array([hit.score for hit in hits], np.float64)
        right = np.array([hit.id in positives for hit in hits], bool)
        pairs.add(features.cls, scores, right, len(positives))
    return Judged(
        image=query.image,
        average_precision=average_precision(ranked, positives),
        recall={k: recall_at(ranked, positives, k) for k in RECALLS},
        iou=_iou(first, query, ids),
        first_wrong=first.path if first and first.id not in positives else None,
        seconds=round(time.perf_counter() - started, 4),
    )


def _hits(
    index: ImageIndex, picture: Query | str, region: Box | None, junk: set[int], depth: int
) -> list[Hit]:
    """The first `depth` hits that are no junk."""
    hits: list[Hit] = []
    offset = 0
    while len(hits) < depth:
        k = min(MAX_K, depth - len(hits) + min(len(junk), depth) + 1)
        page = index.answer(picture, k=k, offset=offset, region=region).hits
        hits += [hit for hit in page if hit.id not in junk]
        offset += k
        if len(page) < k or offset + MAX_K > MAX_DEPTH:
            break
    return hits[:depth]


def _iou(first: Hit | None, query: TrueQuery, ids: dict[str, int | None]) -> float:
    """Of the first hit's box with the best of the true ones in that picture; NaN for none."""
    if first is None or first.box is None:
        return float("nan")
    boxes = [one.box for one in query.positives if ids.get(one.image) == first.id and one.box]
    return max((first.box.iou(box) for box in boxes), default=float("nan"))


def _ids(index: ImageIndex, truth: GroundTruth) -> dict[str, int | None]:
    names = {query.image for query in truth.queries}
    for query in truth.queries:
        names |= {one.image for one in query.positives} | set(query.junk)
    names |= set(truth.background)
    return {name: index.id_of(name) for name in sorted(names)}


def _made_with(index: ImageIndex, depth: int, seed: int, judged: list[Judged]) -> dict[str, Any]:
    facts = index.info()
    return {
        "index": {name: facts[name] for name in ("id", "items", "generation", "recall")},
        "encoder": facts["encoder"],
        "precision": facts["precision"],
        "fingerprint": facts["fingerprint"],
        "depth": depth,
        "seed": seed,
        "seconds": round(sum(one.seconds for one in judged), 2),
        "versions": {name: version(name) for name in ("dinosearch", "numpy", "torch")},
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _plain(value: Any) -> Any:
    """With None for what is no number, which JSON has no word for."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
