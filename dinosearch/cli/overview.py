"""dinosearch map"""

from __future__ import annotations

import click

from dinosearch.cli.output import document, index_option, json_option, line, note


@click.command()
@index_option
@click.option(
    "--method",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="umap needs the extra map.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of umap.")
@click.option("--refresh", is_flag=True, help="Make it anew, whatever is kept.")
@click.option(
    "--save",
    type=click.Path(),
    metavar="FILE",
    help="A drawing (.png, .pdf, .svg) or a table (.csv, .json, .jsonl, .parquet).",
)
@json_option
def map(
    folder: str, method: str, seed: int, refresh: bool, save: str | None, as_json: bool
) -> None:
    """Give every picture a place in the plane, alike pictures near each other.

    The map is kept with the index; pictures that come later are placed on it.
    """
    import dinosearch
    from dinosearch.overview.drawing import save_overview

    with dinosearch.open(folder) as index:
        shown = index.map(method=method, seed=seed, refresh=refresh)
        items = {item.id: item for item in index.items(limit=max(1, len(index)))}
        # A picture that went meanwhile has no name any more.
        here = [number for number, one in enumerate(shown.ids.tolist()) if one in items]
        named = [items[one] for one in shown.ids[here].tolist()]
    xy = shown.xy[here]
    if save:
        from dataclasses import replace

        part = replace(shown, ids=shown.ids[here], xy=xy, later=shown.later[here])
        save_overview(part, named, save)
    shares = None if shown.explained is None else [round(float(v), 6) for v in shown.explained]
    if as_json:
        document(
            {
                "method": shown.method,
                "explained": shares,
                "made_at": shown.made_at,
                "later": int(shown.later.sum()),
                "places": [
                    {"id": item.id, "path": item.path, "xy": [round(float(v), 6) for v in place]}
                    for item, place in zip(named, xy, strict=True)
                ],
            }
        )
        return
    line(f"{len(named)} pictures placed by {shown.method}, {int(shown.later.sum())} of them later")
    if shares:
        line("variance explained: " + ", ".join(f"{share:.1%}" for share in shares))
    note(f"saved in {save}" if save else "draw it with --save map.png")
