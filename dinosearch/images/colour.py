"""Whatever the pixels mean becomes 8-bit sRGB on white, and says how.

The rules, in this order: 16-bit levels are divided by 257; levels in [0, 1] are multiplied
by 255 and all other wide ranges stretched from darkest to brightest; a colour profile is
converted to sRGB; transparency is laid on white.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_PROFILE_SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
_KEYED = ("1", "L", "P", "RGB", "I;16", "I;16L", "I;16B", "I;16N")

ImageStep = Callable[[Image.Image], Image.Image]


class ToSrgb:
    """Converts a loaded picture, or any crop of it, to RGB; `notes` grows as it is used.

    What depends on the whole picture (the range of its levels, its profile) is settled
    when this is made, so that strips of a large picture come out as the whole would.
    """

    def __init__(self, image: Image.Image) -> None:
        self._notes: dict[str, None] = {}
        self._levels = self._choose_levels(image)
        self._profile = self._choose_profile(image)
        self._opaque = self._says_invisible(image)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the parts converted so far, keys of `reasons.NOTES`."""
        return tuple(self._notes)

    def __call__(self, part: Image.Image) -> Image.Image:
        """RGB of the same size; `part` is the picture or a crop of it."""
        if self._levels is not None:
            part = self._levels(part)
        alpha = None
        if part.has_transparency_data and not (part.mode == "RGBA" and self._opaque):
            part, alpha = _split_alpha(part)
        if self._profile is not None:
            part = self._profile(part)
        elif part.mode != "RGB":
            part = part.convert("RGB")
        if alpha is None or alpha.getextrema()[0] == 255:
            return part
        self._notes["alpha-on-white"] = None
        white = Image.new("RGB", part.size, (255, 255, 255))
        white.paste(part, mask=alpha)
        return white

    def _choose_levels(self, image: Image.Image) -> ImageStep | None:
        if image.mode not in _WIDE:
            return None
        # PGM files of up to 16 bits arrive in 32-bit pixels, already scaled to 65535.
        if image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I"):
            self._notes["16-bit"] = None
            return _sixteen_bit
        low, high = _finite_extrema(image)
        if image.mode == "F" and low >= 0 and high <= 1:
            self._notes["float-times-255"] = None
            return lambda part: _stretched(part, 0.0, 1.0)
        self._notes["stretched-min-max"] = None
        return lambda part: _stretched(part, low, high)

    def _choose_profile(self, image: Image.Image) -> ImageStep | None:
        if image.mode == "LAB":
            self._notes["lab"] = None
            return _lab_to_srgb
        if image.mode == "CMYK":
            self._notes["cmyk"] = None
        profile = image.info.get("icc_profile")
        if not profile or image.mode in ("1", "I", "F"):
            return None
        mode = _base_mode(image)
        try:
            step, identity = _profile_step(bytes(profile), mode)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            self._notes["icc-ignored"] = None
            return None
        if identity:
            return None
        self._notes["icc-to-srgb"] = None
        return step

    def _says_invisible(self, image: Image.Image) -> bool:
        """Whether the alpha of a format that often carries none is 0 everywhere.

        Many programs write 32-bit BMP and TGA with a fourth byte that means nothing;
        taken at its word such a picture would be a white sheet.
        """
        if image.mode != "RGBA" or image.format not in ("BMP", "DIB", "TGA"):
            return False
        invisible = image.getchannel("A").getextrema()[1] == 0
        if invisible:
            self._notes["alpha-ignored"] = None
        return invisible


def _base_mode(image: Image.Image) -> str:
    """The mode of the colours alone, once levels are 8-bit and alpha is split off."""
    if image.mode in ("L", "LA", "La") or image.mode.startswith("I;16"):
        return "L"
    return "CMYK" if image.mode == "CMYK" else "RGB"


def _split_alpha(part: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if part.mode in ("LA", "La"):
        part = part.convert("LA")
        return part.getchannel("L"), part.getchannel("A")
    if part.mode not in ("RGBA", "RGBa", "PA", *_KEYED):
        return part, None
    if part.mode == "L":
        part = part.convert("LA")
        return part.getchannel("L"), part.getchannel("A")
    try:
        rgba = part.convert("RGBA")
    except (ValueError, TypeError):
        # The colour that stands for transparent does not exist in this mode.
        part = part.copy()
        del part.info["transparency"]
        return part, None
    return rgba.convert("RGB"), rgba.getchannel("A")


def _sixteen_bit(part: Image.Image) -> Image.Image:
    levels = np.asarray(part).astype(np.uint32)
    grey = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    key = part.info.get("transparency")
    if isinstance(key, int):
        visible = np.where(levels == key, 0, 255).astype(np.uint8)
        return Image.merge("LA", (grey, Image.fromarray(visible)))
    return grey


def _stretched(part: Image.Image, low: float, high: float) -> Image.Image:
    """Levels `low..high` to 0..255, rounded; what is not a number becomes 0."""
    levels = np.asarray(part).astype(np.float64)
    span = high - low
    scaled = (np.nan_to_num(levels, nan=low, posinf=high, neginf=low) - low) / (span or 1.0)
    return Image.fromarray(np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8))


def _finite_extrema(image: Image.Image) -> tuple[float, float]:
    if image.mode != "F":
        low, high = image.getextrema()
        return float(low), float(high)  # type: ignore[arg-type]
    lows, highs = [], []
    for row in range(0, image.height, 256):
        part = np.asarray(image.crop((0, row, image.width, min(row + 256, image.height))))
        finite: NDArray[np.float32] = part[np.isfinite(part)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return (min(lows), max(highs)) if lows else (0.0, 0.0)


@lru_cache(maxsize=8)
def _profile_step(profile: bytes, mode: str) -> tuple[ImageStep, bool]:
    """The conversion of a profile for pictures of `mode`, and whether it changes nothing.

    Nothing means less than two levels on any of a lattice of colours: nearly every photo
    carries some wording of sRGB itself, which must not cost time nor a rounding.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space not in _PROFILE_SPACES[mode]:
        raise ValueError(f"a profile for {space} in a picture of {mode}")
    work = "RGB" if space == "RGB" else mode
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), work, "RGB")

    def step(part: Image.Image) -> Image.Image:
        if part.mode != work:
            part = part.convert(work)
        done = ImageCms.applyTransform(part, transform)
        assert done is not None
        return done

    return step, work != "CMYK" and _changes_nothing(step, work)


def _changes_nothing(step: ImageStep, mode: str) -> bool:
    ramp = np.linspace(0, 255, 18).astype(np.uint8)
    if mode == "L":
        before = Image.fromarray(ramp[None])
    else:
        lattice = np.stack(np.meshgrid(ramp, ramp, ramp), axis=-1).reshape(18, -1, 3)
        before = Image.fromarray(lattice)
    after = np.asarray(step(before)).astype(int)
    return bool(np.abs(after - np.asarray(before.convert("RGB"))).max() <= 1)


def _lab_to_srgb(part: Image.Image) -> Image.Image:
    transform = _lab_transform()
    done = ImageCms.applyTransform(part, transform)
    assert done is not None
    return done


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
