"""From tokens to one vector a picture: the blocks that a probe's features are made of.

A set of features is blocks joined by `+`, such as `cls+mean`:

    cls          the CLS vector                                            D numbers
    mean         mean of the patch tokens                                 Dp
    std          their standard deviation, channel by channel             Dp
    top          mean of the highest twentieth of each channel            Dp
    covariance   second moments of the tokens, each pair of channels once,
                 power-normalised: sign(x) * sqrt(|x|)                    Dp * (Dp + 1) / 2

`cls` and `cls+mean` are those of DINOv2's own evaluation. `covariance` is second-order pooling
(Lin et al., "Bilinear CNN Models", 2015, with their signed square root): it says which channels
respond together, wherever in the picture, and serves where faults are small. Tokens wider than
`WIDEST` are brought down to that many numbers by a fixed random rotation first, which keeps
their cosines roughly (Johnson and Lindenstrauss, 1984), because pairs grow with the square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput

BLOCKS = ("cls", "mean", "std", "top", "covariance")

WIDEST = 128
"""Numbers of a token that second moments are taken of, at most."""

TOP = 0.05

Array = NDArray[np.float32]


def blocks_of(features: str) -> tuple[str, ...]:
    """The blocks of a set of features. Raises `InvalidInput` for one there is not."""
    names = tuple(features.split("+"))
    if unknown := [name for name in names if name not in BLOCKS]:
        raise InvalidInput(
            f"features {features!r}: {unknown[0]!r} is none; join some of {', '.join(BLOCKS)}"
            " with +, such as cls+mean"
        )
    if len(set(names)) < len(names):
        raise InvalidInput(f"features {features!r} name a block twice")
    return names


def needs_tokens(features: str) -> bool:
    """Whether a set of features is made of more than the CLS vector."""
    return blocks_of(features) != ("cls",)


def pool(features: str, cls: NDArray[np.floating], tokens: NDArray[np.floating] | None) -> Array:
    """float32 [F]: the features of one picture, block after block.

    `cls` [D]; `tokens` [P, Dp], of which rows of zeros are padding and left out. Raises
    `InvalidInput` for features there are not.
    """
    names = blocks_of(features)
    shown = np.empty((0, 0), np.float32)
    if tokens is not None:
        shown = np.asarray(tokens, np.float32)
        shown = shown[shown.any(axis=1)]
    parts = [
        np.asarray(cls, np.float32) if name == "cls" else _block(name, shown) for name in names
    ]
    return np.concatenate(parts)


def widths(features: str, dim: int, patch_dim: int) -> list[int]:
    """How many numbers each block of a set of features has."""
    low = min(patch_dim, WIDEST)
    sizes = {"cls": dim, "covariance": low * (low + 1) // 2}
    return [sizes.get(name, patch_dim) for name in blocks_of(features)]


def _block(name: str, shown: Array) -> Array:
    if name == "mean":
        return np.asarray(shown.mean(axis=0), np.float32)
    if name == "std":
        return np.asarray(shown.std(axis=0), np.float32)
    if name == "top":
        count = max(1, round(TOP * len(shown)))
        highest = np.partition(shown, len(shown) - count, axis=0)[len(shown) - count :]
        return np.asarray(highest.mean(axis=0), np.float32)
    narrow = shown if shown.shape[1] <= WIDEST else shown @ rotation(shown.shape[1])
    moments = narrow.T @ narrow / np.float32(len(narrow))
    pairs = moments[np.triu_indices(moments.shape[0])]
    return np.asarray(np.sign(pairs) * np.sqrt(np.abs(pairs)), np.float32)


def rotation(width: int) -> Array:
    """float32 [width, WIDEST]: orthonormal columns, the same ones for ever."""
    drawn = np.random.default_rng(20230414).normal(size=(width, WIDEST))
    columns, triangle = np.linalg.qr(drawn)
    # Which of two signs a library's QR gives is its own affair.
    return np.asarray(columns * np.sign(np.diag(triangle)), np.float32)
