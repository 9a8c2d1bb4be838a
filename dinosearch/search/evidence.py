"""Why a picture answers: which of its patches match, and where. Pure array functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, PatchGrid
from dinosearch.scoring import similarities
from dinosearch.search.locate import Look, best_box, boxes_of, shares
from dinosearch.search.query_picture import QueryPicture
from dinosearch.search.regions import MarkedPart, RegionQuery, Usual
from dinosearch.storage.codecs import Rows

Cell = tuple[int, int]


class Pair(NamedTuple):
    """A patch of the query and the patch of the hit that it matches, as (row, col)."""

    query: Cell
    hit: Cell
    score: float


@dataclass(frozen=True)
class Evidence:
    """Why a picture answers.

    heat        float32 [rows, cols] of `grid`, the hit's: the best cosine of each of its
                patches to any marked patch of the query; NaN where the hit shows padding
    query_heat  float32 [rows, cols] of `query_grid`: the best cosine of each marked patch
                in the hit; NaN where nothing is marked
    pairs       patches that are each other's best match, best first
    box         `[x0, y0, x1, y1]` in pixels of the hit where a marked part lies best; None
                for whole pictures and for single patches
    boxes       all places where it seems to lie, `box` first; of several parts the best
                place of each
    """

    heat: NDArray[np.float32]
    query_heat: NDArray[np.float32]
    grid: PatchGrid
    query_grid: PatchGrid
    pairs: tuple[Pair, ...] = ()
    box: Box | None = None
    boxes: tuple[Box, ...] = ()

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest cosine of both maps."""
        both = np.concatenate([self.heat.ravel(), self.query_heat.ravel()])
        return float(np.nanmin(both)), float(np.nanmax(both))

    def heat_bytes(self, low: float, high: float) -> bytes:
        """`heat` in rows * cols bytes: 0 for `low` and for padding, 255 for `high`."""
        return _bytes(self.heat, low, high)

    def query_heat_bytes(self, low: float, high: float) -> bytes:
        """`query_heat` likewise; 0 where nothing is marked, and at least 1 where it is."""
        levels = np.frombuffer(_bytes(self.query_heat, low, high), dtype=np.uint8)
        marked = ~np.isnan(self.query_heat.ravel())
        return bytes(np.where(marked, np.maximum(levels, 1), 0).astype(np.uint8))


def _bytes(values: NDArray[np.float32], low: float, high: float) -> bytes:
    share = np.nan_to_num((values - low) / (high - low), nan=0.0)
    return bytes(np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8))


def evidence_of(
    part: MarkedPart,
    usual: Usual,
    tokens: NDArray[np.floating],
    grid: PatchGrid,
    *,
    pairs: int,
) -> Evidence:
    """How the part (or a whole picture) and a hit of `tokens` [P, Dp] on `grid` match.

    Told by the patches of the size that fits best; `usual` is that of the index.
    """
    own = part.sizes[0]
    says = shares(usual.deviations(part.scores(Rows(tokens[None])))[:, 0])
    maps = {number: part.sizes[number].scores(tokens) for number in np.flatnonzero(says).tolist()}
    fits = int(says.argmax())
    size, scores = part.sizes[fits], maps[fits]
    # The query is shown on its own grid: each of its patches as the one that is seen there.
    nearest = _nearest(own, size)
    heat = np.where(grid.shown.ravel(), scores.max(axis=0), np.nan).astype(np.float32)
    query_heat = np.full((own.grid.rows, own.grid.cols), np.nan, dtype=np.float32)
    query_heat[own.places[:, 0], own.places[:, 1]] = scores.max(axis=1)[nearest]
    boxes: tuple[Box, ...] = ()
    if own.is_marked:
        if len(part.sizes) == 1:
            cells = [best_box(own, scores, grid.rows, grid.cols)]
        else:
            aspect = _height_of(own) / _width_of(own)
            looks = [Look(part.sizes[n], maps[n], float(says[n])) for n in maps]
            cells = boxes_of(looks, aspect, grid.rows, grid.cols)
        boxes = tuple(grid.box_of_cells(*one) for one in cells)
    return Evidence(
        heat=heat.reshape(grid.rows, grid.cols),
        query_heat=query_heat,
        grid=grid,
        query_grid=own.grid,
        pairs=mutual_pairs(scores, own.places[_nearest(size, own)], grid.cols, pairs),
        box=boxes[0] if boxes else None,
        boxes=boxes,
    )


