"""The pictures that the API is asked about: each score, box and name is known beforehand."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import dinosearch
from tests.painting import RED, SIZE, WHITE, noise, pixels, plain, planted, save

GREY, GREEN = (128, 128, 128), (40, 160, 90)
SHADES = [(int(value), 0, 0) for value in np.linspace(0, 255, 12)]

# A part no ground looks like, of cells that all differ: 3 rows, 2 columns.
PART = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]], [[255, 0, 255], [0, 255, 255]]],
    dtype=np.uint8,
)
QUERY = planted(GREEN, PART, 4, 4)
REGION = {"x": 0.4, "y": 0.4, "w": 0.2, "h": 0.3}

# Where the part lies: x, y, w, h in fractions of the upright picture.
PLACES = {
    "small.png": (0.1, 0.6, 0.2, 0.3),
    "scaled.png": (0.7, 0.2, 0.2, 0.3),
    "wide.png": ((1 + 0.7) / 3, 0.2, 0.2 / 3, 0.3),
    "tall.png": (0.1, (1 + 0.5) / 3, 0.2, 0.3 / 3),
    "turned.png": ((1 + 0.1) / 3, 0.6, 0.2 / 3, 0.3),
}

HOSTILE = [
    b"<img src=x onerror=alert(1)>.png",
    "\u202egnp.exe.png".encode(),
    b"two\nlines.png",
    b"\"quoted\" & 'more'.png",
    b"\xff\xfe.png",
    b"n" * 246 + b".png",
    b"=HYPERLINK(1).png",
    b"up%2f..%2fetc.png",
]


def png(picture: np.ndarray | Image.Image, **options: Any) -> bytes:
    """The bytes of a PNG file; of cells, their pixels."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture if len(picture) > 50 else pixels(picture))
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def row_of(*pictures: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.concatenate([pixels(one) for one in pictures], axis=axis)


def draw(folder: Path) -> None:
    """All pictures but those of `described`."""
    for number, shade in enumerate(SHADES):
        save(folder / "shades" / f"{number:02d}.png", plain(shade))
    for seed in range(6):
        save(folder / "noise" / f"{seed}.png", noise(seed))
    (folder / "copies").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(folder / "shades" / "03.png", folder / "copies" / name)
    parts = folder / "parts"
    save(parts / "small.png", planted(GREY, PART, 6, 1))
    save(parts / "scaled.png", planted((60, 60, 60), PART, 2, 7), scale=2)
    white = plain(WHITE)
    (parts / "wide.png").write_bytes(png(row_of(white, planted(GREY, PART, 2, 7), white)))
    (parts / "tall.png").write_bytes(png(row_of(white, planted(GREY, PART, 5, 1), white, axis=0)))
    (parts / "turned.png").write_bytes(turned(row_of(white, planted(GREY, PART, 6, 1), white)))
    (folder / "names").mkdir()
    for number, hostile in enumerate(HOSTILE):
        (folder / "names" / os.fsdecode(hostile)).write_bytes(png(noise(100 + number)))
    (folder / "names" / "text.png").write_text("no picture")


def turned(upright: np.ndarray) -> bytes:
    """Stored lying on its side, with metadata that say so, and where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a secret camera"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)  # GPS latitude
    return png(Image.fromarray(np.rot90(upright).copy()), exif=exif)


def described(folder: Path) -> Path:
    """Two pictures with a table of labels, split and metadata; returns the table."""
    save(folder / "d1.png", plain((0, 0, 200)))
    save(folder / "d2.png", plain((0, 0, 100)))
    table = folder / "labels.csv"
    table.write_text("path,label,split,camera\nd1.png,scratch,train,A7\nd2.png,dent,test,=1+1\n")
    return table


def build(folder: Path, corpus: Path) -> dict[str, int]:
    """An index of all of them; the ids by file name."""
    draw(corpus / "pictures")
    table = described(corpus / "described")
    with dinosearch.create(folder, encoder="colour", size=SIZE) as index:
        index.add(corpus / "pictures", labels="folders")
        index.add(corpus / "described", labels=table)
        items = index.items(limit=1000)
    return {item.path.rsplit("/", 1)[1]: item.id for item in items if "copies" not in item.labels}


def red_square() -> bytes:
    return png(plain(RED))
