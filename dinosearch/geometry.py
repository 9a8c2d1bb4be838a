"""Pixels and patches: the only place that knows how one becomes the other.

Three coordinate systems meet here.

*Picture pixels* belong to the upright picture as a person sees it: x to the right, y
down, a box is `[x0, y0, x1, y1]` with x1 and y1 outside. They are the only ones that
leave dinosearch.

*View pixels* belong to the square that the model is shown: the picture after resizing
and cropping or padding.

*Cells* are the model's patches, row-major, `index = row * cols + col`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput

Fit = Literal["crop", "pad", "squash"]

PATCH = 14
"""Side of a DINOv2 patch in pixels of the nominal picture size."""


def check_size(size: int) -> int:
    """Return `size` if a square of that many pixels holds whole patches, else refuse."""
    if size < PATCH or size % PATCH:
        below = max(PATCH, size // PATCH * PATCH)
        raise InvalidInput(
            f"picture size {size} is not a multiple of {PATCH}: use {below} or {below + PATCH}"
        )
    return size


def check_fit(fit: str) -> Fit:
    """Return `fit` if it is one of `crop`, `pad`, `squash`, else refuse."""
    if fit not in get_args(Fit):
        raise InvalidInput(f"fit {fit!r} is not known: use crop, pad or squash")
    return fit  # type: ignore[return-value]


class Box(NamedTuple):
    """A rectangle `[x0, y0, x1, y1]`; x1 and y1 lie just outside."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return max(0.0, self.x1 - self.x0)

    @property
    def height(self) -> float:
        return max(0.0, self.y1 - self.y0)

    @property
    def area(self) -> float:
        return self.width * self.height

    def intersection(self, other: Box) -> Box:
        """The common part; its area is 0 when there is none."""
        return Box(
            max(self.x0, other.x0),
            max(self.y0, other.y0),
            min(self.x1, other.x1),
            min(self.y1, other.y1),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union, in [0, 1]."""
        common = self.intersection(other).area
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0

    @classmethod
    def of_fractions(
        cls, x: float, y: float, w: float, h: float, *, width: int, height: int
    ) -> Box:
        """Pixels of the rectangle at `x`, `y` of size `w` x `h`, in fractions of a picture.

        A hair beyond the edge, as rounded decimals have it, is the edge.
        """
        box = cls(x * width, y * height, (x + w) * width, (y + h) * height)
        return box._replace(
            x1=width if 0 < box.x1 - width < 1e-6 * width else box.x1,
            y1=height if 0 < box.y1 - height < 1e-6 * height else box.y1,
        )

    def fractions(self, width: int, height: int) -> tuple[float, float, float, float]:
        """x, y, w, h as fractions of a picture of `width` x `height` pixels."""
        return self.x0 / width, self.y0 / height, self.width / width, self.height / height


@dataclass(frozen=True)
class View:
    """The square an encoder wants to be shown.

    `size` view pixels on a side, cut into cells of `cell` view pixels; `fit` says how a
    picture that is not square comes to fill it.
    """

    size: int
    cell: int = PATCH
    fit: Fit = "crop"

    def grid(self, width: int, height: int, *, focus: Box | None = None) -> PatchGrid:
        """The patches of a picture of `width` x `height` pixels shown this way."""
        return PatchGrid.of(
            width, height, size=self.size, cell=self.cell, fit=self.fit, focus=focus
        )


@dataclass(frozen=True)
class PatchGrid:
    """Where the patches of one picture lie.

    Built by `PatchGrid.of`. The model sees a square of `size` view pixels cut into
    cells of `cell` view pixels; the picture of `width` x `height` pixels was resized to
    `scaled_width` x `scaled_height` and the square's top left corner lies at
    (`left`, `top`) of that (negative when the picture is padded).
    """

    width: int
    height: int
    size: int
    cell: int
    fit: Fit
    scaled_width: int
    scaled_height: int
    left: int
    top: int

    @classmethod
    def of(
        cls,
        width: int,
        height: int,
        *,
        size: int,
        cell: int = PATCH,
        fit: Fit = "crop",
        focus: Box | None = None,
    ) -> PatchGrid:
        """The grid of a picture of `width` x `height` pixels.

        `crop` follows torchvision's `Resize(size)` + `CenterCrop(size)` to the integer:
        the long side is truncated, the offset rounded half to even. With `focus` (a box
        in picture pixels) the crop window moves as little as needed to hold it, or to
        its middle if it does not fit; `pad` and `squash` show everything anyway.
        """
        if fit == "crop":
            short, long = min(width, height), max(width, height)
            scaled_long = int(size * long / short)
            scaled_w, scaled_h = (size, scaled_long) if width <= height else (scaled_long, size)
            left = round((scaled_w - size) / 2.0)
            top = round((scaled_h - size) / 2.0)
            if focus is not None:
                sx, sy = scaled_w / width, scaled_h / height
                left = _window(left, size, focus.x0 * sx, focus.x1 * sx, scaled_w)
                top = _window(top, size, focus.y0 * sy, focus.y1 * sy, scaled_h)
        elif fit == "pad":
            long = max(width, height)
            scaled_w = max(1, round(size * width / long))
            scaled_h = max(1, round(size * height / long))
            left = -((size - scaled_w) // 2)
            top = -((size - scaled_h) // 2)
        else:
            scaled_w = scaled_h = size
            left = top = 0
        return cls(width, height, size, cell, fit, scaled_w, scaled_h, left, top)

    @classmethod
    def zoomed(
        cls, width: int, height: int, box: Box, *, span: float, cells: int, cell: int = PATCH
    ) -> PatchGrid:
        """The grid of a square of `cells` x `cells` around a part of a picture.

        The longest side of `box` (picture pixels) spans `span` cells. The square lies with
        the box in its middle, moved to show less of what is beyond the picture's edges.
        """
        scale = span * cell / max(box.width, box.height)
        scaled_w = max(1, _whole(width * scale))
        scaled_h = max(1, _whole(height * scale))
        size = cells * cell
        left = _around((box.x0 + box.x1) / 2 * scale, size, scaled_w)
        top = _around((box.y0 + box.y1) / 2 * scale, size, scaled_h)
        return cls(width, height, size, cell, "crop", scaled_w, scaled_h, left, top)

    @property
    def rows(self) -> int:
        return self.size // self.cell

    @property
    def cols(self) -> int:
        return self.size // self.cell

    @property
    def patches(self) -> int:
        """Number of cells, `rows * cols`."""
        return self.rows * self.cols

    @property
    def window(self) -> Box:
        """The square in picture pixels; padding reaches outside the picture."""
        sx, sy = self.width / self.scaled_width, self.height / self.scaled_height
        return Box(
            self.left * sx,
            self.top * sy,
            (self.left + self.cols * self.cell) * sx,
            (self.top + self.rows * self.cell) * sy,
        )

    @property
    def cell_width(self) -> float:
        """Width of a cell in picture pixels."""
        return self.cell * self.width / self.scaled_width

    @property
    def cell_height(self) -> float:
        """Height of a cell in picture pixels."""
        return self.cell * self.height / self.scaled_height

    def to_view(self, box: Box) -> Box:
        """Picture pixels to view pixels, unclipped."""
        sx, sy = self.scaled_width / self.width, self.scaled_height / self.height
        return Box(
            box.x0 * sx - self.left,
            box.y0 * sy - self.top,
            box.x1 * sx - self.left,
            box.y1 * sy - self.top,
        )

    def to_picture(self, box: Box) -> Box:
        """View pixels to picture pixels, clipped to the picture."""
        sx, sy = self.width / self.scaled_width, self.height / self.scaled_height
        return Box(
            min(max((box.x0 + self.left) * sx, 0.0), float(self.width)),
            min(max((box.y0 + self.top) * sy, 0.0), float(self.height)),
            min(max((box.x1 + self.left) * sx, 0.0), float(self.width)),
            min(max((box.y1 + self.top) * sy, 0.0), float(self.height)),
        )

    def box_of_cells(self, row0: float, col0: float, row1: float, col1: float) -> Box:
        """Picture pixels of the cells in rows `row0..row1-1` and columns `col0..col1-1`."""
        c = self.cell
        return self.to_picture(Box(col0 * c, row0 * c, col1 * c, row1 * c))

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """bool [rows, cols]: the cells that show the picture rather than padding.

        A cell counts when at least half of it is picture; a picture thinner than that
        keeps the cells that hold most of it, so that none is left without a patch.
        """
        whole = self.to_view(Box(0, 0, self.width, self.height))
        return _at_least_half(self._coverage(whole))

    def cells(self, region: Region) -> NDArray[np.bool_]:
        """bool [rows, cols]: the cells that `region` marks.

        A cell counts when at least half as much of it is covered as of the best covered
        one: half of it for an ordinary region, and the cells along it for a thin strip.
        Raises `InvalidInput` for a region outside the picture, smaller than a patch, or
        wholly in the part that the fit cuts away.
        """
        region.check(self)
        marked = self.covered(region)
        if not marked.any():
            raise InvalidInput(
                f"the region {region} lies where fit={self.fit} shows the model nothing of the"
                " picture; move it, or build the index with --fit pad"
            )
        return marked

    def covered(self, region: Region) -> NDArray[np.bool_]:
        """bool [rows, cols]: as `cells`, but a region that marks no cell is not refused."""
        if region.box is not None:
            coverage = self._coverage(self.to_view(region.box))
        elif region.mask is not None:
            coverage = self._mask_coverage(region.mask)
        else:
            coverage = np.zeros((self.rows, self.cols))
            for row, col in region.patches:
                coverage[row, col] = 1.0
        return _at_least_half(coverage) & self.shown

    def covered_by(self, boxes: Iterable[Box]) -> NDArray[np.bool_]:
        """bool [rows, cols]: the cells that boxes of picture pixels cover together, as `cells`.

        The boxes do not overlap.
        """
        coverage = np.zeros((self.rows, self.cols))
        for box in boxes:
            coverage += self._coverage(self.to_view(box))
        return _at_least_half(coverage) & self.shown

    def _coverage(self, view: Box) -> NDArray[np.float64]:
        """float [rows, cols]: the share of each cell that lies inside a box of view pixels."""
        edges = np.arange(self.cols + 1) * float(self.cell)
        across = np.clip(np.minimum(edges[1:], view.x1) - np.maximum(edges[:-1], view.x0), 0, None)
        edges = np.arange(self.rows + 1) * float(self.cell)
        down = np.clip(np.minimum(edges[1:], view.y1) - np.maximum(edges[:-1], view.y0), 0, None)
        return np.outer(down, across) / float(self.cell * self.cell)

    def _mask_coverage(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        coverage = np.zeros((self.rows, self.cols))
        for row in range(self.rows):
            for col in range(self.cols):
                box = self.box_of_cells(row, col, row + 1, col + 1)
                if box.area <= 0:
                    continue
                y0, x0 = math.floor(box.y0), math.floor(box.x0)
                part = mask[y0 : max(y0 + 1, round(box.y1)), x0 : max(x0 + 1, round(box.x1))]
                inside = self.to_view(box).area / (self.cell * self.cell)
                coverage[row, col] = float(part.mean()) * inside
        return coverage


def _at_least_half(coverage: NDArray[np.float64]) -> NDArray[np.bool_]:
    most = float(coverage.max())
    if most <= 1e-9:
        return np.zeros(coverage.shape, dtype=bool)
    # A hair of tolerance: coverage that is one half on paper must not depend on rounding.
    return coverage >= min(most, 1.0) / 2 - 1e-9


def _window(start: int, size: int, low: float, high: float, end: int) -> int:
    """Where a window of `size` starts so that it holds `low..high`, moved from `start`."""
    # A hundredth of a pixel shows no patch less, and rounded fractions come as near as that.
    if high - low > size:
        start = round((low + high - size) / 2)
    elif low < start:
        start = math.floor(low + 0.01)
    elif high > start + size:
        start = math.ceil(high - 0.01) - size
    return min(max(start, 0), max(0, end - size))


def _whole(value: float) -> int:
    """The nearest integer; what is half-way but for the noise of floats is half-way."""
    return round(round(value, 6))


def _around(middle: float, size: int, end: int) -> int:
    """Where a window of `size` starts that has `middle` in it, within `0..end` if it fits."""
    start = _whole(middle - size / 2)
    return start if size > end else min(max(start, 0), end - size)


MOST_REGIONS = 8


@dataclass(frozen=True)
class Region:
    """The part of a picture that the user marked: one of `box`, `mask`, `patches`."""

    box: Box | None = None
    mask: NDArray[np.bool_] | None = None
    patches: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, value: Any) -> Region:
        """A region from what the caller wrote.

        Four numbers are a box in picture pixels; a bool or uint8 array [height, width]
        is a mask (non-zero marks); pairs of integers are (row, col) of patches.
        """
        if isinstance(value, Region):
            return value
        if isinstance(value, np.ndarray) and value.dtype in (np.bool_, np.uint8):
            if value.ndim != 2:
                raise InvalidInput(f"a mask must be [height, width], not {list(value.shape)}")
            if not value.any():
                raise InvalidInput("the mask marks nothing: paint at least one patch")
            return cls(mask=value.astype(bool))
        try:
            items = list(value)
            if len(items) == 4 and all(np.isscalar(v) for v in items):
                return cls(box=_checked_box(items))
            return cls(patches=_checked_patches(items))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(
                f"region {value!r} is not x0,y0,x1,y1, a mask, or (row, col) pairs of patches"
            ) from error

    @classmethod
    def several(cls, value: Any) -> tuple[Region, ...]:
        """The regions that the caller wrote: none for None, one as in `parse`, or a list of such.

        Raises `InvalidInput`, also for more than `MOST_REGIONS`.
        """
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or isinstance(value, Box):
            return (cls.parse(value),)
        if not value or not all(_is_region(one) for one in value):
            return (cls.parse(value),)
        if len(value) > MOST_REGIONS:
            raise InvalidInput(f"{len(value)} regions: mark at most {MOST_REGIONS}")
        return tuple(cls.parse(one) for one in value)

    def bounds(self) -> Box | None:
        """The box around the region in picture pixels; None for patches."""
        if self.box is not None:
            return self.box
        if self.mask is None:
            return None
        ys, xs = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return Box(float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))

    def check(self, grid: PatchGrid) -> None:
        """Raise `InvalidInput` unless the region lies in the picture and holds a patch."""
        patch_area = grid.cell_width * grid.cell_height
        if self.box is not None:
            box = self.box
            if box.x0 < 0 or box.y0 < 0 or box.x1 > grid.width or box.y1 > grid.height:
                raise InvalidInput(
                    f"region {self} reaches outside the picture, which is"
                    f" {grid.width} x {grid.height} pixels"
                )
            area = box.area
        elif self.mask is not None:
            if self.mask.shape != (grid.height, grid.width):
                raise InvalidInput(
                    f"the mask is {self.mask.shape[1]} x {self.mask.shape[0]} pixels but the"
                    f" picture is {grid.width} x {grid.height}: they must agree"
                )
            area = float(self.mask.sum())
        else:
            for row, col in self.patches:
                if not (0 <= row < grid.rows and 0 <= col < grid.cols):
                    raise InvalidInput(
                        f"patch ({row}, {col}) is outside the grid of"
                        f" {grid.rows} rows and {grid.cols} columns"
                    )
            return
        if area < patch_area:
            raise InvalidInput(
                f"region {self} is smaller than one patch, which is {grid.cell_width:.0f} x"
                f" {grid.cell_height:.0f} pixels of this picture: mark a larger part"
            )

    def __str__(self) -> str:
        if self.box is not None:
            return ",".join(f"{v:g}" for v in self.box)
        return "mask" if self.mask is not None else f"of {len(self.patches)} patches"


def _is_region(value: Any) -> bool:
    """Whether an element of a list is a region of its own, rather than a number or a patch."""
    if isinstance(value, Region) or (isinstance(value, np.ndarray) and value.ndim == 2):
        return True
    try:
        items = list(value)
    except TypeError:
        return False
    if all(np.isscalar(one) for one in items):
        return len(items) == 4
    return not any(np.isscalar(one) for one in items)


def _checked_box(values: Iterable[Any]) -> Box:
    box = Box(*(float(v) for v in values))
    if not all(math.isfinite(v) for v in box):
        raise InvalidInput(f"region {tuple(box)} holds a number that is not finite")
    if box.x1 <= box.x0 or box.y1 <= box.y0:
        raise InvalidInput(
            f"region {','.join(f'{v:g}' for v in box)} is empty: x0,y0 is its top left corner"
            " and x1,y1 its bottom right one"
        )
    return box


def _checked_patches(items: Iterable[Any]) -> tuple[tuple[int, int], ...]:
    pairs = []
    for item in items:
        row, col = item
        if int(row) != row or int(col) != col:
            raise InvalidInput(f"patch {item!r} is not a pair of whole numbers (row, col)")
        pairs.append((int(row), int(col)))
    if not pairs:
        raise InvalidInput("the region names no patch: give at least one (row, col)")
    return tuple(sorted(set(pairs)))
