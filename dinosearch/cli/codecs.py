"""dinosearch codec-report"""

from __future__ import annotations

import sys

import click

from dinosearch.cli.output import document, index_option, json_option, line, note


@click.command("codec-report")
@index_option
@click.option("--pictures", default=300, show_default=True, type=click.IntRange(21, 2000))
@click.option("--regions", default=150, show_default=True, type=click.IntRange(1, 1000))
@click.option("--seed", default=0, show_default=True)
@json_option
def codec_report(folder: str, pictures: int, regions: int, seed: int, as_json: bool) -> None:
    """Measure what each way to keep patches (index --tokens) would cost on this index.

    Regions of its own pictures are looked for in a sample of the others, by the tokens as
    they are stored and as each codec would give them back.
    """
    import dinosearch
    from dinosearch.evaluation import codec_report as measure

    with dinosearch.open(folder) as index:
        report = measure(index, pictures=pictures, regions=regions, seed=seed, progress=_progress)
    if as_json:
        document(report.to_dict())
        return
    line("codec     bytes per picture       top 10 kept (95 %)      a score moves by     decoding")
    line("           tokens        all                             mean    at most   per picture")
    for one in report.figures:
        kept = f"{one.kept.value:.3f} ({one.kept.low:.3f} to {one.kept.high:.3f})"
        line(
            f"{one.codec:8s} {one.bytes_tokens:9,d}  {one.bytes_all:9,d}   {kept:23s}"
            f"{one.moved:.5f}  {one.moved_most:.5f} {one.decode_ms:9.2f} ms"
        )
    line()
    line(f"recommended: {report.recommended}")
    line(report.reason)
    for name in report.left_out:
        note(f"{name} is left out: this index has too few patches to learn it from")
    note(f"{report.regions} regions in {report.pictures} pictures")
    note(f"this index keeps {report.reference}; another codec needs a new one (index --tokens)")


def _progress(done: int, total: int) -> None:
    if done % max(1, total // 10) == 0 and sys.stderr.isatty():
        note(f"{done} of {total}")
