"""dinosearch bank create, list, info, delete"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay, told_in_steps
from dinosearch.errors import InvalidInput

if TYPE_CHECKING:
    from dinosearch import Bank, ImageIndex
    from dinosearch.cli.progress import Told


@click.group()
def bank() -> None:
    """Banks of what is normal, to find defects with."""


@bank.command()
@click.argument("name")
@index_option
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help="Good pictures, [-]key:value such as label:good. [default: all]",
)
@click.option("--budget", type=int, metavar="N", help="Tokens to keep. [default: 5000]")
@click.option("--seed", type=int, metavar="N", help="Of all that is drawn. [default: 0]")
@click.option(
    "--false-alarms",
    type=float,
    metavar="SHARE",
    help="Of good pictures that may be called faulty. [default: 0.05]",
)
@click.option(
    "--around", type=int, metavar="N", help="Average patches over N x N cells. [default: 1]"
)
@json_option
def create(
    name: str,
    folder: str,
    where: tuple[str, ...],
    budget: int | None,
    seed: int | None,
    false_alarms: float | None,
    around: int | None,
    as_json: bool,
) -> None:
    """Make the bank NAME of the good pictures of an index.

    Good pictures that come or go later change it at its next use. Of a bank that is there
    already, options that are not given stay, but for the filters.
    """
    import dinosearch

    with dinosearch.open(folder) as index, ProgressDisplay() as progress:
        made = index.bank(
            name,
            where,
            budget=budget,
            seed=seed,
            false_alarms=false_alarms,
            around=around,
            progress=told_in_steps(progress),
        )
        facts = made.info()
    _show(facts, as_json)


@bank.command("list")
@index_option
@json_option
def list_(folder: str, as_json: bool) -> None:
    """The names of the banks of an index."""
    import dinosearch

    with dinosearch.open(folder) as index:
        names = index.banks()
    if as_json:
        document({"banks": names})
        return
    for name in names:
        line(name)
    note(f"{len(names)} banks")


@bank.command()
@click.argument("name")
@index_option
@json_option
def info(name: str, folder: str, as_json: bool) -> None:
    """What a bank holds, and what its threshold promises; brings it up to date."""
    import dinosearch

    with dinosearch.open(folder) as index, ProgressDisplay() as progress:
        facts = existing(index, name, told_in_steps(progress)).info()
    _show(facts, as_json)


@bank.command()
@click.argument("name")
@index_option
@json_option
def delete(name: str, folder: str, as_json: bool) -> None:
    """Forget a bank; its pictures stay."""
    import dinosearch

    with dinosearch.open(folder) as index:
        index.delete_bank(name)
    if as_json:
        document({"deleted": name})
    else:
        line(f"{name} deleted")


def existing(index: ImageIndex, name: str, told: Told) -> Bank:
    """The bank of that name, up to date; raises `InvalidInput` rather than make one."""
    names = index.banks()
    if name not in names:
        raise InvalidInput(
            f"{index.path} has no bank {name!r}; there are: {', '.join(names) or 'none yet'}."
            f" Make one with: dinosearch bank create NAME --in {index.path} --where label:good"
        )
    return index.bank(name, progress=told)


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        document(facts)
        return
    alarms = facts["false_alarms"]
    where = ", ".join(facts["where"]) or "all pictures"
    line(f"bank       {facts['name']}: {facts['pictures']} good pictures ({where})")
    line(f"tokens     {facts['tokens']} of at most {facts['budget']}")
    if facts["threshold"] is None:
        line("threshold  none: it takes two good pictures at least, of different content")
        return
    low, high = alarms["interval"]
    line(
        f"threshold  {facts['threshold']:.4f}, set by {alarms['pictures']} good pictures that the"
        " others judged"
    )
    line(
        f"false alarms  {alarms['expected']:.1%} expected,"
        f" between {low:.1%} and {high:.1%} (95 % interval)"
    )
    if not alarms["enough"]:
        note(
            f"too few good pictures for {alarms['asked']:.1%} false alarms: with"
            f" {round(1 / alarms['asked'] - 1)} or more it can be promised"
        )
