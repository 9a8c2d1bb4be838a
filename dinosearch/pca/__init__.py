"""What the model sees: the first three principal components of patch tokens, as colours."""

from __future__ import annotations

from dinosearch.pca.basis import PcaBasis, fit_basis, foreground_of
from dinosearch.pca.maps import PcaMap, pca_maps

__all__ = ["PcaBasis", "PcaMap", "fit_basis", "foreground_of", "pca_maps"]
