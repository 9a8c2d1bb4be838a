"""What to label next: pictures a probe is unsure of, unlike each other, and some at random.

Labels of uncertain pictures teach most, but they say nothing of the corpus as a whole: so a
share of the queue is drawn at random, to measure with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import InvalidInput
from dinosearch.probes.probe import Prediction, Probe
from dinosearch.probes.targets import groups_of
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.labels import PROBE, label_rows, settled
from dinosearch.storage.snapshot import Snapshot

ALIKE = 0.99
"""Cosine of CLS above which one of two pictures is enough to label."""

POOL = 10
"""The diverse are chosen among so many times as many uncertain pictures."""

AT_MOST = 20_000
"""Without a probe the different are chosen among so many, drawn at random."""

AT_RANDOM = 0.2
"""Share of the queue that is drawn at random."""


@dataclass(frozen=True)
class Queued:
    """A picture to label. `reason` is `uncertain`, `different` or `random`, and `why` says more.

    `prediction` is what the probe makes of it, None without a probe.
    """

    id: int
    path: str
    reason: str
    why: str
    prediction: Prediction | None = None


def label_queue(
    corpus: Corpus,
    probe: Probe | None,
    *,
    count: int,
    where: str | Sequence[str] = (),
    seed: int = 0,
) -> list[Queued]:
    """Up to `count` items that nobody has labelled; see `ImageIndex.label_queue`."""
    if count < 1:
        raise InvalidInput(f"a queue of {count} pictures: ask for 1 or more")
    ids = _unlabelled(corpus, where)
    if not len(ids):
        return []
    cls = corpus.cls(ids)
    groups = groups_of(corpus, ids)
    rng = np.random.default_rng(seed)
    probabilities = probe.probabilities_of(ids) if probe is not None else None
    doubt = np.zeros(len(ids)) if probabilities is None else entropy(probabilities)
    drawn, chosen = choose(cls, groups, doubt, count, rng=rng, uncertain=probe is not None)
    items = {item.id: item for item in corpus.items(ids[[*drawn, *chosen]])}
    queue = []
    for row in mixed(len(drawn), len(chosen)):
        at = (drawn if row < len(drawn) else chosen)[row if row < len(drawn) else row - len(drawn)]
        item = items[int(ids[at])]
        prediction = None
        if probabilities is not None and probe is not None:
            shares = dict(zip(probe.classes, probabilities[at].tolist(), strict=True))
            name = max(shares, key=shares.__getitem__)
            prediction = Prediction(name, shares[name], shares, item.id, item.path)
        reason, why = "random", "drawn at random: keep it aside to measure with"
        if row >= len(drawn):
            reason, why = "different", "unlike the others of the queue"
            if prediction is not None:
                reason = "uncertain"
                why = f"{prediction.label} with {prediction.probability:.0%} only"
        queue.append(Queued(item.id, item.path, reason, why, prediction))
    return queue


def choose(
    cls: NDArray[np.float32],
    groups: NDArray[np.int64],
    doubt: NDArray[np.floating],
    count: int,
    *,
    rng: np.random.Generator,
    uncertain: bool,
) -> tuple[list[int], list[int]]:
    """Rows drawn at random, and rows chosen because they are doubtful and unlike each other.

    `cls` [n, D] of unit length, `groups` [n] of copies, `doubt` [n]. Of pictures that are
    copies, or more alike than `ALIKE`, one is taken. k-center (Gonzalez, 1985) among the most
    doubtful: first the most doubtful, then whatever is farthest from all taken so far.
    """
    taken: list[int] = []

    def is_new(row: int) -> bool:
        if not taken:
            return True
        return bool((groups[taken] != groups[row]).all() and (cls[taken] @ cls[row]).max() < ALIKE)

    wanted = round(AT_RANDOM * count)
    for row in rng.permutation(len(cls)).tolist():
        if len(taken) >= wanted:
            break
        if is_new(row):
            taken.append(row)
    drawn = list(taken)
    order = np.lexsort((rng.permutation(len(doubt)), -np.asarray(doubt)))
    pool = np.setdiff1d(order[: POOL * count if uncertain else AT_MOST], drawn)
    if not len(pool):
        return drawn, []
    first = int(pool[np.argmax(doubt[pool])])
    nearest = np.full(len(pool), -np.inf)
    for row in drawn:
        nearest = np.maximum(nearest, cls[pool] @ cls[row])
    while len(taken) < count:
        at = first if len(taken) == len(drawn) and is_new(first) else int(pool[nearest.argmin()])
        if nearest.min() == np.inf:
            break
        if is_new(at):
            taken.append(at)
            nearest = np.maximum(nearest, cls[pool] @ cls[at])
        nearest[pool == at] = np.inf
    return drawn, taken[len(drawn) :]


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 [n]: doubt in each row of `probabilities` [n, C], in nats."""
    safe = np.maximum(np.asarray(probabilities, np.float64), 1e-12)
    found: NDArray[np.float64] = -(safe * np.log(safe)).sum(axis=1)
    return found


def mixed(drawn: int, chosen: int) -> list[int]:
    """Numbers 0 to drawn+chosen-1, those below `drawn` spread evenly among the others."""
    places = [((n + 0.5) / max(drawn, 1), n) for n in range(drawn)]
    places += [((n + 0.5) / max(chosen, 1), drawn + n) for n in range(chosen)]
    return [number for _, number in sorted(places)]


def _unlabelled(corpus: Corpus, where: str | Sequence[str]) -> NDArray[np.int64]:
    """The items that match and that nobody has labelled; what probes wrote does not count."""
    ids = corpus.ids(where)

    def known(snapshot: Snapshot, catalog: Catalog) -> set[int]:
        said = {row[0] for row in label_rows(catalog, ids) if not row[2].startswith(PROBE)}
        return said | settled(catalog)

    labelled = corpus.ask(known)
    return np.array([one for one in ids.tolist() if one not in labelled], np.int64)
