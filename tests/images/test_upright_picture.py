"""Turning and converting, whole or in strips, and pictures handed over in memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dinosearch.encoders.preprocess import make_view
from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, Fit, View
from dinosearch.images import grid_for, upright, upright_picture
from dinosearch.images.upright_picture import UprightPicture
from tests.images.samples import corners, encoded, exif, noise

FITS: tuple[Fit, ...] = ("crop", "pad", "squash")


def modes() -> list[Image.Image]:
    rgb = Image.fromarray(noise(90, 61))
    alpha = Image.fromarray(noise(90, 61, 1)[..., 0])
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    wide = np.asarray(rgb.convert("L")).astype(np.int32)
    return [
        rgb, rgba, rgb.convert("L"), rgba.convert("LA"), rgb.quantize(50), rgb.convert("CMYK"),
        rgb.convert("1"), Image.fromarray((wide * 200).astype(np.uint16)),
        Image.fromarray(wide * 1000 - 70_000), Image.fromarray((wide / 255).astype(np.float32)),
    ]  # fmt: skip


@pytest.mark.parametrize("image", modes(), ids=lambda image: image.mode)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_strips_give_the_same_bits_as_the_whole(monkeypatch, image, orientation):
    whole = UprightPicture(image, orientation)
    reference = whole.whole()
    views = [
        make_view(whole.narrowed(grid.scaled_width)[0], grid)
        for grid in (View(28, fit=fit).grid(*whole.size) for fit in FITS)
    ]
    monkeypatch.setattr(upright_picture, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(upright_picture, "STRIP_PIXELS", 700)
    striped = UprightPicture(image, orientation)
    strips = list(striped.strips())
    assert len(strips) > 5
    np.testing.assert_array_equal(np.vstack([np.asarray(s) for _, s in strips]), reference)
    assert striped.size == reference.size
    assert striped.notes == whole.notes
    for fit, view in zip(FITS, views, strict=True):
        grid = View(28, fit=fit).grid(*striped.size)
        np.testing.assert_array_equal(make_view(striped.narrowed(grid.scaled_width)[0], grid), view)


def test_a_pillow_picture_in_memory():
    stored = Image.fromarray(corners()).transpose(Image.Transpose.ROTATE_90)
    lazy = Image.open(io.BytesIO(encoded(stored, "PNG", exif=exif(6))))
    image, notes = upright(lazy)
    np.testing.assert_array_equal(np.asarray(image), corners())
    assert notes == ("exif-orientation",)


def test_arrays_in_memory():
    rgb = corners()
    np.testing.assert_array_equal(np.asarray(upright(rgb)[0]), rgb)
    mirrored = rgb[:, ::-1]
    np.testing.assert_array_equal(np.asarray(upright(mirrored)[0]), mirrored)
    grey, _ = upright(rgb[..., 0])
    np.testing.assert_array_equal(np.asarray(grey), np.repeat(rgb[..., :1], 3, axis=2))
    white, notes = upright(np.dstack([rgb, np.zeros((4, 6), dtype=np.uint8)]))
    assert np.asarray(white).min() == 255
    assert notes == ("alpha-on-white",)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((3, 4, 4, 3), dtype=np.uint8),
        np.zeros((4, 4, 2), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((1, 201), dtype=np.uint8),
        b"bytes",
        None,
    ],
    ids=str,
)
def test_what_is_no_picture_in_memory(picture):
    with pytest.raises(InvalidInput):
        upright(picture)


def test_a_pillow_picture_that_does_not_decode():
    data = encoded(Image.fromarray(noise(64, 64)), "JPEG")
    with pytest.raises(InvalidInput, match="decoded"):
        upright(Image.open(io.BytesIO(data[:-40])))


def test_the_grid_of_a_long_picture():
    view = View(56)
    assert grid_for(view, 100, 50) == (view.grid(100, 50), ())
    focus = Box(80, 0, 100, 20)
    assert grid_for(view, 100, 50, focus=focus) == (view.grid(100, 50, focus=focus), ())
    for size in ((201, 10), (10, 201)):
        grid, notes = grid_for(view, *size)
        assert (grid.fit, notes) == ("pad", ("padded-extreme-aspect",))
    assert grid_for(View(56, fit="squash"), 201, 10)[0].fit == "squash"
