"""What the pixels mean: each rule of the reading policy, by value."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from dinosearch.images import Decoder
from tests.images.samples import corners, encoded, exif, noise, png, png_chunk, swapped_profile


@pytest.fixture
def read(decoder: Decoder, tmp_path: Path):
    """Write bytes to a file, and read it as (pixels, notes)."""

    def read(data: bytes, name: str = "picture") -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        (tmp_path / name).write_bytes(data)
        pixels, facts = decoder.pixels(tmp_path / name)
        assert pixels.shape == (facts.height, facts.width, 3)
        return pixels, facts.notes

    return read


def lossless(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "PNG", **options)


INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_upright_picture(read, orientation, format):
    stored = Image.fromarray(corners())
    if orientation in INVERSE:
        stored = stored.transpose(INVERSE[orientation])
    options = {"lossless": True} if format == "WEBP" else {}
    pixels, notes = read(encoded(stored, format, exif=exif(orientation), **options))
    np.testing.assert_array_equal(pixels, corners())
    assert notes == (() if orientation == 1 else ("exif-orientation",))


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_an_orientation_that_does_not_exist_changes_nothing(read, orientation):
    pixels, notes = read(lossless(Image.fromarray(corners()), exif=exif(orientation)))
    np.testing.assert_array_equal(pixels, corners())
    assert notes == ()


def test_orientation_of_a_jpeg_gives_its_facts_upright(decoder, tmp_path):
    stored = Image.fromarray(noise(40, 20)).transpose(INVERSE[6])
    data = encoded(stored, "JPEG", exif=exif(6, "2024:05:17 08:30:00"), quality=95)
    (tmp_path / "a.jpg").write_bytes(data)
    picture = decoder.decode(tmp_path / "a.jpg")
    assert (picture.width, picture.height, picture.format) == (40, 20, "JPEG")
    assert picture.taken == "2024-05-17T08:30:00"
    assert picture.notes == ("exif-orientation",)
    assert (picture.grid.scaled_width, picture.grid.scaled_height) == (112, 56)


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "yesterday", "2024:13:01 00:00:00", ""])
def test_a_time_that_makes_no_sense_is_left_out(decoder, tmp_path, text):
    (tmp_path / "a.jpg").write_bytes(
        encoded(Image.new("RGB", (9, 9)), "JPEG", exif=exif(None, text))
    )
    assert decoder.decode(tmp_path / "a.jpg").taken is None


def over_white(colour: int, alpha: int) -> int:
    return int((colour * alpha + 255 * (255 - alpha)) / 255 + 0.5)


def test_alpha_is_laid_on_white_exactly(read):
    rgba = np.random.default_rng(1).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    pixels, notes = read(lossless(Image.fromarray(rgba)))
    expected = [[[over_white(int(c), int(p[3])) for c in p[:3]] for p in row] for row in rgba]
    np.testing.assert_array_equal(pixels, np.array(expected))
    assert notes == ("alpha-on-white",)


def test_grey_with_alpha(read):
    la = np.array([[[100, 255], [100, 0], [100, 51]]], dtype=np.uint8)
    pixels, notes = read(lossless(Image.fromarray(la, "LA")))
    assert pixels[0, :, 0].tolist() == [100, 255, over_white(100, 51)]
    assert notes == ("alpha-on-white",)


def test_alpha_that_hides_nothing_is_no_news(read):
    opaque = np.dstack([corners(), np.full((4, 6), 255, dtype=np.uint8)])
    pixels, notes = read(lossless(Image.fromarray(opaque)))
    np.testing.assert_array_equal(pixels, corners())
    assert notes == ()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])], ids=["index", "table"])
def test_palette_with_transparency(read, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels, notes = read(lossless(image, transparency=transparency))
    assert pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]
    assert notes == ("alpha-on-white",)


def test_a_colour_that_stands_for_transparent(read):
    rgb = lossless(Image.fromarray(corners()), transparency=(255, 0, 0))
    pixels, _ = read(rgb)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(pixels[0, 1:], corners()[0, 1:])
    grey, _ = read(lossless(Image.fromarray(np.array([[7, 8]], np.uint8)), transparency=7))
    assert grey[0, :, 0].tolist() == [255, 8]


def test_bmp_whose_alpha_says_that_nothing_is_visible(read):
    rgba = np.dstack([corners(), np.zeros((4, 6), dtype=np.uint8)])
    pixels, notes = read(encoded(Image.fromarray(rgba), "TGA"), "a.tga")
    np.testing.assert_array_equal(pixels, corners())
    assert notes == ("alpha-ignored",)


LEVELS = [0, 128, 129, 257, 1000, 32768, 65407, 65535]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_levels_are_divided_by_257(read, format):
    pixels, notes = read(encoded(Image.fromarray(np.array([LEVELS], dtype=np.uint16)), format))
    assert pixels[0, :, 0].tolist() == [round(v / 257) for v in LEVELS]
    assert notes == ("16-bit",)


def test_sixteen_bit_big_endian_tiff(read):
    data = encoded(Image.fromarray(np.array([LEVELS], dtype=np.uint16)), "TIFF")
    tags = [
        (256, 4, len(LEVELS)), (257, 4, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, 1), (279, 4, 2 * len(LEVELS)),
    ]  # fmt: skip
    body = struct.pack(f">{len(LEVELS)}H", *LEVELS)
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1) + struct.pack(">I" if kind == 4 else ">Hxx", value)
        for tag, kind, value in tags
    )
    big = b"MM\0*" + struct.pack(">I", 8 + len(body)) + body
    big += struct.pack(">H", len(tags)) + entries + b"\0\0\0\0"
    np.testing.assert_array_equal(read(big)[0], read(data)[0])


def test_sixteen_bit_grey_with_a_transparent_level(read):
    rows = b"\0" + struct.pack(">3H", 65535, 1000, 257)
    key = png_chunk(b"tRNS", struct.pack(">H", 1000))
    pixels, notes = read(png(3, 1, rows, depth=16, colour=0, before=key))
    assert pixels[0, :, 0].tolist() == [255, 255, 1]
    assert notes == ("16-bit", "alpha-on-white")


def test_float_levels_between_0_and_1(read):
    levels = np.array([[0.0, 0.25, 0.5, 1.0]], dtype=np.float32)
    pixels, notes = read(encoded(Image.fromarray(levels), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 64, 128, 255]
    assert notes == ("float-times-255",)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[-10.0, 0.0, 10.0]], np.float32), [0, 128, 255]),
        (np.array([[5, 1005, 2005]], np.int32), [0, 128, 255]),
        (np.array([[-300, -300, -300]], np.int32), [0, 0, 0]),
        (np.array([[np.nan, 2.0, np.inf, 4.0, -np.inf]], np.float32), [0, 0, 255, 255, 0]),
        (np.array([[np.nan, np.nan]], np.float32), None),
    ],
    ids=["float", "int", "constant", "not-finite", "nothing-finite"],
)
def test_other_levels_are_stretched(read, levels, expected):
    pixels, notes = read(encoded(Image.fromarray(levels), "TIFF"))
    if expected is None:
        assert pixels.max() == 0
    else:
        assert pixels[0, :, 0].tolist() == expected
        assert notes == ("stretched-min-max",)


def test_cmyk_without_a_profile(read):
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [51, 0, 0, 102]]], np.uint8)
    pixels, notes = read(encoded(Image.fromarray(inks, "CMYK"), "TIFF"))
    assert pixels[0].tolist() == [[255, 255, 255], [0, 255, 255], [0, 0, 0], [122, 153, 153]]
    assert notes == ("cmyk",)


def test_a_profile_with_swapped_primaries_swaps_the_colours_back(read):
    stored = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    pixels, notes = read(lossless(Image.fromarray(stored), icc_profile=swapped_profile()))
    wanted = np.array([[[0, 255, 0], [255, 0, 0], [0, 0, 255], [255, 255, 255]]])
    assert np.abs(pixels.astype(int) - wanted).max() <= 2
    assert notes == ("icc-to-srgb",)


def test_a_profile_comes_before_white_under_alpha(read):
    stored = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 128]]], np.uint8)
    pixels, notes = read(lossless(Image.fromarray(stored), icc_profile=swapped_profile()))
    wanted = np.array([[[0, 255, 0], [255, 255, 255], [127, 255, 127]]])
    assert np.abs(pixels.astype(int) - wanted).max() <= 2
    assert notes == ("alpha-on-white", "icc-to-srgb")


def test_srgb_itself_changes_no_bit(read):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels, notes = read(lossless(Image.fromarray(noise(30, 20)), icc_profile=profile))
    np.testing.assert_array_equal(pixels, noise(30, 20))
    assert notes == ()


def test_a_grey_picture_with_a_colour_profile(read):
    pixels, notes = read(lossless(Image.new("L", (3, 3), 90), icc_profile=swapped_profile()))
    assert np.abs(pixels.astype(int) - 90).max() <= 2
    assert notes == ("icc-to-srgb",) or notes == ()


@pytest.mark.parametrize("profile", [b"nonsense" * 40, b"\0"])
def test_a_damaged_profile_is_left_out(read, profile):
    pixels, notes = read(lossless(Image.fromarray(corners()), icc_profile=profile))
    np.testing.assert_array_equal(pixels, corners())
    assert notes == ("icc-ignored",)


def test_lab(read):
    bands = np.array([[[255, 128, 128], [138, 209, 198], [0, 128, 128]]], dtype=np.uint8)
    lab = Image.merge("LAB", [Image.fromarray(bands[..., i]) for i in range(3)])
    pixels, notes = read(encoded(lab, "TIFF"))
    # L* 54.3, a* 80.8, b* 69.9 is the red of sRGB; a and b are stored with 128 added.
    wanted = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 0]])
    assert np.abs(pixels[0].astype(int) - wanted).max() <= 6
    assert notes == ("lab",)


def test_only_the_first_frame_of_an_animation(read):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        pixels, notes = read(data)
        assert pixels.reshape(-1, 3).tolist() == [[255, 0, 0]] * 64, format
        assert notes == ("first-frame-of-3",), format


def test_an_animation_cut_short_still_has_its_first_frame(read):
    frames = [Image.fromarray(noise(40, 40, seed)) for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    whole, _ = read(data)
    cut, notes = read(data[: int(len(data) * 0.9)])
    np.testing.assert_array_equal(cut, whole)
    assert notes[0].startswith("first-frame")


def test_transparent_gif(read):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    pixels, notes = read(encoded(image, "GIF", transparency=0))
    assert pixels.tolist() == [[[255, 255, 255], [255, 0, 0]]]
    assert notes == ("alpha-on-white",)


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO"]
)
def test_every_format_is_read(read, decoder, tmp_path, format):
    pixels, notes = read(encoded(Image.fromarray(noise(64, 64)), format))
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels.astype(int) - noise(64, 64)).mean() < 8
    assert notes == ()
    assert decoder.decode(tmp_path / "picture").format == format


def test_mpo_arrives_through_jpeg(read):
    first, second = Image.fromarray(noise(64, 64)), Image.new("RGB", (64, 64))
    data = encoded(first, "MPO", save_all=True, append_images=[second], quality=95)
    pixels, notes = read(data)
    assert np.abs(pixels.astype(int) - noise(64, 64)).mean() < 4
    assert notes == ("first-frame-of-2",)


def test_tga_only_by_name(read, decoder, tmp_path):
    data = encoded(Image.fromarray(corners()), "TGA")
    pixels, _ = read(data, "a.TGA")
    np.testing.assert_array_equal(pixels, corners())
    (tmp_path / "a.jpg").write_bytes(data)
    assert decoder.decode(tmp_path / "a.jpg").code == "unsupported-format"


def test_the_extension_does_not_decide(read):
    pixels, _ = read(lossless(Image.fromarray(corners())), "really-a-png.jpg")
    np.testing.assert_array_equal(pixels, corners())


def test_a_thumbnail_is_small_and_carries_no_metadata(decoder, tmp_path):
    data = encoded(
        Image.fromarray(noise(1000, 400)), "JPEG", exif=exif(1, "2020:01:01 00:00:00"),
        comment=b"secret", icc_profile=swapped_profile(),
    )  # fmt: skip
    (tmp_path / "a.jpg").write_bytes(data)
    picture = decoder.decode(tmp_path / "a.jpg")
    thumbnail = Image.open(io.BytesIO(picture.thumbnail))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (256, 102))
    assert not {"exif", "comment", "icc_profile"} & set(thumbnail.info)
    whole, _ = decoder.pixels(tmp_path / "a.jpg")
    reference = Image.fromarray(whole).resize((256, 102))
    assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(reference)).mean() < 3


def test_pixels_up_to_a_side(decoder, tmp_path):
    (tmp_path / "a.png").write_bytes(lossless(Image.fromarray(noise(300, 150))))
    pixels, facts = decoder.pixels(tmp_path / "a.png", max_side=100)
    assert (pixels.shape, facts.width, facts.height) == ((50, 100, 3), 300, 150)
    expected = Image.fromarray(noise(300, 150)).resize((100, 50), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pixels, np.asarray(expected))
    assert decoder.pixels(tmp_path / "a.png", max_side=400)[0].shape == (150, 300, 3)
