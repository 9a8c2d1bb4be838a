"""dinosearch defects"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dinosearch.cli.bank import existing
from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay, told_in_steps
from dinosearch.errors import InvalidInput

if TYPE_CHECKING:
    from dinosearch import Bank, DefectReport, ImageIndex
    from dinosearch.cli.progress import Told


@click.command()
@click.argument("images", nargs=-1, type=click.Path(), metavar="[IMAGE|FOLDER...]")
@index_option
@click.option("--bank", "name", required=True, metavar="NAME", help="What is normal.")
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help="Without IMAGE: stored pictures, [-]key:value. [default: all]",
)
@click.option("--save", type=click.Path(), metavar="DIR", help="Heat maps and masks as PNG.")
@click.option("--csv", "table", type=click.Path(), metavar="FILE", help="One row a picture.")
@json_option
def defects(
    images: tuple[str, ...],
    folder: str,
    name: str,
    where: tuple[str, ...],
    save: str | None,
    table: str | None,
    as_json: bool,
) -> None:
    """Find what is unlike everything normal in pictures, in folders of them, or in the index.

    Exits 3 when some pictures were refused.
    """
    import dinosearch

    if images and where:
        raise InvalidInput("--where is for pictures of the index: give it or IMAGE, not both")
    refused: list[dict[str, str]] = []
    with dinosearch.open(folder) as index, ProgressDisplay() as progress:
        told = told_in_steps(progress)
        judge = existing(index, name, told)
        if images:
            paths = _paths(images, refused)
            reports = _of_files(judge, paths, refused, told)
        else:
            reports = judge.scores(where=where, progress=told)
        drawn = _drawn(index, reports, save, told) if save else [{} for _ in reports]
    if table:
        from dinosearch.defects.table import save_table

        try:
            save_table(reports, table)
        except OSError as error:
            raise InvalidInput(f"cannot write {table}: {error.strerror or error}") from error
    if as_json:
        document(
            {
                "bank": name,
                "results": [
                    {**_result(one), **files} for one, files in zip(reports, drawn, strict=True)
                ],
                "refused": refused,
                **({"table": table} if table else {}),
            }
        )
    else:
        for one in reports:
            box = (
                "  [" + ", ".join(f"{v:.0f}" for v in one.boxes[0]) + "]"
                if one.verdict == "faulty"
                else ""
            )
            line(f"{one.verdict:7s}  {one.score:6.4f}  {one.path}{box}")
        for bad in refused:
            note(f"{bad['path']}: {bad['code']}: {bad['detail']}")
        faulty = sum(one.verdict == "faulty" for one in reports)
        limit = reports[0].threshold if reports else None
        note(
            f"{faulty} of {len(reports)} faulty"
            + ("" if limit is None else f", threshold {limit:.4f}")
            + (f"; drawn in {save}" if save else "")
        )
    if refused:
        sys.exit(3)


def _paths(images: tuple[str, ...], refused: list[dict[str, str]]) -> list[str]:
    from dinosearch.images import find_files
    from dinosearch.indexing import check_sources

    paths = []
    for root in check_sources(images):
        for found in find_files(root):
            if found.problem is None:
                paths.append(found.path)
            else:
                code, detail = found.problem
                refused.append({"path": found.path, "code": code, "detail": detail})
    return paths


def _of_files(
    judge: Bank, paths: list[str], refused: list[dict[str, str]], told: Told
) -> list[DefectReport]:
    from dinosearch.errors import PictureRefused

    reports = []
    for done, path in enumerate(paths, 1):
        try:
            reports.append(judge.score(path))
        except PictureRefused as error:
            refused.append({"path": path, "code": error.code, "detail": error.detail})
        told("judging", done, len(paths))
    return reports


def _drawn(
    index: ImageIndex, reports: list[DefectReport], save: str, told: Told
) -> list[dict[str, str]]:
    """The files of each report, drawn in the folder `save`."""
    from dinosearch.defects.drawing import mask_image

    drawn = []
    try:
        os.makedirs(save, exist_ok=True)
        for number, one in enumerate(reports, 1):
            # Numbered, since pictures of several folders may have one name.
            stem = f"{number:05d}-{Path(one.path or 'picture').stem[:80]}"
            heat, mask = (os.path.join(save, f"{stem}.{end}.png") for end in ("heat", "mask"))
            index.defect_map(one).save(heat)
            mask_image(one).save(mask)
            drawn.append({"heat": os.path.abspath(heat), "mask": os.path.abspath(mask)})
            told("drawing", number, len(reports))
    except OSError as error:
        raise InvalidInput(f"cannot draw in {save}: {error.strerror or error}") from error
    return drawn


def _result(one: DefectReport) -> dict[str, Any]:
    return {
        "path": one.path,
        "id": one.id,
        "score": round(one.score, 6),
        "threshold": None if one.threshold is None else round(one.threshold, 6),
        "verdict": one.verdict,
        "boxes": [[round(edge, 1) for edge in box] for box in one.boxes],
        "nearest": [
            {
                "cell": list(reason.cell),
                "score": round(reason.score, 6),
                "id": reason.id,
                "path": reason.path,
                "box": [round(edge, 1) for edge in reason.box],
                "cosine": round(reason.cosine, 6),
            }
            for reason in one.nearest
        ],
    }
