"""The face of every encoder."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dinosearch.encoders.fingerprint import Fingerprint
from dinosearch.errors import DinoSearchError, InvalidInput, PictureRefused
from dinosearch.geometry import View

if TYPE_CHECKING:
    from dinosearch.images import Decoder

Views = NDArray[np.uint8]

CHUNK = 16
"""Pictures decoded side by side by `Encoder.encode`, where the batch is smaller."""


class EncodingFailed(DinoSearchError):
    """The model gave a vector that cannot be used: zero, or not finite.

    `rows` are the positions, in the batch that was handed in, of the pictures it hit.
    """

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


@dataclass(frozen=True)
class Features:
    """What an encoder says about N pictures.

    `cls` float32 [N, D], `patches` float32 [N, P, Dp]; all rows of unit length; patches
    row-major. CLS and patch vectors are never compared with each other. `patch_norms`
    float32 [N, P] are the lengths that the patch tokens had: a transformer writes notes of
    its own into a few patches that show nothing, and those are long (Darcet et al., "Vision
    Transformers Need Registers", 2024). Before the last layer norm where the encoder gives
    that, because the norm evens them out.
    """

    cls: NDArray[np.float32]
    patches: NDArray[np.float32]
    patch_norms: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cls)


class Encoder(ABC):
    """Pictures in, features out.

    name         what `load_encoder` takes to load it again; a path for a checkpoint
    dim          width of CLS; `patch_dim` of a patch token
    size         nominal picture size in pixels, a multiple of 14
    view         the square a picture must be made into
    fingerprint  what an index must agree on with a query
    device       `cpu`, `cuda` or `cuda:N`; `precision` `fp32`, `bf16` or `fp16`
    weights      path of the weights file, None if there is none
    note         a line that a person should see, None if there is nothing to say
    batch_size   pictures per forward pass; halved, and left so, when memory runs out
    """

    name: str
    dim: int
    patch_dim: int
    size: int
    view: View
    fingerprint: Fingerprint
    device: str
    precision: str
    weights: str | None = None
    note: str | None = None
    batch_size: int

    @abstractmethod
    def forward_features(self, batch: Any) -> dict[str, Any]:
        """Raw features of normalised pictures `batch` float32 [B, 3, H, W].

        H and W are multiples of `view.cell`. Returns `x_norm_clstoken` [B, dim] and
        `x_norm_patchtokens` [B, (H/cell) * (W/cell), patch_dim], not of unit length.
        """

    @abstractmethod
    def encode_views(self, views: Views) -> Features:
        """Features of pictures that are already views: uint8 [N, S, S, 3].

        S is a multiple of `view.cell`, `view.size` in every ordinary case. Raises
        `EncodingFailed` for a vector that is zero or not finite.
        """

    def encode(self, pictures: Picture | Iterable[Picture]) -> Features:
        """Features of pictures, through the documented pipeline.

        Each is a path, a PIL image, or a uint8 array [H, W] or [H, W, 3 or 4]. One picture
        or several, the answer always has one row per picture. Raises `PictureRefused`
        for a file that cannot be read.
        """
        from dinosearch.images import Decoder

        waiting = iter(_several(pictures))
        parts: list[Features] = []
        with Decoder(self.view, thumbnails=False) as decoder:
            # Decoding everything first would hold a megabyte per picture.
            while chunk := list(islice(waiting, max(self.batch_size, CHUNK))):
                parts.append(self.encode_views(self._views_of(chunk, decoder)))
        if not parts:
            side = self.view.size
            parts.append(self.encode_views(np.empty((0, side, side, 3), np.uint8)))
        return Features(
            np.concatenate([part.cls for part in parts]),
            np.concatenate([part.patches for part in parts]),
            np.concatenate([part.patch_norms for part in parts]),
        )

    def check_views(self, views: Views) -> tuple[int, int]:
        """(rows, cols) of the patch grid of `views`, else `InvalidInput`."""
        if views.dtype != np.uint8 or views.ndim != 4 or views.shape[3] != 3:
            raise InvalidInput(
                f"views must be uint8 [N, S, S, 3], not {views.dtype} {list(views.shape)}"
            )
        return self.check_batch_shape((views.shape[0], 3, views.shape[1], views.shape[2]))

    def check_batch_shape(self, shape: Sequence[int]) -> tuple[int, int]:
        """(rows, cols) of the patch grid of a batch [B, 3, H, W], else `InvalidInput`."""
        cell = self.view.cell
        if len(shape) != 4 or shape[1] != 3:
            raise InvalidInput(f"a batch must be [B, 3, H, W], not {list(shape)}")
        height, width = shape[2], shape[3]
        if height < cell or width < cell or height % cell or width % cell:
            raise InvalidInput(
                f"pictures of {width} x {height} pixels do not hold whole patches of"
                f" {cell} pixels: make both sides multiples of {cell}"
            )
        return height // cell, width // cell

    def _views_of(self, pictures: list[Picture], decoder: Decoder) -> Views:
        """uint8 [N, S, S, 3]; files are decoded side by side."""
        from dinosearch.encoders.preprocess import make_view
        from dinosearch.images import Refusal, grid_for, upright

        paths = [Path(p) for p in pictures if isinstance(p, str | PathLike)]
        decoded = decoder.decode_many(paths)
        views = []
        for picture in pictures:
            if isinstance(picture, str | PathLike):
                answer = next(decoded)
                if isinstance(answer, Refusal):
                    raise PictureRefused(os.fspath(picture), answer.code, answer.detail)
                views.append(answer.view)
            else:
                image, _ = upright(picture)
                grid, _ = grid_for(self.view, *image.size)
                views.append(make_view(image, grid))
        return np.stack(views)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fingerprint} on {self.device} in {self.precision}>"


Picture = str | PathLike[str] | Image.Image | NDArray[np.uint8]


def _several(pictures: Picture | Iterable[Picture]) -> Iterable[Picture]:
    if isinstance(pictures, str | PathLike | Image.Image):
        return [pictures]
    if isinstance(pictures, np.ndarray) and (
        pictures.ndim == 2 or (pictures.ndim == 3 and pictures.shape[2] in (3, 4))
    ):
        return [pictures]
    return pictures


def unit_rows(vectors: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """`vectors` float32 [N, ..., D] divided by their length, in fp32.

    Raises `EncodingFailed` naming the pictures whose vector is zero or not finite:
    there is no direction to store for them, and NaN would poison every search.
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    good = np.isfinite(length) & (length > 0)
    if not good.all():
        rows = np.flatnonzero(~good.reshape(len(vectors), -1).all(axis=1)).tolist()
        raise EncodingFailed(
            f"the model gave {what} vectors that are zero or not finite for pictures {rows} of"
            f" a batch of {len(vectors)}: the weights are damaged or overflow in this"
            " precision; try --precision fp32, or get the weights again",
            rows,
        )
    return np.asarray(vectors / length, dtype=np.float32)
