"""What goes over the wire: requests, checked to the last field, and answers.

`3.0` is a whole number and `true` is none; text is never taken for a number; fields that
are not known are refused. Rectangles are fractions of the upright picture.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


# The limits stand before the validator: pydantic writes only those into the schema.
Id = Annotated[int, Field(ge=1, le=(1 << 63) - 1), BeforeValidator(_whole)]
CellIndex = Annotated[int, Field(ge=0, le=1000), BeforeValidator(_whole)]
Cell = tuple[CellIndex, CellIndex]
Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
QueryId = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{24}|img-[1-9][0-9]{0,17})$")]
Rectangle = tuple[float, float, float, float]

MAX_EXPLAINED = 48


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


# -- asking ------------------------------------------------------------------------------


class UploadedQuery(Request):
    """A picture made by POST /queries."""

    query_id: QueryId


class CorpusQuery(Request):
    """A picture of the index."""

    image_id: Id


QueryRef = UploadedQuery | CorpusQuery


class RectangleRegion(Request):
    """A rectangle in fractions of the upright picture."""

    x: Fraction
    y: Fraction
    w: Annotated[float, Field(gt=0, le=1)]
    h: Annotated[float, Field(gt=0, le=1)]


class PatchRegion(Request):
    """Patches as (row, column) in the query's grid."""

    patches: Annotated[list[Cell], Field(min_length=1, max_length=10_000)]


RegionMark = RectangleRegion | PatchRegion


Regions = Annotated[list[RegionMark], Field(min_length=1, max_length=8)]


class SearchRequest(Request):
    """One query, or several that are combined; for a region, the part that is looked for.

    `regions` instead of `region` are parts that are combined; `without`, parts of the query
    that an image should not hold.
    """

    query: QueryRef | None = None
    queries: Annotated[list[QueryRef], Field(min_length=1, max_length=16)] | None = None
    combine: Literal["mean", "any"] = "mean"
    mode: Literal["image", "region", "both"] = "image"
    weight: Fraction = 0.5
    region: RegionMark | None = None
    regions: Regions | None = None
    without: Regions | None = None
    k: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] = 48
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None
    filters: Annotated[list[Text], Field(max_length=20)] = []
    exact: bool = False
    nprobe: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_whole)] | None = None
    dedupe: bool = True
    position: bool = False
    same_size: bool = False
    min_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    explain: Annotated[int, Field(ge=0, le=MAX_EXPLAINED), BeforeValidator(_whole)] = 0


class Point(Request):
    """One patch, of the query or of the image."""

    model_config = ConfigDict(title="Point")
    within: Annotated[Literal["query", "image"], Field(alias="in")]
    patch: Cell


class ExplainRequest(Request):
    """Why images answer: with a region or without, or with a point what is like it."""

    query: QueryRef
    region: RegionMark | None = None
    regions: Regions | None = None
    point: Point | None = None
    position: bool = False
    same_size: bool = False
    image_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_EXPLAINED)]


class CorpusQueryRequest(Request):
    """Ask with a picture of the index."""

    image_id: Id


class PinRequest(Request):
    pinned: bool


class FolderOfRoot(Request):
    """A folder below one of the roots that `/info` names; empty for the root itself."""

    root: Text
    folder: Annotated[str, StringConstraints(max_length=4096)] = ""


class IndexJobRequest(Request):
    """Add new pictures of some folders, update changed ones."""

    kind: Literal["index"]
    roots: Annotated[list[FolderOfRoot], Field(min_length=1, max_length=100)]
    labels: Literal["folders"] | None = None
    prune: bool = False
    readd: bool = False


class ChangesJobRequest(Request):
    """Look for files that were added, changed or lost since they were indexed."""

    kind: Literal["changes"]


JobRequest = IndexJobRequest | ChangesJobRequest


# -- parameters of addresses: text that must look like what it stands for ----------------


def _digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise ValueError("must be a whole number in digits")
        return int(value)
    return value


IndexName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Parameters(BaseModel):
    """`index`: which of several; the first when unsaid."""

    index: IndexName | None = None


class ImagesParameters(Parameters):
    f: Annotated[list[Text], Field(max_length=20)] = []
    limit: Annotated[int, Field(ge=1, le=200), BeforeValidator(_digits)] = 48
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None


class ThumbParameters(Parameters):
    """`s`: longest side in pixels; `v`: first 12 digits of the picture's SHA-256."""

    s: Annotated[int, Field(json_schema_extra={"enum": [256, 1600]}), BeforeValidator(_digits)] = (
        256
    )
    v: Annotated[str, StringConstraints(max_length=64)] | None = None


class FailuresParameters(Parameters):
    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(_digits)] = 100
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None
    format: Literal["json", "csv"] = "json"


