"""Scenes with a known answer: real cut-outs pasted onto real photographs.

A small object in a busy scene is what region search is for, and what no labelled data set
that may be shipped offers. So cut-outs (pictures with transparency) are pasted at 8 to 25 %
of the side, scaled, flipped, turned and re-lit, onto crops of photographs; a query shows the
cut-out 1.5 to 4 times larger on another photograph. Cut-outs and photographs of the two
halves, `tune` and `held-out`, are disjoint: what is tuned on one is shown on the other.

Right is a scene with the same cut-out. A scene that holds only a look-alike (`family`) is
junk, neither right nor wrong. Cut-outs that the ground shows through, outlines and glass,
are not used: there is nothing of their own to find.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from dinosearch.errors import InvalidInput
from dinosearch.evaluation.truth import GroundTruth, Positive, TrueQuery
from dinosearch.geometry import Box

HALVES = ("tune", "held-out")

SCENE = (640, 640)
"""Square, so that no way of fitting a picture cuts away what should be found."""
SHARE = (0.08, 0.25)
"""Longest side of a pasted cut-out, of the scene's shorter side."""

LARGER = (1.5, 4.0)
"""How much larger a query shows it."""

MOST_IN_A_QUERY = 0.8
MOST_PASTED = 3
SMALLEST_PHOTO = 1_000
SMALLEST_CUTOUT = 60
TURN = 25.0

_PICTURES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Pasted:
    """A cut-out in a scene, where it lies, and how large its longest side is, in pixels."""

    cutout: str
    box: Box
    side: float


