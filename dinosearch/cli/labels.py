"""dinosearch labels"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

import click

import dinosearch
from dinosearch.cli.output import document, index_option, json_option, line, note

_WHERE = click.option("--where", multiple=True, metavar="FILTER", help="Only items that match.")
_AUTHOR = click.option("--author", metavar="NAME", help="Who says so.  [default: your login name]")


@click.group()
def labels() -> None:
    """Say what pictures show; what a person says stands."""


@labels.command(name="set")
@click.argument("label")
@click.argument("what", nargs=-1, required=True, metavar="ID|PATH...")
@index_option
@_AUTHOR
@click.option("--add", is_flag=True, help="Beside the labels that people gave already.")
@json_option
def set_(
    label: str, what: tuple[str, ...], folder: str, author: str | None, add: bool, as_json: bool
) -> None:
    """Label pictures, by id or path, instead of the labels they have."""
    with dinosearch.open(folder) as index:
        count = index.label(_items(what), label, author=author, add=add)
    _tell("labelled", count, as_json)


@labels.command()
@click.argument("what", nargs=-1, required=True, metavar="ID|PATH...")
@index_option
@click.option("--label", metavar="LABEL", help="Only this one.  [default: all]")
@_AUTHOR
@json_option
def unset(
    what: tuple[str, ...], folder: str, label: str | None, author: str | None, as_json: bool
) -> None:
    """Take labels off pictures; folders and tables do not bring them back."""
    with dinosearch.open(folder) as index:
        count = index.unlabel(_items(what), label, author=author)
    _tell("unlabelled", count, as_json)


@labels.command()
@index_option
@_AUTHOR
@json_option
def undo(folder: str, author: str | None, as_json: bool) -> None:
    """Take back your last change of labels."""
    with dinosearch.open(folder) as index:
        undone = index.undo_label(author=author)
    if as_json:
        document({"undone": [asdict(one) for one in undone]})
        return
    for one in undone:
        line(f"{one.item}  {_names(one.before)} -> {_names(one.after)}")
    note(f"{len(undone)} pictures" if undone else "nothing to take back")


@labels.command(name="list")
@index_option
@click.option("--item", type=int, metavar="ID", help="Only of this picture.")
@click.option("--author", metavar="NAME", help="Only by this person.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1))
@json_option
def list_(folder: str, item: int | None, author: str | None, count: int, as_json: bool) -> None:
    """List the labels there are, and who changed them last."""
    with dinosearch.open(folder) as index:
        counts = index.info()["labels"]
        changes = index.label_history(item=item, author=author, limit=count)
    if as_json:
        document({"labels": counts, "changes": [asdict(one) for one in changes]})
        return
    for name, number in counts.items():
        line(f"{number:8}  {name}")
    for one in changes:
        how = f" (takes back change {one.undoes})" if one.undoes else ""
        how = " (taken back)" if one.undone else how
        line(
            f"{one.set_at}  {one.author}  {one.item}:"
            f" {_names(one.before)} -> {_names(one.after)}{how}"
        )


@labels.command()
@index_option
@click.option("--to", "file", type=click.Path(), metavar="FILE.csv", help="Instead of stdout.")
@_WHERE
@json_option
def export(folder: str, file: str | None, where: tuple[str, ...], as_json: bool) -> None:
    """Write labels as CSV: path,label,author,time. No cell is a spreadsheet's formula."""
    with dinosearch.open(folder) as index:
        text = index.export_labels(where=where)
    rows = text.count("\r\n") - 1
    raw = text.encode("utf-8", "surrogateescape")
    if file is not None:
        with open(file, "wb") as out:
            out.write(raw)
    if as_json:
        document({"file": file and os.path.abspath(file), "rows": rows})
    elif file is None:
        sys.stdout.buffer.write(raw)
        return
    note(f"{rows} labels")


@labels.command(name="import")
@click.argument("table", type=click.Path(), metavar="FILE.csv")
@index_option
@_AUTHOR
@json_option
def import_(table: str, folder: str, author: str | None, as_json: bool) -> None:
    """Take the labels of a table with the columns path,label, as one change of yours."""
    with dinosearch.open(folder) as index:
        done = index.import_labels(table, author=author)
    if as_json:
        document(asdict(done))
        return
    line(f"{done.labelled} labelled, {done.unchanged} unchanged, {len(done.unmatched)} unmatched")
    for path in done.unmatched[:20]:
        note(f"not in the index: {path}")


def _items(what: tuple[str, ...]) -> list[int | str]:
    return [int(one) if one.isascii() and one.isdigit() else one for one in what]


def _tell(done: str, count: int, as_json: bool) -> None:
    if as_json:
        document({done: count})
    else:
        line(f"{count} {done}")


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"
