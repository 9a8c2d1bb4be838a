"""Pictures for the page's tests: every cell has a colour one chose, so that every pixel that
the page paints over them can be worked out.

The object is twelve cells of twelve colours, each with a channel fully on, on black ground,
whose cosine with all of them is 0 by the formula of the `colour` encoder.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dinosearch.geometry import PATCH

GRID = 20
SIZE = GRID * PATCH
BLACK = (0, 0, 0)
OBJECT = np.array(
    [
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)],
        [(255, 0, 255), (0, 255, 255), (255, 255, 255), (255, 128, 0)],
        [(0, 255, 128), (128, 0, 255), (255, 0, 128), (128, 255, 0)],
    ],
    dtype=np.uint8,
)
TALL, WIDE = OBJECT.shape[:2]


@dataclass(frozen=True)
class Scene:
    """A picture of `rows` x `cols` cells with the object at (row, col) of the upright picture.

    `skip` is what the model does not see: (rows above, columns left) of its 20 x 20 cells;
    negative where they reach beyond the picture (padding).
    """

    name: str
    rows: int
    cols: int
    row: int
    col: int
    skip: tuple[int, int] = (0, 0)
    orientation: int = 1

    @property
    def cells(self) -> np.ndarray:
        """uint8 [rows, cols, 3]"""
        cells = np.zeros((self.rows, self.cols, 3), dtype=np.uint8)
        cells[self.row : self.row + TALL, self.col : self.col + WIDE] = OBJECT
        return cells

    @property
    def seen(self) -> np.ndarray:
        """bool [rows, cols]: the cells that the model sees."""
        down, across = self.skip
        rows = np.arange(self.rows) - down
        cols = np.arange(self.cols) - across
        return np.outer((rows >= 0) & (rows < GRID), (cols >= 0) & (cols < GRID))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, w, h of the object, as fractions of the picture."""
        return (
            self.col / self.cols,
            self.row / self.rows,
            WIDE / self.cols,
            TALL / self.rows,
        )


SQUARE = Scene("planted/square.png", 20, 20, 4, 11)
LANDSCAPE = Scene("planted/landscape.png", 20, 30, 12, 8, skip=(0, 5))
PORTRAIT = Scene("planted/portrait.png", 30, 20, 9, 13, skip=(5, 0))
ROTATED = Scene("planted/rotated.jpg", 30, 20, 20, 3, skip=(5, 0), orientation=6)
ROTATED_PNG = Scene("planted/rotated.png", 20, 30, 1, 19, skip=(0, 5), orientation=6)
SCENES = (SQUARE, LANDSCAPE, PORTRAIT, ROTATED, ROTATED_PNG)
# With fit=pad the model sees them whole, with black beside them.
PADDED_LOW = Scene("low.png", 10, 20, 6, 2, skip=(-5, 0))
PADDED_SLIM = Scene("slim.png", 20, 10, 3, 5, skip=(0, -5))
PADDED = (PADDED_LOW, PADDED_SLIM)

QUERY = Scene("query.png", 20, 20, 6, 5)
WIDE_QUERY = Scene("wide query.png", 20, 30, 3, 7, skip=(0, 5))
QUERY_ROTATED = Scene("held upright.jpg", 30, 20, 14, 2, skip=(5, 0), orientation=6)

PLAIN = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255),
    "dark red": (150, 0, 0), "pink": (255, 140, 150), "teal": (0, 128, 128), "sky": (90, 170, 255),
    "olive": (128, 128, 0), "grey": (128, 128, 128), "plum": (120, 40, 120),
    "sand": (220, 200, 140),
}  # fmt: skip
NOISE = 24
HOSTILE_FOLDER = "<svg onload=alert(2)>, x"
HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "\u202egnp.live.png",
    "n" * 246 + ".png",
    "quote\"'`&amp;.png",
    "new\nline.png",
    os.fsdecode(b"bad-\xff\xfe.png"),
)
FORMULAS = ("=HYPERLINK(1).png", "+1.png", "-2.png", "@here.png")
COPIED = "noise/00.png"
COPIES = ("copies/one.png", "copies/two.png", "copies/three.png")
COUNT = len(SCENES) + len(PLAIN) + NOISE + len(HOSTILE) + len(FORMULAS) + len(COPIES)


def pixels(cells: np.ndarray) -> np.ndarray:
    """uint8 [rows * 14, cols * 14, 3]"""
    return np.kron(cells, np.ones((PATCH, PATCH, 1), dtype=np.uint8))


def noise(seed: int, rows: int = GRID, cols: int = GRID) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, cols, 3), dtype=np.uint8)


def save(path: Path, cells: np.ndarray, orientation: int = 1) -> Path:
    """Write a picture that is `cells` when it is held upright."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels(cells))
    exif = Image.Exif()
    if orientation == 6:
        exif[0x0112] = 6
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    picture.save(path, exif=exif, quality=100, subsampling=0)
    return path


def save_scene(folder: Path, scene: Scene) -> Path:
    return save(folder / scene.name, scene.cells, scene.orientation)


def draw_corpus(folder: Path) -> Path:
    """The pictures that most tests search in: `COUNT` of them, in folders that are labels."""
    for scene in SCENES:
        save_scene(folder, scene)
    for name, colour in PLAIN.items():
        save(folder / f"plain/{name}.png", np.full((GRID, GRID, 3), colour, dtype=np.uint8))
    for seed in range(NOISE):
        save(folder / f"noise/{seed:02d}.png", noise(seed))
    for seed, name in enumerate(HOSTILE, 100):
        save(folder / HOSTILE_FOLDER / name, noise(seed))
    for seed, name in enumerate(FORMULAS, 200):
        save(folder / name, noise(seed))
    for name in COPIES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / COPIED, folder / name)
    return folder


def cosines(colours: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """float [n, rows, cols]: of n colours [n, 3] with every cell, by the encoder's formula."""
    apart = np.abs(colours[:, None, None, :].astype(float) - cells[None].astype(float)) / 255
    found: np.ndarray = np.cos(apart * np.pi / 2).prod(axis=-1)
    return found


def heat_of(scene: Scene, colours: np.ndarray) -> np.ndarray:
    """float [rows, cols]: the best cosine of each cell to any of the colours [n, 3]; NaN for
    cells that the model does not see."""
    return np.asarray(np.where(scene.seen, cosines(colours, scene.cells).max(axis=0), np.nan))
