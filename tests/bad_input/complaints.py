"""How dinosearch is to complain: an exit code, one line that helps, a document for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.crash.commands import Done, dinosearch


def complains(code: int, *parts: str, command: tuple[str | Path, ...], **options: Any) -> Done:
    """The command ends with that code; its line on stderr and its document hold all `parts`."""
    done = dinosearch(*command, "--json", **options)
    assert "Traceback" not in done.err, done.err
    assert done.code == code, f"{done.code}: {done.err}"
    error = done.json["error"]
    assert error["exit_code"] == code
    assert error["type"]
    for part in parts:
        assert part in done.err, f"{part!r} is not in {done.err!r}"
        assert part in error["message"], f"{part!r} is not in {error}"
    return done
