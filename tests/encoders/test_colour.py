"""The test encoder, worked by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dinosearch.encoders import load_encoder
from dinosearch.errors import InvalidInput, PictureRefused

BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


@pytest.fixture
def encoder():
    return load_encoder("colour", size=28)


def flat(*colours):
    """A view of 2 x 2 cells, one colour each, row by row."""
    cells = np.array(colours, np.uint8).reshape(2, 2, 3)
    return cells.repeat(14, axis=0).repeat(14, axis=1)


def test_tokens_of_plain_colours(encoder):
    tokens = encoder.encode_views(flat(BLACK, WHITE, RED, BLUE)[None]).patches[0]
    # Place in the outer product: 4 * (red on) + 2 * (green on) + (blue on).
    np.testing.assert_allclose(tokens, np.eye(8)[[0, 7, 4, 1]], atol=1e-6)
    norms = encoder.encode_views(flat(BLACK, WHITE, RED, BLUE)[None]).patch_norms
    np.testing.assert_allclose(norms, np.ones((1, 4)), atol=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    [
        (BLACK, BLACK, 1),
        (WHITE, WHITE, 1),
        (RED, BLUE, 0),
        (BLACK, WHITE, 0),
        ((51, 0, 0), (102, 0, 0), math.cos(math.radians(18))),
        ((0, 102, 51), (51, 0, 153), math.cos(math.radians(18)) * math.cos(math.radians(36)) ** 2),
    ],
)
def test_cosine_of_two_colours(encoder, one, other, cosine):
    patches = encoder.encode_views(flat(one, other, one, one)[None]).patches[0]
    assert patches[0] @ patches[1] == pytest.approx(cosine, abs=1e-6)


def test_the_cells_mean_colour_counts(encoder):
    view = flat(BLACK, BLACK, BLACK, BLACK)
    view[:14:2, :14] = 204
    mean = encoder.encode_views(view[None]).patches[0, 0]
    flat_grey = encoder.encode_views(flat(*[(102, 102, 102)] * 4)[None]).patches[0, 0]
    assert mean @ flat_grey == pytest.approx(1, abs=1e-6)


def test_cls_is_the_mean_of_tokens_whatever_their_place(encoder):
    views = np.stack(
        [flat(RED, RED, BLUE, BLUE), flat(BLUE, RED, BLUE, RED), flat(RED, RED, RED, RED)]
    )
    cls = encoder.encode_views(views).cls
    assert cls[0] @ cls[1] == pytest.approx(1, abs=1e-6)
    assert cls[0] @ cls[2] == pytest.approx(math.sqrt(0.5), abs=1e-6)


def test_forward_features_take_normalised_pictures(encoder):
    batch = np.zeros((1, 3, 28, 42), np.float32)
    batch[:, 0] = 1.0
    features = encoder.forward_features(batch)
    assert features["x_norm_patchtokens"].shape == (1, 6, 8)
    np.testing.assert_allclose(features["x_norm_clstoken"][0], np.eye(8)[4], atol=1e-6)


def test_pictures_pass_through_the_whole_pipeline(encoder, tmp_path):
    """A wide picture: crop shows its middle, pad surrounds it, squash shows it all."""
    pixels = np.zeros((28, 56, 3), np.uint8)
    pixels[:, :14], pixels[:, 14:42], pixels[:, 42:] = RED, BLUE, RED
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    red, blue = np.eye(8)[4], np.eye(8)[1]
    cropped = encoder.encode(tmp_path / "wide.png")
    np.testing.assert_allclose(cropped.patches[0], np.tile(blue, (4, 1)), atol=0.01)
    squashed = load_encoder("colour", size=56, fit="squash").encode([tmp_path / "wide.png"])
    np.testing.assert_allclose(squashed.patches[0, 0], red, atol=0.05)
    features = encoder.encode([tmp_path / "wide.png", Image.fromarray(pixels), pixels])
    assert len(features) == 3
    np.testing.assert_allclose(features.cls, np.tile(blue, (3, 1)), atol=0.01)


def test_more_pictures_than_are_decoded_at_once(encoder):
    greys = [np.full((20, 20, 3), level, np.uint8) for level in range(0, 250, 5)]
    features = encoder.encode(iter(greys))
    assert features.cls.shape == (50, 8)
    expected = encoder.encode_views(np.stack([np.full((28, 28, 3), g[0, 0, 0]) for g in greys]))
    np.testing.assert_allclose(features.cls, expected.cls, atol=1e-6)


def test_nothing_in_nothing_out(encoder):
    features = encoder.encode([])
    assert features.cls.shape == (0, 8)
    assert features.patches.shape == (0, 4, 8)


def test_a_file_without_a_picture_is_refused(encoder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PictureRefused, match=r"broken\.png"):
        encoder.encode([tmp_path / "broken.png"])


@pytest.mark.parametrize(
    "views",
    [
        np.zeros((1, 28, 28, 3), np.float32),
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((1, 28, 27, 3), np.uint8),
        np.zeros((1, 3, 28, 28), np.uint8),
    ],
)
def test_views_of_another_form_are_refused(encoder, views):
    with pytest.raises(InvalidInput):
        encoder.encode_views(views)


@pytest.mark.parametrize(
    "code",
    [
        "import dinosearch.encoders",
        "from dinosearch.encoders import available; available()",
        "from dinosearch.encoders import load_encoder; import numpy;"
        " load_encoder('colour', size=28).encode([numpy.zeros((28, 28, 3), 'uint8')])",
    ],
)
def test_neither_the_room_nor_the_test_encoder_loads_torch(code):
    program = (
        f"{code}\nimport sys; assert not {{'torch', 'timm', 'torchvision'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
