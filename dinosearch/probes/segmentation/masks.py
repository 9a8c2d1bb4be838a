"""Masks as PNG files: which picture each belongs to, and what its pixels say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.probes.segmentation.cells import IGNORE, MOST_CLASSES
from dinosearch.storage.catalog import Item

_COLOURS = (
    (230, 25, 75), (60, 130, 245), (255, 200, 25), (60, 180, 75), (145, 70, 220), (245, 130, 48),
    (70, 220, 220), (240, 50, 230), (170, 200, 60), (128, 90, 60),
)  # fmt: skip


def match_masks(
    folder: str | os.PathLike[str], items: Iterable[Item]
) -> tuple[dict[int, Path], list[str]]:
    """The mask file of each item that has one, by id, and the files that match no item.

    A mask is a PNG named like its picture, `sub/a.jpg.png` or `sub/a.png` for `sub/a.jpg`
    below its source; where no such path is there, the name without folders decides. Raises
    `InvalidInput` for no folder, and for a name that is that of several pictures.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InvalidInput(f"there is no folder of masks {root}")
    known: tuple[dict[str, set[int]], ...] = ({}, {}, {}, {})
    for item in items:
        path = relative_path_of(item)
        name = os.path.basename(path)
        stems = os.path.splitext(path)[0], os.path.splitext(name)[0]
        for names, key in zip(known, (path, stems[0], name, stems[1]), strict=True):
            names.setdefault(key, set()).add(item.id)
    found: dict[int, Path] = {}
    unmatched = []
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() == ".png" and p.is_file())
    for file in files:
        path = os.fspath(file.relative_to(root))[: -len(file.suffix)]
        name = os.path.basename(path)
        keys = zip(known, (path, path, name, name), strict=True)
        owners = next((names[key] for names, key in keys if key in names), None)
        if owners is None:
            unmatched.append(os.fspath(file))
        elif len(owners) > 1 or not owners.isdisjoint(found):
            raise InvalidInput(
                f"the mask {file} has the name of more than one picture, or a picture has more"
                " than one mask: name masks by their path below the folder that was indexed,"
                " such as sub/a.jpg.png for sub/a.jpg"
            )
        else:
            found[next(iter(owners))] = file
    return found, unmatched


def relative_path_of(item: Item) -> str:
    """The path of an item below its source; its name where the file itself was the source."""
    path = item.relative_path
    return os.path.basename(item.path) if path == os.curdir or path.startswith("..") else path


def read_mask(path: str | os.PathLike[str], item: Item) -> NDArray[np.uint8]:
    """uint8 [height, width]: the class of every pixel of an item's upright picture.

    Takes PNG files with one 8-bit value a pixel: grey, or an index into a palette. Raises
    `InvalidInput` for anything else, and for another size than the picture's.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            # Known from the header: no more is decoded than the picture itself is large.
            _check_size(os.fspath(path), picture.size, item)
            if picture.mode not in ("1", "L", "P"):
                raise InvalidInput(
                    f"the mask {path} holds colours ({picture.mode}): save it as a PNG of 8-bit"
                    " grey or palette, whose values are class numbers"
                )
            values = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"the mask {path} cannot be read as a PNG: {error}") from error
    return values.astype(np.uint8)


def check_mask(
    mask: NDArray[np.generic], item: Item, *, classes: int | None, white: bool
) -> NDArray[np.uint8]:
    """A mask of an item as uint8 [height, width], its values checked.

    bool counts as 0 and 1; with `white`, 255 is class 1. Raises `InvalidInput` for another
    type or size than the picture's, and for a value above `classes`.
    """
    if mask.ndim != 2 or mask.dtype not in (np.bool_, np.uint8):
        raise InvalidInput(
            f"the mask of item {item.id} is {mask.dtype} {list(mask.shape)}: it must be uint8 or"
            " bool [height, width]"
        )
    _check_size(f"of item {item.id}", (mask.shape[1], mask.shape[0]), item)
    values = mask.astype(np.uint8)
    if white:
        values = np.where(values == IGNORE, 1, values).astype(np.uint8)
    most = int(values[values != IGNORE].max(initial=0))
    if most > (MOST_CLASSES if classes is None else classes):
        raise InvalidInput(
            f"the mask of item {item.id} ({item.path}) holds the value {most}, but there are"
            f" {MOST_CLASSES if classes is None else classes} classes: 0 is background, 1 the"
            " first class, 255 what is not known"
        )
    return values


def save_mask(mask: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
    """Write a mask as a palette PNG: the values are class numbers, the colours for the eye.

    `match_masks` and `read_mask` take it back. Raises `InvalidInput` where it cannot be
    written.
    """
    from PIL import Image

    picture = Image.fromarray(mask).convert("L")
    picture.putpalette(_palette())
    target = Path(path)
    temporary = target.with_name(f".tmp-{os.getpid()}.png")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInput(f"cannot write the mask {target}: {error.strerror or error}") from error


def _palette() -> list[int]:
    colours = [(0, 0, 0)] + [_COLOURS[i % len(_COLOURS)] for i in range(MOST_CLASSES)]
    return [level for colour in [*colours, (128, 128, 128)] for level in colour]


def _check_size(whose: str, size: tuple[int, int], item: Item) -> None:
    if size != (item.width, item.height):
        raise InvalidInput(
            f"the mask {whose} is {size[0]} x {size[1]} pixels but its picture, upright, is"
            f" {item.width} x {item.height} ({item.path}): they must agree"
        )
