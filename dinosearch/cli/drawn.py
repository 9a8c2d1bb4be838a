"""Pictures the demo draws itself: machine parts on workshop surfaces, under uneven light.

For those who may not use the photographs. Seeded: the same call draws the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dinosearch.geometry import Box

WIDTH, HEIGHT = 480, 400
_FINE = 3  # parts are drawn so many times larger and reduced, which smooths their edges

Colour = tuple[int, int, int]
Shape = Callable[[ImageDraw.ImageDraw, int, np.random.Generator], None]


def _ring(draw: ImageDraw.ImageDraw, side: int, share: float) -> None:
    draw.ellipse([0, 0, side - 1, side - 1], fill=255)
    _hole(draw, side / 2, side / 2, side * share / 2)


def _hole(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=0)


def _gear(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    teeth, middle = int(rng.integers(11, 15)), side / 2
    outline = []
    for step in range(teeth * 4):
        radius = middle * (0.98 if step % 4 in (0, 1) else 0.78)
        angle = 2 * math.pi * (step + 0.5) / (teeth * 4)
        outline.append((middle + radius * math.cos(angle), middle + radius * math.sin(angle)))
    draw.polygon(outline, fill=255)
    _hole(draw, middle, middle, side * 0.13)
    for spoke in range(5):
        angle = 2 * math.pi * spoke / 5
        x, y = middle + side * 0.24 * math.cos(angle), middle + side * 0.24 * math.sin(angle)
        _hole(draw, x, y, side * 0.06)


def _washer(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    _ring(draw, side, float(rng.uniform(0.45, 0.55)))


def _nut(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    draw.regular_polygon((side / 2, side / 2, side * 0.49), 6, fill=255)
    _hole(draw, side / 2, side / 2, side * 0.25)


def _screw(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    draw.ellipse([side * 0.02, side * 0.3, side * 0.38, side * 0.7], fill=255)
    draw.rectangle([side * 0.3, side * 0.42, side * 0.9, side * 0.58], fill=255)
    for step in range(9):
        x = side * (0.42 + 0.055 * step)
        draw.line([x, side * 0.38, x + side * 0.03, side * 0.62], fill=255, width=side // 40)
    draw.polygon(
        [(side * 0.9, side * 0.42), (side * 0.99, side * 0.5), (side * 0.9, side * 0.58)], fill=255
    )


def _plate(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    box = [side * 0.04, side * 0.24, side * 0.96, side * 0.76]
    draw.rounded_rectangle(box, side * 0.08, fill=255)
    for x in (0.15, 0.85):
        for y in (0.36, 0.64):
            _hole(draw, side * x, side * y, side * 0.05)
    draw.rounded_rectangle([side * 0.34, side * 0.44, side * 0.66, side * 0.56], side / 20, fill=0)


def _spring(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    turns = 9
    points = [
        (side * (0.06 + 0.88 * i / (2 * turns)), side * (0.3 if i % 2 else 0.7))
        for i in range(2 * turns + 1)
    ]
    draw.line(points, fill=255, width=side // 22, joint="curve")


SHAPES: dict[str, tuple[Shape, Colour]] = {
    "gear": (_gear, (196, 164, 92)),
    "washer": (_washer, (178, 182, 188)),
    "nut": (_nut, (150, 154, 160)),
    "screw": (_screw, (160, 160, 158)),
    "plate": (_plate, (188, 196, 204)),
    "spring": (_spring, (120, 124, 132)),
}


def draw_corpus(folder: Path, count: int, *, seed: int = 1) -> None:
    """Draw `count` JPEGs into a folder per kind of part; those that exist are kept."""
    kinds = list(SHAPES)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)]
        others = [str(k) for k in rng.choice(kinds, int(rng.integers(0, 3)))]
        path = folder / kind / f"{number:04d}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_scene([kind, *others], rng)[0].save(path, quality=92)


def draw_scene(kinds: list[str], rng: np.random.Generator) -> tuple[Image.Image, list[Box]]:
    """An RGB picture of some parts that do not overlap, and the box of each."""
    picture = _surface(rng)
    boxes: list[Box] = []
    for number, kind in enumerate(kinds):
        side = int(rng.integers(150, 230) if number == 0 else rng.integers(90, 150))
        part, mask = _part(kind, side, rng)
        for _ in range(30):
            x = int(rng.integers(8, WIDTH - part.width - 8))
            y = int(rng.integers(8, HEIGHT - part.height - 8))
            box = Box(x, y, x + part.width, y + part.height)
            if all(box.intersection(other).area == 0 for other in boxes):
                shadow = mask.filter(ImageFilter.GaussianBlur(5)).point(lambda v: v * 0.5)
                picture.paste((20, 18, 16), (x + 5, y + 7), shadow)
                picture.paste(part, (x, y), mask)
                boxes.append(box)
                break
    light = np.asarray(picture, dtype=np.float32) * _light(rng)[..., None]
    light += rng.normal(0, 4, light.shape)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)), boxes


def _part(kind: str, side: int, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A part turned by some angle (RGB) and its mask, cut to what it covers."""
    shape, colour = SHAPES[kind]
    mask = Image.new("L", (side * _FINE, side * _FINE))
    shape(ImageDraw.Draw(mask), side * _FINE, rng)
    angle = float(rng.uniform(0, 360))
    mask = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True).reduce(_FINE)
    mask = mask.crop(mask.getbbox())
    # Brushed metal: a gleam across it, and a bevel where the mask falls off.
    height, width = mask.height, mask.width
    rows, cols = np.mgrid[0:height, 0:width]
    gleam = 1 + 0.22 * np.sin((rows * 0.6 + cols) / side * 5 + rng.uniform(0, 6))
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(3)), dtype=np.float32)
    bevel = (np.roll(soft, 3, 0) - np.roll(soft, -3, 0)) / 255 * -90
    shaded = np.array(colour, dtype=np.float32) * (gleam * rng.uniform(0.85, 1.1))[..., None]
    pixels = np.clip(shaded + bevel[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(pixels), mask


def _surface(rng: np.random.Generator) -> Image.Image:
    """Wood, felt, concrete or a cutting mat."""
    kind = int(rng.integers(4))
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    grain = rng.normal(0, 1, (HEIGHT // 4, WIDTH // 4))
    rough = Image.fromarray(grain.astype(np.float32)).resize((WIDTH, HEIGHT))
    texture = np.asarray(rough, dtype=np.float32)
    if kind == 0:
        texture = 14 * np.sin(rows / 9 + 1.5 * texture + cols / 90) + 3 * texture
        colour = (146, 106, 70)
    elif kind == 1:
        texture = rng.normal(0, 9, (HEIGHT, WIDTH)).astype(np.float32)
        colour = (58, 76, 108)
    elif kind == 2:
        texture = 12 * texture
        colour = (138, 136, 130)
    else:
        lines = ((rows % 40 < 1.5) | (cols % 40 < 1.5)).astype(np.float32)
        texture = 34 * lines + 2 * texture
        colour = (40, 92, 78)
    pixels = np.array(colour, dtype=np.float32) + texture[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _light(rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [HEIGHT, WIDTH]: a lamp from some side."""
    rows, cols = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.3)
    slope = rows * math.sin(angle) + cols * math.cos(angle)
    return np.asarray(rng.uniform(0.85, 1.1) * (1 + strength * slope), dtype=np.float32)


def draw_part_query() -> tuple[Image.Image, Box]:
    """A picture that the corpus does not hold, and where the gear in it lies, in pixels."""
    picture, boxes = draw_scene(["plate", "gear", "nut"], np.random.default_rng(4))
    return picture, boxes[1]
