"""dinosearch index"""

from __future__ import annotations

import sys

import click

from dinosearch.cli.encoders import fetch_with_bar
from dinosearch.cli.output import document, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay
from dinosearch.cli.stopping import StopRequest


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE...")
@click.option("--to", "folder", required=True, type=click.Path(), metavar="DIR", help="The index.")
@click.option("--encoder", metavar="E", help="A name, timm:NAME or a checkpoint. [default: auto]")
@click.option("--weights", type=click.Path(), metavar="FILE", help="Weights to use.")
@click.option("--size", type=int, metavar="N", help="A multiple of 14. [default: 560]")
@click.option("--fit", type=click.Choice(["crop", "pad", "squash"]), help="[default: crop]")
@click.option(
    "--tokens",
    type=click.Choice(["fp16", "int8", "pca-int8", "pq"]),
    help="How patches are kept; see codec-report. [default: int8]",
)
@click.option("--labels", metavar="folders|FILE.csv", help="Where labels come from.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16 or fp16.")
@click.option("--download", is_flag=True, help="Fetch missing weights.")
@click.option("--prune", is_flag=True, help="Remove items whose file has vanished.")
@click.option("--readd", is_flag=True, help="Also take pictures that were removed earlier.")
@click.option("--workers", type=click.IntRange(1, 64), help="Decoder processes. [default: cores]")
@click.option(
    "--min-free",
    type=click.IntRange(0),
    default=1024,
    show_default=True,
    metavar="MB",
    help="Stop while so much of the disk is still free.",
)
@json_option
def index(
    sources: tuple[str, ...],
    folder: str,
    encoder: str | None,
    weights: str | None,
    size: int | None,
    fit: str | None,
    tokens: str | None,
    labels: str | None,
    device: str,
    precision: str,
    download: bool,
    prune: bool,
    readd: bool,
    workers: int | None,
    min_free: int,
    as_json: bool,
) -> None:
    """Add new pictures, update changed ones, skip the rest.

    Safe to interrupt in any way: run it again and it goes on. Exits 3 when some pictures
    were refused or failed; `dinosearch failures` says which.
    """
    # From here on, not later: a signal while the encoder loads must end cleanly too.
    stop = StopRequest()
    from dinosearch.encoders.weights import VARIANTS
    from dinosearch.indexing import annotator_for, check_sources
    from dinosearch.opening import open_or_create

    # Before an index is made whose encoder and size could not be changed any more.
    check_sources(sources)
    annotator_for(labels)
    if download and encoder in VARIANTS and weights is None:
        fetch_with_bar(encoder)
    with open_or_create(
        folder,
        encoder=encoder,
        weights=weights,
        size=size,
        fit=fit,
        device=device,
        precision=precision,
        download=download,
        tokens=tokens,
    ) as opened:
        if opened.encoder.note:
            note(opened.encoder.note)
        with ProgressDisplay() as progress:
            report = opened.add(
                sources,
                labels=labels,
                prune=prune,
                readd=readd,
                workers=workers,
                min_free=min_free * 1_000_000,
                progress=progress,
                stop=stop,
            )
    if as_json:
        document({**report.to_dict(), "index": opened.path})
    else:
        line(
            f"{report.seen} seen: {report.added} added, {report.updated} updated,"
            f" {report.unchanged} unchanged, {report.refused} refused, {report.failed} failed"
            f" ({report.seconds:.1f} s)"
        )
    _notes(report.to_dict(), folder)
    if report.stopped:
        note("stopped; run the same command again to go on")
        sys.exit(stop.exit_code)
    if report.refused or report.failed:
        sys.exit(3)


def _notes(report: dict[str, object], folder: str) -> None:
    remarks = {
        "moved": "{} files had moved; they keep their ids",
        "left_out": "{} were removed earlier and stay out (--readd takes them)",
        "relabelled": "{} got other labels or metadata",
        "pruned": "{} items without a file were removed",
    }
    for name, remark in remarks.items():
        if report[name]:
            note(remark.format(report[name]))
    if report["vanished"] and not report["pruned"]:
        note(f"{report['vanished']} items lost their file and were kept (--prune removes them)")
    unmatched = report["unmatched"]
    if isinstance(unmatched, list) and unmatched:
        shown = ", ".join(unmatched[:3]) + (", ..." if len(unmatched) > 3 else "")
        note(f"{len(unmatched)} rows of the labels table match no picture: {shown}")
    if report["refused"] or report["failed"]:
        note(f"see why: dinosearch failures --in {folder}")
