"""DINOv2 in all its sizes: timm's blocks, the official weights, the official arithmetic."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.layers.mlp import Mlp, SwiGLUPacked
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from dinosearch.encoders.checkpoint import (
    Architecture,
    State,
    architecture_of,
    check_variant,
    official_layout,
    read_state,
)
from dinosearch.encoders.checksum import verified_sha256
from dinosearch.encoders.fingerprint import Fingerprint, normalisation_text
from dinosearch.encoders.positions import resample_positions
from dinosearch.encoders.preprocess import MEAN, STD
from dinosearch.encoders.torch_encoder import TorchEncoder
from dinosearch.encoders.weights import Variant
from dinosearch.errors import EncoderUnavailable
from dinosearch.geometry import PATCH, Fit, View

KEPT_TABLES = 8
"""Position tables kept, one per grid; the table of 560 px at ViT-L is 6.6 MB."""


class VisionTransformer(nn.Module):
    """The official `DinoVisionTransformer`, with the official names of its tensors.

    The blocks are timm's, whose names and arithmetic agree with the official ones but
    for SwiGLU, whose `w12` and `w3` are called `fc1` and `fc2` there.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        dim = shape.dim
        # timm's annotations ask for classes, its code for anything that can be called.
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        mlp: Any = SwiGLUPacked if shape.swiglu else Mlp
        # The width inside SwiGLU counts both halves in timm.
        hidden = 2 * shape.hidden if shape.swiglu else shape.hidden
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, PATCH, PATCH)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + shape.side**2, dim))
        self.register_tokens = nn.Parameter(torch.empty(1, shape.registers, dim))
        self.blocks = nn.ModuleList(
            Block(
                dim,
                shape.heads,
                # timm truncates the product: half a channel more keeps it from falling short.
                mlp_ratio=(hidden + 0.5) / dim,
                qkv_bias=True,
                init_values=1.0,
                act_layer=nn.SiLU if shape.swiglu else nn.GELU,
                norm_layer=norm,
                mlp_layer=mlp,
            )
            for _ in range(shape.depth)
        )
        self.norm = norm(dim)
        self.registers = shape.registers
        self._tables: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def positions(self, rows: int, cols: int) -> Tensor:
        """The position table of a grid, resampled once per size."""
        key = (rows, cols)
        if key not in self._tables:
            # Registers and the smoothing resampler came with the same release.
            table = resample_positions(
                self.pos_embed, rows, cols, antialias=self.registers > 0
            ).detach()
            self._tables[key] = table
            if len(self._tables) > KEPT_TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return self._tables[key]

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """`batch` [B, 3, H, W] to the official dictionary; H and W multiples of 14."""
        x = self.patch_embed["proj"](batch)
        rows, cols = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        x = x + self.positions(rows, cols).to(x.dtype)
        if self.registers:
            # After the positions: registers have none.
            tokens = self.register_tokens.expand(len(x), -1, -1).to(x.dtype)
            x = torch.cat([x[:, :1], tokens, x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x)
        before, x = x, self.norm(x)
        first = 1 + self.registers
        return {
            "x_norm_clstoken": x[:, 0],
            "x_norm_regtokens": x[:, 1:first],
            "x_norm_patchtokens": x[:, first:],
            "x_prenorm": before,
        }


class DinoV2(TorchEncoder):
    """A DINOv2 encoder from an official checkpoint file.

    `variant` is the model that the file must hold; None takes whatever it holds, and then
    `name` is the path. Raises `EncoderUnavailable` for a file that is damaged or of
    another model, `InvalidInput` for one that is not there.
    """

    def __init__(
        self,
        path: Path,
        variant: Variant | None,
        *,
        size: int,
        fit: Fit,
        device: str,
        precision: str,
    ) -> None:
        path = path.expanduser().absolute()
        state = official_layout(read_state(path))
        shape = architecture_of(state, path)
        if variant is not None:
            check_variant(shape, variant, path)
        self.name = variant.name if variant else str(path)
        self.architecture = shape
        self.dim = self.patch_dim = shape.dim
        self.size = size
        self.view = View(size, PATCH, fit)
        self.mean, self.std = MEAN, STD
        self.weights = str(path)
        self.fingerprint = Fingerprint(
            architecture=shape.name,
            weights_sha256=verified_sha256(path),
            size=size,
            cell=PATCH,
            fit=fit,
            normalisation=normalisation_text(MEAN, STD),
            interpolation="bicubic antialias",
        )
        model = build(shape, state, path)
        # 64 pictures of 560 px at width 384 take about 4 GB; wider models take fewer.
        cuda_batch = max(4, 64 * 384 // shape.dim)
        self.start(model, device=device, precision=precision, cuda_batch=cuda_batch)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = self.model(batch)
        return features


def build(shape: Architecture, state: State, path: Path) -> VisionTransformer:
    """The model of that shape with the tensors of `state`, in fp32.

    Raises `EncoderUnavailable` if a tensor is missing, left over or of another shape.
    """
    # Without memory or random numbers: every tensor comes from the file.
    with torch.device("meta"):
        model = VisionTransformer(shape)
    wanted = model.state_dict()
    given = {_timm_name(name): tensor.float() for name, tensor in state.items()}
    # Used in training alone, and left out of some files.
    given.pop("mask_token", None)
    if not shape.registers:
        given["register_tokens"] = torch.empty(1, 0, shape.dim)
    wrong = [f"{name} is missing" for name in wanted if name not in given]
    wrong += [f"{name} is unknown" for name in given if name not in wanted]
    wrong += [
        f"{name} is {list(tensor.shape)} instead of {list(wanted[name].shape)}"
        for name, tensor in given.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ]
    if wrong:
        raise EncoderUnavailable(
            f"{path} does not fit {shape}: {'; '.join(wrong[:4])}"
            f"{f' and {len(wrong) - 4} more' if len(wrong) > 4 else ''}: the file is incomplete"
            " or of another model"
        )
    model.load_state_dict(given, strict=True, assign=True)
    return model


def _timm_name(name: str) -> str:
    return name.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2.")
