"""The page: one shell for all screens, its files, signing in, and help for each problem."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from .problems import TYPES
from .security import COOKIE, guard
from .services import services

STATIC = Path(__file__).parent / "static"

_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page, as it is sent."""

    content: bytes
    media_type: str

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.content, 9, mtime=0)


class Assets:
    """The files of the page, read once, under an address that changes with any of them.

    So a browser may keep them for a year, and modules that import each other by relative
    paths always come from one version.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._assets = {
            str(path.relative_to(folder)): Asset(path.read_bytes(), _MEDIA_TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.suffix in _MEDIA_TYPES
        }
        digest = hashlib.sha256()
        for name, asset in self._assets.items():
            digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
        self.version = digest.hexdigest()[:12]

    def get(self, version: str, name: str) -> Asset | None:
        return self._assets.get(name) if version == self.version else None


def blueprint(assets: Assets) -> Blueprint:
    """The pages that a browser is shown."""
    pages = Blueprint("pages", __name__)

    def shell(**_: object) -> Response:
        text = render_template("shell.html", title="dinosearch")
        return _page(text)

    for rule in ("/", "/image/<int:image_id>", "/status", "/status/job/<int:job_id>"):
        pages.add_url_rule(rule, rule, shell)

    @pages.get("/static/<string:version>/<path:name>")
    def static(version: str, name: str) -> Response:
        asset = assets.get(version, name)
        if asset is None:
            abort(404)
        packed = request.accept_encodings["gzip"] > 0
        response = Response(
            asset.packed if packed else asset.content, content_type=asset.media_type
        )
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    @pages.get("/favicon.ico")
    def favicon() -> AnyResponse:
        return redirect(f"/static/{assets.version}/icons.svg")

    @pages.get("/problems/<string:kind>")
    def problem(kind: str) -> Response:
        if kind not in TYPES:
            abort(404)
        text = render_template("problem.html", kind=kind, problem=TYPES[kind])
        return _page(text)

    @pages.route("/login", methods=["GET", "POST"])
    def login() -> AnyResponse:
        target = _local(request.values.get("next", "/"))
        wrong = False
        if request.method == "POST":
            if guard().is_token(request.form.get("token", "").strip()):
                response = redirect(target, 303)
                response.set_cookie(
                    COOKIE,
                    guard().session,
                    httponly=True,
                    samesite="Strict",
                    secure=request.is_secure,
                    max_age=30 * 24 * 3600,
                )
                return response
            guard().count_search()  # guessing is slowed down like searching
            wrong = True
        needed = services().settings.token is not None
        text = render_template(
            "login.html",
            target=target,
            wrong=wrong,
            needed=needed,
        )
        return _page(text, 403 if wrong else 200)

    return pages


def _page(text: str, status: int = 200) -> Response:
    response = Response(text, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-cache"
    return response


def _local(target: str) -> str:
    """A path of this server; `//elsewhere` and the like are not."""
    if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable():
        return target
    return "/"
