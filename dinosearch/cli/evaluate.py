"""dinosearch evaluate regions, retrieval, copies, scenes"""

from __future__ import annotations

import json
import sys

import click

from dinosearch.cli.output import document, index_option, json_option, line, note
from dinosearch.errors import InvalidInput


@click.group()
def evaluate() -> None:
    """Measure how well an index answers."""


def _judging(task: str) -> click.Command:
    """The command that judges one task; they differ in nothing else."""

    @click.command(task)
    @click.argument("truth", type=click.Path(), metavar="TRUTH.json")
    @index_option
    @click.option("--depth", default=100, show_default=True, type=click.IntRange(1, 900))
    @click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
    @click.option("--out", type=click.Path(), metavar="FILE", help="Also query by query, as JSON.")
    @json_option
    def command(
        truth: str, folder: str, depth: int, seed: int, out: str | None, as_json: bool
    ) -> None:
        import dinosearch
        from dinosearch.evaluation import GroundTruth
        from dinosearch.evaluation import evaluate as judge

        wanted = GroundTruth.read(truth)
        if wanted.task != task:
            raise InvalidInput(f"{truth} is for: dinosearch evaluate {wanted.task}")
        with dinosearch.open(folder) as index:
            result = judge(index, wanted, depth=depth, seed=seed, progress=_progress)
        if out is not None:
            try:
                with open(out, "w", encoding="utf-8") as file:
                    json.dump(result.to_dict(details=True), file, indent=1)
            except OSError as error:
                raise InvalidInput(f"cannot write {out}: {error.strerror}") from error
        if as_json:
            document(result.to_dict())
            return
        for name, one in result.figures.items():
            if one.value is None or one.low is None or one.high is None:
                line(f"{name:24s} nothing to judge")
                continue
            interval = f"{one.low:.3f} to {one.high:.3f}"
            line(f"{name:24s} {one.value:.3f}   (95 %: {interval}; n = {one.queries})")

    command.help = (
        f"Ask the queries of a ground truth for {task} and judge the answers.\n\n"
        "Figures are means over queries with 95 % bootstrap intervals."
    )
    return command


evaluate.add_command(_judging("regions"))
evaluate.add_command(_judging("retrieval"))
evaluate.add_command(_judging("copies"))


@evaluate.command()
@click.option("--cutouts", required=True, type=click.Path(), metavar="DIR", help="With alpha.")
@click.option(
    "--photographs", required=True, multiple=True, type=click.Path(), metavar="DIR",
    help="Large ones.",
)  # fmt: skip
@click.option("--to", "folder", required=True, type=click.Path(), metavar="DIR")
@click.option("--count", default=1000, show_default=True, type=click.IntRange(1), help="A half.")
@click.option("--queries", default=200, show_default=True, type=click.IntRange(1), help="A half.")
@click.option("--seed", default=0, show_default=True)
@json_option
def scenes(
    cutouts: str,
    photographs: tuple[str, ...],
    folder: str,
    count: int,
    queries: int,
    seed: int,
    as_json: bool,
) -> None:
    """Paste cut-outs onto photographs: scenes, queries and their ground truth.

    In two halves without a cut-out or photograph in common: `tune`, and `held-out`, which is
    for the figures that are shown.
    """
    from dinosearch.evaluation.scenes import make_scenes

    truths = make_scenes(
        cutouts, photographs, folder, count=count, queries=queries, seed=seed, progress=_progress
    )
    if as_json:
        document({half: str(path) for half, path in truths.items()})
        return
    for half, path in truths.items():
        line(f"{half}: {path}")
        note(f"index them: dinosearch index {path.parent / 'scenes'} --to indexes/{half}")


def _progress(done: int, total: int) -> None:
    step = max(1, total // 20)
    if done and (done % step == 0 or done == total) and sys.stderr.isatty():
        note(f"{done} of {total}")
