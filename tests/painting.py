"""Pictures whose cells have colours one chooses, so that every score can be worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dinosearch.geometry import PATCH

SIZE = 140
CELLS = SIZE // PATCH

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def plain(colour) -> np.ndarray:
    """Cells [10, 10, 3] of one colour."""
    return np.tile(np.array(colour, dtype=np.uint8), (CELLS, CELLS, 1))


def planted(ground, patch: np.ndarray, row: int, col: int) -> np.ndarray:
    """A plain ground with a patch of cells [h, w, 3] at a place."""
    cells = plain(ground)
    cells[row : row + patch.shape[0], col : col + patch.shape[1]] = patch
    return cells


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (CELLS, CELLS, 3), dtype=np.uint8)


def pixels(cells: np.ndarray, scale: int = 1) -> np.ndarray:
    """uint8 [140 * scale, 140 * scale, 3]: each cell a square of 14 * scale pixels."""
    return np.kron(cells, np.ones((PATCH * scale, PATCH * scale, 1), dtype=np.uint8))


def save(path: Path, cells: np.ndarray, scale: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(cells, scale)).save(path)
    return path


def cosine(a, b) -> float:
    """Cosine of the colour encoder's tokens of two plain colours, by its formula."""
    step = np.abs(np.array(a, float) - np.array(b, float)) / 255
    return float(np.prod(np.cos(step * np.pi / 2)))
