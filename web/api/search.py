"""Searching, and why a picture answers."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from dinosearch import Answer, Evidence, Hit, knee
from dinosearch.errors import InvalidInput

from ..models import (
    ExplainedItem,
    ExplainReply,
    ExplainRequest,
    Hidden,
    HitReply,
    Matched,
    Parameters,
    RegionMark,
    SearchReply,
    SearchRequest,
    Timing,
)
from ..problems import Problem
from ..services import services
from ..shelf import Served
from ..workshop import Lane
from .queries import Asked, asked_with, item_of, mark_regions
from .routing import route
from .views import (
    box_of,
    crop_of,
    evidence_fields,
    evidence_model,
    scale_of,
    summary_of,
)

_WORK = ("image-not-found", "query-not-found", "query-expired", "bad-region", "index-busy")


@route(
    "POST",
    "/search",
    body=SearchRequest,
    reply=SearchReply,
    problems=(*_WORK, "rate-limited", "model-unavailable", "timeout"),
)
def search(parameters: Parameters, body: SearchRequest) -> Any:
    """Find pictures.

    Those most like one picture or several, or those that hold a marked part, with a box.
    `cursor` of an answer asks for the next `k`.
    """
    services().guard.count_search()
    served = services().shelf.get(parameters.index)
    started = time.perf_counter()
    asked = [asked_with(served, one) for one in _queries(body)]
    regions, without = None, None
    if body.mode != "image":
        marks = _marks(body)
        if not marks:
            raise Problem(
                "missing-field", f"mode {body.mode} needs a region", errors=[("/region", "missing")]
            )
        if len(asked) != 1:
            raise Problem("bad-region", "a region goes with one picture", errors=[("/queries", "")])
        zoomed = not (body.same_size or body.position)
        regions = mark_regions(served, asked[0], marks, zoomed=zoomed)
        unwanted = [(f"/without/{n}", mark) for n, mark in enumerate(body.without or ())]
        without = mark_regions(served, asked[0], unwanted, zoomed=zoomed) or None
    embedded = _since(started)
    lane: Lane = "quick" if regions is None else "scan"
    answer = services().workshop.do(lane, lambda: _find(served, asked, regions, without, body))
    return _reply(served, answer, body, asked, embedded, _since(started))


def _marks(body: SearchRequest | ExplainRequest) -> list[tuple[str, RegionMark]]:
    """What a request marks, with the place of each in it. Raises `Problem`."""
    if body.region is not None and body.regions is not None:
        raise Problem(
            "invalid-request", "give region or regions", errors=[("/regions", "one of the two")]
        )
    if body.region is not None:
        return [("/region", body.region)]
    return [(f"/regions/{n}", mark) for n, mark in enumerate(body.regions or ())]


def _queries(body: SearchRequest) -> list[Any]:
    if (body.query is None) == (body.queries is None):
        raise Problem(
            "missing-field", "give query, or queries", errors=[("/query", "one of the two")]
        )
    return body.queries if body.query is None else [body.query]  # type: ignore[return-value]


def _find(
    served: Served, asked: list[Asked], regions: Any, without: Any, body: SearchRequest
) -> Answer:
    """What is done in the workshop."""
    offset = _offset(body.cursor)
    try:
        return served.index.answer(
            [one.query for one in asked],
            k=body.k,
            offset=offset,
            region=regions,
            without=without,
            where=body.filters,
            combine=body.combine,
            exact=body.exact,
            nprobe=body.nprobe,
            weight=body.weight if body.mode == "both" else 1.0,
            position=body.position,
            same_size=body.same_size,
            distinct=body.dedupe,
            min_score=body.min_score,
            explain=body.explain,
            percentiles=True,
        )
    except InvalidInput as error:
        pointer = "/filters" if "filter" in str(error) else "/cursor" if offset else ""
        raise Problem("invalid-request", str(error), errors=[(pointer, str(error))]) from None


def _reply(
    served: Served,
    answer: Answer,
    body: SearchRequest,
    asked: list[Asked],
    embedded: float,
    total: float,
) -> SearchReply:
    hits, offset = answer.hits, _offset(body.cursor)
    scale = scale_of(hit.evidence for hit in hits if hit.evidence)
    replies = []
    for place, hit in enumerate(hits):
        replies.append(
            HitReply(
                **summary_of(hit.item),
                rank=offset + place + 1,
                score=round(hit.score, 6),
                percentile=hit.percentile,
                image_score=_rounded(hit.image_score),
                region_score=_rounded(hit.region_score),
                matched=_matched(hit, answer),
                duplicates=hit.copies,
                heat=evidence_model(hit.evidence, scale) if hit.evidence else None,
            )
        )
    reached = offset + len(hits)
    more = len(hits) == body.k and reached < answer.searched - answer.hidden_copies
    return SearchReply(
        hits=replies,
        total_searched=answer.searched,
        hidden=Hidden(
            duplicates=answer.hidden_copies,
            filters=answer.items - answer.searched,
        ),
        query_patches=answer.region_patches,
        query_grid=(answer.grid.rows, answer.grid.cols) if answer.grid else None,
        query_crop=crop_of(answer.grid) if answer.grid else None,
        knee_rank=_knee(hits, asked, offset),
        approximate=not answer.exact,
        nprobe=answer.nprobe,
        cursor=_cursor(reached) if more and reached + body.k <= 10_000 else None,
        index_id=served.index.id,
        generation=answer.generation,
        timing_ms=Timing(
            embed=embedded,
            index=answer.timing_ms["search"],
            rerank=answer.timing_ms["explain"],
            total=total,
        ),
    )


def _matched(hit: Hit, answer: Answer) -> Matched | None:
    if hit.box is None or answer.region_patches is None:
        return None
    boxes = [box_of(box, hit.item.width, hit.item.height) for box in hit.boxes]
    return Matched(patches=answer.region_patches, box=boxes[0], boxes=boxes)


def _knee(hits: list[Hit], asked: list[Asked], offset: int) -> int | None:
    """Of the first page: where the scores fall off is seen from the top.

    A picture of the index finds itself first; that the next scores less says nothing.
    """
    if offset:
        return None
    own = {one.query for one in asked}
    itself = int(bool(hits) and hits[0].id in own)
    rank = knee([hit.score for hit in hits[itself:]])
    return rank and rank + itself


@route(
    "POST",
    "/explain",
    body=ExplainRequest,
    reply=ExplainReply,
    problems=(*_WORK, "model-unavailable", "timeout"),
)
def explain(parameters: Parameters, body: ExplainRequest) -> Any:
    """Why pictures answer.

    Heat maps of the matching patches over each picture and over the query. With `point`,
    what in both is like that one patch.
    """
    served = services().shelf.get(parameters.index)
    asked = asked_with(served, body.query)
    for item_id in body.image_ids:
        item_of(served, item_id)
    marks = _marks(body)
    if body.point is not None and marks:
        raise Problem(
            "invalid-request", "give a region or a point", errors=[("/point", "not with a region")]
        )
    zoomed = not (body.same_size or body.position)
    regions = mark_regions(served, asked, marks, zoomed=zoomed) or None
    index, query, point = served.index, asked.query, body.point

    def work() -> list[Evidence]:
        if point is None:
            return [
                index.explain(
                    query,
                    one,
                    region=regions,
                    position=body.position,
                    same_size=body.same_size,
                    pairs=0,
                )
                for one in body.image_ids
            ]
        of = "query" if point.within == "query" else "hit"
        try:
            return [index.explain_patch(query, one, point.patch, of=of) for one in body.image_ids]
        except InvalidInput as error:
            raise Problem("bad-region", str(error), errors=[("/point/patch", "")]) from None

    found = services().workshop.do("quick", work)
    scale = scale_of(found)
    return ExplainReply(
        items=[
            ExplainedItem(id=one, **evidence_fields(shown, scale))
            for one, shown in zip(body.image_ids, found, strict=True)
        ]
    )


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"o": offset}).encode()).decode().rstrip("=")


def _offset(cursor: str | None) -> int:
    """The place that a cursor of ours stands for. Raises `Problem` for any other."""
    if cursor is None:
        return 0
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        offset = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))["o"]
        if isinstance(offset, int) and not isinstance(offset, bool) and 0 < offset < 10_000:
            return offset
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise Problem("invalid-request", "no answer gave this cursor", errors=[("/cursor", "unknown")])


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
