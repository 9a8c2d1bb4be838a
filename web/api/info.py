"""What the server is, what it serves, and how it is."""

from __future__ import annotations

import json
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response

from .. import metrics
from ..models import (
    MAX_EXPLAINED,
    Features,
    Health,
    IndexFacts,
    IndexSummary,
    InfoReply,
    Limits,
    Machine,
    Parameters,
    RootName,
)
from ..openapi import document
from ..originals import roots_of
from ..problems import Problem
from ..services import services
from ..shelf import Served
from .routing import route
from .views import text


@route("GET", "/info", reply=InfoReply)
def get_info(parameters: Parameters) -> Any:
    """The index that is served, the limits, the machine."""
    served, settings = services().shelf.get(parameters.index), services().settings
    return InfoReply(
        version=version("dinosearch"),
        indexes=[IndexSummary(name=one.name, images=len(one.index)) for one in services().shelf],
        index=_facts(served),
        limits=Limits(
            upload_bytes=settings.upload_bytes,
            upload_pixels=settings.upload_pixels,
            k=1000,
            queries=16,
            searches_per_minute=settings.searches_per_minute,
            explain=MAX_EXPLAINED,
        ),
        roots=[RootName(name=text(r.name)) for r in roots_of(served.index, settings.roots)],
        features=Features(url_query=False),
        machine=_machine(served),
    )


def _facts(served: Served) -> IndexFacts:
    facts, view = served.index.info(), served.index.view
    rows, cols = facts["grid"] or (view.size // view.cell, view.size // view.cell)
    return IndexFacts(
        id=facts["id"],
        name=served.name,
        folder=text(served.folder),
        images=facts["items"],
        patches=facts["items"] * rows * cols,
        model=os.path.basename(facts["encoder"]),
        precision=facts["precision"],
        size=facts["fingerprint"]["size"],
        fit=view.fit,
        grid=(rows, cols),
        dim=facts["dim"],
        patch_dim=facts["patch_dim"],
        dtype=facts["tokens"],
        fingerprint=served.index.fingerprint.digest,
        bytes=facts["bytes"],
        segments=facts["segments"],
        dead_rows=facts["dead_rows"],
        labels=facts["labels"],
        refused=facts["refused"],
        failed=facts["failed"],
        created=facts["created"],
        generation=facts["generation"],
        recall=facts["recall"],
        recall_at=facts["recall_at"],
        recall_queries=facts["recall_queries"],
        vectors=facts["vectors"],
        sources=[text(os.path.basename(source) or source) for source in facts["sources"]],
    )


def _machine(served: Served) -> Machine:
    encoder = served.index.encoder if services().shelf.not_ready is None else None
    return Machine(
        device=encoder.device if encoder else None,
        precision=encoder.precision if encoder else None,
        threads=os.cpu_count() or 1,
        memory_bytes=_memory(),
        python=platform.python_version(),
        versions=_versions(),
    )


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in ("dinosearch", "torch", "faiss-gpu", "faiss-cpu", "numpy", "h5py", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _memory() -> int | None:
    """Resident bytes of this process, where the system tells."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


@route("GET", "/healthz", reply=Health)
def get_health(parameters: Parameters) -> Any:
    """Whether the server lives."""
    return Health(status="ok")


@route("GET", "/readyz", reply=Health, problems=("model-unavailable",))
def get_readiness(parameters: Parameters) -> Any:
    """Whether the indexes are open and the encoder is loaded."""
    trouble = services().shelf.not_ready
    if trouble:
        raise Problem("model-unavailable", trouble, headers={"Retry-After": "2"})
    return Health(status="ok")


@route("GET", "/metrics", reply="text/plain")
def get_metrics(parameters: Parameters) -> Response:
    """Counts and times, for Prometheus."""
    return Response(services().metrics.text(), content_type=metrics.MEDIA_TYPE)


@route("GET", "/openapi.json", reply="application/json")
def get_openapi(parameters: Parameters) -> Response:
    """This API, as an OpenAPI 3.1 document."""
    content = json.dumps(document(version("dinosearch"), "/api/v1"))
    response = Response(content, mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return response
