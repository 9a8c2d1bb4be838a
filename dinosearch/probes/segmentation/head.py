"""The head that classifies cells: a 1x1 convolution, or two with a hidden layer between.

A convolution of 1x1 is the same linear layer for every cell, so cells are rows here. It is
trained with torch and answers with numpy: a saved head needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

_LEAST_DEVIATION = 1e-4
"""A feature that varies less than this carries rounding noise only, and is not blown up."""


@dataclass(frozen=True)
class Head:
    """Weights of one or two layers on standardised features.

    mean, scale   float32 [F]: a feature is taken as (value - mean) * scale
    weights       per layer float32 [in, out]; a rectifier lies between two
    biases        per layer float32 [out]
    """

    mean: Rows
    scale: Rows
    weights: tuple[Rows, ...]
    biases: tuple[Rows, ...]

    def probabilities(self, features: NDArray[np.floating]) -> Rows:
        """float32 [n, classes]: softmax over the classes of rows [n, F]."""
        values = (features.astype(np.float32) - self.mean) * self.scale
        last = len(self.weights) - 1
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight + bias
            if number < last:
                np.maximum(values, 0, out=values)
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= values.sum(axis=1, keepdims=True)
        return values

    def arrays(self) -> dict[str, Rows]:
        """The arrays of a head under names of their own."""
        layers = zip(self.weights, self.biases, strict=True)
        named = {f"{kind}{i}": one for i, pair in enumerate(layers) for kind, one in
                 zip(("weight", "bias"), pair, strict=True)}  # fmt: skip
        return {"mean": self.mean, "scale": self.scale, **named}

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[np.float32]]) -> Head:
        """The head that `arrays` took apart. Raises KeyError where some are missing."""
        layers = range(sum(name.startswith("weight") for name in arrays))
        return cls(
            arrays["mean"],
            arrays["scale"],
            tuple(arrays[f"weight{i}"] for i in layers),
            tuple(arrays[f"bias{i}"] for i in layers),
        )


def balanced(targets: Rows, weights: Rows, balance: float) -> Rows:
    """float32 [n]: `weights` so that rare classes count more, their mean unchanged.

    A cell's weight is divided by (the mass of its class) ** `balance`: 0 leaves them as they
    are, with 1 every class has the same mass. `targets` [n, classes] are shares.
    """
    mass = (targets * weights[:, None]).sum(axis=0, dtype=np.float64)
    share = mass / max(float(mass.sum()), 1e-12)
    factor = np.where(share > 0, np.maximum(share, 1e-12) ** -balance, 0.0)
    raised = weights * (targets @ factor)
    result: Rows = (raised * (weights.sum() / max(float(raised.sum()), 1e-12))).astype(np.float32)
    return result


def fit_head(
    features: Rows,
    targets: Rows,
    weights: Rows,
    *,
    hidden: int = 0,
    decay: float = 1e-3,
    balance: float = 0.5,
    steps: int = 200,
    seed: int = 0,
) -> Head:
    """Fit a head to soft targets by weighted cross-entropy.

    features  float32 [n, F]
    targets   float32 [n, classes], shares that add up to 1
    weights   float32 [n], how much each row counts
    hidden    width of a hidden layer; 0 for one linear layer, whose optimum is unique
    decay     times half the squared weights is added to the mean loss
    balance   as in `balanced`

    The whole batch at a time with L-BFGS (Liu and Nocedal, 1989): no learning rate to tune.
    """
    import torch

    kept = weights > 0
    rows, shares, counts = features[kept], targets[kept], weights[kept]
    mean = np.average(rows, axis=0, weights=counts).astype(np.float32)
    deviation = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=counts))
    scale = (1 / np.maximum(deviation, _LEAST_DEVIATION)).astype(np.float32)
    x = torch.from_numpy((rows - mean) * scale)
    y = torch.from_numpy(shares)
    w = torch.from_numpy(balanced(shares, counts, balance))
    w = w / w.sum()
    widths = [x.shape[1], *([hidden] if hidden else []), y.shape[1]]
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for wide, narrow in pairwise(widths):
        # One layer alone may begin at zero; two must not, for their units would stay alike.
        spread = (2 / wide) ** 0.5 if hidden else 0.0
        layers.append(spread * torch.randn(wide, narrow, generator=generator))
        layers.append(torch.zeros(narrow))
    for one in layers:
        one.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        layers, max_iter=steps, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        values = x
        for number in range(0, len(layers), 2):
            values = values @ layers[number] + layers[number + 1]
            if number + 2 < len(layers):
                values = values.relu()
        misfit = -(w * (y * values.log_softmax(dim=1)).sum(dim=1)).sum()
        total = misfit + decay / 2 * sum((layer**2).sum() for layer in layers[::2])
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    ready = [layer.detach().numpy() for layer in layers]
    return Head(mean, scale, tuple(ready[::2]), tuple(ready[1::2]))
