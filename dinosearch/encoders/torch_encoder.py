"""What the encoders that run on torch have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dinosearch.encoders import device as rules
from dinosearch.encoders.encoder import Encoder, Features, Views, unit_rows

Triple = tuple[float, float, float]


class TorchEncoder(Encoder):
    """An encoder with a torch model, a normalisation and a place to run.

    `mean` and `std` apply to pixels in [0, 1]. `batch_size` starts at what is fastest:
    on a CPU a large batch falls out of the cache and gains nothing.
    """

    model: nn.Module
    mean: Triple
    std: Triple
    channels_last = False

    def start(self, model: nn.Module, *, device: str, precision: str, cuda_batch: int) -> None:
        """Take the model to where it will run. `device` and `precision` may be `auto`."""
        self.device = rules.choose_device(device)
        self._precision = rules.choose_precision(precision, self.device)
        self.precision = self._precision
        self.model = rules.place(
            model, self.device, self._precision, channels_last=self.channels_last
        )
        self.batch_size = 1 if self.device == "cpu" else cuda_batch

    @abstractmethod
    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """The model's features of a batch that is where and how the model wants it."""

    def forward_features(self, batch: Any) -> dict[str, Any]:
        """Raw features, float32, on the encoder's device; see `Encoder`."""
        self.check_batch_shape(batch.shape)
        with torch.no_grad():
            return self._features(batch)

    def encode_views(self, views: Views) -> Features:
        """Features of views uint8 [N, S, S, 3]; see `Encoder`."""
        rows, cols = self.check_views(views)
        if not len(views):
            return Features(
                np.empty((0, self.dim), np.float32),
                np.empty((0, rows * cols, self.patch_dim), np.float32),
                np.empty((0, rows * cols), np.float32),
            )
        # torch takes neither a read-only array nor one that runs backwards.
        ready = np.require(views, requirements=["C", "W"])
        with torch.inference_mode():
            parts, self.batch_size = rules.run_batches(
                self._encode, torch.from_numpy(ready), self.batch_size
            )
        cls, patches, norms = (np.concatenate(several) for several in zip(*parts, strict=True))
        return Features(unit_rows(cls, "CLS"), unit_rows(patches, "patch"), norms)

    def _encode(self, views: Tensor) -> tuple[NDArray[np.float32], ...]:
        """CLS [n, D], patches [n, P, Dp] and their lengths [n, P]."""
        # Sent as bytes and normalised there: a quarter of the way, and of the memory.
        there = rules.send(views, self.device)
        features = self._features(normalised(there, self.mean, self.std))
        patches = features["x_norm_patchtokens"]
        # Registers come before the patches, so these are the last.
        raw = features["x_prenorm"][:, -patches.shape[1] :] if "x_prenorm" in features else patches
        return (
            features["x_norm_clstoken"].cpu().numpy(),
            patches.cpu().numpy(),
            raw.norm(dim=-1).cpu().numpy(),
        )

    def _features(self, batch: Tensor) -> dict[str, Tensor]:
        batch = rules.send(batch, self.device)
        batch = rules.lay_out(batch, channels_last=self.channels_last)
        with rules.autocast(self.device, self._precision):
            features = self.forward(batch)
        return {name: value.float() for name, value in features.items()}


def normalised(views: Tensor, mean: Triple, std: Triple) -> Tensor:
    """float32 [N, 3, S, S] of uint8 [N, S, S, 3], on the device where `views` are.

    `(value / 255 - mean) / std` per channel, to the bit what torchvision's v2 `ToDtype`
    and `Normalize` compute: multiply, subtract, divide in fp32.
    """
    shape = (1, 3, 1, 1)
    pixels = views.permute(0, 3, 1, 2).float() * float(np.float32(1 / 255))
    pixels.sub_(torch.tensor(mean, device=views.device).view(shape))
    return pixels.div_(torch.tensor(std, device=views.device).view(shape))
