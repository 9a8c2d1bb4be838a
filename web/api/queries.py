"""Pictures to ask with: uploaded ones, and those of the index, as one kind of thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from dinosearch import Box, Item, PatchGrid, Query, Region
from dinosearch.errors import InvalidInput, PictureRefused

from ..models import (
    CorpusQuery,
    CorpusQueryRequest,
    Parameters,
    PatchRegion,
    PinRequest,
    QueryRecord,
    QueryRef,
    RegionMark,
)
from ..originals import file_state, roots_of
from ..problems import Problem, of_picture
from ..services import services
from ..shelf import Served
from ..uploads import Upload
from .routing import route
from .views import crop_of, notes_of, text, utc

PREVIEW_SIDE = 1600


@dataclass(frozen=True)
class Asked:
    """A picture to ask with: an item of the index, or an upload that is encoded."""

    picture: Item | Query
    upload: Upload | None = None

    @property
    def width(self) -> int:
        return self.picture.width

    @property
    def height(self) -> int:
        return self.picture.height

    @property
    def query(self) -> int | Query:
        """As the core takes it."""
        return self.picture.id if isinstance(self.picture, Item) else self.picture

    def grid(self, served: Served, region: Any = None) -> PatchGrid:
        if isinstance(self.picture, Item):
            return served.index.grid(self.picture)
        return self.picture.grid(region)


def item_of(served: Served, item_id: int) -> Item:
    """Raises `Problem` for an id the index does not hold."""
    try:
        return served.index.item(item_id)
    except InvalidInput:
        raise Problem("image-not-found", f"the index holds no picture {item_id}") from None


def asked_with(served: Served, reference: QueryRef) -> Asked:
    """The picture that a request refers to, encoded. Raises `Problem`."""
    if isinstance(reference, CorpusQuery):
        return Asked(item_of(served, reference.image_id))
    if reference.query_id.startswith("img-"):
        return Asked(item_of(served, int(reference.query_id.removeprefix("img-"))))
    return _encoded(served, services().uploads.get(reference.query_id))


def _encoded(served: Served, upload: Upload) -> Asked:
    """An upload whose features are at hand; encoded now if they are not."""
    query = upload.queries.get(served.name)
    if query is None:
        _refuse_without_encoder()
        limit = services().settings.upload_pixels

        def encode() -> Query:
            # Another request may have encoded it while this one waited.
            found = upload.queries.get(served.name)
            if found is None:
                found = served.index.query(upload.path, max_pixels=limit)
                # Kept from here, so that it is not lost when the request has been given up.
                upload.queries[served.name] = found
            return found

        query = services().workshop.do("encode", encode)
    return Asked(query, upload)


def mark_regions(
    served: Served, asked: Asked, marks: Sequence[tuple[str, RegionMark]], *, zoomed: bool
) -> list[Any]:
    """The regions as the core takes them, encoded so that they are shown.

    Each mark comes with its place in the request, for the `Problem` that is raised.
    """
    return [_mark_region(served, asked, where, mark, zoomed) for where, mark in marks]


def _mark_region(served: Served, asked: Asked, where: str, mark: RegionMark, zoomed: bool) -> Any:
    region: Any
    if isinstance(mark, PatchRegion):
        region, where = mark.patches, f"{where}/patches"
    else:
        for at, length, name in ((mark.x, mark.w, "w"), (mark.y, mark.h, "h")):
            if at + length > 1 + 1e-6:
                raise Problem(
                    "bad-region",
                    f"{'x + w' if name == 'w' else 'y + h'} is {at + length:g}, more than 1",
                    errors=[(f"{where}/{name}", f"must be <= {1 - at:g}")],
                )
        box = Box.of_fractions(
            mark.x, mark.y, mark.w, mark.h, width=asked.width, height=asked.height
        )
        region = tuple(box)
    try:
        asked.grid(served, region).cells(Region.parse(region))
    except InvalidInput as error:
        raise Problem("bad-region", str(error), errors=[(where, str(error))]) from None
    query, index = asked.query, served.index
    if zoomed and not index.is_ready(query, region):
        if isinstance(query, Query):
            _refuse_without_encoder()
        elif services().shelf.trouble:
            return region  # what is stored will do
        services().workshop.do("encode", lambda: index.make_ready(query, region))
    elif isinstance(query, Query) and query.features(query.grid(region)) is None:
        _refuse_without_encoder()
        services().workshop.do("encode", lambda: index.query(query, region=region))
    return region


def _refuse_without_encoder() -> None:
    # While it is still being loaded, who asks waits for it.
    trouble = services().shelf.trouble
    if trouble:
        raise Problem("model-unavailable", trouble, headers={"Retry-After": "5"})


def _record(served: Served, asked: Asked) -> QueryRecord:
    upload, picture = asked.upload, asked.picture
    is_item = isinstance(picture, Item)
    query_id = f"img-{picture.id}" if isinstance(picture, Item) else upload.id if upload else ""
    grid = asked.grid(served)
    return QueryRecord(
        query_id=query_id,
        name=text(picture.relative_path) if isinstance(picture, Item) else _name(upload),
        image_id=picture.id if isinstance(picture, Item) else None,
        width=asked.width,
        height=asked.height,
        grid=(grid.rows, grid.cols),
        crop=crop_of(grid),
        expires_at=utc(upload.expires_at) if upload and not upload.pinned else None,
        pinned=is_item or bool(upload and upload.pinned),
        notes=notes_of(picture.notes),
        image=f"/api/v1/queries/{query_id}/image",
    )


def _name(upload: Upload | None) -> str:
    return upload.name if upload else ""


@route(
    "POST",
    "/queries",
    body=CorpusQueryRequest,
    multipart="image",
    reply=QueryRecord,
    status=201,
    problems=(
        "image-not-found",
        "unsupported-image",
        "unreadable-image",
        "index-busy",
        "model-unavailable",
        "timeout",
        "disk-full",
    ),
)
def create_query(parameters: Parameters, body: CorpusQueryRequest | None) -> Any:
    """Bring a picture to ask with.

    Upload one as the multipart field `image`, or name one of the index. The same picture has
    the same `query_id`, and is encoded once.
    """
    served = services().shelf.get(parameters.index)
    asked = Asked(item_of(served, body.image_id)) if body is not None else _take_upload(served)
    record = _record(served, asked)
    return record, {"Location": f"/api/v1/queries/{record.query_id}"}


def _take_upload(served: Served) -> Asked:
    files = request.files.getlist("image")
    if not files:
        raise Problem("missing-field", "the form has no file called image", errors=[("/image", "")])
    if len(files) > 1 or len(request.files) > 1:
        raise Problem("invalid-request", "one picture a request", errors=[("/image", "only one")])
    uploads = services().uploads
    upload = uploads.put(files[0].stream, text(files[0].filename or ""))
    try:
        return _encoded(served, upload)
    except PictureRefused as error:
        uploads.forget(upload.id)
        raise of_picture(error) from None


@route(
    "GET",
    "/queries/<string:query_id>",
    reply=QueryRecord,
    problems=("image-not-found", "query-not-found", "query-expired", "model-unavailable"),
)
def get_query(parameters: Parameters, query_id: str) -> Any:
    """A picture to ask with."""
    served = services().shelf.get(parameters.index)
    return _record(served, _by_id(served, query_id))


@route(
    "PATCH",
    "/queries/<string:query_id>",
    body=PinRequest,
    reply=QueryRecord,
    problems=("query-not-found", "query-expired", "conflict"),
)
def pin_query(parameters: Parameters, query_id: str, body: PinRequest) -> Any:
    """Keep an uploaded picture for good, or no longer."""
    served = services().shelf.get(parameters.index)
    asked = _by_id(served, query_id)
    if asked.upload is None:
        raise Problem("conflict", "a picture of the index is kept anyway")
    upload = services().uploads.pin(asked.upload.id, body.pinned)
    return _record(served, Asked(asked.picture, upload))


@route(
    "GET",
    "/queries/<string:query_id>/image",
    reply="image/jpeg",
    problems=("image-not-found", "query-not-found", "query-expired", "index-busy", "timeout"),
)
def get_query_image(parameters: Parameters, query_id: str) -> Response:
    """The picture, upright, as a JPEG of at most 1,600 pixels a side.

    Answers 304 to a client that has it.
    """
    served = services().shelf.get(parameters.index)
    if query_id.startswith("img-"):
        return preview_of_item(served, item_of(served, _number(query_id)))
    upload = services().uploads.get(query_id)
    return _preview(served, str(upload.path), f"{upload.id}-{PREVIEW_SIDE}")


def preview_of_item(served: Served, item: Item) -> Response:
    """A picture of the index as a JPEG for the page. Raises `Problem`."""
    # A folder above it may have become a link that leads elsewhere.
    state = file_state(item, roots_of(served.index, services().settings.roots))
    if state is None:
        raise Problem(
            "image-not-found", "the file is gone, or lies outside the folders that are served"
        )
    unchanged = state == (item.bytes, item.mtime_ns)
    content = item.sha256[:24] if unchanged else f"{item.id}-{state[0]:x}-{state[1]:x}"
    return _preview(served, item.path, f"{content}-{PREVIEW_SIDE}")


def _preview(served: Served, path: str, tag: str) -> Response:
    """A picture file as a JPEG for the page, made in the workshop; kept by the browser."""
    response = Response(mimetype="image/jpeg")
    response.set_etag(tag)
    response.headers["Cache-Control"] = "private, max-age=86400"
    if request.if_none_match.contains(tag):
        response.make_conditional(request)
        return response
    kept = services().previews.get(tag)
    if kept is None:
        try:
            kept = services().workshop.do(
                "decode", lambda: served.index.preview(path, max_side=PREVIEW_SIDE)
            )
        except (InvalidInput, PictureRefused):
            raise Problem("image-not-found", "the file of this picture cannot be read") from None
        services().previews.put(tag, kept)
    response.set_data(kept)
    return response


def _number(query_id: str) -> int:
    digits = query_id.removeprefix("img-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise Problem("query-not-found", "no query has this id")
    return int(digits)


def _by_id(served: Served, query_id: str) -> Asked:
    if query_id.startswith("img-"):
        return Asked(item_of(served, _number(query_id)))
    return _encoded(served, services().uploads.get(query_id))
