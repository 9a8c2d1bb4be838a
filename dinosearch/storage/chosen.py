"""The few tokens of a picture that propose it for a region.

Most of a picture's patches show its ground, over and over; what people search for is
rare. Farthest-first centres (Gonzalez, "Clustering to minimize the maximum intercluster
distance", 1985) keep the rare ones, where k-means would melt them into the ground. One
averaging step with the tokens nearest to each centre then makes them speak for more than
one patch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PER_ITEM = 200


def choose(tokens: NDArray[np.floating], count: int = PER_ITEM) -> NDArray[np.float32]:
    """float32 [min(count, P), Dp], unit rows, that stand for the tokens of one picture.

    `tokens` [P, Dp], unit rows. The first centre is the token farthest from the mean.
    """
    rows = np.ascontiguousarray(tokens, dtype=np.float32)
    if len(rows) <= count:
        return rows
    # All cosines at once: each step then reads one row of them.
    cosines = rows @ rows.T
    centres = np.empty(count, dtype=np.int64)
    centres[0] = int((rows @ rows.mean(axis=0)).argmin())
    nearest = cosines[centres[0]].copy()
    for step in range(1, count):
        centres[step] = int(nearest.argmin())
        np.maximum(nearest, cosines[centres[step]], out=nearest)
    owner = cosines[centres].argmax(axis=0)
    order = np.argsort(owner, kind="stable")
    # A centre owns itself, but of two equal tokens only one owns anything.
    owners, starts = np.unique(owner[order], return_index=True)
    means = rows[centres]
    means[owners] = np.add.reduceat(rows[order], starts, axis=0)
    length = np.linalg.norm(means, axis=1, keepdims=True)
    # Tokens that cancel each other out leave no direction: the centre speaks for itself.
    means = np.where(length > 1e-6, means / np.maximum(length, 1e-6), rows[centres])
    return means.astype(np.float32)
