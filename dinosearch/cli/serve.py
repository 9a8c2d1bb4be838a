"""dinosearch serve"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from dinosearch.cli.output import line, note
from dinosearch.errors import InvalidInput


@click.command()
@click.option(
    "--in",
    "folders",
    required=True,
    multiple=True,
    type=click.Path(),
    metavar="DIR",
    help="An index, or a folder of indexes.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(),
    metavar="DIR",
    help="A folder whose pictures may be added from the page.",
)
@click.option(
    "--token-file",
    type=click.Path(),
    metavar="FILE",
    help="Holds the token that others must show. [or $DINOSEARCH_TOKEN]",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further name this machine is called by.",
)
@click.option(
    "--searches-per-minute",
    default=60,
    show_default=True,
    type=click.IntRange(1),
    help="For one client.",
)
def serve(
    folders: tuple[str, ...],
    host: str,
    port: int,
    roots: tuple[str, ...],
    token_file: str | None,
    hosts: tuple[str, ...],
    searches_per_minute: int,
) -> None:
    """Open the web page and the HTTP API of an index.

    Only this machine can reach it, unless --host says otherwise, which takes a token.
    """
    from dinosearch.web import Settings
    from dinosearch.web import serve as run

    settings = Settings(
        indexes=folders,
        host=host,
        port=port,
        token=_token(token_file),
        hosts=hosts,
        roots=roots,
        searches_per_minute=searches_per_minute,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    sys.exit(run(settings, ready=_ready))


def _ready(url: str) -> None:
    line(f"dinosearch is at {url}")
    sys.stdout.flush()
    note("the encoder is being loaded; stop with Ctrl-C")


def _token(file: str | None) -> str | None:
    if file is None:
        return os.environ.get("DINOSEARCH_TOKEN") or None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"the token in {file} cannot be read: {error}") from error
    if not token:
        raise InvalidInput(f"{file} is empty: it must hold the token")
    return token
