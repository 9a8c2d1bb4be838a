"""Errors as clients get them: RFC 9457 problem documents, each type with a page of help."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from dinosearch import DinoSearchError
from dinosearch.errors import (
    DiskFull,
    EncoderMismatch,
    EncoderUnavailable,
    IndexLocked,
    InvalidInput,
    PictureRefused,
    UnusableIndex,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: its status, its title, and what to do about it."""

    status: int
    title: str
    help: str


TYPES: dict[str, ProblemType] = {
    "missing-field": ProblemType(
        400, "A required field is missing", "Add the field that `errors` points to."
    ),
    "unauthorized": ProblemType(
        401,
        "This server wants a token",
        "Send `Authorization: Bearer TOKEN`, or sign in at /login. Whoever started the server"
        " knows the token.",
    ),
    "forbidden-host": ProblemType(
        403,
        "This server does not answer to that name",
        "Use the address that `dinosearch serve` printed, or start it with `--allow-host NAME`.",
    ),
    "forbidden-origin": ProblemType(
        403,
        "Another site may not change anything here",
        "Changes are taken from this server's own pages, or with a bearer token.",
    ),
    "not-found": ProblemType(404, "There is nothing here", "See /api/v1/openapi.json."),
    "image-not-found": ProblemType(
        404, "The index holds no such picture", "It may have been removed: search again."
    ),
    "query-not-found": ProblemType(
        404, "That picture was never uploaded here", "Upload it again: POST /api/v1/queries."
    ),
    "job-not-found": ProblemType(
        404, "There is no such job", "Jobs are forgotten when removed or when the server restarts."
    ),
    "method-not-allowed": ProblemType(
        405, "That cannot be done with this address", "`Allow` names the methods that can."
    ),
    "conflict": ProblemType(
        409, "It is not in a state for that", "Look at its present state and decide again."
    ),
    "query-expired": ProblemType(
        410,
        "The uploaded picture is no longer kept",
        "Upload it again. Pinned pictures are kept until they are unpinned.",
    ),
    "too-large": ProblemType(
        413, "The picture is too large", "/api/v1/info names the limits; make it smaller."
    ),
    "unsupported-image": ProblemType(
        415,
        "This is not a picture that can be read",
        "JPEG, PNG, WebP, GIF, AVIF, TIFF, JPEG 2000, BMP and a few more are; HEIC where the"
        " server has pi-heif.",
    ),
    "bad-range": ProblemType(
        416, "The file has no such part", "`Content-Range` says how long it is."
    ),
    "unreadable-image": ProblemType(
        422, "The picture cannot be decoded", "It is damaged, or the detail says what it is."
    ),
    "bad-region": ProblemType(
        422, "The region cannot be used", "Mark a part that lies in the picture."
    ),
    "invalid-request": ProblemType(
        422, "The request cannot be understood", "`errors` points to what is wrong."
    ),
    "rate-limited": ProblemType(
        429, "Too many searches", "Wait for as many seconds as `Retry-After` says."
    ),
    "internal": ProblemType(
        500, "Something went wrong in the server", "Its log has the story under `instance`."
    ),
    "disk-full": ProblemType(507, "The server's disk is full", "Make room on the server."),
    "index-busy": ProblemType(
        503, "The server has its hands full", "Wait for as many seconds as `Retry-After` says."
    ),
    "index-unusable": ProblemType(
        503, "The index cannot be read", "On the server: `dinosearch verify --full --in INDEX`."
    ),
    "model-unavailable": ProblemType(
        503,
        "The encoder is not there",
        "It is being loaded, or its weights are missing: /api/v1/readyz says which.",
    ),
    "timeout": ProblemType(
        504, "It took too long", "Try again: what was done meanwhile is not lost."
    ),
}


