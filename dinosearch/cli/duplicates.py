"""dinosearch duplicates"""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from typing import Any

import click

import dinosearch
from dinosearch.cli.output import F, document, json_option, line, note
from dinosearch.cli.progress import StepNotes
from dinosearch.duplicates.plan import read_plan
from dinosearch.errors import InvalidInput

MOVED_UNASKED = ("exact", "pixels", "near", "decided")
"""What a plan moves unless told otherwise: a crop may be there on purpose."""


@click.group(invoke_without_command=True)
@click.option("--in", "folder", type=click.Path(), metavar="DIR", help="The index.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    help="Least score of a near copy. [default: one false copy in a million pairs]",
)
@click.option("--where", multiple=True, metavar="FILTER", help="Only pictures that match.")
@click.option(
    "--kinds",
    metavar="KIND,...",
    help="exact, pixels, near, contains, decided. [default: all; with --plan, no contains]",
)
@click.option("--crops/--no-crops", default=None, help="Look for small crops. [default: to 20,000]")
@click.option("--of", "pictures", multiple=True, type=click.Path(), metavar="IMAGE",
              help="Copies of this picture, which need not be in the index.")  # fmt: skip
@click.option("--leaks", nargs=2, metavar="A B", help="Copies of pictures of A in B, two filters.")
@click.option("--plan", type=click.Path(), metavar="FILE", help="Write what to move away.")
@click.option("--trash", type=click.Path(), metavar="DIR", help="Where a plan moves files to.")
@click.option("--decide", nargs=3, metavar="ID ID VERDICT", help="same, different or undecided.")
@click.option("--author", metavar="NAME", help="Who decides. [default: your login]")
@json_option
@click.pass_context
def duplicates(
    context: click.Context,
    folder: str | None,
    threshold: float | None,
    where: tuple[str, ...],
    kinds: str | None,
    crops: bool | None,
    pictures: tuple[str, ...],
    leaks: tuple[str, str] | None,
    plan: str | None,
    trash: str | None,
    decide: tuple[str, str, str] | None,
    author: str | None,
    as_json: bool,
) -> None:
    """Find copies: equal files, equal pixels, near copies, crops.

    \b
    dinosearch duplicates --in DIR
    dinosearch duplicates --in DIR --plan plan.json    write what to move away
    dinosearch duplicates apply --plan plan.json
    dinosearch duplicates undo --plan plan.json
    dinosearch duplicates --in DIR --leaks split:train split:test    exit 1 if there are any
    """
    if context.invoked_subcommand:
        return
    if folder is None:
        raise InvalidInput("name the index with --in DIR")
    asked = [bool(pictures), bool(leaks), bool(plan), bool(decide)]
    if sum(asked) > 1:
        raise InvalidInput("give one of --of, --leaks, --plan and --decide")
    with dinosearch.open(folder) as index:
        if decide:
            _decide(index, decide, author, as_json)
        elif pictures:
            _copies_of(index, pictures, threshold, as_json)
        elif leaks:
            _leaks(index, leaks, threshold, crops, as_json)
        else:
            counted = tuple(kinds.split(",")) if kinds else MOVED_UNASKED if plan else None
            _groups(index, threshold, where, counted, crops, plan, trash, as_json)


def _groups(
    index: dinosearch.ImageIndex,
    threshold: float | None,
    where: tuple[str, ...],
    kinds: tuple[str, ...] | None,
    crops: bool | None,
    plan: str | None,
    trash: str | None,
    as_json: bool,
) -> None:
    told = StepNotes()
    only: dict[str, Any] = {} if kinds is None else {"kinds": kinds}
    found = index.duplicates(threshold=threshold, where=where, crops=crops, progress=told, **only)
    written = index.plan_duplicates(found, plan, trash=trash) if plan else None
    if as_json:
        content: dict[str, Any] = {
            "groups": [
                {
                    "kind": group.kind,
                    "ids": list(group.ids),
                    "paths": list(group.paths),
                    "score": group.score,
                    "keep": group.keep,
                    "reason": group.reason,
                    "links": [link._asdict() for link in group.links],
                }
                for group in found.groups
            ],
            "threshold": found.threshold,
            "expected_false_per_million": found.expected_false,
            "compared": found.compared,
            "pictures": found.pictures,
        }
        if written:
            content |= {"plan": plan, "moves": len(written.moves), "trash": written.trash}
        document(content)
        return
    for group in found.groups:
        line(f"{group.kind}  {group.score:.3f}  {len(group.ids)} pictures")
        for one, path in zip(group.ids, group.paths, strict=True):
            kept = f"   keep: {group.reason}" if one == group.keep else ""
            line(f"    id {one}  {path}{kept}")
    extra = sum(len(group.ids) - 1 for group in found.groups)
    note(f"{len(found.groups)} groups, {extra} pictures more than needed, of {found.pictures}")
    expected = "an index this small says nothing of false ones"
    if found.expected_false is not None:
        expected = f"{found.expected_false:.2g} false in a million pairs expected"
    note(f"threshold {found.threshold:.3f}: {expected}; {found.compared} pairs looked at closely")
    if written:
        note(f"{plan} moves {len(written.moves)} files to {written.trash}; look at it, then:")
        note(f"dinosearch duplicates apply --plan {plan}")


