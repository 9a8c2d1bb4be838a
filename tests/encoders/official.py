"""The official DINOv2 formulas once more, straight from a checkpoint's tensors.

Written after Meta's published `vision_transformer.py`, `attention.py`, `mlp.py`,
`swiglu_ffn.py` and `layer_scale.py`, sharing no code with dinosearch or timm: the judge of
both. Also makes small random checkpoints in the official layout.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]


def forward_features(state: State, images: Tensor, *, heads: int) -> dict[str, Tensor]:
    """The official dictionary for `images` [B, 3, H, W]."""
    registers = state.get("register_tokens")
    dim = state["cls_token"].shape[-1]
    height, width = images.shape[-2:]
    x = F.conv2d(
        images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat((state["cls_token"].expand(x.shape[0], -1, -1), x), dim=1)
    if registers is None:
        x = x + interpolate_pos_encoding(state["pos_embed"], x, height, width, 0.1, False)
    else:
        x = x + interpolate_pos_encoding(state["pos_embed"], x, height, width, 0.0, True)
        x = torch.cat((x[:, :1], registers.expand(x.shape[0], -1, -1), x[:, 1:]), dim=1)
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    for index in range(depth):
        x = block(state, f"blocks.{index}.", x, heads)
    before = x
    x = F.layer_norm(x, (dim,), state["norm.weight"], state["norm.bias"], 1e-6)
    prefix = 1 + (0 if registers is None else registers.shape[1])
    return {
        "x_norm_clstoken": x[:, 0],
        "x_norm_regtokens": x[:, 1:prefix],
        "x_norm_patchtokens": x[:, prefix:],
        "x_prenorm": before,
    }


def interpolate_pos_encoding(
    pos_embed: Tensor, x: Tensor, w: int, h: int, offset: float, antialias: bool
) -> Tensor:
    """As published, names and all: what it calls w is the height (both are symmetric)."""
    previous_dtype = x.dtype
    npatch = x.shape[1] - 1
    n = pos_embed.shape[1] - 1
    if npatch == n and w == h:
        return pos_embed
    pos_embed = pos_embed.float()
    class_pos_embed = pos_embed[:, 0]
    patch_pos_embed = pos_embed[:, 1:]
    dim = x.shape[-1]
    w0 = w // 14
    h0 = h // 14
    m = int(math.sqrt(n))
    assert n == m * m
    square = patch_pos_embed.reshape(1, m, m, dim).permute(0, 3, 1, 2)
    if offset:
        sx = float(w0 + offset) / m
        sy = float(h0 + offset) / m
        patch_pos_embed = F.interpolate(
            square, mode="bicubic", antialias=antialias, scale_factor=(sx, sy)
        )
    else:
        patch_pos_embed = F.interpolate(square, mode="bicubic", antialias=antialias, size=(w0, h0))
    assert (w0, h0) == patch_pos_embed.shape[-2:]
    patch_pos_embed = patch_pos_embed.permute(0, 2, 3, 1).view(1, -1, dim)
    return torch.cat((class_pos_embed.unsqueeze(0), patch_pos_embed), dim=1).to(previous_dtype)


def block(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    """One block: attention and MLP, each behind a norm and scaled by LayerScale."""
    dim = x.shape[-1]

    def norm(which: str, value: Tensor) -> Tensor:
        weight, bias = state[f"{name}{which}.weight"], state[f"{name}{which}.bias"]
        return F.layer_norm(value, (dim,), weight, bias, 1e-6)

    x = x + attention(state, name + "attn.", norm("norm1", x), heads) * state[name + "ls1.gamma"]
    return x + mlp(state, name + "mlp.", norm("norm2", x)) * state[name + "ls2.gamma"]


def attention(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    """Ordinary softmax attention, written out."""
    b, n, c = x.shape
    qkv = linear(state, name + "qkv", x).reshape(b, n, 3, heads, c // heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    q = q * (c // heads) ** -0.5
    attn = F.softmax(q @ k.transpose(-2, -1), dim=-1)
    return linear(state, name + "proj", (attn @ v).transpose(1, 2).reshape(b, n, c))


def mlp(state: State, name: str, x: Tensor) -> Tensor:
    """GELU (exact) between two layers, or SwiGLU where the checkpoint has w12 and w3."""
    if name + "w12.weight" in state:
        x1, x2 = linear(state, name + "w12", x).chunk(2, dim=-1)
        return linear(state, name + "w3", F.silu(x1) * x2)
    return linear(state, name + "fc2", F.gelu(linear(state, name + "fc1", x)))


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[name + ".weight"], state[name + ".bias"])


def random_checkpoint(
    *,
    dim: int = 128,
    depth: int = 2,
    registers: int = 0,
    swiglu: bool = False,
    seed: int = 0,
) -> State:
    """A checkpoint in the official layout whose every tensor matters to the result.

    Positions as large as the patches, weights that keep the variance, LayerScale and norms
    away from 1, biases away from 0.
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    def dense(name: str, out: int, into: int) -> State:
        return {
            f"{name}.weight": random(out, into, scale=into**-0.5),
            f"{name}.bias": random(out, scale=0.2),
        }

    def norm(name: str) -> State:
        return {
            f"{name}.weight": 1 + random(dim, scale=0.2),
            f"{name}.bias": random(dim, scale=0.2),
        }

    state = {
        "cls_token": random(1, 1, dim),
        "pos_embed": random(1, 1370, dim, scale=0.5),
        "mask_token": random(1, dim),
        "patch_embed.proj.weight": random(dim, 3, 14, 14, scale=(3 * 14 * 14) ** -0.5),
        "patch_embed.proj.bias": random(dim, scale=0.2),
    }
    if registers:
        state["register_tokens"] = random(1, registers, dim)
    for index in range(depth):
        name = f"blocks.{index}."
        state |= norm(name + "norm1") | norm(name + "norm2")
        state |= dense(name + "attn.qkv", 3 * dim, dim) | dense(name + "attn.proj", dim, dim)
        state[name + "ls1.gamma"] = random(dim, scale=0.5)
        state[name + "ls2.gamma"] = random(dim, scale=0.5)
        if swiglu:
            hidden = (int(4 * dim * 2 / 3) + 7) // 8 * 8
            state |= dense(name + "mlp.w12", 2 * hidden, dim)
            state |= dense(name + "mlp.w3", dim, hidden)
        else:
            state |= dense(name + "mlp.fc1", 4 * dim, dim) | dense(name + "mlp.fc2", dim, 4 * dim)
    return state | norm("norm")
