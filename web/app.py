"""The app factory."""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

from . import api, pages, problems
from .jobs import Jobs
from .metrics import Metrics
from .previews import Previews
from .security import Guard
from .services import Services
from .settings import MB, Settings
from .shelf import Shelf
from .uploads import Uploads
from .workshop import Workshop

# A picture and the few words around it.
_FORM_OVERHEAD = MB
_PACK_FROM = 1_000
_PACKED = ("application/json", "application/problem+json", "text/")


def create_app(settings: Settings) -> Flask:
    """The app over some indexes; `app.extensions["dinosearch"].close()` gives all back.

    The encoder is loaded in the background; until then /api/v1/readyz says 503. Raises
    `DinoSearchError` for settings or indexes that cannot be served.
    """
    shelf = Shelf(settings.indexes)
    workshop = Workshop(settings.heavy, settings.deadline)
    services = Services(
        settings=settings,
        shelf=shelf,
        uploads=Uploads(
            settings.uploads,
            ttl=settings.query_ttl,
            max_bytes=settings.uploads_bytes,
            max_upload=settings.upload_bytes,
        ),
        previews=Previews(),
        workshop=workshop,
        jobs=Jobs(),
        guard=Guard(settings),
        metrics=Metrics(shelf, workshop),
    )
    # Files of the page are served by `pages`, under an address of their version.
    app = Flask("dinosearch.web", static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.upload_bytes + _FORM_OVERHEAD
    app.config["MAX_FORM_PARTS"] = 20
    app.config["MAX_FORM_MEMORY_SIZE"] = MB
    app.extensions["dinosearch"] = services
    services.metrics.install(app)
    services.guard.install(app)
    problems.install(app)
    app.after_request(_pack)
    app.register_blueprint(api.blueprint())
    assets = pages.Assets()
    app.jinja_env.globals["static"] = f"/static/{assets.version}"
    app.register_blueprint(pages.blueprint(assets))
    shelf.start_warming()
    return app


def _pack(response: Response) -> Response:
    """gzip for what is text and long enough."""
    if (
        response.direct_passthrough
        or response.status_code in (204, 304)
        or "Content-Encoding" in response.headers
        or not (response.mimetype or "").startswith(_PACKED)
        or request.accept_encodings["gzip"] <= 0
    ):
        return response
    content = response.get_data()
    if len(content) >= _PACK_FROM:
        response.set_data(gzip.compress(content, 5))
        response.headers["Content-Encoding"] = "gzip"
        response.headers.add("Vary", "Accept-Encoding")
    return response