def brought_together(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several parts in one hit: the best cosines, the best place of each part.

    What the query shows is that of the parts on the first one's grid.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    alike = [one for one in parts if one.query_grid == first.query_grid]
    pairs = sorted((pair for one in alike for pair in one.pairs), key=lambda pair: -pair.score)
    return replace(
        first,
        heat=np.fmax.reduce([one.heat for one in parts]),
        query_heat=np.fmax.reduce([one.query_heat for one in alike]),
        pairs=tuple(pairs[: len(first.pairs)]),
        boxes=tuple(one.box for one in parts if one.box is not None),
    )


def _height_of(size: RegionQuery) -> float:
    return size.rows * size.grid.cell_height


def _width_of(size: RegionQuery) -> float:
    return size.cols * size.grid.cell_width


def _nearest(one: RegionQuery, other: RegionQuery) -> NDArray[np.int64]:
    """int64 [m]: for each patch of a part at `one` size the nearest at the `other`."""
    if one is other:
        return np.arange(len(one.places))
    here, there = (_middles(size) for size in (one, other))
    apart = ((here[:, None] - there[None]) ** 2).sum(axis=2)
    nearest: NDArray[np.int64] = apart.argmin(axis=1)
    return nearest


def _middles(size: RegionQuery) -> NDArray[np.float64]:
    """float64 [m, 2]: y and x of the middles of a part's patches, in pixels of its picture."""
    left, top, *_ = size.grid.window
    corner = np.array([top, left])
    return corner + (size.places + 0.5) * [size.grid.cell_height, size.grid.cell_width]


def mutual_pairs(
    scores: NDArray[np.float32], places: NDArray[np.int64], cols: int, most: int
) -> tuple[Pair, ...]:
    """The pairs of patches that are each other's best match, best first, at most `most`.

    scores: [m, P]; places: [m, 2], row and column of each query patch; the hit's patches
    lie in rows of `cols`.
    """
    if most == 0:
        return ()
    best = scores.argmax(axis=1)
    mutual = np.flatnonzero(scores.argmax(axis=0)[best] == np.arange(len(scores)))
    values = scores[mutual, best[mutual]]
    order = mutual[np.lexsort((mutual, -values))][:most]
    return tuple(
        Pair(
            (int(places[one, 0]), int(places[one, 1])),
            (int(best[one]) // cols, int(best[one]) % cols),
            float(scores[one, best[one]]),
        )
        for one in order.tolist()
    )


def patch_evidence(query: QueryPicture, hit: QueryPicture, patch: Cell, of_query: bool) -> Evidence:
    """The cosine of one patch to every patch of the query and of the hit.

    `patch` is (row, col) in the query's grid, or in the hit's. Raises `InvalidInput` for
    a patch outside that grid, or one that shows padding.
    """
    owner = query if of_query else hit
    row, col = patch
    if not (0 <= row < owner.grid.rows and 0 <= col < owner.grid.cols):
        raise InvalidInput(
            f"patch {patch} is outside the grid of {owner.grid.rows} rows and"
            f" {owner.grid.cols} columns"
        )
    if not owner.grid.shown[row, col]:
        raise InvalidInput(f"patch {patch} shows no part of the picture, only padding around it")
    token = owner.patches[row * owner.grid.cols + col][None].astype(np.float32)
    heat, query_heat = (
        np.where(
            one.grid.shown, similarities(token, one.patches).reshape(one.grid.rows, -1), np.nan
        ).astype(np.float32)
        for one in (hit, query)
    )
    return Evidence(heat=heat, query_heat=query_heat, grid=hit.grid, query_grid=query.grid)
