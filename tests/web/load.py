"""Clients that load a server: what they ask, what they see, how long it takes."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image


@dataclass
class Seen:
    """What all clients saw. `milliseconds` by kind of request; `torn` are mixed answers."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    troubles: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    checked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, status: int, ms: float, body: bytes) -> None:
        with self._lock:
            self.milliseconds[kind].append(ms)
            self.statuses[status] += 1
            if status >= 500:
                self.troubles.append(f"{kind}: {status} {body[:300].decode(errors='replace')}")

    def check_whole(self, kind: str, scores: list[float], expected: int) -> None:
        """Pictures that are always repainted alike must score alike in one answer."""
        with self._lock:
            self.checked += 1
            if len(scores) != expected or max(scores) - min(scores) > 1e-4:
                self.torn.append(f"{kind}: {scores}")

    def table(self) -> str:
        lines = [f"{'request':28s} {'n':>6s} {'p50 ms':>9s} {'p95 ms':>9s}"]
        for kind, values in sorted(self.milliseconds.items()):
            low, high = np.percentile(values, [50, 95])
            lines.append(f"{kind:28s} {len(values):6d} {low:9.1f} {high:9.1f}")
        return "\n".join(lines)


class Client:
    """One client with a connection that stays open."""

    def __init__(self, url: str, seen: Seen) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=90)
        self._seen = seen

    def ask(
        self, kind: str, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": media_type} if body is not None else {}
        started = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        self._seen.note(kind, response.status, (time.perf_counter() - started) * 1000, content)
        return response.status, content

    def post(self, kind: str, path: str, body: Any) -> Any:
        status, content = self.ask(
            kind, "POST", path, json.dumps(body).encode(), "application/json"
        )
        return json.loads(content) if status < 300 else None

    def upload(self, kind: str, picture: bytes) -> Any:
        body = (
            b'--XX\r\nContent-Disposition: form-data; name="image"; filename="q.png"\r\n\r\n'
            + picture
            + b"\r\n--XX--\r\n"
        )
        status, content = self.ask(
            kind, "POST", "/api/v1/queries", body, "multipart/form-data; boundary=XX"
        )
        return json.loads(content) if status < 300 else None

    def close(self) -> None:
        self._connection.close()


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """`work(0..count-1)` side by side; what one raises is raised."""
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
