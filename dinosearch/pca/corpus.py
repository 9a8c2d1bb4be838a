"""The basis of the whole corpus, as it is stored with its statistics.

On it a colour means the same in every call and every process, until the corpus has changed
so much that it is measured anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.pca.basis import PcaBasis

_NAMES = tuple(field.name for field in fields(PcaBasis))


def arrays_of(basis: PcaBasis) -> dict[str, NDArray[np.float64]]:
    """The arrays of a basis, under names that begin with `pca_`."""
    return {f"pca_{name}": getattr(basis, name) for name in _NAMES}


def basis_of(arrays: Mapping[str, NDArray[Any]]) -> PcaBasis | None:
    """The basis that `arrays_of` took apart, None where its arrays are not all there."""
    if not all(f"pca_{name}" in arrays for name in _NAMES):
        return None
    return PcaBasis(**{name: arrays[f"pca_{name}"] for name in _NAMES})
