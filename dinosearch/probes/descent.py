"""Linear heads by stochastic gradient descent: many learning rates at once.

The documented recipe is cross-entropy and SGD with a learning rate of 0.01 and momentum 0.9.
DINOv2's own linear evaluation (`eval/linear.py`) trains a head for each of 13 rates on the same
batches and keeps the best; here all of them are one product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.probes.schedule import rate_factor

if TYPE_CHECKING:
    from torch import Tensor

OFFICIAL_RATES = (
    *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
    *(2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1),
)
"""Base learning rates of the official sweep, for a batch of 256."""

SPREAD = 0.01
"""Standard deviation of the first weights, as in the official probe; the bias begins at zero."""


@dataclass(frozen=True)
class Descent:
    """How heads are trained.

    `batch` pictures an iteration, of which `batch / accumulate` are looked at at once: the
    gradient is that of the whole batch. `warmup` iterations, `schedule` as `rate_factor` has
    them; `decay` is SGD's weight decay.
    """

    iterations: int = 2_000
    batch: int = 128
    accumulate: int = 1
    momentum: float = 0.9
    decay: float = 0.0
    warmup: int = 0
    schedule: str = "constant"

    def check(self) -> None:
        """Raises `InvalidInput` for a training that cannot be done."""
        for name in ("iterations", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}: use 1 or more")
        if self.accumulate > self.batch:
            raise InvalidInput(
                f"a batch of {self.batch} cannot be looked at in {self.accumulate} parts"
            )
        if not 0 <= self.momentum < 1 or self.decay < 0:
            raise InvalidInput("momentum lies in [0, 1), weight decay is 0 or more")
        rate_factor(0, self.iterations, warmup=self.warmup, schedule=self.schedule)


def descend(
    x: NDArray[np.floating],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating],
    *,
    rates: Sequence[float],
    how: Descent,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights float32 [R, F, C] and biases [R, C] of a head for each of R learning rates.

    `x` [n, F], of about unit variance; `targets` [n, C], rows that sum to one; `weights` [n],
    how much each picture counts. The pictures are gone through in a new order each time.
    """
    import torch

    how.check()
    data = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    wanted = torch.from_numpy(np.ascontiguousarray(targets, np.float32))
    counts = torch.from_numpy(np.ascontiguousarray(weights, np.float32))
    heads, wide, classes = len(rates), x.shape[1], targets.shape[1]
    first = rng.normal(0, SPREAD, (1, wide, classes)).astype(np.float32)
    weight = torch.from_numpy(np.repeat(first, heads, axis=0))
    bias = torch.zeros(heads, classes)
    speeds = torch.zeros_like(weight), torch.zeros_like(bias)
    base = torch.tensor(list(rates), dtype=torch.float32)
    order = np.empty(0, np.int64)
    with torch.inference_mode():
        for step in range(how.iterations):
            if len(order) < min(how.batch, len(x)):
                order = np.concatenate([order, rng.permutation(len(x))])
            rows = torch.from_numpy(order[: how.batch].copy())
            order = order[how.batch :]
            slopes = gradient(weight, bias, data, wanted, counts, rows, how.accumulate)
            rate = base * rate_factor(
                step, how.iterations, warmup=how.warmup, schedule=how.schedule
            )
            for value, slope, speed in zip((weight, bias), slopes, speeds, strict=True):
                speed.mul_(how.momentum).add_(slope + how.decay * value)
                value.sub_(rate.reshape(-1, *[1] * (value.ndim - 1)) * speed)
    return weight.numpy().copy(), bias.numpy().copy()


def gradient(
    weight: Tensor,
    bias: Tensor,
    data: Tensor,
    wanted: Tensor,
    counts: Tensor,
    rows: Tensor,
    parts: int,
) -> tuple[Tensor, Tensor]:
    """Slopes of the weighted mean cross-entropy over `rows`, gathered in `parts` parts.

    `weight` [R, F, C], `bias` [R, C]; of the softmax the slope is the probability less the
    target. Every part is divided by the count of the whole batch, so that parts of unequal
    length sum to what the batch would have given at once.
    """
    import torch

    heads, wide, classes = weight.shape
    flat = weight.permute(1, 0, 2).reshape(wide, heads * classes)
    whole = counts[rows].sum()
    slope, level = torch.zeros_like(flat), torch.zeros_like(bias)
    for part in torch.tensor_split(rows, parts):
        x = data[part]
        scores = (x @ flat).reshape(len(part), heads, classes) + bias
        off = torch.softmax(scores, dim=2) - wanted[part][:, None]
        off *= (counts[part] / whole)[:, None, None]
        slope += x.T @ off.reshape(len(part), heads * classes)
        level += off.sum(dim=0)
    return slope.reshape(wide, heads, classes).permute(1, 0, 2), level
