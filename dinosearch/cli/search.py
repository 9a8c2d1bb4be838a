"""dinosearch search"""

from __future__ import annotations

from typing import Any

import click

from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.errors import InvalidInput


class Numbers(click.ParamType[tuple[float, ...]]):
    """Four numbers with commas between them."""

    name = "X0,Y0,X1,Y1"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 4:
            self.fail(f"{value!r} is not four numbers X0,Y0,X1,Y1 in pixels", param, ctx)
        return numbers


def _rounded(boxes: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    return [[round(edge, 1) for edge in box] for box in boxes]


@click.command()
@click.argument("images", nargs=-1, type=click.Path(), metavar="[IMAGE...]")
@click.option("--id", "ids", type=int, multiple=True, metavar="N", help="A stored picture.")
@index_option
@click.option("-k", default=10, show_default=True, help="How many, 1 to 1000.")
@click.option("--combine", type=click.Choice(["mean", "any"]), default="mean", show_default=True)
@click.option(
    "--region",
    "regions",
    type=Numbers(),
    multiple=True,
    help="The part that is looked for, in pixels; several must all be there.",
)
@click.option("--mask", type=click.Path(), metavar="FILE", help="The part, white on black.")
@click.option(
    "--not",
    "without",
    type=Numbers(),
    multiple=True,
    help="A part of IMAGE, in pixels, that pictures should not hold.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help="[-]key:value with key label, path, split, date, size or meta.NAME.",
)
@click.option(
    "--weight",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Of the region; the rest is the whole picture's.",
)
@click.option("--position", is_flag=True, help="Look for the part near its own place only.")
@click.option("--same-size", is_flag=True, help="Look for the part only as large as it is here.")
@click.option("--distinct", is_flag=True, help="Show pictures of equal content once.")
@click.option("--min-score", type=click.FloatRange(-1, 1), help="Leave out what scores lower.")
@click.option("--weights", type=click.Path(), metavar="FILE", help="The encoder's, if moved.")
@click.option("--exact", is_flag=True, help="Compare with every picture.")
@click.option("--save", type=click.Path(), metavar="sheet.png", help="Draw query and hits.")
@json_option
def search(
    images: tuple[str, ...],
    ids: tuple[int, ...],
    folder: str,
    k: int,
    combine: str,
    regions: tuple[tuple[float, ...], ...],
    mask: str | None,
    without: tuple[tuple[float, ...], ...],
    where: tuple[str, ...],
    weight: float,
    position: bool,
    same_size: bool,
    distinct: bool,
    min_score: float | None,
    weights: str | None,
    exact: bool,
    save: str | None,
    as_json: bool,
) -> None:
    """Find pictures that look like IMAGE, or that hold a part of it."""
    import dinosearch

    queries: list[str | int] = [*images, *ids]
    if not queries:
        raise InvalidInput("name a picture to search with, or a stored one with --id N")
    if regions and mask is not None:
        raise InvalidInput("give --region or --mask, not both")
    with dinosearch.open(folder) as index:
        if weights is not None:
            index.use_encoder(weights=weights)
        marked: Any = list(regions) or None
        if mask is not None:
            pixels, _ = index.pixels(mask)
            marked = pixels.max(axis=2) > 127
        answer = index.answer(
            queries,
            k=k,
            region=marked,
            without=list(without) or None,
            where=where,
            combine=combine,
            exact=exact,
            weight=weight,
            position=position,
            same_size=same_size,
            distinct=distinct,
            min_score=min_score,
        )
        if save:
            sheet = index.sheet(queries, answer.hits, region=marked)
            try:
                sheet.save(save)
            except (OSError, ValueError) as error:
                raise InvalidInput(f"cannot write {save}: {error}") from error
    if as_json:
        document(
            {
                "hits": [
                    {
                        "rank": rank,
                        "id": hit.id,
                        "path": hit.path,
                        "score": round(hit.score, 6),
                        "box": hit.box and [round(v, 1) for v in hit.box],
                        "labels": list(hit.labels),
                        **({"boxes": _rounded(hit.boxes)} if marked is not None else {}),
                    }
                    for rank, hit in enumerate(answer.hits, 1)
                ],
                "searched": answer.searched,
                "exact": answer.exact,
                "timing_ms": answer.timing_ms,
                **({"sheet": save} if save else {}),
            }
        )
        return
    for rank, hit in enumerate(answer.hits, 1):
        box = "  [" + ", ".join(f"{v:.0f}" for v in hit.box) + "]" if hit.box else ""
        labels = f"  ({', '.join(hit.labels)})" if hit.labels else ""
        line(f"{rank:4d}  {hit.score:6.3f}  id {hit.id}  {hit.path}{box}{labels}")
    found = f"{len(answer.hits)} of {answer.searched} pictures"
    how = "exact" if answer.exact else "approximate"
    note(f"{found}, {how}, {answer.timing_ms['total']:.0f} ms" + (f"; {save}" if save else ""))
