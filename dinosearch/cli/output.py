"""What the commands print: one JSON document or plain lines on stdout, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def index_option(command: F) -> F:
    """Give a command `--in DIR`."""
    return click.option(
        "--in", "folder", required=True, type=click.Path(), metavar="DIR", help="The index."
    )(command)


def document(content: Mapping[str, Any]) -> None:
    """Print the one JSON document of a command.

    ASCII, so that a name that is not UTF-8 survives as an escaped surrogate.
    """
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def line(text: str = "") -> None:
    """Print a line of an answer."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """Print a line for the person watching."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """`text` with control characters and broken bytes escaped: a name must not steer a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def fail(message: str, kind: str, code: int, as_json: bool, *, quiet: bool = False) -> NoReturn:
    """End the program with an error on stderr and, with `--json`, as the document."""
    if not quiet:
        note(f"dinosearch: {message}")
    if as_json:
        document({"error": {"type": kind, "message": message, "exit_code": code}})
    sys.exit(code)
