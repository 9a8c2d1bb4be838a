"""A folder as one gets it from the internet: what each file in it must become."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.crash.corpus import draw_many
from tests.images.samples import encoded, exif, noise, png

GOOD = 12


@dataclass(frozen=True)
class Hostile:
    """`codes`: path -> reason code of what is not to become an item; `items`: all others."""

    folder: Path
    codes: dict[str, str]
    items: set[str]

    @property
    def seen(self) -> int:
        return len(self.codes) + len(self.items)


def only_good(folder: Path) -> Path:
    draw_many(folder, GOOD)
    return folder


def hostile(folder: Path) -> Hostile:
    items = {str(path) for path in draw_many(folder, GOOD)}
    codes: dict[str, str] = {}

    def put(name: str | bytes, content: bytes, code: str | None = None) -> Path:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        with open(path, "wb") as file:
            file.write(content)
        text = os.fsdecode(path)
        if code is None:
            items.add(text)
        else:
            codes[text] = code
        return Path(text)

    picture = Image.fromarray(noise(300, 200))
    jpeg, plain = encoded(picture, "JPEG"), encoded(picture, "PNG")
    put("truncated.jpg", jpeg[: len(jpeg) // 2], "truncated")
    put("truncated.png", plain[: len(plain) // 2], "truncated")
    put("header only.jpg", jpeg[:20], "header-corrupt")
    put("needle.png", png(1, 60_000, bytes(2 * 60_000), depth=1, colour=0), "extreme-aspect")
    put("vast.png", png(13_000, 13_000, bytes(1626 * 13_000), depth=1, colour=0, level=1))
    put("vaster.png", png(20_000, 20_000, bytes(100), depth=1, colour=0), "too-many-pixels")
    put("cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG"))
    deep = Image.fromarray((np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64))
    put("deep.png", encoded(deep, "PNG"))
    # Two that look alike, one of them lying on its side with a note that says so.
    put("upright.png", plain)
    lying = picture.transpose(Image.Transpose.ROTATE_90)
    put("lying.jpg", encoded(lying, "JPEG", exif=exif(6), quality=95))
    frames = [Image.new("P", (40, 40), n) for n in range(9)]
    put("animated.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    put("text.jpg", b"this is a shopping list, not a picture\n", "unsupported-format")
    put("page.png", b"<html><script>alert(1)</script></html>", "unsupported-format")
    put("empty.png", b"", "empty")
    put("two\nlines.png", encoded(Image.fromarray(noise(60, 60, 1)), "PNG"))
    put(b"caf\xe9 \xff.png", encoded(Image.fromarray(noise(60, 60, 2)), "PNG"))
    put('"><img src=x onerror=alert(1)>.png'.replace("/", ""), b"GIF89a", "header-corrupt")
    put("\x1b[31mred\x1b[0m.jpg", b"no", "unsupported-format")
    put("-rf.png", encoded(Image.fromarray(noise(60, 60, 3)), "PNG"))
    put("x" * 251 + ".png", encoded(Image.fromarray(noise(60, 60, 4)), "PNG"))
    os.mkfifo(folder / "x.png")
    codes[str(folder / "x.png")] = "not-a-file"
    (folder / "link.png").symlink_to(folder / "upright.png")
    (folder / "nowhere.png").symlink_to(folder / "nothing at all")
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    for name in ("link.png", "nowhere.png", "loop", "self.png"):
        codes[str(folder / name)] = "symlink"
    # Not seen at all: no picture's name, or hidden.
    (folder / "notes.txt").write_text("nothing to see")
    (folder / ".hidden.png").write_bytes(plain)
    (folder / "folder.png").mkdir()
    return Hostile(folder, codes, items)
