"""dinosearch export"""

from __future__ import annotations

import os

import click

from dinosearch.cli.output import document, index_option, json_option, line


@click.command()
@index_option
@click.option(
    "--save",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="Ends in .csv, .json, .jsonl, .parquet, or .npz for vectors.",
)
@click.option(
    "--what",
    type=click.Choice(["items", "labels", "decisions", "vectors"]),
    default="items",
    show_default=True,
)
@click.option("--where", multiple=True, metavar="FILTER", help="Only items that match.")
@click.option("--overwrite", is_flag=True, help="Replace FILE where it is there.")
@json_option
def export(
    folder: str, save: str, what: str, where: tuple[str, ...], overwrite: bool, as_json: bool
) -> None:
    """Take items, labels, decisions or vectors of an index away as a table."""
    import dinosearch

    with dinosearch.open(folder) as index:
        rows = index.export(save, what=what, where=where, overwrite=overwrite)
    if as_json:
        document({"what": what, "rows": rows, "path": os.path.abspath(save)})
    else:
        line(f"{rows} {what} in {save}")