# -- answers -----------------------------------------------------------------------------


class Note(Reply):
    """What was done to a picture when it was read."""

    code: str
    text: str


class QueryRecord(Reply):
    """A picture to ask with. `crop` is what the patch grid covers of it."""

    query_id: str
    name: str
    image_id: int | None
    width: int
    height: int
    grid: tuple[int, int]
    crop: Rectangle
    expires_at: str | None
    pinned: bool
    notes: list[Note]
    image: str


class EvidenceReply(Reply):
    """Heat maps as base64 of one byte a patch, row-major; value = lo + (hi - lo) * byte / 255."""

    grid: tuple[int, int]
    crop: Rectangle
    heat: str
    query_heat: str
    query_grid: tuple[int, int]
    query_crop: Rectangle
    range: tuple[float, float]


class ExplainedItem(EvidenceReply):
    id: int


class ExplainReply(Reply):
    items: list[ExplainedItem]


class Matched(Reply):
    """How many patches were looked for, where they lie best, and all places, the best first.

    Of several regions `boxes` holds the best place of each, in their order.
    """

    patches: int
    box: Rectangle
    boxes: list[Rectangle]


class HitReply(Reply):
    rank: int
    id: int
    score: float
    percentile: float | None
    image_score: float | None
    region_score: float | None
    matched: Matched | None
    path: str
    width: int
    height: int
    thumb: str
    labels: list[str]
    duplicates: int
    heat: EvidenceReply | None


class Hidden(Reply):
    duplicates: int
    filters: int


class Timing(Reply):
    """Milliseconds."""

    embed: float
    index: float
    rerank: float
    total: float


class SearchReply(Reply):
    hits: list[HitReply]
    total_searched: int
    hidden: Hidden
    query_patches: int | None
    query_grid: tuple[int, int] | None
    query_crop: Rectangle | None
    knee_rank: int | None
    approximate: bool
    nprobe: int | None
    cursor: str | None
    index_id: str
    generation: int
    timing_ms: Timing


class ImageSummary(Reply):
    id: int
    path: str
    width: int
    height: int
    labels: list[str]
    thumb: str


class ImagesReply(Reply):
    images: list[ImageSummary]
    cursor: str | None
    total: int


class ImageRecord(ImageSummary):
    source: str
    format: str
    bytes: int
    sha256: str
    date: str
    split: str | None
    metadata: dict[str, str]
    notes: list[Note]
    added_at: str
    updated_at: str
    grid: tuple[int, int]
    crop: Rectangle
    preview: str
    file: str | None
    copies: list[int]


class JobRecord(Reply):
    """A job; times are ISO 8601 in UTC."""

    id: int
    kind: Literal["index", "changes"]
    index: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    step: str
    done: int
    total: int
    committed: int
    rate: float | None
    eta_s: float | None
    message: str
    errors: list[str]
    log: list[str]
    created_at: str
    started_at: str | None
    ended_at: str | None
    params: dict[str, Any]
    result: dict[str, Any] | None
    cancelling: bool


class JobsReply(Reply):
    jobs: list[JobRecord]


class FailureRecord(Reply):
    """A file that did not become a picture of the index; `reason` explains the code."""

    path: str
    state: Literal["refused", "failed"]
    code: str
    reason: str
    detail: str
    attempts: int
    failed_at: str


class FailuresReply(Reply):
    failures: list[FailureRecord]
    cursor: str | None
    total: int


class IndexSummary(Reply):
    name: str
    images: int


class IndexFacts(Reply):
    id: str
    name: str
    folder: str
    images: int
    patches: int
    model: str
    precision: str
    size: int
    fit: str
    grid: tuple[int, int]
    dim: int | None
    patch_dim: int | None
    dtype: str
    fingerprint: str
    bytes: int
    segments: int
    dead_rows: int
    labels: dict[str, int]
    refused: int
    failed: int
    created: str
    generation: int
    recall: float
    recall_at: int
    recall_queries: int
    vectors: dict[str, Any]
    sources: list[str]


class Limits(Reply):
    upload_bytes: int
    upload_pixels: int
    k: int
    queries: int
    searches_per_minute: int
    explain: int


class RootName(Reply):
    name: str


class Features(Reply):
    url_query: bool


class Machine(Reply):
    device: str | None
    precision: str | None
    threads: int
    memory_bytes: int | None
    python: str
    versions: dict[str, str]


class InfoReply(Reply):
    version: str
    indexes: list[IndexSummary]
    index: IndexFacts
    limits: Limits
    roots: list[RootName]
    features: Features
    machine: Machine


class Health(Reply):
    status: Literal["ok"]


class FieldError(Reply):
    """`pointer` is a JSON pointer into the request."""

    pointer: str
    detail: str


class ProblemReply(Reply):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
