"""What is on the screen: pixels of screenshots, cell by cell, and what they ought to be."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page


def ramp_of(page: Page) -> np.ndarray:
    """float [256, 3]: the page's colours from cold to hot."""
    colours = page.evaluate(
        """async () => {
            const main = document.querySelector('script[type=module]').src;
            const { colour } = await import(main.replace('main.js', 'heat.js'));
            return Array.from({ length: 256 }, (_, i) => colour(i / 255));
        }"""
    )
    return np.array(colours, dtype=float)


def shot(page: Page, box: dict[str, float], margin: float = 0) -> np.ndarray:
    """int [h, w, 3]: a part of the screen, in the pixels of the device."""
    clip = {
        "x": box["x"] - margin,
        "y": box["y"] - margin,
        "width": box["width"] + 2 * margin,
        "height": box["height"] + 2 * margin,
    }
    # Outside the page there is nothing to see, and Chromium refuses to look there.
    clip["width"] += min(0.0, clip["x"])
    clip["height"] += min(0.0, clip["y"])
    clip["x"], clip["y"] = max(0.0, clip["x"]), max(0.0, clip["y"])
    png = page.screenshot(clip=clip, animations="disabled", caret="hide")  # type: ignore[arg-type]
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def box_of(locator: Locator) -> dict[str, float]:
    box = locator.bounding_box()
    assert box is not None, f"{locator} cannot be seen"
    return {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}


def at_rest(
    picture: Locator, view: Locator
) -> tuple[dict[str, float], dict[str, float], np.ndarray]:
    """The boxes of `picture` and `view` and the pixels of `view`, taken while neither moved: a
    picture that arrives above them pushes them down, and then the pixels are of elsewhere."""
    for _ in range(100):
        boxes = box_of(picture), box_of(view)
        pixels = shot(picture.page, boxes[1])
        if boxes == (box_of(picture), box_of(view)):
            return *boxes, pixels
        picture.page.wait_for_timeout(100)
    raise AssertionError(f"{picture} does not come to rest")


def cells_of(picture: Locator, rows: int, cols: int, view: Locator | None = None) -> np.ndarray:
    """float [rows, cols, 3]: the colour in the middle of each cell of what is shown; NaN for
    cells that lie outside `view`, which may show a part of the picture only."""
    whole, seen, pixels = at_rest(picture, view or picture)
    dense = pixels.shape[1] / seen["width"]
    high, wide = whole["height"] / rows * dense, whole["width"] / cols * dense
    down, across = (whole["y"] - seen["y"]) * dense, (whole["x"] - seen["x"]) * dense
    cells = np.full((rows, cols, 3), np.nan)
    for row in range(rows):
        for col in range(cols):
            top, bottom = down + (row + 0.36) * high, down + (row + 0.64) * high
            left, right = across + (col + 0.36) * wide, across + (col + 0.64) * wide
            if min(top, left) < 0 or bottom > pixels.shape[0] or right > pixels.shape[1]:
                continue
            middle = pixels[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
            cells[row, col] = np.median(middle.reshape(-1, 3), axis=0)
    return cells


def loaded(locator: Locator) -> Locator:
    """Wait until the picture inside is there to be seen."""
    locator.scroll_into_view_if_needed()
    locator.locator("img").first.evaluate("picture => picture.decode()")
    return locator


def heated(
    ramp: np.ndarray,
    before: np.ndarray,
    values: np.ndarray,
    scale: tuple[float, float],
    opacity: float = 1,
) -> np.ndarray:
    """float [rows, cols, 3]: `before` under a heat map of cosines; NaN is no heat."""
    low, high = scale
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    share = np.where(np.isnan(share), 0, share)
    places = np.linspace(0, 1, len(ramp))
    colours = np.stack([np.interp(share, places, channel) for channel in ramp.T], axis=-1)
    cover = (opacity * 0.9 * share**2.4)[..., None]
    return np.asarray(before * (1 - cover) + colours * cover)


def check_heat(
    page: Page,
    before: np.ndarray,
    after: np.ndarray,
    values: np.ndarray,
    scale: tuple[float, float],
    *,
    opacity: float = 1,
    within: float = 8,
) -> None:
    """Every cell of the picture must have the colour that its cosine gives it, no more, no
    less; `within` is for rounding to bytes and for the browser's blending."""
    expected = heated(ramp_of(page), before, values, scale, opacity)
    off = np.abs(after - expected).max(axis=2)
    wrong = np.argwhere(off > within)
    assert not len(wrong), (
        f"{len(wrong)} of {off.size} cells are wrong; the first is {wrong[0].tolist()}, which is"
        f" {after[tuple(wrong[0])].tolist()} instead of"
        f" {expected[tuple(wrong[0])].round().astype(int).tolist()}"
    )


def hot_cells(before: np.ndarray, after: np.ndarray) -> set[tuple[int, int]]:
    """The cells (row, col) that have clearly changed their colour."""
    changed = np.abs(after - before).max(axis=2) > 30
    return {(int(row), int(col)) for row, col in np.argwhere(changed)}
