"""The test encoder: every answer can be worked out on paper.

A patch's token is a fixed function of its cell's mean colour. With r, g, b in [0, 1],

    token = v(r) (x) v(g) (x) v(b),     v(c) = (cos(90 deg * c), sin(90 deg * c)),

eight numbers, (x) being the outer product in the order r, g, b. Each v is of unit length,
so the token is, and the cosine of two colours is

    cos(90 deg * dr) * cos(90 deg * dg) * cos(90 deg * db):

1 for equal colours (black included), 0 where one channel is fully on here and off there,
0.7071 where one channel differs by half. All eight numbers are >= 0, so no mean of tokens
is zero. CLS is the mean of the tokens, brought to unit length: half red and half blue has
cosine 0.7071 with all red. Where the colour lies plays no part in CLS.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.encoders.encoder import Encoder, Features, Views, unit_rows
from dinosearch.encoders.fingerprint import Fingerprint, normalisation_text
from dinosearch.geometry import PATCH, Fit, View


class Colour(Encoder):
    """The encoder described above; numpy only."""

    name = "colour"
    dim = patch_dim = 8
    device = "cpu"
    precision = "fp32"
    batch_size = 32

    def __init__(self, *, size: int, fit: Fit) -> None:
        self.size = size
        self.view = View(size, PATCH, fit)
        self.fingerprint = Fingerprint(
            architecture="colour",
            weights_sha256=hashlib.sha256(b"dinosearch colour encoder 1: no weights").hexdigest(),
            size=size,
            cell=PATCH,
            fit=fit,
            normalisation=normalisation_text((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            interpolation="bicubic antialias",
        )

    def forward_features(self, batch: Any) -> dict[str, Any]:
        """Features of `batch` [B, 3, H, W] in [0, 1]; anything `np.asarray` takes.

        Returns numpy arrays under the official names. Here the patch tokens already are
        of unit length; the CLS vector, their mean, is not.
        """
        pictures = np.asarray(batch, dtype=np.float32)
        self.check_batch_shape(pictures.shape)
        patches = _tokens(_cell_means(pictures.transpose(0, 2, 3, 1)))
        return {"x_norm_clstoken": patches.mean(axis=1), "x_norm_patchtokens": patches}

    def encode_views(self, views: Views) -> Features:
        self.check_views(views)
        patches = _tokens(_cell_means(views) / np.float32(255.0))
        return Features(
            unit_rows(patches.mean(axis=1), "CLS"),
            unit_rows(patches, "patch"),
            np.linalg.norm(patches, axis=-1),
        )


def _cell_means(pictures: NDArray[Any]) -> NDArray[np.float32]:
    """float32 [B, cells, 3]: mean colour per cell of `pictures` [B, H, W, 3]."""
    count, height, width, _ = pictures.shape
    rows, cols = height // PATCH, width // PATCH
    cells = pictures.reshape(count, rows, PATCH, cols, PATCH, 3)
    means = cells.mean(axis=(2, 4), dtype=np.float64).reshape(count, rows * cols, 3)
    return np.asarray(means, dtype=np.float32)


def _tokens(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [..., 8]: the tokens of `colours` [..., 3] in [0, 1]."""
    angle = np.clip(colours, 0, 1) * np.float32(np.pi / 2)
    pair = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    red, green, blue = pair[..., 0, :], pair[..., 1, :], pair[..., 2, :]
    tokens = np.einsum("...i,...j,...k->...ijk", red, green, blue)
    return np.asarray(tokens.reshape(*colours.shape[:-1], 8), dtype=np.float32)
