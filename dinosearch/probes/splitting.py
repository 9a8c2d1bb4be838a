"""Parts of a set: strata kept in proportion, copies kept together. Pure array functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput

Positions = NDArray[np.int64]


def stratified_split(
    strata: Sequence[object] | NDArray[np.generic],
    share: float,
    *,
    rng: np.random.Generator,
    groups: Sequence[object] | NDArray[np.generic] | None = None,
) -> tuple[Positions, Positions]:
    """Positions of the larger and of the smaller part of n elements, each ascending.

    The smaller part has `share` of each stratum, to the nearest whole group; a stratum of one
    group stays in the larger part. Elements of one of `groups` (copies of a picture) are
    never parted; a group counts to the stratum of its first element.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"a share of {share} leaves one part empty: use one between 0 and 1")
    taken = np.zeros(len(strata), bool)
    for members in _shuffled(strata, groups, rng):
        count = round(share * len(members))
        if len(members) > 1:
            count = min(max(count, 1), len(members) - 1)
        for group in members[: count if len(members) > 1 else 0]:
            taken[group] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def folds(
    strata: Sequence[object] | NDArray[np.generic],
    count: int,
    *,
    rng: np.random.Generator,
    groups: Sequence[object] | NDArray[np.generic] | None = None,
) -> NDArray[np.int64]:
    """int64 [n]: the fold 0 to count-1 of each element; strata and groups as in the split."""
    if count < 2:
        raise InvalidInput(f"{count} folds are too few: use 2 or more")
    if len(strata) < count:
        raise InvalidInput(f"{len(strata)} pictures cannot fill {count} folds: use fewer folds")
    fold = np.zeros(len(strata), np.int64)
    turn = 0
    for members in _shuffled(strata, groups, rng):
        for group in members:
            fold[group] = turn % count
            turn += 1  # goes on over strata, so that small ones do not all fill the first fold
    return fold


def _shuffled(
    strata: Sequence[object] | NDArray[np.generic],
    groups: Sequence[object] | NDArray[np.generic] | None,
    rng: np.random.Generator,
) -> list[list[Positions]]:
    """The groups of each stratum in random order, the strata in the order of their names."""
    _, stratum = np.unique([str(one) for one in strata], return_inverse=True)
    if groups is None:
        group = np.arange(len(stratum))
    else:
        _, group = np.unique([str(one) for one in groups], return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    members = np.split(order, starts[1:])
    of_group = np.array([stratum[one[0]] for one in members])
    return [
        [members[number] for number in rng.permutation(np.flatnonzero(of_group == one))]
        for one in range(stratum.max() + 1)
    ]
