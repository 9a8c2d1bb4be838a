"""dinosearch probe"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

import dinosearch
from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.cli.progress import StepNotes
from dinosearch.errors import InvalidInput, PictureRefused

if TYPE_CHECKING:
    from dinosearch.probes.probe import Prediction

_WHERE = click.option("--where", multiple=True, metavar="FILTER", help="Only items that match.")
_NAME = click.option("--name", required=True, metavar="N", help="Of the probe.")
_LABELS = click.option(
    "--labels",
    type=click.Path(),
    metavar="FILE.csv",
    help="Columns path,label; without it, the labels of the items.",
)


@click.group()
def probe() -> None:
    """Learn from labels what pictures are, and say what others are."""


@probe.command()
@index_option
@_NAME
@_LABELS
@_WHERE
@click.option(
    "--head",
    default="linear",
    show_default=True,
    metavar="H",
    help="linear, sweep, logistic, knn or svm.",
)
@click.option("--features", default="", metavar="F", help="Such as cls, cls+mean, cls+covariance.")
@click.option("--rate", default=0.01, show_default=True, help="Learning rate of the linear head.")
@click.option("--iterations", default=2_000, show_default=True, help="Of gradient descent.")
@click.option("--batch", default=128, show_default=True, help="Pictures in an iteration.")
@click.option("--accumulate", default=1, show_default=True, help="Look at a batch in N parts.")
@click.option("--warmup", default=0, show_default=True, help="Iterations in which the rate climbs.")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="Of the rate.")
@click.option(
    "--class-weights",
    type=click.Choice(["none", "balanced"]),
    default="none",
    show_default=True,
    help="balanced: every class counts alike.",
)
@click.option(
    "--held-out",
    default="0.2",
    show_default=True,
    metavar="SHARE|split",
    help="What the probe is judged by and never sees; split: the items of the split test.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@json_option
def train(
    folder: str,
    name: str,
    labels: str | None,
    where: tuple[str, ...],
    head: str,
    features: str,
    rate: float,
    iterations: int,
    batch: int,
    accumulate: int,
    warmup: int,
    schedule: str | None,
    class_weights: str,
    held_out: str,
    seed: int,
    as_json: bool,
) -> None:
    """Train a probe on stored features, and say how right it is on pictures held out.

    Nothing is encoded. Items without a label, or with several, are passed over.
    """
    with dinosearch.open(folder) as index:
        made = index.train_probe(
            name,
            labels,
            where=where,
            head=head,
            features=features,
            rate=rate,
            iterations=iterations,
            batch=batch,
            accumulate=accumulate,
            warmup=warmup,
            schedule=schedule,
            class_weights=class_weights,
            held_out=_share(held_out),
            seed=seed,
            progress=StepNotes(),
        )
    if as_json:
        document({"name": name, **made.facts})
        return
    facts = made.facts
    counts = ", ".join(f"{one} {number}" for one, number in facts["counts"].items())
    line(f"{name}: {made.recipe.head} on {made.features}, {facts['training_s']:.1f} s")
    line(f"classes    {counts}")
    chosen = ", ".join(f"{key} {value}" for key, value in facts["chosen"].items())
    line(f"chosen     {chosen}")
    if facts["without_class"] or facts["several_classes"]:
        note(
            f"passed over: {facts['without_class']} without a label,"
            f" {facts['several_classes']} with several"
        )
    if made.evaluation is not None:
        _show(made.evaluation)


@probe.command(name="eval")
@index_option
@_NAME
@_LABELS
@_WHERE
@click.option("--folds", type=click.IntRange(2), help="Judge the recipe by cross-validation.")
@click.option("--errors", is_flag=True, help="List labels that look wrong instead.")
@json_option
def evaluate(
    folder: str,
    name: str,
    labels: str | None,
    where: tuple[str, ...],
    folds: int | None,
    errors: bool,
    as_json: bool,
) -> None:
    """Say how right a probe is: on the pictures held out from it, or on those given.

    Pictures it was trained on, and copies of them, are left out.
    """
    with dinosearch.open(folder) as index:
        asked = index.probe(name)
        if errors:
            found = asked.label_errors(labels, where=where, folds=folds or 5, progress=StepNotes())
            if as_json:
                document({"errors": [asdict(one) for one in found]})
                return
            for one in found:
                line(
                    f"{one.id}  {one.label} {one.probability:.2f}, rather {one.rather}"
                    f" {one.rather_probability:.2f}  {one.path}"
                )
            note(f"{len(found)} labels look wrong")
            return
        result = asked.evaluate(labels, where=where, folds=folds, progress=StepNotes())
    if as_json:
        document(result)
    else:
        _show(result)


@probe.command()
@click.argument("images", nargs=-1, type=click.Path(), metavar="[IMAGE|FOLDER]...")
@index_option
@_NAME
@_WHERE
@click.option("--write", is_flag=True, help="Label items so, where nobody else has.")
@click.option(
    "--sure", default=0.0, type=click.FloatRange(0, 1), metavar="P", help="Write from P on only."
)
@json_option
def predict(
    images: tuple[str, ...],
    folder: str,
    name: str,
    where: tuple[str, ...],
    write: bool,
    sure: float,
    as_json: bool,
) -> None:
    """Say what pictures are: files, folders, or without any the whole index.

    Of the index nothing is encoded. With --write, items that no person, folder or table has
    labelled are labelled by the probe.
    """
    if images and (where or write):
        raise InvalidInput("--where and --write are for the items of the index: name no pictures")
    refused: list[PictureRefused] = []
    with dinosearch.open(folder) as index:
        asked = index.probe(name)
        written = None
        if images:
            found = _of_files(asked, _files(images, refused), refused)
        else:
            found = asked.predict_items(where=where, progress=StepNotes())
            written = asked.write_labels(found, min_probability=sure) if write else None
    if as_json:
        content: dict[str, Any] = {"predictions": [asdict(one) for one in found]}
        content["refused"] = [
            {"path": one.path, "code": one.code, "detail": one.detail} for one in refused
        ]
        document(content if written is None else {**content, "written": written})
    else:
        for one in found:
            line(f"{one.label}  {one.probability:.3f}  {one.path}")
        if written is not None:
            note(f"{written} items labelled")
    for refusal in refused:
        note(f"dinosearch: {refusal}")
    if refused:
        sys.exit(3)


@probe.command(name="list")
@index_option
@json_option
def list_(folder: str, as_json: bool) -> None:
    """List the probes of an index."""
    with dinosearch.open(folder) as index:
        kept = [index.probe(name) for name in index.probes()]
    if as_json:
        document({"probes": [{"name": one.name, **one.facts} for one in kept]})
        return
    for one in kept:
        right = (
            "not judged" if one.evaluation is None else f"{one.evaluation['accuracy']:.3f} right"
        )
        line(f"{one.name}  {one.recipe.head} on {one.features}  {', '.join(one.classes)}  {right}")
    note(f"{len(kept)} probes")


@probe.command()
@index_option
@_NAME
@json_option
def delete(folder: str, name: str, as_json: bool) -> None:
    """Forget a probe."""
    with dinosearch.open(folder) as index:
        index.delete_probe(name)
    if as_json:
        document({"deleted": name})
    else:
        line(f"{name} deleted")


@probe.command()
@index_option
@click.option("--name", metavar="N", help="The probe that doubts; without it, what differs most.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1))
@_WHERE
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@json_option
def queue(
    folder: str, name: str | None, count: int, where: tuple[str, ...], seed: int, as_json: bool
) -> None:
    """List what to label next, and why: doubtful, different, and some at random."""
    with dinosearch.open(folder) as index:
        found = index.label_queue(name, count=count, where=where, seed=seed)
    if as_json:
        document({"queue": [asdict(one) for one in found]})
        return
    for one in found:
        line(f"{one.id}  {one.reason}  {one.path}  {one.why}")
    note(f"{len(found)} pictures; label them with: dinosearch labels set LABEL ID... --in {folder}")


def _share(text: str) -> float | str:
    if text == "split":
        return text
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"--held-out {text}: use a share such as 0.2, 0, or split") from None


def _files(images: Sequence[str], refused: list[PictureRefused]) -> list[str]:
    from dinosearch.images import find_files

    found = []
    for one in images:
        if os.path.isdir(one):
            for file in find_files(one):
                if file.problem is None:
                    found.append(file.path)
                else:
                    refused.append(PictureRefused(file.path, *file.problem))
        else:
            found.append(one)
    return found


def _of_files(
    asked: dinosearch.Probe, paths: Sequence[str], refused: list[PictureRefused]
) -> list[Prediction]:
    """What each file is; those that cannot be read are put into `refused`."""
    found = []
    told = StepNotes()
    for number, path in enumerate(paths, 1):
        try:
            one = asked.predict(path)
        except PictureRefused as refusal:
            refused.append(refusal)
            continue
        found.append(replace(one, path=os.path.abspath(path)))
        told("predicting", number, len(paths))
    return found


def _show(result: dict[str, Any]) -> None:
    low, high = result["interval"]
    line(
        f"right      {result['accuracy']:.4f} ({low:.4f} to {high:.4f}) of"
        f" {result['pictures']} pictures"
    )
    line(f"balanced   {result['balanced_accuracy']:.4f}")
    line(f"ece        {result['ece']:.4f}")
    for name, one in result["per_class"].items():
        precision, recall = (
            "-" if one[key] is None else f"{one[key]:.3f}" for key in ("precision", "recall")
        )
        line(f"  {name}: {one['pictures']} pictures, precision {precision}, recall {recall}")
    wide = max(len(str(cell)) for row in result["confusion"] for cell in row)
    for name, row in zip(result["classes"], result["confusion"], strict=True):
        line(f"  {' '.join(str(cell).rjust(wide) for cell in row)}  {name}")
    if result.get("left_out"):
        note(f"{result['left_out']} pictures left out: the probe was trained on them")