def make_scenes(
    cutouts: str | os.PathLike[str],
    photographs: Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    *,
    count: int,
    queries: int,
    halves: Sequence[str] = HALVES,
    without: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Path]:
    """Write `count` scenes and up to `queries` queries of each half below the folder `to`.

    `without` names folders below `cutouts` that are left out. Returns the ground-truth file
    of each half; the scenes of one lie in `HALF/scenes`. The same seed and sources give the
    same pictures, and with a larger `count` the same ones first. Raises `InvalidInput` for
    too few sources.
    """
    stamps = sorted(_cutouts_in(cutouts, without))
    photos = sorted(path for folder in photographs for path in _photographs_in(folder))
    if len(stamps) < 8 or len(photos) < 8:
        raise InvalidInput(
            f"{len(stamps)} cut-outs with transparency and {len(photos)} photographs of at least"
            f" {SMALLEST_PHOTO} pixels were found: 8 of each are needed"
        )
    rng = np.random.default_rng(seed)
    families = sorted({family(stamp) for stamp in stamps})
    chosen = set(rng.permutation(families)[: len(families) // 2].tolist())
    truths: dict[str, Path] = {}
    order = rng.permutation(len(photos)).tolist()
    for number, half in enumerate(HALVES):
        if half not in halves:
            continue
        mine = [stamp for stamp in stamps if (family(stamp) in chosen) == (number == 0)]
        backgrounds = [photos[i] for i in order[number::2]]
        truths[half] = _make_half(
            Path(to) / half, mine, backgrounds, count, queries, [seed, number],
            partial(_tell, progress, len(truths) * count, len(halves) * count),
        )  # fmt: skip
    return truths


def _tell(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def family(path: str) -> str:
    """What look-alikes share: the folder and the first word of the name.

    `frog-1.png`, `frog.png` and `frog_green.png` are pictures of one thing. A scene that
    holds only a look-alike of the query's cut-out is junk.
    """
    stem = re.split(r"[-_ \d]", Path(path).stem.lower())[0]
    return f"{Path(path).parent.name}/{stem}"


def _make_half(
    to: Path,
    stamps: list[str],
    photos: list[str],
    count: int,
    queries: int,
    seed: Sequence[int],
    progress: Callable[[int], None],
) -> Path:
    rng, of_queries = np.random.default_rng([*seed, 0]), np.random.default_rng([*seed, 1])
    (to / "scenes").mkdir(parents=True, exist_ok=True)
    (to / "queries").mkdir(exist_ok=True)
    held: dict[str, list[Pasted]] = {}
    shown_on: dict[str, set[str]] = {}
    opened = _Opened()
    for number in range(count):
        name = str(to / "scenes" / f"{number:05d}.jpg")
        photo = photos[int(rng.integers(len(photos)))]
        # In turn, so that every cut-out is in about as many scenes.
        wanted = [stamps[number % len(stamps)]]
        wanted += rng.choice(stamps, int(rng.integers(0, MOST_PASTED)), replace=False).tolist()
        scene, pasted = _scene(opened, photo, list(dict.fromkeys(wanted)), rng)
        scene.save(name, quality=90)
        held[name] = pasted
        for one in pasted:
            shown_on.setdefault(one.cutout, set()).add(photo)
        progress(number + 1)
    truths: list[TrueQuery] = []
    for number, stamp in enumerate(stamps[i] for i in of_queries.permutation(len(stamps))):
        if len(truths) == queries:
            break
        here = {name: one for name, all_ in held.items() for one in all_ if one.cutout == stamp}
        others = [photo for photo in photos if photo not in shown_on.get(stamp, set())]
        if not here or not others:
            continue
        usual = float(np.median([one.side for one in here.values()]))
        photo = others[int(of_queries.integers(len(others)))]
        picture, box = _query(opened, photo, stamp, usual, of_queries)
        name = str(to / "queries" / f"{number:05d}.png")
        picture.save(name)
        alike = family(stamp)
        junk = [
            scene
            for scene, all_ in held.items()
            if scene not in here and any(family(one.cutout) == alike for one in all_)
        ]
        positives = tuple(Positive(scene, one.box) for scene, one in here.items())
        truths.append(TrueQuery(name, box, positives, tuple(junk)))
    path = to / "truth.json"
    GroundTruth("regions", tuple(truths)).write(path)
    return path


class _Opened:
    """Photographs at a size that is quick to crop; cut-outs trimmed to what is visible."""

    def __init__(self) -> None:
        self._photos: dict[str, Image.Image] = {}
        self._cutouts: dict[str, Image.Image] = {}

    def photo(self, path: str) -> Image.Image:
        if path not in self._photos:
            file = Image.open(path)
            file.draft("RGB", (1920, 1440))
            picture = file.convert("RGB")
            picture.thumbnail((1920, 1440))
            self._photos[path] = picture
        return self._photos[path]

    def cutout(self, path: str) -> Image.Image:
        if path not in self._cutouts:
            picture = Image.open(path).convert("RGBA")
            picture = picture.crop(_visible(picture) or (0, 0, 1, 1))
            picture.thumbnail(SCENE)
            self._cutouts[path] = picture
        return self._cutouts[path]


def _visible(picture: Image.Image) -> tuple[int, int, int, int] | None:
    return picture.getchannel("A").point(lambda level: 255 if level > 127 else 0).getbbox()


def _background(opened: _Opened, path: str, rng: np.random.Generator) -> Image.Image:
    """A random crop of a photograph, SCENE in size."""
    photo = opened.photo(path)
    width, height = SCENE
    scale = float(rng.uniform(1.0, min(photo.width / width, photo.height / height, 2.5) + 1e-9))
    scale = min(scale, photo.width / width, photo.height / height)
    w, h = int(width * scale), int(height * scale)
    left = int(rng.integers(0, photo.width - w + 1))
    top = int(rng.integers(0, photo.height - h + 1))
    crop = photo.crop((left, top, left + w, top + h))
    return crop.resize(SCENE, Image.Resampling.BICUBIC)


def _relit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brighter or darker, flatter or harder, warmer or colder; transparency stays."""
    alpha = picture.getchannel("A")
    colours = ImageEnhance.Brightness(picture.convert("RGB")).enhance(float(rng.uniform(0.7, 1.3)))
    colours = ImageEnhance.Contrast(colours).enhance(float(rng.uniform(0.8, 1.2)))
    gain = rng.uniform(0.9, 1.1, 3)
    levels = np.clip(np.asarray(colours, dtype=np.float32) * gain, 0, 255).astype(np.uint8)
    lit = Image.fromarray(levels)
    lit.putalpha(alpha)
    return lit


def _varied(
    opened: _Opened, path: str, side: float, rng: np.random.Generator, *, turn: float
) -> Image.Image:
    """A cut-out flipped or not, turned, re-lit, its longest visible side `side` pixels."""
    picture = opened.cutout(path)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = float(rng.uniform(-turn, turn))
    picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    picture = picture.crop(_visible(picture) or (0, 0, 1, 1))
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return _relit(picture.resize(size, Image.Resampling.LANCZOS), rng)


def _scene(
    opened: _Opened, photo: str, cutouts: Sequence[str], rng: np.random.Generator
) -> tuple[Image.Image, list[Pasted]]:
    scene = _background(opened, photo, rng)
    pasted: list[Pasted] = []
    for path in cutouts:
        side = float(rng.uniform(*SHARE)) * min(SCENE)
        piece = _varied(opened, path, side, rng, turn=TURN)
        for _ in range(20):  # a place that hides nothing pasted before
            left = int(rng.integers(0, SCENE[0] - piece.width + 1))
            top = int(rng.integers(0, SCENE[1] - piece.height + 1))
            box = Box(left, top, left + piece.width, top + piece.height)
            if all(box.intersection(one.box).area == 0 for one in pasted):
                scene.paste(piece, (left, top), piece)
                pasted.append(Pasted(path, box, side))
                break
    return scene, pasted


def _query(
    opened: _Opened, photo: str, cutout: str, usual: float, rng: np.random.Generator
) -> tuple[Image.Image, Box]:
    """A picture with the cut-out large, and where it lies in it."""
    picture = _background(opened, photo, rng)
    side = min(usual * float(rng.uniform(*LARGER)), MOST_IN_A_QUERY * min(SCENE))
    piece = _varied(opened, cutout, side, rng, turn=0.0)
    left = int(rng.integers(0, SCENE[0] - piece.width + 1))
    top = int(rng.integers(0, SCENE[1] - piece.height + 1))
    picture.paste(piece, (left, top), piece)
    return picture, Box(left, top, left + piece.width, top + piece.height)


def _cutouts_in(folder: str | os.PathLike[str], without: Sequence[str]) -> list[str]:
    """Pictures of which a good part is transparent, and the rest is solid."""
    left_out = tuple(os.path.join(folder, name, "") for name in without)
    found = []
    for path in _pictures_in(folder):
        if path.startswith(left_out):
            continue
        with Image.open(path) as picture:
            if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
                continue
            if min(picture.size) < SMALLEST_CUTOUT:
                continue
            alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
        visible = float((alpha > 127).mean())
        if 0.05 < visible < 0.95 and _is_solid(alpha):
            found.append(path)
    return found


def _is_solid(alpha: NDArray[np.uint8]) -> bool:
    """Whether nearly all that shows is opaque, and it has no large holes."""
    shown = alpha > 127
    opaque = float((alpha[shown] > 240).mean())
    small = np.asarray(Image.fromarray(alpha).resize((64, 64), Image.Resampling.NEAREST)) > 127
    free = np.pad(~small, 1, constant_values=True)
    outside = np.zeros_like(free)
    outside[0] = True
    for _ in range(free.size):  # what can be reached from the border lies outside
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
        if (grown == outside).all():
            break
        outside = grown
    return opaque >= 0.9 and float(small.sum()) >= 0.8 * float((~outside).sum())


def _photographs_in(folder: str | os.PathLike[str]) -> list[str]:
    found = []
    for path in _pictures_in(folder):
        with Image.open(path) as picture:
            if min(picture.size) >= SMALLEST_PHOTO:
                found.append(path)
    return found


def _pictures_in(folder: str | os.PathLike[str]) -> list[str]:
    if not os.path.isdir(folder):
        raise InvalidInput(f"there is no folder {os.fspath(folder)}")
    return sorted(str(path) for path in Path(folder).rglob("*") if path.suffix.lower() in _PICTURES)
