"""Previews: upright, small, and nothing of the file but its pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dinosearch.errors import PictureRefused
from dinosearch.geometry import View
from dinosearch.images import Decoder, Refusal, meaning_of
from tests.images.samples import BLUE, GREEN, RED, encoded, exif, noise


@pytest.fixture(scope="module")
def decoder():
    with Decoder(View(56), workers=1) as decoder:
        yield decoder


def quarters(width: int = 320, height: int = 160) -> np.ndarray:
    """Red, green above blue, white."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    return pixels


def colours(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, row by row."""
    w, h = picture.size
    places = [
        (w // 4, h // 4),
        (3 * w // 4, h // 4),
        (w // 4, 3 * h // 4),
        (3 * w // 4, 3 * h // 4),
    ]
    return [picture.getpixel(place) for place in places]  # type: ignore[misc]


def test_a_preview_is_upright_whatever_the_metadata_say(decoder, tmp_path):
    for orientation, turns in ((1, 0), (6, 1), (3, 2), (8, 3)):
        lying = Image.fromarray(np.rot90(quarters(), turns).copy())
        tags = exif(orientation, taken="2024:05:17 10:00:00")
        tags.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)  # GPS latitude
        tags[0x010F] = "a secret camera"
        (tmp_path / "a.jpg").write_bytes(encoded(lying, "JPEG", exif=tags, quality=95))
        jpeg = decoder.jpeg(tmp_path / "a.jpg", max_side=1600)
        shown = Image.open(io.BytesIO(jpeg))
        assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", (320, 160))
        expected = np.array([RED, GREEN, BLUE, (255, 255, 255)])
        assert np.abs(np.array(colours(shown)) - expected).max() < 12
        assert not shown.getexif()
        assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert b"secret" not in jpeg


def test_no_side_is_longer_than_asked_and_small_ones_stay(decoder, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(quarters(320, 160)), "PNG"))
    for max_side, size in (
        (100, (100, 50)),
        (319, (319, 160)),
        (320, (320, 160)),
        (999, (320, 160)),
    ):
        shown = Image.open(io.BytesIO(decoder.jpeg(tmp_path / "a.png", max_side=max_side)))
        assert shown.size == size
        expected = np.array([RED, GREEN, BLUE, (255, 255, 255)])
        assert np.abs(np.array(colours(shown)) - expected).max() < 12


def test_profile_and_comment_are_left_behind(decoder, tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = encoded(Image.fromarray(quarters()), "JPEG", icc_profile=profile, comment=b"a secret")
    assert b"a secret" in content
    (tmp_path / "a.jpg").write_bytes(content)
    thumbnail = decoder.decode(tmp_path / "a.jpg").thumbnail
    for jpeg in (decoder.jpeg(tmp_path / "a.jpg", max_side=200), thumbnail):
        assert "icc_profile" not in Image.open(io.BytesIO(jpeg)).info
        assert b"a secret" not in jpeg


def test_what_is_no_picture_has_no_preview(decoder, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureRefused) as refusal:
        decoder.jpeg(tmp_path / "a.jpg", max_side=200)
    assert refusal.value.code == "unsupported-format"


def test_more_pixels_than_allowed_are_refused(decoder, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(noise(100, 80)), "PNG"))
    assert decoder.decode(tmp_path / "a.png", max_pixels=8_000).width == 100
    found = decoder.decode(tmp_path / "a.png", max_pixels=7_999)
    assert isinstance(found, Refusal)
    assert (found.state, found.code) == ("refused", "too-many-pixels")


def test_codes_have_a_meaning_in_words():
    assert meaning_of("truncated") == "The file ends before the picture does."
    assert meaning_of("timeout") == "Decoding took longer than one picture is given."
    assert meaning_of("exif-orientation").startswith("Turned or mirrored")
    assert meaning_of("first-frame-of-12") == "The first of 12 pictures in the file."
    assert meaning_of("no such code") == ""
