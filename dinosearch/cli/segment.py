"""dinosearch segment"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay, told_in_steps
from dinosearch.errors import InvalidInput, PictureRefused

if TYPE_CHECKING:
    from dinosearch.probes.segmentation.scores import ClassIou

_WHERE = click.option("--where", multiple=True, metavar="FILTER", help="Only items that match.")
_NAME = click.option("--name", required=True, metavar="N", help="Of the segmenter.")
_WHITE = click.option("--white", is_flag=True, help="White (255) is the object, not unknown.")


@click.group()
def segment() -> None:
    """Learn from masks or strokes to outline things, and outline them."""


@segment.command()
@index_option
@_NAME
@click.option("--masks", type=click.Path(), metavar="FOLDER", help="PNGs named as their pictures.")
@click.option("--strokes", type=click.Path(), metavar="FILE.json", help="Lines over pictures.")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Of value 1, 2, ...")
@_WHERE
@_WHITE
@click.option(
    "--ground",
    type=click.IntRange(0),
    help="So many other items, at random, show none of the classes.",
)
@click.option("--hidden", default=0, type=click.IntRange(0, 4096), help="Width of a hidden layer.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@json_option
def train(
    folder: str,
    name: str,
    masks: str | None,
    strokes: str | None,
    classes: tuple[str, ...],
    where: tuple[str, ...],
    white: bool,
    ground: int | None,
    hidden: int,
    seed: int,
    as_json: bool,
) -> None:
    """Learn to outline things.

    A mask is a PNG as large as its upright picture: 0 is background, 1 the first class, 255
    what is not known. Strokes are a JSON object: {PATH: {CLASS: [{"line": [[x, y], ...]}]}},
    in pixels; CLASS may be background; paths are relative to the file.
    """
    import dinosearch

    drawn = None if strokes is None else _strokes(strokes)
    with dinosearch.open(folder) as index:
        made = index.train_segmenter(
            name,
            masks=masks,
            strokes=drawn,
            classes=classes or None,
            where=where,
            white=white,
            ground=ground,
            hidden=hidden,
            seed=seed,
        )
    if as_json:
        document({"name": name, **made.facts})
        return
    facts = made.facts
    line(f"{name}: {', '.join(made.classes)}, from {facts['pictures']} pictures")
    for one in made.iou:
        line(f"  {_text(one)}, cross-fitted")
    if not made.iou:
        note("how good it is, masks of two pictures at least would tell")


@segment.command()
@click.argument("images", nargs=-1, type=click.Path(), metavar="[IMAGE]...")
@index_option
@_NAME
@_WHERE
@click.option("--save", type=click.Path(), metavar="DIR", help="A mask of each, as PNG.")
@json_option
def predict(
    images: tuple[str, ...],
    folder: str,
    name: str,
    where: tuple[str, ...],
    save: str | None,
    as_json: bool,
) -> None:
    """Outline things in pictures, or, without any, in the items of the index."""
    import dinosearch

    if images and where:
        raise InvalidInput("give pictures or --where, not both: a filter chooses among the items")
    refused: list[dict[str, Any]] = []
    with dinosearch.open(folder) as index:
        made = index.segmenter(name)
        if images:
            results = []
            files = _files(images, save)
            for path in images:
                try:
                    shown = made.predict(path)
                except PictureRefused as error:
                    refused.append({"path": os.path.abspath(path), "code": error.code})
                    note(f"refused: {error}")
                    continue
                if path in files:
                    shown.save(files[path])
                mask = os.fspath(files[path]) if path in files else None
                results.append(_result(None, os.path.abspath(path), shown.shares, mask))
        else:
            with ProgressDisplay() as display:
                told = told_in_steps(display)
                found = made.predict_items(
                    where=where, save=save, progress=lambda done, of: told("outlining", done, of)
                )
            results = [_result(one.id, one.path, one.shares, one.mask) for one in found]
    if as_json:
        document({"name": name, "classes": list(made.classes), "results": results,
                  "refused": refused})  # fmt: skip
    else:
        for one in results:
            shares = ", ".join(f"{key} {value:.1%}" for key, value in one["shares"].items())
            line(f"{shares}  {one['path']}")
        note(f"masks are in {save}" if save else "keep the masks with --save DIR")
    if refused:
        sys.exit(3)


@segment.command("eval")
@index_option
@_NAME
@click.option("--masks", required=True, type=click.Path(), metavar="FOLDER")
@_WHERE
@_WHITE
@json_option
def evaluate(
    folder: str, name: str, masks: str, where: tuple[str, ...], white: bool, as_json: bool
) -> None:
    """Compare with masks: intersection over union of each class, pooled over pictures.

    Leave out, with --where, the pictures it was trained on: they flatter.
    """
    import dinosearch

    with dinosearch.open(folder) as index:
        found = index.segmenter(name).evaluate(masks, where=where, white=white)
    if as_json:
        document(
            {
                "name": name,
                "pictures": found[0].pictures,
                "classes": [
                    {"name": one.name, "iou": one.iou, "interval": _interval(one)} for one in found
                ],
            }
        )
        return
    for one in found:
        line(_text(one))


@segment.command("list")
@index_option
@json_option
def listed(folder: str, as_json: bool) -> None:
    """Name the segmenters of an index."""
    import dinosearch

    with dinosearch.open(folder) as index:
        names = index.segmenters()
    if as_json:
        document({"segmenters": names})
        return
    for name in names:
        line(name)


@segment.command()
@index_option
@_NAME
@json_option
def delete(folder: str, name: str, as_json: bool) -> None:
    """Forget a segmenter."""
    import dinosearch

    with dinosearch.open(folder) as index:
        index.delete_segmenter(name)
    if as_json:
        document({"deleted": name})
    else:
        line(f"{name} deleted")


def _strokes(path: str) -> dict[str, Any]:
    """Strokes of a JSON file, by absolute path."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read the strokes {path}: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise InvalidInput(f'{path} is not a JSON object such as {{"a.jpg": {{"cat": [...]}}}}')
    root = Path(path).absolute().parent
    return {os.path.join(root, key): value for key, value in content.items()}


def _files(images: tuple[str, ...], save: str | None) -> dict[str, Path]:
    """Where the mask of each picture goes."""
    if save is None:
        return {}
    files = {path: Path(save) / f"{os.path.basename(path)}.png" for path in images}
    if len(set(files.values())) < len(files):
        raise InvalidInput("two of the pictures have the same name: save their masks apart")
    return files


def _result(
    item: int | None, path: str, shares: dict[str, float], mask: str | None
) -> dict[str, Any]:
    rounded = {key: round(value, 6) for key, value in shares.items()}
    return {"id": item, "path": path, "shares": rounded, "mask": mask}


def _interval(one: ClassIou) -> list[float | None]:
    return [one.low, one.high]


def _text(one: ClassIou) -> str:
    if one.iou is None:
        return f"{one.name}: not in these {one.pictures} pictures"
    return f"{one.name}: IoU {one.iou:.3f} ({one.low:.3f}-{one.high:.3f}), {one.pictures} pictures"