def _copies_of(
    index: dinosearch.ImageIndex,
    pictures: tuple[str, ...],
    threshold: float | None,
    as_json: bool,
) -> None:
    chosen = {} if threshold is None else {"threshold": threshold}
    found = {picture: index.copies_of(picture, **chosen) for picture in pictures}
    if as_json:
        document(
            {
                "pictures": [
                    {"path": picture, "copies": [asdict(copy) for copy in copies]}
                    for picture, copies in found.items()
                ]
            }
        )
        return
    for picture, copies in found.items():
        for copy in copies:
            part = {"picture": "  (it is a part of this one)", "item": "  (this is a part of it)"}
            line(f"{copy.kind}  {copy.score:.3f}  id {copy.id}  {copy.path}"
                 f"{part.get(copy.part or '', '')}")  # fmt: skip
        note(f"{len(copies)} copies of {picture}")


def _leaks(
    index: dinosearch.ImageIndex,
    sets: tuple[str, str],
    threshold: float | None,
    crops: bool | None,
    as_json: bool,
) -> None:
    found = index.leaks(*sets, threshold=threshold, crops=crops, progress=StepNotes())
    if as_json:
        document({"leaks": [asdict(leak) for leak in found]})
    else:
        for leak in found:
            line(f"{leak.kind}  {leak.score:.3f}  {leak.first_path}  {leak.second_path}")
        note(f"{len(found)} pairs between {sets[0]} and {sets[1]}")
    if found:
        sys.exit(1)


def _decide(
    index: dinosearch.ImageIndex,
    decide: tuple[str, str, str],
    author: str | None,
    as_json: bool,
) -> None:
    first, second, verdict = decide
    if not (first.isdecimal() and second.isdecimal()):
        raise InvalidInput("--decide wants two ids and a verdict, such as: --decide 3 8 different")
    if verdict == "undecided":
        forgotten = index.undecide(int(first), int(second))
        if as_json:
            document({"forgotten": forgotten})
        else:
            line("forgotten" if forgotten else "nothing was decided of these two")
        return
    decision = index.decide(int(first), int(second), verdict, author=author or getpass.getuser())
    if as_json:
        document({"decision": decision._asdict()})
    else:
        line(f"{first} and {second}: {verdict}, remembered as decided by {decision.author}")


def _of_plan(command: F) -> F:
    """Give a command the options that name a plan and the index it is of."""
    where = click.option(
        "--in", "folder", type=click.Path(), metavar="DIR", help="The index, if moved."
    )
    plan = click.option(
        "--plan", required=True, type=click.Path(), metavar="FILE", help="The plan."
    )
    return where(plan(json_option(command)))


@duplicates.command()
@_of_plan
def apply(folder: str | None, plan: str, as_json: bool) -> None:
    """Move the files of a plan to its trash folder; exits 3 when some had changed and stayed."""
    with dinosearch.open(folder or read_plan(plan).folder) as index:
        done = index.apply_plan(plan, progress=StepNotes())
    if as_json:
        document(asdict(done))
    else:
        line(f"{len(done.moved)} files moved to {done.trash}, {done.removed} items removed")
        for left in done.left:
            line(f"stayed: {left.path}: {left.reason}")
        if done.moved:
            note(f"take it back with: dinosearch duplicates undo --plan {plan}")
    sys.exit(3 if done.left else 0)


@duplicates.command()
@_of_plan
def undo(folder: str | None, plan: str, as_json: bool) -> None:
    """Put back what a plan moved; exits 3 when some could not be."""
    with dinosearch.open(folder or read_plan(plan).folder) as index:
        done = index.undo_plan(plan, progress=StepNotes())
    if as_json:
        document(asdict(done))
    else:
        line(f"{len(done.restored)} files put back, {len(done.ids)} items with them")
        for left in done.left:
            line(f"not put back: {left.path}: {left.reason}")
        if done.to_index:
            note(f"{len(done.to_index)} files are no items yet; add them with dinosearch index")
    sys.exit(3 if done.left else 0)
