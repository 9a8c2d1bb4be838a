"""dinosearch demo: real photographs, indexed and searched, in about a minute."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from dinosearch.cli.output import document, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay
from dinosearch.cli.stopping import StopRequest
from dinosearch.errors import InvalidInput

if TYPE_CHECKING:
    from dinosearch.image_index import ImageIndex

LICENCE = """\
Pictures: ELPV, electroluminescence photographs of solar cells, good and defective.
Buerhop-Lutz et al. 2018, Deitsch et al. 2019 (doi:10.1016/j.solener.2019.02.067), 2021.
Licence: CC BY-NC-SA 4.0, not for commercial use. They stay on this machine."""

# Kept out of the index, so that whatever is found is another photograph.
WHOLE_QUERY = "cell0384.png"  # a cell crossed by cracks
PART_QUERY = "cell0054.png"
PART = (110, 15, 285, 70)  # the long dark finger of an inactive area


@dataclass(frozen=True)
class _Stage:
    """A corpus that has been laid out: its folder and what to ask it."""

    corpus: Path
    whole_query: Path
    part_query: Path
    part: tuple[float, float, float, float]


@click.command()
@click.option("--to", "folder", metavar="DIR", help="The index. [default: indexes/demo]")
@click.option("--work", metavar="DIR", help="For pictures and results. [default: demo]")
@click.option(
    "--pictures",
    "count",
    type=click.IntRange(500, 2622),
    default=1200,
    show_default=True,
    help="How many to index.",
)
@click.option("--drawn", is_flag=True, help="Draw the pictures instead of using photographs.")
@json_option
def demo(folder: str | None, work: str | None, count: int, drawn: bool, as_json: bool) -> None:
    """Index real photographs with the encoder that needs no download, and search them."""
    stop = StopRequest()
    name = "demo-drawn" if drawn else "demo"
    folder, results = folder or f"indexes/{name}", Path(work or name)
    stage = _drawn_stage(results, count) if drawn else _photograph_stage(results, count)
    from dinosearch.opening import open_or_create

    with open_or_create(folder, encoder="mini") as index:
        note(f"indexing {count} pictures with {index.encoder.name} on {index.encoder.device}")
        with ProgressDisplay() as progress:
            report = index.add(stage.corpus, labels="folders", progress=progress, stop=stop)
        if report.stopped:
            note("stopped; run the same command again to go on")
            sys.exit(stop.exit_code)
        if not as_json:
            line(
                f"{len(index)} pictures in the index: {report.added} added,"
                f" {report.unchanged} unchanged, {report.encoded} encoded"
                f" in {report.seconds:.1f} s"
            )
        whole = _ask(index, stage.whole_query, None, results / "whole.png", as_json)
        part = _ask(index, stage.part_query, stage.part, results / "part.png", as_json)
    if as_json:
        searches = {"whole": whole, "part": part}
        document({"index": folder, "report": report.to_dict(), "searches": searches})
        return
    command = _command()
    line()
    line("Open the page, and go to the address it prints:")
    line(f"  {command} serve --in {folder}")
    line("Or:")
    line(f"  {command} info --in {folder}")
    line(f"  {command} search --id 7 --in {folder} -k 5")
    line(f"  {command} index YOUR_PHOTOS --to indexes/mine")


def _ask(
    index: ImageIndex,
    query: Path,
    region: tuple[float, float, float, float] | None,
    sheet: Path,
    quiet: bool,
) -> dict[str, Any]:
    """Search, draw the sheet, say what was found."""
    # Its pictures are of one size, as those of one camera are.
    answer = index.answer(query, k=10, region=region, same_size=region is not None)
    title = "Which look like this one?" if region is None else "Where else is this part?"
    index.sheet(query, answer.hits, region=region, title=title).save(sheet)
    if not quiet:
        box = ",".join(f"{v:g}" for v in region or ())
        marked = f" --region {box} --same-size" if region else ""
        line()
        line(f"{title}  (search {query} --in {os.path.relpath(index.path)}{marked})")
        for rank, hit in enumerate(answer.hits[:5], 1):
            box = "  box " + ",".join(f"{v:.0f}" for v in hit.box) if hit.box else ""
            line(f"  {rank}  {hit.score:.3f}  {Path(hit.path).name}  {', '.join(hit.labels)}{box}")
        line(
            f"  {answer.searched} pictures in {answer.timing_ms['search']:.0f} ms, the query"
            f" encoded in {answer.timing_ms['encode']:.0f} ms; drawn in {sheet}"
        )
    return {"sheet": str(sheet), "timing_ms": answer.timing_ms}


def _photograph_stage(results: Path, count: int) -> _Stage:
    source = _elpv()
    for text in LICENCE.splitlines():
        note(text)
    note("")
    queries = _lay_out(source, results / "pictures", results, count)
    return _Stage(results / "pictures", queries / WHOLE_QUERY, queries / PART_QUERY, PART)


def _drawn_stage(results: Path, count: int) -> _Stage:
    from dinosearch.cli.drawn import draw_corpus, draw_part_query, draw_scene

    note(f"drawing {count} pictures of machine parts")
    draw_corpus(results / "pictures", count)
    queries = results / "queries"
    queries.mkdir(parents=True, exist_ok=True)
    # Seeds the corpus does not use, so that whatever is found is another picture.
    whole, _ = draw_scene(["gear"], np.random.default_rng(2))
    part, box = draw_part_query()
    whole.save(queries / "whole.jpg", quality=92)
    part.save(queries / "part.jpg", quality=92)
    return _Stage(results / "pictures", queries / "whole.jpg", queries / "part.jpg", box)


def _elpv() -> Path:
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise InvalidInput(
            "the demo's photographs are not installed: pip install 'dinosearch[demo]'"
            " (ELPV, CC BY-NC-SA 4.0)"
        )
    return Path(spec.origin).parent / "data"


def _lay_out(source: Path, corpus: Path, work: Path, count: int) -> Path:
    """Put `count` photographs into a folder per label; returns the folder of the queries."""
    labels = {"0.0": "good", "1.0": "defective"}
    rows = [text.split() for text in (source / "labels.csv").read_text().splitlines() if text]
    kept = [row for row in rows if Path(row[0]).name not in (WHOLE_QUERY, PART_QUERY)]
    # Evenly over the whole series, which is ordered by module.
    chosen = [kept[i * len(kept) // count] for i in range(count)]
    wanted = {corpus / labels.get(p, "doubtful") / Path(name).name: name for name, p, _ in chosen}
    for target, name in wanted.items():
        _place(source / name, target)
    names = {Path(name).name for name, _, _ in rows}
    for label in ("good", "doubtful", "defective"):
        for other in set((corpus / label).glob("*.png")) - set(wanted):
            if other.name in names:  # ours, from a run with another number of pictures
                other.unlink()
    queries = work / "queries"
    for name in (WHOLE_QUERY, PART_QUERY):
        _place(source / "images" / name, queries / name)
    return queries


def _place(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _command() -> str:
    """How this program is called from here."""
    program = sys.argv[0]
    here = os.path.relpath(program)
    if shutil.which("dinosearch") == os.path.abspath(program):
        return "dinosearch"
    return shlex.quote(here if not here.startswith("..") else program)