class Problem(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def response_of(problem: Problem) -> Response:
    """The document of a problem."""
    kind = TYPES[problem.kind]
    body: dict[str, Any] = {
        "type": f"/problems/{problem.kind}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": f"urn:uuid:{uuid.uuid4()}",
    }
    if problem.errors:
        body["errors"] = [{"pointer": at, "detail": what} for at, what in problem.errors]
    if _is_for_a_person():
        page = render_template(
            "problem.html", kind=problem.kind, problem=kind, detail=problem.detail
        )
        response = Response(page, kind.status, mimetype="text/html")
    else:
        response = Response(json.dumps(body), kind.status, mimetype=MEDIA_TYPE)
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    if kind.status >= 500:
        # A server that is busy or still loading is no news for its log.
        level = logging.ERROR if kind.status == 500 else logging.INFO
        log.log(level, "%s: %s (%s)", _asked(), problem, body["instance"])
    return response


def _is_for_a_person() -> bool:
    """Whether a browser asked for a page, and not a script for data."""
    kinds = [MEDIA_TYPE, "text/html"]
    wanted = request.accept_mimetypes.best_match(kinds)
    return wanted == "text/html" and not request.path.startswith("/api/")


def install(app: Flask) -> None:
    """Have every error of the app end as a problem document."""
    app.register_error_handler(Problem, response_of)
    app.register_error_handler(ValidationError, lambda e: response_of(of_validation(e)))
    app.register_error_handler(DinoSearchError, lambda e: response_of(of_core(e)))
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_anything)


def of_validation(error: ValidationError) -> Problem:
    """What pydantic found wrong with a body or with parameters."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    errors = [(_pointer(one["loc"], one["type"]), one["msg"]) for one in found]
    if found[0]["type"] == "json_invalid":
        return Problem("invalid-request", f"the body is not JSON: {found[0]['msg']}")
    kind = "missing-field" if all(o["type"] == "missing" for o in found) else "invalid-request"
    where, what = errors[0]
    return Problem(kind, f"{where or 'the body'}: {what}", errors=errors)


def _pointer(place: Sequence[str | int], kind: str) -> str:
    # Names of the branches of a union are pydantic's; of a field that is not known, the client's.
    last = len(place) - 1 if kind == "extra_forbidden" else None
    parts = [
        str(part)
        for number, part in enumerate(place)
        if number == last or not (str(part)[:1].isupper() or "[" in str(part))
    ]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def of_picture(error: PictureRefused, *, where: str = "/image") -> Problem:
    """Why a picture that was handed in cannot be taken; its path stays here."""
    detail = f"{error.code}: {error.detail}"
    if error.code in ("too-large", "too-many-pixels"):
        kind = "too-large"
    elif error.code in ("unsupported-format", "empty"):
        kind = "unsupported-image"
    else:
        kind = "unreadable-image"
    return Problem(kind, detail, errors=[(where, detail)])


def of_core(error: DinoSearchError) -> Problem:
    """What dinosearch raises, without the paths that its messages may hold."""
    if isinstance(error, PictureRefused):
        return of_picture(error)
    if isinstance(error, InvalidInput):
        return Problem("invalid-request", str(error))
    log.error("%s: %s", _asked(), error)
    return of_trouble(error)


def of_trouble(error: DinoSearchError) -> Problem:
    """What is wrong with the server rather than with what was asked of it."""
    if isinstance(error, EncoderUnavailable | EncoderMismatch):
        return Problem(
            "model-unavailable",
            "the encoder of this index cannot be used here; the server's log says why",
            headers={"Retry-After": "60"},
        )
    if isinstance(error, DiskFull):
        return Problem("disk-full", "there is no room on the server's disk")
    if isinstance(error, IndexLocked):
        return Problem("conflict", "another process is writing to this index")
    if isinstance(error, UnusableIndex):
        return Problem(
            "index-unusable",
            "the index cannot be read as it is; the server's log says why",
            headers={"Retry-After": "60"},
        )
    return Problem("internal", "dinosearch could not answer; the server's log says why")


_HTTP_KINDS = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 416: "bad-range"}


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    kind = _HTTP_KINDS.get(status)
    detail = error.description or HTTPStatus(status).phrase
    if isinstance(error, RequestEntityTooLarge):
        detail = "the request is larger than this server takes"
    if status == 404:
        detail = "no page and no route has this address"
    if kind is None:
        kind = "invalid-request" if status < 500 else "internal"
    response = response_of(Problem(kind, detail))
    # What HTTP itself wants said, such as `Allow`, stays.
    for name, value in error.get_headers():
        if name.lower() in ("allow", "www-authenticate", "retry-after", "content-range"):
            response.headers[name] = value
    return response


def _of_anything(error: Exception) -> Response:
    log.exception("%s", _asked())
    return response_of(Problem("internal", "an error that should not happen; it was logged"))


def _asked() -> str:
    """The request, for the log, in which no path may begin a line of its own."""
    return f"{request.method} {request.path!a}"
