"""dinosearch info, failures, remove, compact, verify"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

import dinosearch
from dinosearch.cli.output import document, index_option, json_option, line, note


@click.command()
@index_option
@json_option
def info(folder: str, as_json: bool) -> None:
    """Facts about an index."""
    with dinosearch.open(folder) as index:
        facts = index.info()
    if as_json:
        document(facts)
        return
    vectors = facts["vectors"]
    how = vectors["kind"]
    if how == "ivf":
        how = (
            f"FAISS IVF, {vectors['probes']} of {vectors['lists']} lists probed,"
            f" recall@10 {facts['recall']:.4f} measured on {facts['recall_queries']} own vectors"
        )
    line(f"index      {facts['path']}")
    line(f"items      {facts['items']}")
    line(f"encoder    {facts['encoder']} ({facts['precision']})")
    line(f"vectors    {how}")
    line(f"tokens     {facts['tokens']}")
    line(f"size       {facts['bytes'] / 1e6:,.1f} MB in {facts['segments']} segments")
    if facts["dead_rows"]:
        line(f"unused     {facts['dead_rows']} rows; dinosearch compact drops them")
    if facts["refused"] or facts["failed"]:
        line(f"not taken  {facts['refused']} refused, {facts['failed']} failed")
    if facts["labels"]:
        labels = sorted(facts["labels"].items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{name} {count}" for name, count in labels[:8])
        line(f"labels     {shown}" + (f" and {len(labels) - 8} more" if len(labels) > 8 else ""))
    for source in facts["sources"]:
        line(f"source     {source}")


@click.command()
@index_option
@json_option
def failures(folder: str, as_json: bool) -> None:
    """List the files that did not become items, with the reason."""
    with dinosearch.open(folder) as index:
        found = index.failures()
    if as_json:
        document({"failures": [asdict(failure) for failure in found]})
        return
    for failure in found:
        line(f"{failure.state}:{failure.code}  {failure.path}  {failure.detail}")
    note(f"{len(found)} files")


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="ID|PATH...")
@index_option
@json_option
def remove(what: tuple[str, ...], folder: str, as_json: bool) -> None:
    """Take pictures, by id or path, out of an index.

    The files stay where they are, and stay out of the index until they change (`index
    --readd` takes them back). A folder stands for everything in it.
    """
    with dinosearch.open(folder) as index:
        count = index.remove([int(one) if one.isascii() and one.isdigit() else one for one in what])
    if as_json:
        document({"removed": count})
    else:
        line(f"{count} removed")
        note(f"their features go for good with: dinosearch compact --in {folder}")


@click.command()
@index_option
@json_option
def compact(folder: str, as_json: bool) -> None:
    """Merge small files, drop what was removed for good, rebuild what is derived."""
    with dinosearch.open(folder) as index:
        done = index.compact(progress=note)
    if as_json:
        document(done.to_dict())
        return
    line(
        f"{done.segments_before} segments of {done.bytes_before / 1e6:,.1f} MB became"
        f" {done.segments_after} of {done.bytes_after / 1e6:,.1f} MB,"
        f" {done.dead_rows} unused rows dropped"
    )
    if done.waiting_for_readers:
        note(
            f"{done.waiting_for_readers} old files wait for readers that have the index open; they"
            " go with the next write in ten minutes or more"
        )


@click.command()
@index_option
@click.option("--full", is_flag=True, help="Read every byte.")
@json_option
def verify(folder: str, full: bool, as_json: bool) -> None:
    """Check an index; exit 1 if anything is wrong."""
    progress: Any = note if full and sys.stderr.isatty() else lambda step: None
    report = dinosearch.verify(folder, full=full, progress=progress)
    if as_json:
        document(report.to_dict())
    else:
        for problem in report.problems:
            line(problem)
        state = "sound" if report.ok else f"{len(report.problems)} problems"
        line(f"{report.items} items in {report.segments} segments: {state}")
    sys.exit(0 if report.ok else 1)
