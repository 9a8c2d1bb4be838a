"""The real server, in a thread of the tests, on a port of its own.

To plant faults, DINOSEARCH_WEB_COPY names a copy of `web/` whose static files and templates
are served instead of the real ones.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jinja2
from dinosearch.web import Settings, create_app, pages
from waitress.server import create_server

COPY = os.environ.get("DINOSEARCH_WEB_COPY")


class Server:
    """A server that can be stopped and started again at the same address."""

    def __init__(self, *indexes: Path, uploads: Path, **settings: Any) -> None:
        self.uploads = uploads
        self.settings = Settings(
            indexes=tuple(map(str, indexes)),
            uploads=uploads,
            **{"searches_per_minute": 100_000, **settings},
        )
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def services(self) -> Any:
        return self._app.extensions["dinosearch"]

    def start(self) -> None:
        self._app = _app(self.settings)
        self._server = create_server(
            self._app, host="127.0.0.1", port=self._port, threads=8, ident=None
        )
        self._port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="page", daemon=True)
        self._thread.start()
        self._wait_until_ready()

    def stop(self) -> None:
        """Refuse connections from now on, and drop those there are."""
        # In the thread that serves: it must not wait on sockets that are being closed.
        self._server.trigger.pull_trigger(self._close)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._server.task_dispatcher.shutdown()
        self.services.close()

    def _close(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()

    def _wait_until_ready(self) -> None:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/api/v1/readyz", timeout=10):
                    return
            except urllib.error.HTTPError as error:
                if error.code in (401, 403):
                    return
                threading.Event().wait(0.05)
        raise AssertionError("the server never became ready")

    def upload(self, picture: Path) -> str:
        """The id of a picture that is now there to ask with."""
        edge = b"--edge\r\n"
        head = b'Content-Disposition: form-data; name="image"; filename="%s"\r\n\r\n'
        request = urllib.request.Request(
            f"{self.url}/api/v1/queries",
            edge + head % picture.name.encode() + picture.read_bytes() + b"\r\n--edge--\r\n",
            {"Content-Type": "multipart/form-data; boundary=edge"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["query_id"])

    def count(self, name: str) -> float:
        """A number of the server's metrics, by its name with labels."""
        text = self.services.metrics.text().decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def encoded(self) -> float:
        """How many times a picture was encoded."""
        return self.count('dinosearch_heavy_done_total{lane="encode"}')


def _app(settings: Settings) -> Any:
    if COPY is None:
        return create_app(settings)
    real = pages.Assets
    pages.Assets = lambda: real(Path(COPY) / "static")
    try:
        app = create_app(settings)
    finally:
        pages.Assets = real
    app.jinja_loader = jinja2.FileSystemLoader(Path(COPY) / "templates")
    return app
