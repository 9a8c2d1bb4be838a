"""Files that are no pictures, or too much of one: each ends with its reason code."""

from __future__ import annotations

import os
import random
import socket
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dinosearch.errors import PictureRefused
from dinosearch.images import REASONS, Decoder, Picture, Refusal
from dinosearch.images.formats import load_plugins
from dinosearch.images.reasons import FAILED, NOTES, REFUSED, Rejected
from dinosearch.images.source_file import read_source
from tests.images.samples import encoded, exif, noise, png, png_chunk


@pytest.fixture
def refusal(decoder: Decoder, tmp_path: Path):
    def refusal(data: bytes, name: str = "a.jpg") -> Refusal:
        (tmp_path / name).write_bytes(data)
        result = decoder.decode(tmp_path / name)
        assert isinstance(result, Refusal), result
        assert result.detail
        assert result.bytes == len(data)
        assert result.mtime_ns == (tmp_path / name).stat().st_mtime_ns
        return result

    return refusal


def test_a_text_file_called_jpg(refusal):
    result = refusal(b"The quick brown fox jumps over the lazy dog.\n" * 20)
    assert (result.state, result.code) == ("refused", "unsupported-format")
    assert result.sha256 is not None
    assert len(result.sha256) == 64


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"  <svg xmlns='x'/>", "SVG"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    ],
)
def test_what_a_foreign_file_is(refusal, data, word):
    result = refusal(data)
    assert result.code == "unsupported-format"
    assert word in result.detail


def test_no_decoder_outside_the_list_is_used(refusal):
    for format in ("PCX", "SGI", "EPS", "MSP"):
        mode = "1" if format == "MSP" else "RGB"
        assert refusal(encoded(Image.new(mode, (16, 16)), format)).code == "unsupported-format"


def test_an_empty_file(refusal):
    assert (refusal(b"").code, refusal(b"").sha256) == ("empty", None)


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO"]
)
def test_a_truncated_file(refusal, format):
    data = encoded(Image.fromarray(noise(64, 64)), format)
    assert refusal(data[: int(len(data) * 0.7)]).code == "truncated"


def test_a_truncated_jpeg_2000_is_not_read(refusal):
    data = encoded(Image.fromarray(noise(64, 64)), "JPEG2000")
    assert refusal(data[: len(data) // 2]).code in ("truncated", "pixels-corrupt")


def test_a_signature_with_nonsense_behind(refusal):
    assert refusal(b"\x89PNG\r\n\x1a\n" + bytes(range(200))).code == "header-corrupt"
    assert refusal(b"\xff\xd8\xff\xe0" + b"\0" * 50).code in ("header-corrupt", "truncated")


def test_pixels_that_do_not_unpack(refusal):
    rows = b"\0" + bytes(30)
    good = png(10, 1, rows)
    bad = good.replace(b"\x78\x9c", b"\x78\x9d", 1)
    assert refusal(bad).code in ("pixels-corrupt", "header-corrupt")
    wrong_filter = png(10, 1, b"\x09" + bytes(30))
    assert refusal(wrong_filter).code == "pixels-corrupt"


def test_no_width(refusal):
    assert refusal(png(0, 10, b"")).state == "refused"
    assert refusal(b"P6 0 5 255\n").state == "refused"


def test_things_that_are_not_files(decoder, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "real.png").write_bytes(encoded(Image.new("RGB", (4, 4)), "PNG"))
    (tmp_path / "link.png").symlink_to("real.png")
    codes = {
        tmp_path / "pipe.jpg": "not-a-file",
        tmp_path / "socket.jpg": "not-a-file",
        tmp_path: "not-a-file",
        Path("/dev/zero"): "not-a-file",
        tmp_path / "self.jpg": "symlink",
        tmp_path / "link.png": "symlink",
    }
    for path, code in codes.items():
        result = decoder.decode(path)
        assert (result.state, result.code, result.sha256) == ("refused", code, None), path


@pytest.mark.parametrize("name", ["missing.jpg", "a\0b.jpg", "x" * 300, "real.png/a.jpg", "\ud800"])
def test_a_file_that_does_not_exist(decoder, tmp_path, name):
    (tmp_path / "real.png").write_bytes(b"x")
    result = decoder.decode(f"{tmp_path}/{name}")
    assert (result.state, result.code, result.bytes) == ("failed", "not-found", 0)


def test_names_that_are_not_text(decoder, tmp_path):
    data = encoded(Image.fromarray(noise(20, 20)), "PNG")
    for name in (b"new\nline.png", b"latin-\xe9.png", b"\xff.png"):
        path = os.fsencode(tmp_path) + b"/" + name
        with open(path, "wb") as file:
            file.write(data)
        picture = decoder.decode(os.fsdecode(path))
        assert isinstance(picture, Picture)
        assert os.fsencode(picture.path) == path


def test_permission_denied(tmp_path):
    """In a process that has given up root's right to read everything, if it had it."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (4, 4)), "PNG"))
    path.chmod(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                for folder in (tmp_path, *tmp_path.parents[:-2]):
                    os.chmod(folder, 0o755)
                os.setuid(65534)
            read_source(str(path))
        except Rejected as rejected:
            code = 0 if rejected.code == "unreadable" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_too_large_a_file(decoder, tmp_path):
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(512 * 1024 * 1024 + 1)
    result = decoder.decode(tmp_path / "a.jpg")
    assert (result.code, result.sha256) == ("too-large", None)


@pytest.mark.parametrize("size", [(1, 201), (2010, 10), (1, 60000), (60000, 1)])
def test_extreme_aspect(refusal, size):
    width, height = size
    rows = (b"\0" + bytes(3 * width)) * height
    assert refusal(png(width, height, rows)).code == "extreme-aspect"


@pytest.mark.parametrize("size", [(200, 1), (42, 2)])
def test_long_pictures_are_padded_with_a_note(decoder, tmp_path, size):
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "a.png")
    picture = decoder.decode(tmp_path / "a.png")
    assert picture.notes == ("padded-extreme-aspect",)
    assert (picture.grid.fit, picture.grid.scaled_width) == ("pad", 56)
    red = (picture.view == (255, 0, 0)).all(axis=-1)
    padding = (picture.view == (124, 116, 104)).all(axis=-1)
    assert red.sum(axis=0).tolist() == [picture.grid.scaled_height] * 56
    assert (red | padding).all()


def test_a_picture_20_times_as_long_is_still_cropped(decoder, tmp_path):
    Image.new("RGB", (40, 2)).save(tmp_path / "a.png")
    picture = decoder.decode(tmp_path / "a.png")
    assert (picture.notes, picture.grid.fit) == ((), "crop")


def test_a_text_chunk_that_unpacks_without_end(refusal):
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9))
    assert refusal(png(1, 1, bytes(4), before=bomb)).code == "metadata-too-large"


def test_a_long_text_that_is_no_bomb(decoder, tmp_path):
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000), 9))
    (tmp_path / "a.png").write_bytes(png(1, 1, bytes(4), before=text))
    assert isinstance(decoder.decode(tmp_path / "a.png"), Picture)


def test_damaged_exif_leaves_the_picture(decoder, tmp_path):
    data = encoded(Image.fromarray(noise(40, 40)), "JPEG", exif=exif(6, "2024:05:17 08:30:00"))
    start = data.index(b"Exif\0\0") + 6
    random.seed(3)
    for seed in range(20):
        changed = bytearray(data)
        for _ in range(6):
            changed[start + random.randrange(70)] = random.randrange(256)
        (tmp_path / f"{seed}.jpg").write_bytes(changed)
        assert isinstance(decoder.decode(tmp_path / f"{seed}.jpg"), Picture)


def test_pixels_raises(decoder, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nonsense")
    with pytest.raises(PictureRefused, match="unsupported-format") as caught:
        decoder.pixels(tmp_path / "a.jpg")
    assert caught.value.code == "unsupported-format"
    assert caught.value.path == str(tmp_path / "a.jpg")


def test_the_vocabulary_is_whole():
    assert not set(REFUSED) & set(FAILED)
    for sentences in (REASONS, NOTES):
        assert all(s.endswith(".") and len(s) > 20 for s in sentences.values())


FORMATS = [
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "ICO",
]


def mutations(seed: int, count: int) -> list[tuple[str, bytes]]:
    """(name, bytes): small valid files of every format, damaged at random."""
    rng = random.Random(seed)
    pixels = noise(24, 16)
    alpha = np.dstack([pixels, pixels[..., :1]])
    valid = []
    for format in FORMATS:
        picture = alpha if format in ("PNG", "WEBP", "TIFF", "AVIF", "ICO") else pixels
        options = {"exif": exif(6)} if format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else {}
        valid.append((format, encoded(Image.fromarray(picture), format, **options)))
    grey = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    valid += [
        ("PNG", encoded(grey, "PNG")),
        ("TIFF", encoded(grey, "TIFF", compression="tiff_lzw")),
    ]
    valid += [("JPEG", encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG"))]
    files = []
    for number in range(count):
        format, data = valid[number % len(valid)]
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8, 40))):
            # The head is where the structure is.
            place = rng.randrange(min(len(changed), rng.choice((40, 200, len(changed)))))
            what = rng.randrange(4)
            if what == 0:
                changed[place] ^= 1 << rng.randrange(8)
            elif what == 1:
                changed[place] = rng.choice((0, 1, 127, 128, 255))
            elif what == 2:
                del changed[place : place + rng.randrange(1, 9)]
            else:
                changed[place:place] = rng.randbytes(rng.randrange(1, 9))
            if len(changed) < 2:
                break
        files.append((f"{number}.{'tga' if format == 'TGA' else 'bin'}", bytes(changed)))
    return files


def test_damaged_files_of_every_format_end_as_a_picture_or_a_refusal(decoder, tmp_path):
    files = mutations(seed=7, count=300)
    for name, data in files:
        (tmp_path / name).write_bytes(data)
    results = list(decoder.decode_many(tmp_path / name for name, _ in files))
    assert [os.path.basename(r.path) for r in results] == [name for name, _ in files]
    assert {type(r) for r in results} == {Picture, Refusal}
    for result in results:
        if isinstance(result, Refusal):
            assert result.code in REASONS
            assert result.code not in ("decoder-crash", "timeout"), result
        else:
            assert result.view.shape == (56, 56, 3)


# HEIC of 64 x 64 pixels of the colour (200, 30, 60).
HEIC = bytes.fromhex(
    "0000001c6674797068656963000000006d696631686569636d696166000001566d6574610000000000000021"
    "68646c720000000000000000706963740000000000000000000000000000000022696c6f6300000000444000"
    "01000100000000017a0001000000000000001a0000002369696e6600000000000100000015696e6665020000"
    "000001000068766331000000000e7069746d000000000001000000d669707270000000b76970636f00000078"
    "687663430103700000009000000000001ef000fcfdf8f800000f03600001001840010c01ffff037000000300"
    "90000003000003001eba0240610001002b42010103700000030090000003000003001ea020810596ea4929ae"
    "6e021a0c0800000300c800000300084062000100074401c172b0224000000013636f6c726e636c780001000d"
    "0006800000001469737065000000000000004000000040000000107069786900000000030808080000001769"
    "706d61000000000000000100010481020304000000226d646174000000162801af1980f77c8537fff79657fa"
    "952ff88815e2d1c0"
)


def test_heic_is_read_when_its_decoder_is_installed(decoder, tmp_path):
    (tmp_path / "a.heic").write_bytes(HEIC)
    result = decoder.decode(tmp_path / "a.heic")
    if "HEIF" in load_plugins():
        assert isinstance(result, Picture)
        assert (result.format, result.width, result.height) == ("HEIF", 64, 64)
        assert np.abs(result.view.astype(int) - (200, 30, 60)).max() <= 8
    else:
        assert (result.code, "dinosearch[heic]" in result.detail) == ("unsupported-format", True)
