"""What is measured of the corpus when pictures are indexed: see `storage.statistics`.

tokens         float16 [at most 20,000, Dp]: patch tokens of pictures drawn at random
whole          float32 [pairs], ascending: cosines of random pairs of pictures
parts          float32 [pairs]: scores of parts of pictures in others; `parts_near` the
               same near their own place, `wholes` the cosines of those pictures
pca_...        the principal components of `tokens`, see `pca.corpus`
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dinosearch.pca.artefacts import artefacts_of
from dinosearch.pca.basis import LEAST_TOKENS, fit_basis
from dinosearch.pca.corpus import arrays_of
from dinosearch.search.background import (
    anywhere_scores,
    draw,
    near_scores,
    part_scores,
    whole_scores,
)
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.statistics import Arrays

PICTURES = 400
TOKENS = 20_000
"""Tokens drawn, evenly from up to so many pictures."""


def measure(snapshot: Snapshot, *, seed: int = 0) -> Arrays:
    """The arrays described above, of an index of two pictures or more."""
    tokens = sample_tokens(snapshot, np.random.default_rng(seed))
    parts, wholes = part_scores(snapshot, anywhere_scores, seed=seed)
    near, _ = part_scores(snapshot, near_scores, seed=seed)
    arrays: Arrays = {
        "tokens": tokens,
        "whole": whole_scores(snapshot, seed=seed),
        "parts": parts,
        "parts_near": near,
        "wholes": wholes,
    }
    if len(tokens) >= LEAST_TOKENS:
        arrays |= arrays_of(fit_basis(tokens))
    return arrays


def sample_tokens(snapshot: Snapshot, rng: np.random.Generator) -> NDArray[np.float16]:
    """float16 [n, Dp]: as many tokens of each of up to 400 pictures, 20,000 at most.

    Patches that show padding are zero and take no part, nor do artefacts.
    """
    drawn = draw(snapshot, PICTURES, rng)
    each = TOKENS // len(drawn)
    found = []
    for position in drawn.tolist():
        tokens = snapshot.tokens(position)
        tells = np.asarray(tokens.any(axis=1), dtype=bool)
        norms = snapshot.norms(position)
        if norms is not None:
            tells = tells & ~artefacts_of(norms, tells)
        shown = np.flatnonzero(tells)
        picked = rng.choice(shown, min(each, len(shown)), replace=False)
        found.append(tokens[np.sort(picked)])
    return np.concatenate(found)
