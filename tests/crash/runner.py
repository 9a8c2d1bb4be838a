"""The real command line, made easy to hit: small batches, and a step at which it ends.

    python runner.py PLAN ARGUMENT...    run `dinosearch ARGUMENT...` as PLAN (JSON) says
    python runner.py PLAN answers INDEX  all that the index finds, see `answers`
    python runner.py serve PLAN          load everything once; then, for each JSON line
                                         {"plan", "arguments", "out", "err"} on stdin, do
                                         that in a fork and answer with its return code

A plan may hold
    constants  values for names in the modules below, such as {"BATCH_ROWS": 4}
    root, at, do   see `steps.Steps`
    record     a file that gets the names of the steps, as JSON
    cheat      the name of a function in `cheats`
    decoded    (serve) a folder whose pictures are decoded once, by the real decoder, and
               handed to every run: starting decoders would take longer than the run
    announce   say "at NAME" on stderr when a function below is entered
    stand      the same, and stand still there (SIGSTOP) until told to go on
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dinosearch import image_index
from dinosearch.cli import main
from dinosearch.encoders.colour import Colour
from dinosearch.errors import DinoSearchError
from dinosearch.images import Decoder, Picture, Refusal
from dinosearch.indexing import committer, pipeline
from dinosearch.storage import folder, patch_index, upkeep, vectors, writer
from tests.crash import cheats
from tests.crash.steps import Steps

_CONSTANTS: dict[str, tuple[Any, ...]] = {
    "BATCH_ROWS": (committer,),
    "SMALLEST": (vectors, patch_index),
    "DEAD_GRACE_S": (writer,),
    "TOKEN_BUDGET": (upkeep,),
    "batch_size": (Colour,),
}
_PLACES: dict[str, tuple[Any, str]] = {
    "create": (folder.Folder, "prepare"),
    "manifest": (folder.Folder, "write_manifest"),
    "commit": (writer.Writer, "commit"),
    "build": (vectors, "build"),
    "compact": (image_index, "compact_index"),
}


def follow(plan: dict[str, Any]) -> None:
    for name, value in plan.get("constants", {}).items():
        for place in _CONSTANTS[name]:
            setattr(place, name, value)
    for name in plan.get("announce", ()):
        _announce(name)
    for name in plan.get("stand", ()):
        _announce(name, then=lambda: os.kill(os.getpid(), signal.SIGSTOP))
    cheat = plan.get("cheat")
    if cheat != "no_fsync" and cheat:
        getattr(cheats, cheat)()
    if "do" in plan:
        steps = Steps(Path(plan["root"]), plan.get("at", 0), plan["do"])
        complete = steps.install()
        if "record" in plan:
            _at_exit(lambda: _record(plan["record"], steps, complete))
    if cheat == "no_fsync":  # above the counting, which must not see what did not happen
        cheats.no_fsync()


def _announce(name: str, then: Callable[[], None] = lambda: None) -> None:
    owner, attribute = _PLACES[name]
    plain = getattr(owner, attribute)

    def announced(*args: Any, **options: Any) -> Any:
        os.write(2, f"at {name}\n".encode())
        then()
        return plain(*args, **options)

    setattr(owner, attribute, announced)


def _at_exit(action: Callable[[], None]) -> None:
    import atexit

    atexit.register(action)


def _record(path: str, steps: Steps, complete: bool) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
        json.dump({"steps": steps.names, "complete": complete}, file)


def run(plan: dict[str, Any], arguments: list[str]) -> None:
    follow(plan)
    if arguments[0] == "answers":
        try:
            answers(arguments[1])
        except DinoSearchError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
        return
    sys.argv = ["dinosearch", *arguments]
    main()


class _Decoded:
    """Stands where the decoder would, with what the decoder said."""

    known: dict[str, Picture | Refusal] = {}  # noqa: RUF012 - shared by the forks on purpose

    def __init__(self, view: Any, **options: Any) -> None:
        pass

    def __enter__(self) -> _Decoded:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def decode_many(self, paths: Iterable[str]) -> Iterator[Picture | Refusal]:
        return (self.known[path] for path in paths)


def serve(plan: dict[str, Any]) -> None:
    size = int(plan["size"])
    view = Colour(size=size, fit="crop").view
    with Decoder(view, workers=2) as decoder:
        paths = sorted(str(p) for p in Path(plan["decoded"]).rglob("*") if p.is_file())
        _Decoded.known = {found.path: found for found in decoder.decode_many(paths)}
    setattr(pipeline, "Decoder", _Decoded)  # noqa: B010 - mypy knows it as an import
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(request: dict[str, Any]) -> None:
    """Run a request and end like a process of its own would."""
    import atexit
    import traceback

    for number, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, number)
        os.close(file)
    signal.alarm(60)  # whatever never ends, ends here, by a signal that no test accepts
    code = 0
    try:
        run(request["plan"], request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)


def answers(index: str) -> None:
    """Every answer an index gives, as JSON on stdout: hits by whole picture and by region."""
    import dinosearch

    with dinosearch.open(index) as opened:
        found = {}
        for number in range(1, len(opened) + 1):
            whole = opened.search(number, k=10)
            region = (14, 14, 42, 42)
            part = opened.answer(number, k=10, region=region, same_size=True).hits
            # Without its patch index a store knows better what is usual, and near ties swap.
            zoomed = opened.search(number, k=1, region=region)
            found[number] = [
                *(
                    [(hit.id, hit.path, round(hit.score, 4), hit.box) for hit in hits]
                    for hits in (whole, part)
                ),
                [hit.id for hit in zoomed],
            ]
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(json.loads(sys.argv[2]))
    else:
        run(json.loads(sys.argv[1]), sys.argv[2:])
