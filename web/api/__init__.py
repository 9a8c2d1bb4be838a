"""The HTTP API under /api/v1."""

from flask import Blueprint

from . import images, info, jobs, queries, search
from .routing import OPERATIONS

PREFIX = "/api/v1"


def blueprint() -> Blueprint:
    """All routes of the API."""
    api = Blueprint("api", __name__, url_prefix=PREFIX)
    for operation in OPERATIONS:
        api.add_url_rule(operation.rule, operation.name, operation.view, methods=[operation.method])
    return api


__all__ = ["PREFIX", "blueprint", "images", "info", "jobs", "queries", "search"]
