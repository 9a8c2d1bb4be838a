"""dinosearch encoders list, download"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dinosearch.cli.output import document, json_option, line, note


@click.group()
def encoders() -> None:
    """List encoders, and fetch their weights."""


@encoders.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Encoders for real pictures, and where their weights are."""
    from dinosearch.encoders import available

    found = available()
    if as_json:
        document(
            {
                "encoders": [
                    {
                        "name": one.name,
                        "dim": one.dim,
                        "patch_dim": one.patch_dim,
                        "parameters": one.parameters,
                        "weights": str(one.path) if one.path else None,
                    }
                    for one in found
                ]
            }
        )
        return
    for one in found:
        where = str(one.path) if one.path else "not on this machine"
        line(f"{one.name:20s} {one.dim:5d}  {one.parameters / 1e6:7.1f} M parameters  {where}")
    note("fetch one with: dinosearch encoders download NAME")


@encoders.command()
@click.argument("name")
@click.option("--folder", type=click.Path(), metavar="DIR", help="Where to. [default: the cache]")
@click.option("--base-url", metavar="URL", help="A mirror of the official files.")
@click.option("--sha256", metavar="HEX", help="The checksum of a mirror's own file.")
@json_option
def download(
    name: str, folder: str | None, base_url: str | None, sha256: str | None, as_json: bool
) -> None:
    """Fetch the official weights of NAME; an interrupted download goes on."""
    path = fetch_with_bar(name, folder=folder, base_url=base_url, sha256=sha256)
    if as_json:
        document({"name": name, "path": str(path), "bytes": path.stat().st_size})
    else:
        line(str(path))


def fetch_with_bar(
    name: str,
    *,
    folder: str | None = None,
    base_url: str | None = None,
    sha256: str | None = None,
) -> Path:
    """Fetch the official weights of `name`, showing how far it is; returns the file."""
    from dinosearch.encoders.download import download as fetch
    from dinosearch.encoders.weights import OFFICIAL

    with _Bar() as bar:
        return fetch(
            name,
            Path(folder) if folder else None,
            base_url=base_url or OFFICIAL,
            progress=bar,
            sha256=sha256,
        )


class _Bar:
    """A bar of bytes on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total or None)
