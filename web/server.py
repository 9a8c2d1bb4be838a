"""Running the app: waitress, until a signal comes."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from types import FrameType

from waitress.server import create_server

from .app import create_app
from .settings import MB, BadSettings, Settings

# Beyond this waitress itself ends a request, in its own words; below, the app says 413.
_MOST_BYTES = 512 * MB


class _Stop(SystemExit):
    """Raised by the signal that ends the server.

    A `SystemExit`, since waitress's loop lets go of nothing else: it stops taking requests,
    and waits up to five seconds for those that are being answered.
    """


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code for it, 130 or 143.

    `ready` is called with the address once connections are taken. A running job finishes
    the pictures in hand first, which takes up to ten seconds. Raises `DinoSearchError`.
    """
    app = create_app(settings)
    services = app.extensions["dinosearch"]
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        try:
            server = create_server(
                app,
                host=settings.host,
                port=settings.port,
                threads=settings.threads,
                ident=None,
                max_request_body_size=_MOST_BYTES,
                connection_limit=500,
                channel_timeout=60,
            )
        except OSError as error:
            raise BadSettings(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error};"
                " another port: --port N"
            ) from error
        signals: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            # A second one ends the process there and then, which the store is made to survive.
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, signal.SIG_DFL)
            signals.append(number)
            raise _Stop

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            ready(f"http://{host}:{getattr(server, 'effective_port', settings.port)}/")
            server.run()
        except _Stop:
            pass  # It came before the loop began.
        finally:
            # An answer that takes longer finds its connection closed: no news to anybody.
            logging.getLogger("waitress").setLevel(logging.CRITICAL)
            server.close()
        return 128 + signals[0] if signals else 0
    finally:
        services.close()
