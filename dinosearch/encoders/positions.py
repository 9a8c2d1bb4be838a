"""The learned position table, resampled to another grid as the official code does it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

OFFSET = 0.1
"""What the official models without registers add to the grid before scaling."""


def resample_positions(table: Tensor, rows: int, cols: int, *, antialias: bool) -> Tensor:
    """float32 [1, 1 + rows * cols, D] from `table` [1, 1 + M * M, D].

    `interpolate_pos_encoding` of the official `vision_transformer.py`: bicubic, in fp32,
    CLS untouched, and no change at all for a square of the table's own size. Models with
    registers (`antialias`) give the size and smooth. Models without give the factor
    (rows + 0.1) / M, which PyTorch also uses to place the samples: the result differs
    from that of giving the size, by up to a fifth of a cell at 224 px.
    """
    side = math.isqrt(table.shape[1] - 1)
    if rows == cols == side:
        return table.float()
    grid = table[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    with torch.autocast(table.device.type, enabled=False):
        if antialias:
            grid = F.interpolate(grid, size=(rows, cols), mode="bicubic", antialias=True)
        else:
            factor = ((rows + OFFSET) / side, (cols + OFFSET) / side)
            grid = F.interpolate(grid, scale_factor=factor, mode="bicubic", antialias=False)
    if grid.shape[-2:] != (rows, cols):
        raise AssertionError(f"resampled to {tuple(grid.shape[-2:])}, not {(rows, cols)}")
    patches = grid.permute(0, 2, 3, 1).reshape(1, rows * cols, -1)
    return torch.cat([table[:, :1].float(), patches], dim=1)
