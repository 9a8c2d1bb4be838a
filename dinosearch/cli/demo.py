"""dinosearch demo: real photographs, indexed and searched, in about a minute."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from dinosearch.cli.output import document, json_option, line, note
from dinosearch.cli.progress import ProgressDisplay
from dinosearch.cli.stopping import StopRequest
from dinosearch.errors import InvalidInput

LICENCE = """\
Pictures: ELPV, electroluminescence photographs of solar cells, good and defective.
Buerhop-Lutz et al. 2018, Deitsch et al. 2019 (doi:10.1016/j.solener.2019.02.067), 2021.
Licence: CC BY-NC-SA 4.0, not for commercial use. They stay on this machine."""

# Kept out of the index, so that whatever is found is another photograph.
WHOLE_QUERY = "cell0384.png"  # a cell crossed by cracks
PART_QUERY = "cell0054.png"
PART = (110, 15, 285, 70)  # the long dark finger of an inactive area


@click.command()
@click.option("--to", "folder", default="indexes/demo", show_default=True, metavar="DIR")
@click.option("--work", default="demo", show_default=True, metavar="DIR", help="For the results.")
@click.option(
    "--pictures",
    "count",
    type=click.IntRange(500, 2622),
    default=1200,
    show_default=True,
    help="How many to index.",
)
@json_option
def demo(folder: str, work: str, count: int, as_json: bool) -> None:
    """Index real photographs with the encoder that needs no download, and search them."""
    stop = StopRequest()
    source = _elpv()
    for text in LICENCE.splitlines():
        note(text)
    note("")
    corpus = Path(work) / "pictures"
    queries = _lay_out(source, corpus, Path(work), count)
    from dinosearch.image_index import open_or_create

    with open_or_create(folder, encoder="mini") as index:
        note(f"indexing {count} photographs with {index.encoder.name} on {index.encoder.device}")
        with ProgressDisplay() as progress:
            report = index.add(corpus, labels="folders", progress=progress, stop=stop)
        if report.stopped:
            note("stopped; run the same command again to go on")
            sys.exit(stop.exit_code)
        line(
            f"{len(index)} photographs in the index: {report.added} added,"
            f" {report.unchanged} unchanged, {report.encoded} encoded in {report.seconds:.1f} s"
        )
        searches = {}
        for name, query, region in (
            ("whole", queries / WHOLE_QUERY, None),
            ("part", queries / PART_QUERY, PART),
        ):
            answer = index.answer(query, k=10, region=region)
            sheet = Path(work) / f"{name}.png"
            title = "Which look like this one?" if region is None else "Where else is this part?"
            index.sheet(query, answer.hits, region=region, title=title).save(sheet)
            searches[name] = {"sheet": str(sheet), "timing_ms": answer.timing_ms}
            marked = f" --region {','.join(map(str, region))}" if region else ""
            line()
            line(f"{title}  (dinosearch search {query} --in {folder}{marked})")
            for rank, hit in enumerate(answer.hits[:5], 1):
                box = "  box " + ",".join(f"{v:.0f}" for v in hit.box) if hit.box else ""
                label = ", ".join(hit.labels)
                line(f"  {rank}  {hit.score:.3f}  {Path(hit.path).name}  {label}{box}")
            line(
                f"  {answer.searched} pictures in {answer.timing_ms['search']:.0f} ms, the query"
                f" encoded in {answer.timing_ms['encode']:.0f} ms; drawn in {sheet}"
            )
    if as_json:
        document({"index": folder, "report": report.to_dict(), "searches": searches})
        return
    command = _command()
    line()
    line("Next:")
    line(f"  {command} info --in {folder}")
    line(f"  {command} search --id 7 --in {folder} --where label:defective")
    line(f"  {command} index YOUR_PHOTOS --to indexes/mine")


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
    for stale in set(corpus.glob("*/*.png")) - set(wanted):
        stale.unlink()
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
