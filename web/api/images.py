"""The pictures of an index: lists, records, thumbnails, originals."""

from __future__ import annotations

import mimetypes
import os
from datetime import UTC, datetime
from typing import Any

from flask import Response, request
from werkzeug.wsgi import wrap_file

from dinosearch.errors import InvalidInput, PictureRefused

from ..models import ImageRecord, ImagesParameters, ImagesReply, Parameters, ThumbParameters
from ..originals import file_state, open_original, roots_of
from ..problems import Problem
from ..services import services
from .queries import PREVIEW_SIDE, item_of, preview_of_item
from .routing import route
from .views import crop_of, notes_of, summary_model, summary_of, text, thumb_of

# By Pillow's name, as our own decoder found it: never by the file's ending.
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "JPEG2000": "image/jp2",
}


@route("GET", "/images", parameters=ImagesParameters, reply=ImagesReply)
def list_images(parameters: ImagesParameters) -> Any:
    """The pictures that match filters, by id."""
    index = services().shelf.get(parameters.index).index
    after = _after(parameters.cursor)
    try:
        # One more than asked tells whether there are more.
        items = index.items(where=parameters.f, after=after, limit=parameters.limit + 1)
        total = index.count(where=parameters.f)
    except InvalidInput as error:
        raise Problem("invalid-request", str(error), errors=[("/f", str(error))]) from None
    shown = items[: parameters.limit]
    return ImagesReply(
        images=[summary_model(item) for item in shown],
        cursor=f"a{shown[-1].id}" if len(items) > len(shown) else None,
        total=total,
    )


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    digits = cursor.removeprefix("a")
    if cursor[:1] == "a" and digits.isascii() and digits.isdigit() and len(digits) < 19:
        return int(digits)
    raise Problem("invalid-request", "no answer gave this cursor", errors=[("/cursor", "unknown")])


@route("GET", "/images/<int:image_id>", reply=ImageRecord, problems=("image-not-found",))
def get_image(parameters: Parameters, image_id: int) -> Any:
    """All that the index knows of a picture."""
    served = services().shelf.get(parameters.index)
    item = item_of(served, image_id)
    grid = served.index.grid(item)
    roots = roots_of(served.index, services().settings.roots)
    return ImageRecord(
        **summary_of(item),
        source=text(os.path.basename(item.source)),
        format=item.format,
        bytes=item.bytes,
        sha256=item.sha256,
        date=item.date,
        split=item.split,
        metadata=item.metadata,
        notes=notes_of(item.notes),
        added_at=item.added_at,
        updated_at=item.updated_at,
        grid=(grid.rows, grid.cols),
        crop=crop_of(grid),
        preview=thumb_of(item, PREVIEW_SIDE),
        file=f"/api/v1/images/{item.id}/file" if file_state(item, roots) is not None else None,
        copies=served.index.copies(item.id),
    )


@route(
    "GET",
    "/images/<int:image_id>/thumb",
    parameters=ThumbParameters,
    reply="image/jpeg",
    problems=("image-not-found", "index-busy", "timeout"),
)
def get_thumb(parameters: ThumbParameters, image_id: int) -> Response:
    """A picture as a JPEG without metadata, upright.

    At most `s` pixels a side. Answers 304 to a client that has it; for good where `v` names
    the content.
    """
    if parameters.s not in (256, PREVIEW_SIDE):
        raise Problem(
            "invalid-request", "s is 256 or 1600", errors=[("/s", f"must be 256 or {PREVIEW_SIDE}")]
        )
    served = services().shelf.get(parameters.index)
    item = item_of(served, image_id)
    tag = f"{item.sha256[:24]}-{parameters.s}"
    if parameters.s == PREVIEW_SIDE:
        response = preview_of_item(served, item)
    else:
        response = Response(mimetype="image/jpeg")
        response.set_etag(tag)
        if request.if_none_match.contains(tag):
            response.make_conditional(request)
        else:
            try:
                response.set_data(served.index.thumbnail(item.id))
            except (PictureRefused, InvalidInput):
                raise Problem(
                    "image-not-found", "there is no thumbnail, and the file cannot be read"
                ) from None
    # A preview is made of the file as it is now, which may not be what was indexed.
    fixed = parameters.v == item.sha256[:12] and response.get_etag()[0] == tag
    response.headers["Cache-Control"] = (
        "private, max-age=31536000, immutable" if fixed else "private, no-cache"
    )
    return response


@route(
    "GET",
    "/images/<int:image_id>/file",
    reply="application/octet-stream",
    problems=("image-not-found", "bad-range"),
)
def get_file(parameters: Parameters, image_id: int) -> Response:
    """The picture's own file.

    As it lies on the disk now, to be saved rather than shown. Takes `Range`; answers 304 to
    a client that has it.
    """
    served = services().shelf.get(parameters.index)
    item = item_of(served, image_id)
    file = open_original(item, roots_of(served.index, services().settings.roots))
    if file is None:
        raise Problem(
            "image-not-found", "the file is gone, or lies outside the folders that are served"
        )
    state = os.fstat(file.fileno())
    response = Response(
        wrap_file(request.environ, file),
        mimetype=_MEDIA_TYPES.get(item.format, "application/octet-stream"),
        direct_passthrough=True,
    )
    response.call_on_close(file.close)
    response.content_length = state.st_size
    response.set_etag(f"{state.st_mtime_ns:x}-{state.st_size:x}")
    response.last_modified = datetime.fromtimestamp(int(state.st_mtime), UTC)
    name = text(os.path.basename(item.path))
    ending = mimetypes.guess_extension(response.mimetype or "") or ""
    response.headers.set("Content-Disposition", "attachment", filename=_plain(name) or f"x{ending}")
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request, accept_ranges=True, complete_length=state.st_size)
    return response


def _plain(name: str) -> str:
    return "".join(c if c.isprintable() and c not in '"\\/' else "_" for c in name)
