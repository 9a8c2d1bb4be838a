"""A decoder process seen from its owner: started, asked with a deadline, killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import dinosearch
from dinosearch.errors import DinoSearchError
from dinosearch.images.protocol import Ended, receive, send

START_TIMEOUT_S = 120.0


class WorkerDied(Exception):
    """The process ended in the middle of a picture; the message says how."""


class WorkerTimedOut(Exception):
    """The process did not answer in time; it has been killed."""


class WorkerProcess:
    """One decoder process. Used by one thread at a time; `kill` may come from any."""

    answered: int
    """Requests answered so far."""

    def __init__(self) -> None:
        self.answered = 0
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            # -P: the current folder may hold anything, also a file called PIL.py.
            [sys.executable, "-P", "-m", "dinosearch.images.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(),
            # Ctrl-C reaches every process of the terminal's group; the owner deals with it.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._from.fileno(), select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait for the imports. Raises `DinoSearchError` when the process does not start."""
        try:
            self._receive(time.monotonic() + START_TIMEOUT_S)
        except (Ended, TimeoutError, OSError) as error:
            self.kill()
            raise DinoSearchError(
                f"the process that decodes pictures does not start ({error}):"
                f" {self._last_words() or 'it said nothing'}; try"
                f" {sys.executable} -m dinosearch.images.worker"
            ) from error

    def ask(
        self, request: dict[str, Any], timeout_s: float
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """Send a request and wait for its answer.

        Raises `WorkerDied` or `WorkerTimedOut`; the process is gone then.
        """
        try:
            send(self._to.fileno(), {**request, "timeout_s": timeout_s})
            answer = self._receive(time.monotonic() + timeout_s)
            self.answered += 1
            return answer
        except TimeoutError:
            self.kill()
            raise WorkerTimedOut(f"no answer within {timeout_s:g} s") from None
        except (Ended, OSError, ValueError) as error:
            self.kill()
            if self._process.returncode == -signal.SIGXCPU:
                raise WorkerTimedOut(f"no answer within {timeout_s:g} s of work") from None
            raise WorkerDied(f"{self._death()}: {self._last_words() or error}") from None
        except BaseException:
            # Half an answer may be in the pipe; nobody could tell it from the next one.
            self.kill()
            raise

    def kill(self) -> None:
        """End the process at once and collect it; harmless when it has ended before."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """`kill`, and give back pipes and files; no other call may be running."""
        self.kill()
        for stream in (self._to, self._from, self._complaints):
            with contextlib.suppress(OSError):
                stream.close()

    def _receive(self, deadline: float) -> tuple[dict[str, Any], list[bytearray]]:
        file = self._from.fileno()

        def read_into(buffer: memoryview) -> int:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError
            return os.readv(file, [buffer])

        return receive(read_into)

    def _death(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exited with {code}"

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._complaints.fileno()).st_size
            text = os.pread(self._complaints.fileno(), 2000, max(0, size - 2000))
            return " ".join(text.decode("utf-8", "replace").split())[-300:]
        return ""


def _environment() -> dict[str, str]:
    """The owner's environment, so changed that the process finds this very package."""
    environment = dict(os.environ)
    # The arithmetic is Pillow's; numpy's own threads would only cost memory.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    root = str(Path(dinosearch.__file__).resolve().parent.parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        paths = [root, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment
