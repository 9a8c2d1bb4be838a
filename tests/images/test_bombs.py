"""Small files that unpack to gigabytes: a reason code or a picture, in little memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dinosearch.geometry import View
from dinosearch.images import Decoder, Picture, Refusal
from tests.images.samples import encoded, noise, png, png_chunk

MB = 1024 * 1024


def peak(decoder: Decoder) -> int:
    """The most memory that any living decoder process has held, in bytes."""
    peaks = []
    for pid in decoder.pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peaks.append(int(line.split()[1]) * 1024)
    return max(peaks)


def one_bit_png(side: int) -> bytes:
    return png(side, side, bytes((side + 7) // 8 + 1) * side, depth=1, colour=0, level=1)


def header_only_png(width: int, height: int) -> bytes:
    return png(width, height, b"")


def ico_of(inner: bytes) -> bytes:
    return (
        struct.pack("<HHH", 0, 1, 1)
        + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
        + inner
    )


def webp_with_a_vast_canvas() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    place = data.index(b"VP8X") + 12
    data[place : place + 6] = (15_999).to_bytes(3, "little") + (11_999).to_bytes(3, "little")
    return bytes(data)


def vast_gif() -> bytes:
    return b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\1\0;"


def png_with_a_vast_profile() -> bytes:
    profile = b"x\0\0" + zlib.compress(bytes(300 * MB), 1)
    return png(9, 9, bytes(28 * 9), before=png_chunk(b"iCCP", profile))


@pytest.fixture
def fresh():
    with Decoder(View(56), workers=1) as decoder:
        yield decoder


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.png", lambda: header_only_png(20_000, 20_000), "too-many-pixels"),
        ("b.png", lambda: header_only_png(2**31 - 1, 2**31 - 1), "too-many-pixels"),
        ("c.png", lambda: png(1, 60_000, bytes(4 * 60_000)), "extreme-aspect"),
        ("d.gif", vast_gif, "too-many-pixels"),
        ("e.ppm", lambda: b"P6 60000 60000 255\n", "too-many-pixels"),
        ("f.ico", lambda: ico_of(header_only_png(20_000, 20_000)), "too-many-pixels"),
        ("g.webp", webp_with_a_vast_canvas, "out-of-memory"),
        ("h.png", png_with_a_vast_profile, "metadata-too-large"),
    ],
)
def test_a_bomb(fresh, tmp_path, name, data, code):
    (tmp_path / name).write_bytes(data())
    result = fresh.decode(tmp_path / name)
    assert isinstance(result, Refusal)
    assert result.code == code
    good = tmp_path / "good.png"
    good.write_bytes(encoded(Image.fromarray(noise(20, 20)), "PNG"))
    assert isinstance(fresh.decode(good), Picture)
    assert peak(fresh) < 300 * MB


def test_a_large_picture_of_one_bit_is_read_in_strips(fresh, tmp_path):
    (tmp_path / "a.png").write_bytes(one_bit_png(13_000))
    assert os.path.getsize(tmp_path / "a.png") < 200_000
    picture = fresh.decode(tmp_path / "a.png")
    assert (picture.width, picture.height, picture.notes) == (13_000, 13_000, ())
    assert picture.view.max() == 0
    assert peak(fresh) < 300 * MB


def test_a_vast_jpeg_is_reduced_while_decoding(fresh, tmp_path):
    quarters = np.zeros((140, 200), dtype=np.uint8)
    quarters[:70, :100], quarters[70:, 100:] = 250, 120
    image = Image.fromarray(quarters).resize((20_000, 14_000), Image.Resampling.NEAREST)
    image.save(tmp_path / "a.jpg", quality=50)
    del image
    picture = fresh.decode(tmp_path / "a.jpg")
    assert (picture.width, picture.height) == (20_000, 14_000)
    assert picture.notes == ("jpeg-reduced",)
    view = picture.view.astype(int)
    for patch, level in ((view[5, 5], 250), (view[50, 50], 120), (view[5, 50], 0)):
        assert np.abs(patch - level).max() <= 4
    pixels, facts = fresh.pixels(tmp_path / "a.jpg", max_side=100)
    assert (pixels.shape, facts.width) == ((70, 100, 3), 20_000)
    assert peak(fresh) < 300 * MB
