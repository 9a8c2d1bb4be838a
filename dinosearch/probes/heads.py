"""Heads: what turns the features of a picture into one score for each class.

Each is a few arrays, so that it is saved without running code to load it. The features are
first moved and scaled, column by column, as the head was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import UnusableIndex

Arrays = dict[str, NDArray[Any]]

_BLOCK = 512
"""Pictures whose distances to all vectors of a head are held at once."""


class Head(Protocol):
    """Scores [n, C] of features [n, F]; a softmax of them, cooled, is a probability."""

    kind: str

    def scores(self, x: NDArray[np.floating]) -> NDArray[np.float64]: ...

    def facts(self) -> dict[str, Any]: ...

    def arrays(self) -> Arrays: ...


@dataclass(frozen=True)
class Scaling:
    """`(x - middle) * factor`, column by column; both float32 [F]."""

    middle: NDArray[np.float32]
    factor: NDArray[np.float32]

    @classmethod
    def none(cls, width: int) -> Scaling:
        return cls(np.zeros(width, np.float32), np.ones(width, np.float32))

    @classmethod
    def standard(cls, x: NDArray[np.floating], *, blocks: list[int] | None = None) -> Scaling:
        """Columns of mean 0 and variance 1 over `x` [n, F]; constant ones are left at 0.

        With the widths of `blocks`, each block then has a mean squared length of 1, and all
        together too: a kernel looks at distances, where the widest would drown the rest.
        """
        middle, spread = x.mean(axis=0), x.std(axis=0)
        moves = spread > 1e-6 * max(1e-6, float(spread.max(initial=0)))
        factor = np.where(moves, 1 / np.where(moves, spread, 1), 0)
        if blocks is not None:
            factor = factor / np.sqrt(np.repeat(blocks, blocks) * len(blocks))
        return cls(middle.astype(np.float32), factor.astype(np.float32))

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray((x - self.middle) * self.factor, np.float32)


@dataclass(frozen=True)
class LinearHead:
    """`x @ weight + bias`; float32 [F, C] and [C]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    kind = "linear"

    def scores(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(x @ self.weight + self.bias, np.float64)

    def facts(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> Arrays:
        return {"weight": self.weight, "bias": self.bias}


@dataclass(frozen=True)
class NeighbourHead:
    """The vote of the `k` nearest of `vectors` [n, F], unit rows; `targets` [n, C].

    Each neighbour votes with the weight exp(cosine / temperature), as in DINOv2's `eval/knn.py`,
    where k is 10, 20, 100 or 200 and the temperature 0.07. Kept in half precision.
    """

    vectors: NDArray[np.float16]
    targets: NDArray[np.float32]
    k: int
    temperature: float = 0.07
    kind = "neighbours"

    def scores(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        across = self.vectors.astype(np.float32).T
        found = [self._votes(x[low : low + _BLOCK], across) for low in range(0, len(x), _BLOCK)]
        shares = np.concatenate(found) if found else np.empty((0, self.targets.shape[1]))
        # A class without a vote is improbable, not impossible.
        return np.log(np.maximum(shares, 1e-3))

    def _votes(self, x: NDArray[np.floating], across: NDArray[np.float32]) -> NDArray[np.float64]:
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        cosines = unit.astype(np.float32) @ across
        k = min(self.k, len(self.vectors))
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        close = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        votes = np.exp((close - close.max(axis=1, keepdims=True)) / self.temperature)
        votes /= votes.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = np.einsum("nk,nkc->nc", votes, self.targets[nearest])
        return shares

    def facts(self) -> dict[str, Any]:
        return {"k": self.k, "vote_temperature": self.temperature}

    def arrays(self) -> Arrays:
        return {"vectors": self.vectors, "targets": self.targets}


@dataclass(frozen=True)
class KernelHead:
    """`K @ weight + bias` with K = exp(-gamma * squared distance to each of `support` [n, F]).

    A support vector machine for each class against the rest; of two classes one machine
    serves, its scores with either sign.
    """

    support: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    gamma: float
    kind = "kernel"

    def scores(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        found = [
            kernel(x[low : low + _BLOCK], self.support, self.gamma) @ self.weight + self.bias
            for low in range(0, len(x), _BLOCK)
        ]
        return np.concatenate(found) if found else np.empty((0, len(self.bias)))

    def facts(self) -> dict[str, Any]:
        return {"gamma": self.gamma}

    def arrays(self) -> Arrays:
        return {"support": self.support, "weight": self.weight, "bias": self.bias}


def kernel(x: NDArray[np.floating], of: NDArray[np.floating], gamma: float) -> NDArray[np.float64]:
    """float64 [n, m]: exp(-gamma * squared distance) of each row to each row of `of`."""
    return np.asarray(np.exp(-gamma * squared_distances(x, of)), np.float64)


def squared_distances(x: NDArray[np.floating], of: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 [n, m]: squared distances of the rows of `x` to those of `of`, none below 0."""
    x, of = np.asarray(x, np.float64), np.asarray(of, np.float64)
    inner = x @ of.T
    length = np.square(x).sum(axis=1)[:, None] + np.square(of).sum(axis=1)
    return np.asarray(np.maximum(length - 2 * inner, 0))


def head_of(kind: str, facts: Mapping[str, Any], arrays: Arrays) -> Head:
    """The head that was taken apart by `facts` and `arrays`. Raises `UnusableIndex`."""
    try:
        if kind == "linear":
            return LinearHead(arrays["weight"], arrays["bias"])
        if kind == "neighbours":
            temperature = float(facts["vote_temperature"])
            return NeighbourHead(arrays["vectors"], arrays["targets"], int(facts["k"]), temperature)
        if kind == "kernel":
            gamma = float(facts["gamma"])
            return KernelHead(arrays["support"], arrays["weight"], arrays["bias"], gamma)
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableIndex(f"a probe of the kind {kind} lacks {error}: train it anew") from error
    raise UnusableIndex(
        f"this version of dinosearch knows no head of the kind {kind!r}: use a newer one, or"
        " train the probe anew"
    )
