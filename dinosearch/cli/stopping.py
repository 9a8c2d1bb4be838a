"""Signals: the first asks to stop cleanly, the second stops at once."""

from __future__ import annotations

import os
import signal
from types import FrameType


class StopRequest:
    """True once SIGINT or SIGTERM has come; `exit_code` is 130 or 143 then.

    A second signal ends the process there and then, which the store is made to survive.
    """

    def __init__(self) -> None:
        self._signal = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            os._exit(128 + number)
        self._signal = number

    def __call__(self) -> bool:
        return self._signal != 0

    @property
    def exit_code(self) -> int:
        return 128 + self._signal if self._signal else 0
