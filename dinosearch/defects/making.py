"""Making a bank of good pictures, and bringing one up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.defects.judging import judge
from dinosearch.defects.memory import (
    Memory,
    Proposal,
    best_matches,
    folds_of,
    propose,
    quota_of,
    remember,
)
from dinosearch.defects.reading import stored
from dinosearch.defects.state import Settings, State
from dinosearch.errors import InvalidInput

FOLDS = 5
MOST_JUDGED = 1_000
"""Good pictures that the threshold rests on at most: its interval is narrow enough then."""

Progress = Callable[[str, int, int], None]
"""Told a step, how many pictures of it are done, and of how many."""


class Members(NamedTuple):
    """Good pictures of an index: `ids` int64 [n], ascending; `contents` uint8 [n, 32]."""

    ids: NDArray[np.int64]
    contents: NDArray[np.uint8]


def members_of(corpus: Corpus, ids: NDArray[np.int64]) -> Members:
    """The items of `ids` with the SHA-256 of what their files held."""
    digests = b"".join(bytes.fromhex(item.sha256) for item in corpus.items(ids))
    return Members(ids, np.frombuffer(digests, dtype=np.uint8).reshape(len(ids), 32))


def make(
    corpus: Corpus,
    settings: Settings,
    members: Members,
    *,
    before: State | None = None,
    progress: Progress = lambda step, done, total: None,
) -> State:
    """A bank of good pictures. Raises `InvalidInput` for none.

    What `before` knows of them is not worked out again: pictures of the same id and content
    keep what they proposed. The answer is the same without it.
    """
    if not len(members.ids):
        filters = " ".join(settings.where) or "none"
        raise InvalidInput(
            f"no picture of the index is good by these filters ({filters}): label or add good"
            " pictures, or make the bank with other filters"
        )
    proposals = _proposals(corpus, settings, members, before, progress)
    # A picture removed while it was read is no member.
    kept = np.isin(members.ids, list(proposals))
    members = Members(members.ids[kept], members.contents[kept])
    if not len(members.ids):
        return make(corpus, settings, members)
    progress("choosing", 0, 0)
    memory = remember(proposals, budget=settings.budget, seed=settings.seed)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return State(
        settings,
        members.ids,
        members.contents,
        proposals,
        memory,
        _scores(corpus, settings, members, proposals, progress),
        reach_of(proposals, memory),
        before.made if before else now,
        now,
    )


def reach_of(proposals: Mapping[int, Proposal], memory: Memory) -> float:
    """The farthest that any proposed token lies from the memory, as a score."""
    tokens = np.concatenate([one.tokens for one in proposals.values()]).astype(np.float32)
    cosines, _ = best_matches(tokens, memory.tokens)
    return max(0.0, float(1 - cosines.min()))


def _proposals(
    corpus: Corpus,
    settings: Settings,
    members: Members,
    before: State | None,
    progress: Progress,
) -> dict[int, Proposal]:
    """What each member proposes, by id; read from the index only where it is not known."""
    quota = quota_of(len(members.ids), settings.budget)
    known: dict[int, Proposal] = {}
    if before is not None:
        contents = dict(zip(before.ids.tolist(), before.contents, strict=True))
        for one, content in zip(members.ids.tolist(), members.contents, strict=True):
            if one not in contents or not np.array_equal(contents[one], content):
                continue
            cells, tokens, usable = before.proposals[one]
            if len(cells) >= min(quota, usable):
                known[one] = Proposal(cells[:quota], tokens[:quota], usable)
    missing = [one for one in members.ids.tolist() if one not in known]
    for done, (item, found) in enumerate(stored(corpus, missing, around=settings.around), 1):
        known[item.id] = propose(found.tokens, found.usable, quota, seed=settings.seed)
        progress("looking at good pictures", done, len(missing))
    return {one: known[one] for one in sorted(known)}


def _scores(
    corpus: Corpus,
    settings: Settings,
    members: Members,
    proposals: dict[int, Proposal],
    progress: Progress,
) -> NDArray[np.float32]:
    """float32 [n]: members judged by what the others, in other folds, remember; else NaN.

    Equal contents are in one fold: a copy would call its twin perfect.
    """
    scores = np.full(len(members.ids), np.nan, dtype=np.float32)
    contents, content = np.unique(members.contents, axis=0, return_inverse=True)
    if len(contents) < 2:
        return scores
    fold = folds_of(len(contents), FOLDS, seed=settings.seed)[content.ravel()]
    drawn = np.random.default_rng(settings.seed).permutation(len(members.ids))[:MOST_JUDGED]
    done = 0
    for number in np.unique(fold).tolist():
        judged = np.sort(drawn[fold[drawn] == number])
        if not len(judged):
            continue
        others = {one: proposals[one] for one in members.ids[fold != number].tolist()}
        memory = remember(others, budget=settings.budget, seed=settings.seed).widened()
        where = {int(members.ids[at]): at for at in judged.tolist()}
        for item, found in stored(corpus, members.ids[judged], around=settings.around):
            scores[where[item.id]] = judge(found.tokens, found.usable, memory).score
            done += 1
            progress("setting the threshold", done, len(drawn))
    return scores
