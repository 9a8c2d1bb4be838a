"""Small real pictures, and what the colour encoder says about each content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dinosearch.encoders import load_encoder
from dinosearch.images import Decoder, Picture

SIZE = 56


def draw(path: Path, seed: int) -> Path:
    """A picture of 16 patches in as many random colours; the suffix says the format."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((SIZE, SIZE), Image.Resampling.NEAREST).save(path)
    return path


def draw_many(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` different pictures, PNG and JPEG in turn."""
    return [
        draw(folder / f"{n:04d}.{'png' if n % 2 else 'jpg'}", seed * 100_000 + n)
        for n in range(count)
    ]


def change(folder: Path, seed: int) -> None:
    """What may happen to a folder: of any ten pictures some change, move, vanish, appear."""
    for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        match number % 10:
            case 1 | 4 | 7:
                draw(path, seed * 100_000 + 50_000 + number)
                # A change within the clock's tick must be seen all the same.
                os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
            case 2 | 8:
                moved = folder / f"moved-{seed}" / path.name
                moved.parent.mkdir(exist_ok=True)
                path.rename(moved)
            case 5:
                path.unlink()
            case 6:
                draw(folder / f"new-{seed}" / path.name, seed * 100_000 + 70_000 + number)


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Truth:
    """The features of every content, by the SHA-256 of its file: cls [D] and tokens [P, Dp].

    `tolerance`: how far a stored value of a CLS vector may be from the one computed here;
    `rounding`, one of a token, which is kept in one byte a number: half a step of 1 / 127,
    and a little for the scale.
    """

    encoder: str = "colour"
    size: int = SIZE
    tolerance: float = 1e-6
    rounding: float = 6e-3
    features: dict[str, tuple[NDArray[np.float32], NDArray[np.float16]]] = field(
        default_factory=dict
    )

    def learn(self, paths: Iterable[Path]) -> Truth:
        encoder = load_encoder(self.encoder, size=self.size)
        with Decoder(encoder.view, workers=2, thumbnails=False) as decoder:
            for picture in decoder.decode_many(paths):
                assert isinstance(picture, Picture)
                found = encoder.encode_views(picture.view[None])
                tokens = found.patches[0].astype(np.float16)
                self.features[picture.sha256] = (found.cls[0], tokens)
        return self

    def agrees(self, sha256: str, cls: NDArray[np.float32], tokens: NDArray[np.float16]) -> bool:
        """Whether these are the features of that content."""
        own_cls, own_tokens = self.features[sha256]
        of_cls = np.abs(cls - own_cls).max()
        of_tokens = np.abs(tokens - own_tokens.astype(np.float32)).max()
        return bool(of_cls <= self.tolerance and of_tokens <= self.tolerance + self.rounding)
