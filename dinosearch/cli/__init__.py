"""The command line. One thin file per group of commands; they do no work of their own."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from dinosearch.cli.output import fail
from dinosearch.errors import DinoSearchError

# Name -> (file, function): a command's file is loaded when the command is run, and the
# one-line help stands here so that `--help` loads none of them.
_COMMANDS = {
    "index": ("indexing", "Add new pictures, update changed ones, skip the rest."),
    "search": ("search", "Find pictures that look like a picture, or hold a part of it."),
    "explain": ("explain", "Show why a picture answers: heat map, matched patches, box."),
    "pca": ("pca", "Show what the model sees: patches as colours, on one basis."),
    "duplicates": ("duplicates", "Find copies and crops, and move them away."),
    "serve": ("serve", "Open the web page and the HTTP API of an index."),
    "bank": ("bank", "Say what is normal, by the good pictures of an index."),
    "defects": ("defects", "Find what is unlike everything normal."),
    "labels": ("labels", "Say what pictures show; take it back; tables in and out."),
    "probe": ("probe", "Learn from labels what pictures are; say what others are."),
    "segment": ("segment", "Learn from masks or strokes to outline things; outline them."),
    "map": ("overview", "Give every picture a place in the plane, alike ones together."),
    "export": ("export", "Take items, labels, decisions or vectors away as a table."),
    "info": ("care", "Facts about an index."),
    "failures": ("care", "List the files that did not become items, with the reason."),
    "remove": ("care", "Take pictures out of an index; the files stay."),
    "compact": ("care", "Merge small files and drop what was removed for good."),
    "verify": ("care", "Check an index; exit 1 if anything is wrong."),
    "encoders": ("encoders", "List encoders, and fetch their weights."),
    "codec-report": ("codecs", "What each way to keep patches costs, in bytes and in answers."),
    "evaluate": ("evaluate", "Measure how well an index answers."),
    "demo": ("demo", "Index real photographs and search them."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"dinosearch.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dinosearch")
def cli() -> None:
    """Find pictures by what is in them.

    \b
    dinosearch index PHOTOS --to indexes/mine
    dinosearch search PICTURE --in indexes/mine
    dinosearch search PICTURE --in indexes/mine --region 120,80,260,210
    """


def main() -> None:
    """Run the command line; every error dinosearch knows ends with its own exit code."""
    as_json = "--json" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter gets its number
            stream.reconfigure(errors="backslashreplace")
    try:
        # Not `cli.main`, which turns a reader that has gone into exit code 1.
        with cli.make_context("dinosearch", sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        fail(error.format_message(), type(error).__name__, error.exit_code, as_json, quiet=True)
    except (click.Abort, KeyboardInterrupt):
        fail("stopped", "Stopped", 130, as_json)
    except DinoSearchError as error:
        fail(str(error), type(error).__name__, error.exit_code, as_json)
    except BrokenPipeError:
        # Whoever read our output has gone; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
