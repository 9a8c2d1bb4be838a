"""How things of the core look over HTTP: ids for paths, fractions for pixels, bytes for heat."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dinosearch import Box, Evidence, Item, PatchGrid, meaning_of

from ..models import EvidenceReply, ImageSummary, Note, Rectangle

LEAST_SPAN = 0.02


def text(value: str) -> str:
    """A name as valid text: bytes that are not UTF-8 are shown as U+FFFD."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def utc(seconds: float) -> str:
    """ISO 8601 of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def crop_of(grid: PatchGrid) -> Rectangle:
    """What the patches cover of their picture; padding reaches outside 0 to 1."""
    return grid.window.fractions(grid.width, grid.height)


def box_of(box: Box, width: int, height: int) -> Rectangle:
    x, y, w, h = box.fractions(width, height)
    return round(x, 6), round(y, 6), round(w, 6), round(h, 6)


def notes_of(codes: Iterable[str]) -> list[Note]:
    return [Note(code=code, text=meaning_of(code)) for code in codes]


def thumb_of(item: Item, side: int = 256) -> str:
    return f"/api/v1/images/{item.id}/thumb?s={side}&v={item.sha256[:12]}"


def summary_of(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "path": text(item.relative_path),
        "width": item.width,
        "height": item.height,
        "labels": list(item.labels),
        "thumb": thumb_of(item),
    }


def summary_model(item: Item) -> ImageSummary:
    return ImageSummary(**summary_of(item))


def evidence_fields(found: Evidence, scale: tuple[float, float]) -> dict[str, Any]:
    """The fields of an evidence reply; `scale` is shared by all that are shown together."""
    return {
        "grid": (found.grid.rows, found.grid.cols),
        "crop": crop_of(found.grid),
        "heat": base64.b64encode(found.heat_bytes(*scale)).decode(),
        "query_heat": base64.b64encode(found.query_heat_bytes(*scale)).decode(),
        "query_grid": (found.query_grid.rows, found.query_grid.cols),
        "query_crop": crop_of(found.query_grid),
        "range": scale,
    }


def evidence_model(found: Evidence, scale: tuple[float, float]) -> EvidenceReply:
    return EvidenceReply(**evidence_fields(found, scale))


def scale_of(several: Iterable[Evidence]) -> tuple[float, float]:
    """Lowest and highest cosine of some heat maps, so that they can be compared by eye.

    Never closer than `LEAST_SPAN`: maps of equal values would show their rounding.
    """
    ranges = [one.range for one in several]
    high = min(1.0, max((r[1] for r in ranges), default=1.0))
    low = min((r[0] for r in ranges), default=0.0)
    return min(low, high - LEAST_SPAN), high
