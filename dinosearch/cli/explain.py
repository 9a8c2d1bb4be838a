"""dinosearch explain"""

from __future__ import annotations

import math

import click
import numpy as np

from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.cli.search import Numbers
from dinosearch.errors import InvalidInput


@click.command()
@click.argument("image", type=click.Path(), metavar="IMAGE")
@click.argument("item", type=int, metavar="ID")
@index_option
@click.option("--region", type=Numbers(), help="The part that is looked for, in pixels.")
@click.option("--position", is_flag=True, help="Match patches near their own place only.")
@click.option("--same-size", is_flag=True, help="Look for the part only as large as it is here.")
@click.option("--pairs", default=12, show_default=True, type=click.IntRange(0, 200))
@click.option("--save", type=click.Path(), metavar="out.png", help="Draw it.")
@json_option
def explain(
    image: str,
    item: int,
    folder: str,
    region: tuple[float, ...] | None,
    position: bool,
    same_size: bool,
    pairs: int,
    save: str | None,
    as_json: bool,
) -> None:
    """Show why the picture with the id ID answers to IMAGE.

    Heat maps over both, the patches that are each other's best match, and the box.
    """
    import dinosearch

    with dinosearch.open(folder) as index:
        query = index.query(image, region=region)
        why = index.explain(
            query, item, region=region, position=position, same_size=same_size, pairs=pairs
        )
        score = float(np.nanmean(why.query_heat))
        path = index.item(item).path
        if save:
            title = f"{'The part' if region else 'The picture'} matches with {score:.3f}"
            try:
                index.explanation(query, item, why, title=title).save(save)
            except (OSError, ValueError) as error:
                raise InvalidInput(f"cannot write {save}: {error}") from error
    if as_json:
        document(
            {
                "id": item,
                "path": path,
                "score": round(score, 6),
                "box": why.box and [round(v, 1) for v in why.box],
                "pairs": [
                    {"query": one.query, "hit": one.hit, "score": round(one.score, 6)}
                    for one in why.pairs
                ],
                "heat": [[_number(v) for v in row] for row in why.heat.tolist()],
                **({"sheet": save} if save else {}),
            }
        )
        return
    box = "  [" + ", ".join(f"{v:.0f}" for v in why.box) + "]" if why.box else ""
    line(f"{score:6.3f}  id {item}  {path}{box}")
    for one in why.pairs:
        line(f"  patch {one.query} of the query is like patch {one.hit}: {one.score:.3f}")
    note(f"drawn in {save}" if save else "draw it with --save out.png")


def _number(value: float) -> float | None:
    """None where a patch shows padding: JSON has no word for it."""
    return round(value, 5) if math.isfinite(value) else None
