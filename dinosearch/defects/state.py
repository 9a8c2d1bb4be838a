"""A bank at rest: its settings and arrays, to and from one sealed file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.defects.memory import Memory, Proposal
from dinosearch.defects.threshold import Threshold, threshold_of
from dinosearch.errors import EncoderMismatch, InvalidInput, UnusableIndex
from dinosearch.search.filters import parse_filters
from dinosearch.storage.named_files import Arrays, NamedFiles

FORMAT = 1
BUDGET = 5_000
"""Tokens of a bank. Solar cells of one draw were told apart as well by half as many and by
twice as many, within the noise (`benchmarks/defects.py --seeds 100 --budget N`)."""

MOST_AROUND = 9


@dataclass(frozen=True)
class Settings:
    """What a bank was asked to be.

    where         filters that good pictures meet, joined by and
    budget        tokens it holds at most, 1 to 1,000,000
    seed          of everything drawn
    false_alarms  share of good pictures that may be called faulty, between 0 and 1
    around        cells that a patch is averaged over, odd: 1 for none, 3 as PatchCore does
    """

    where: tuple[str, ...] = ()
    budget: int = BUDGET
    seed: int = 0
    false_alarms: float = 0.05
    around: int = 1

    def checked(self) -> Settings:
        """Itself. Raises `InvalidInput` that says what is wrong."""
        parse_filters(self.where)
        if not 1 <= self.budget <= 1_000_000:
            raise InvalidInput(f"budget is {self.budget}: keep 1 to 1,000,000 tokens")
        if self.seed < 0:
            raise InvalidInput(f"seed is {self.seed}: use 0 or more")
        if not 0 < self.false_alarms < 1:
            raise InvalidInput(
                f"false_alarms is {self.false_alarms}: it is a share between 0 and 1, such as 0.05"
            )
        if not 1 <= self.around <= MOST_AROUND or self.around % 2 == 0:
            raise InvalidInput(f"around is {self.around}: use 1, 3, 5, 7 or 9 cells")
        return self


@dataclass(frozen=True)
class State:
    """What a bank knows.

    `ids` int64 [n], ascending, are its good pictures and `contents` uint8 [n, 32] the
    SHA-256 of their files; `proposals` by id; `scores` float32 [n] of those that were judged
    by a memory they had no part in, NaN for the others; `reach` is the farthest that a
    proposed token lies from the memory, as a score.
    """

    settings: Settings
    ids: NDArray[np.int64]
    contents: NDArray[np.uint8]
    proposals: Mapping[int, Proposal]
    memory: Memory
    scores: NDArray[np.float32]
    reach: float
    made: str
    updated: str

    @cached_property
    def threshold(self) -> Threshold:
        known = self.scores[~np.isnan(self.scores)]
        return threshold_of(known, false_alarms=self.settings.false_alarms)

    @cached_property
    def ready(self) -> Memory:
        """The memory as pictures are compared with it."""
        return self.memory.widened()

    def same_content(self, sha256: str) -> NDArray[np.int64]:
        """The good pictures whose file has this content, by id."""
        digest = np.frombuffer(bytes.fromhex(sha256), dtype=np.uint8)
        same: NDArray[np.int64] = self.ids[(self.contents == digest).all(axis=1)]
        return same


def save(files: NamedFiles, name: str, state: State, *, fingerprint: str) -> None:
    """Keep a bank. Raises what `NamedFiles.save` raises."""
    parts = [state.proposals[int(one)] for one in state.ids]
    facts = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        **asdict(state.settings),
        "reach": state.reach,
        "made": state.made,
        "updated": state.updated,
    }
    arrays: Arrays = {
        "ids": state.ids,
        "contents": state.contents,
        "scores": state.scores,
        "proposed": np.array([len(part.cells) for part in parts], dtype=np.int64),
        "usable": np.array([part.usable for part in parts], dtype=np.int64),
        "proposal_cells": np.concatenate([part.cells for part in parts]),
        "proposal_tokens": np.concatenate([part.tokens for part in parts]),
        "tokens": state.memory.tokens,
        "pictures": state.memory.pictures,
        "cells": state.memory.cells,
    }
    files.save(name, facts, arrays)


def load(files: NamedFiles, name: str, *, fingerprint: str) -> State:
    """The bank of that name.

    Raises `InvalidInput` where there is none, `UnusableIndex` for a damaged one,
    `EncoderMismatch` for one of another encoder.
    """
    file = files.load(name)
    try:
        facts, arrays = file.facts, file.arrays
        if facts["format"] != FORMAT:
            raise ValueError(f"it has format {facts['format']}, not {FORMAT}")
        if facts["fingerprint"] != fingerprint:
            raise EncoderMismatch(
                f"the bank {name!r} was made with another encoder than this index: make it anew"
            )
        settings = Settings(
            tuple(facts["where"]),
            facts["budget"],
            facts["seed"],
            facts["false_alarms"],
            facts["around"],
        ).checked()
        state = State(
            settings,
            arrays["ids"],
            arrays["contents"],
            _proposals(arrays),
            Memory(arrays["tokens"], arrays["pictures"], arrays["cells"]),
            arrays["scores"],
            float(facts["reach"]),
            str(facts["made"]),
            str(facts["updated"]),
        )
        _check(state)
    except (KeyError, ValueError, TypeError, InvalidInput) as error:
        raise UnusableIndex(
            f"the bank {name!r} cannot be used ({error}): delete it and make it anew"
        ) from error
    return state


def _proposals(arrays: Mapping[str, NDArray[Any]]) -> dict[int, Proposal]:
    ends = np.cumsum(arrays["proposed"])
    starts = ends - arrays["proposed"]
    if len(ends) and ends[-1] != len(arrays["proposal_tokens"]):
        raise ValueError("its tokens are not as many as its pictures proposed")
    return {
        int(one): Proposal(
            arrays["proposal_cells"][start:end], arrays["proposal_tokens"][start:end], int(usable)
        )
        for one, start, end, usable in zip(
            arrays["ids"], starts, ends, arrays["usable"], strict=True
        )
    }


def _check(state: State) -> None:
    count, held = len(state.ids), len(state.memory.tokens)
    if not count or not held:
        raise ValueError("it is empty")
    if state.contents.shape != (count, 32) or state.scores.shape != (count,):
        raise ValueError("its pictures do not fit together")
    if len(state.memory.pictures) != held or len(state.memory.cells) != held:
        raise ValueError("its tokens do not fit together")
