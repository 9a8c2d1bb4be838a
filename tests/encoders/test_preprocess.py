"""The preprocessing against torchvision's, which is the reference, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from dinosearch.encoders.preprocess import MEAN, PAD_COLOUR, STD, make_view
from dinosearch.encoders.torch_encoder import normalised
from dinosearch.geometry import Box, PatchGrid

SIZES = [
    (640, 480), (480, 640), (333, 777), (777, 333), (561, 560), (560, 560), (560, 701), (1, 1),
    (2, 3), (17, 16), (1999, 1001), (100, 1999), (563, 1127),
]  # fmt: skip


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [560, 392, 70])
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_crop_is_torchvisions_to_the_bit(shape, size):
    image = picture(*shape)
    reference = v2.Compose(
        [
            v2.Resize(size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(size),
        ]
    )(image)
    view = make_view(image, PatchGrid.of(*shape, size=size))
    np.testing.assert_array_equal(view, np.asarray(reference))


def test_normalisation_is_torchvisions_to_the_bit():
    levels = np.arange(256, dtype=np.uint8)
    ramp = np.stack([levels, np.roll(levels, 85), np.roll(levels, 170)], axis=-1)
    views = np.stack([ramp.reshape(16, 16, 3), ramp[::-1].reshape(16, 16, 3)])
    transform = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(MEAN), list(STD))]
    )
    reference = torch.stack([transform(Image.fromarray(view)) for view in views]).numpy()
    result = normalised(torch.from_numpy(views), MEAN, STD)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result.numpy(), reference)


def test_the_padding_is_about_zero_for_the_model():
    view = np.full((1, 14, 14, 3), PAD_COLOUR, dtype=np.uint8)
    assert normalised(torch.from_numpy(view), MEAN, STD).abs().max() < 0.01


def test_pad_centres_the_whole_picture():
    image = Image.new("RGB", (200, 100), (10, 20, 30))
    view = make_view(image, PatchGrid.of(200, 100, size=56, fit="pad"))
    assert (view[:14] == PAD_COLOUR).all()
    assert (view[14:42] == (10, 20, 30)).all()
    assert (view[42:] == PAD_COLOUR).all()


def test_squash_shows_everything_stretched():
    image = picture(200, 100)
    view = make_view(image, PatchGrid.of(200, 100, size=56, fit="squash"))
    expected = image.resize((56, 56), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(view, np.asarray(expected))


def test_focus_moves_the_crop():
    image = Image.new("RGB", (400, 100), (0, 0, 0))
    image.paste((255, 0, 0), (380, 0, 400, 100))
    grid = PatchGrid.of(400, 100, size=70, focus=Box(380, 0, 400, 100))
    view = make_view(image, grid)
    assert grid.left == grid.scaled_width - 70
    assert (view[:, -10:] == (255, 0, 0)).all()


def test_a_picture_reduced_while_decoding_fills_the_same_square():
    grid = PatchGrid.of(4000, 3000, size=56)
    large = Image.new("RGB", (4000, 3000), (9, 99, 199))
    np.testing.assert_array_equal(make_view(large, grid), make_view(large.resize((500, 375)), grid))


@pytest.mark.parametrize("image", [Image.new("L", (9, 9)), Image.new("RGBA", (9, 9))])
def test_only_rgb(image):
    with pytest.raises(ValueError, match="RGB"):
        make_view(image, PatchGrid.of(9, 9, size=14))
