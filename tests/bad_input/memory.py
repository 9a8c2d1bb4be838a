"""How much memory a running command and its decoders have held at most."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from tests.crash.commands import Done, Running


class Watched(threading.Thread):
    """Looks every few milliseconds; `main` and `child` are the highest seen, in bytes."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self._running = running
        self.main = self.child = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.005):
            self.main = max(self.main, _peak(self._running.process.pid))
            for pid in self._running.children():
                self.child = max(self.child, _peak(pid))

    def wait(self) -> Done:
        self.start()
        try:
            return self._running.wait()
        finally:
            self._over.set()
            self.join()


def _peak(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
