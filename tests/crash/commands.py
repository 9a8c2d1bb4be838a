"""Running dinosearch from the outside: as itself, through the runner, or in its forks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

DINOSEARCH = str(Path(sys.executable).with_name("dinosearch"))
RUNNER = str(Path(__file__).with_name("runner.py"))

# What several processes on two cores need; nobody else's threads.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Arguments = Sequence[str | Path]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def acknowledged(self) -> int:
        return acknowledged(self.err)


def acknowledged(err: str) -> int:
    """The highest "committed N" that was printed in full."""
    return max(map(int, re.findall(r"committed (\d+)(?=[,\n])", err)), default=0)


def dinosearch_command(*arguments: str | Path) -> list[str]:
    return [DINOSEARCH, *map(str, arguments)]


def runner_command(plan: dict[str, Any], *arguments: str | Path) -> list[str]:
    return [sys.executable, RUNNER, json.dumps(plan), *map(str, arguments)]


def run(command: Sequence[str], **options: Any) -> Done:
    """Run to the end; names that are not UTF-8 come through as they are."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
        **{"env": ENVIRONMENT, **options},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def dinosearch(*arguments: str | Path, **options: Any) -> Done:
    return run(dinosearch_command(*arguments), **options)


class Running:
    """A command on its way, in a process group of its own, talking to files."""

    def __init__(self, command: Sequence[str]) -> None:
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by wait()
        self._err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self.started = time.monotonic()

    @property
    def err(self) -> str:
        return _all_of(self._err)

    def wait_for(self, met: Callable[[str], bool], timeout_s: float = 60) -> None:
        """Wait until what it said on stderr is enough; it must not end before."""
        for _ in range(round(timeout_s / 0.003)):
            if met(self.err):
                return
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.err}")
            time.sleep(0.003)
        raise AssertionError(f"it never came so far: {self.err}")

    def children(self) -> list[int]:
        """The process ids of the decoders."""
        found: list[int] = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
        return found

    def kill(self, *, everyone: bool) -> list[int]:
        """SIGKILL the main process, and with `everyone` its decoders; returns their ids."""
        children = self.children()
        self.process.kill()
        for child in children if everyone else ():
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return children

    def wait(self, timeout_s: float = 120) -> Done:
        try:
            self.process.wait(timeout_s)
        finally:
            self.process.kill()
        out, err = _all_of(self._out), _all_of(self._err)
        self._out.close()
        self._err.close()
        return Done(self.process.returncode, out, err)


def _all_of(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="surrogateescape")


def all_gone(pids: Sequence[int], within_s: float = 10) -> bool:
    """Whether these processes end by themselves."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"  # dead; whether its foster parent collects it is not our affair


class Forks:
    """A process that has everything loaded and runs each command in a fork of itself."""

    def __init__(self, scratch: Path, *, decoded: Path, size: int) -> None:
        plan = {"decoded": str(decoded), "size": size}
        self._out, self._err = scratch / "forks.out", scratch / "forks.err"
        self._process = subprocess.Popen(
            [sys.executable, RUNNER, "serve", json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the runner has died"
        return line

    def run(self, plan: dict[str, Any], *arguments: str | Path) -> Done:
        assert self._process.stdin is not None
        request = {
            "plan": plan,
            "arguments": [str(one) for one in arguments],
            "out": str(self._out),
            "err": str(self._err),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._answer())
        return Done(code, self._out.read_text(), self._err.read_text())
