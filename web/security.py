"""Who may ask what: host names, tokens, origins, rates; and what browsers are told.

Rules run before every request, in this order: the name it is addressed to, the token, and
for what changes anything the page it comes from.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from urllib.parse import quote, urlsplit

from flask import Flask, Response, current_app, redirect, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.wrappers import Response as AnyResponse

from .problems import Problem
from .settings import Settings

COOKIE = "dinosearch_session"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

# POST, because their questions do not fit into an address; they change nothing.
READS = frozenset({"/api/v1/queries", "/api/v1/search", "/api/v1/explain"})

# What anybody may see: whether the server lives, how to sign in, and the page's own files.
OPEN = ("/api/v1/healthz", "/login", "/static/", "/problems/")


class Guard:
    """The rules of one server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rates = MovingWindowRateLimiter(MemoryStorage())
        self._searches = RateLimitItemPerMinute(settings.searches_per_minute)

    def install(self, app: Flask) -> None:
        """Put the rules before, and the headers after, every request of the app."""
        app.before_request(self.check)
        app.after_request(_add_headers)

    def check(self) -> AnyResponse | None:
        """Raises `Problem` for a request that is not to be answered."""
        self._check_host()
        answer = self._check_token()
        if answer is None and request.method not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin()
        return answer

    def count_search(self) -> None:
        """Raises `Problem` rate-limited for a client that searches too often."""
        client = request.remote_addr or "?"
        if not self._rates.hit(self._searches, "search", client):
            reset = self._rates.get_window_stats(self._searches, "search", client).reset_time
            raise Problem(
                "rate-limited",
                f"more than {self._settings.searches_per_minute} searches in a minute",
                headers={"Retry-After": str(max(1, math.ceil(reset - time.time())))},
            )

    def is_token(self, text: str) -> bool:
        token = self._settings.token
        return token is not None and hmac.compare_digest(token.encode(), text.encode())

    @property
    def session(self) -> str:
        """What the cookie of somebody who signed in holds: it proves the token, not tells it."""
        token = (self._settings.token or "").encode()
        return hmac.new(token, b"dinosearch session 1", hashlib.sha256).hexdigest()

    def _check_host(self) -> None:
        # Parsed like an address, so that a port, and nothing else, is left out.
        name = (urlsplit(f"//{request.host}").hostname or "") if _is_host(request.host) else ""
        name = f"[{name}]" if ":" in name else name
        if name.lower() not in self._settings.trusted_hosts:
            raise Problem("forbidden-host", "the request is addressed to a name not on the list")

    def _check_token(self) -> AnyResponse | None:
        if self._settings.token is None or request.path.startswith(OPEN) or self._has_bearer():
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.session.encode()):
            return None
        if request.method == "GET" and not request.path.startswith("/api/"):
            # Quoted: a path may hold any character, and a link its whole question.
            target = quote(request.full_path.removesuffix("?"), safe="/")
            return redirect(f"/login?next={target}")
        raise Problem(
            "unauthorized",
            "the request carries no token, or a wrong one",
            headers={"WWW-Authenticate": 'Bearer realm="dinosearch"'},
        )

    def _has_bearer(self) -> bool:
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self.is_token(text.strip())

    def _check_origin(self) -> None:
        """A browser says where a request comes from; a page elsewhere must change nothing."""
        if request.path in READS or self._has_bearer():
            return
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None:
            allowed = site in ("same-origin", "none")
        elif origin is not None:
            allowed = origin == f"{request.scheme}://{request.host}"
        else:  # no browser; elsewhere than on this machine a token is wanted anyway
            allowed = self._settings.is_loopback
        if not allowed:
            raise Problem("forbidden-origin", "the request comes from another site's page")


def guard() -> Guard:
    """The guard of the app that is answering."""
    found: Guard = current_app.extensions["dinosearch"].guard
    return found


def _is_host(text: str) -> bool:
    return not set(text) & set("/\\@?# ")


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
