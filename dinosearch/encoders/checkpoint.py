"""Weights files: read without running code from them, brought to one layout, understood."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dinosearch.encoders.weights import VARIANTS, Variant
from dinosearch.errors import EncoderUnavailable, InvalidInput
from dinosearch.geometry import PATCH

State = dict[str, Tensor]

HEAD_WIDTH = 64
"""Channels per attention head in every DINOv2."""


def read_state(path: Path) -> State:
    """The tensors of a `.safetensors` file, or of a `.pth` file, by name.

    A training checkpoint's `teacher`, `model` or `state_dict` is unwrapped. Raises
    `InvalidInput` if there is no such file and `EncoderUnavailable` if it is damaged or
    holds anything but tensors.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no weights file {path}: check the path")
    try:
        if path.suffix == ".safetensors":
            loaded: object = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch and safetensors raise a dozen unrelated classes for a damaged file.
        raise EncoderUnavailable(
            f"{path} cannot be read as weights ({_first_line(error)}): the file is damaged, cut"
            " short, or holds code as well as tensors; download it again, or save it as"
            " .safetensors"
        ) from error
    for wrapper in ("teacher", "model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise EncoderUnavailable(f"{path} holds a {type(loaded).__name__}, not named tensors")
    state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
    if not state:
        raise EncoderUnavailable(f"{path} holds no tensors: it is not a weights file")
    return state


def official_layout(state: State) -> State:
    """The names of the official release, from those of a training checkpoint.

    `backbone.` is stripped and what is not backbone dropped; `blocks.CHUNK.I.` becomes
    `blocks.I.`, I being counted through all chunks (`block_chunks` of the official
    training code fills each chunk with identities up to its first block).
    """
    state = {k.removeprefix("module."): v for k, v in state.items()}
    if any(k.startswith("backbone.") for k in state):
        state = {k.removeprefix("backbone."): v for k, v in state.items() if k[:9] == "backbone."}
    return {re.sub(r"^blocks\.\d+\.(\d+\.)", r"blocks.\1", k): v for k, v in state.items()}


@dataclass(frozen=True)
class Architecture:
    """The shape of a DINOv2, read off its tensors."""

    dim: int
    depth: int
    registers: int
    hidden: int
    swiglu: bool
    side: int

    @property
    def heads(self) -> int:
        return self.dim // HEAD_WIDTH

    @property
    def name(self) -> str:
        """The hub name if it is an official shape, else the shape in words."""
        for variant in VARIANTS.values():
            if self.is_variant(variant):
                return variant.name
        kind = "swiglu" if self.swiglu else "mlp"
        return (
            f"dinov2-d{self.dim}-l{self.depth}-{kind}{self.hidden}-r{self.registers}-p{self.side}"
        )

    def is_variant(self, variant: Variant) -> bool:
        return (self.dim, self.depth, self.registers, self.swiglu) == (
            variant.dim,
            variant.depth,
            variant.registers,
            variant.swiglu,
        ) and self.side == 37

    def __str__(self) -> str:
        return (
            f"{self.name} (width {self.dim}, {self.depth} blocks, {self.registers} registers,"
            f" {'SwiGLU' if self.swiglu else 'MLP'})"
        )


def architecture_of(state: State, path: Path) -> Architecture:
    """The architecture that the tensors of `path` imply.

    Raises `EncoderUnavailable` if they are not those of a DINOv2 with patches of 14.
    """

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            some = ", ".join(sorted(state)[:3])
            raise EncoderUnavailable(
                f"{path} is not a DINOv2 checkpoint in the official format: it has no tensor"
                f" {name} (it has {some}, ...); files of transformers or timm have other names,"
                " take the file from dl.fbaipublicfiles.com/dinov2 or use --encoder timm:NAME"
            )
        return tuple(state[name].shape)

    table, stem = shape("pos_embed"), shape("patch_embed.proj.weight")
    dim = table[-1]
    if len(table) != 3 or dim % HEAD_WIDTH or math.isqrt(table[1] - 1) ** 2 != table[1] - 1:
        raise EncoderUnavailable(
            f"{path}: the position table is {list(table)}, not [1, 1 + a square number, a"
            f" multiple of {HEAD_WIDTH}]: this is not a DINOv2 checkpoint"
        )
    if stem != (dim, 3, PATCH, PATCH):
        raise EncoderUnavailable(
            f"{path}: the patch embedding is {list(stem)}, not {[dim, 3, PATCH, PATCH]}: only"
            f" models of three channels and patches of {PATCH} pixels can be used here"
        )
    blocks = {int(m[1]) for k in state if (m := re.match(r"blocks\.(\d+)\.", k))}
    if blocks != set(range(len(blocks))) or not blocks:
        raise EncoderUnavailable(
            f"{path}: the blocks are numbered {sorted(blocks)}, with gaps: the file is incomplete"
        )
    swiglu = "blocks.0.mlp.w12.weight" in state
    hidden = shape("blocks.0.mlp.w3.weight" if swiglu else "blocks.0.mlp.fc2.weight")[1]
    registers = shape("register_tokens")[1] if "register_tokens" in state else 0
    return Architecture(dim, len(blocks), registers, hidden, swiglu, math.isqrt(table[1] - 1))


def check_variant(found: Architecture, variant: Variant, path: Path) -> None:
    """Raise `EncoderUnavailable` unless the file holds the model that was asked for."""
    if not found.is_variant(variant):
        raise EncoderUnavailable(
            f"{path} does not hold {variant.name} but {found}: give the right file, or use the"
            " path itself as the encoder"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160] or type(error).__name__
