"""From what a person wrote to an encoder that is ready."""

from __future__ import annotations

import logging
import os
from os import PathLike
from pathlib import Path

from dinosearch.encoders.encoder import Encoder
from dinosearch.encoders.weights import (
    VARIANTS,
    Variant,
    best_present,
    encoder_names,
    find,
    find_or_refuse,
    variant_of,
)
from dinosearch.errors import InvalidInput
from dinosearch.geometry import Fit, check_fit, check_size

log = logging.getLogger(__name__)

NOMINAL_SIZE = 560


def load_encoder(
    name: str | PathLike[str] = "auto",
    *,
    weights: str | PathLike[str] | None = None,
    size: int | None = None,
    fit: str = "crop",
    device: str = "auto",
    precision: str = "auto",
    download: bool = False,
) -> Encoder:
    """The encoder of that name.

    name       `auto`, `mini`, `colour`, a hub name such as `dinov2_vitl14_reg`,
               `timm:NAME`, or the path of a checkpoint in the official format
    weights    a weights file to use instead of the one that would be looked for
    size       nominal picture size in pixels, a multiple of 14; None is 560
    fit        `crop`, `pad` or `squash`
    device     `auto`, `cpu`, `cuda` or `cuda:N`
    precision  `auto`, `fp32`, `bf16` or `fp16`
    download   fetch missing weights; nothing is ever fetched without it

    Raises `InvalidInput` for an argument that cannot be, `EncoderUnavailable` for
    weights that are missing, damaged or of another model.
    """
    size = check_size(NOMINAL_SIZE if size is None else size)
    checked = check_fit(fit)
    given = None if weights is None else Path(weights).expanduser()
    name = os.fspath(name)
    note = None
    if name == "auto" and given is None:
        name, note = _choose()
    encoder = _load(name, given, size, checked, device, precision, download)
    encoder.note = note
    if note:
        log.info(note)
    return encoder


def _load(
    name: str,
    weights: Path | None,
    size: int,
    fit: Fit,
    device: str,
    precision: str,
    download: bool,
) -> Encoder:
    # Each branch imports only what it needs: `colour` must work without torch.
    if name == "colour":
        from dinosearch.encoders.colour import Colour

        if weights is not None:
            raise InvalidInput("the colour encoder has no weights: leave weights out")
        return Colour(size=size, fit=fit)
    if name == "mini":
        from dinosearch.encoders.mini import Mini

        return Mini(size=size, fit=fit, device=device, precision=precision, weights=weights)
    if name.startswith("timm:"):
        from dinosearch.encoders.timm_models import TimmModel

        return TimmModel(
            name,
            size=size,
            fit=fit,
            device=device,
            precision=precision,
            weights=weights,
            download=download,
        )
    variant: Variant | None = None
    if name in VARIANTS:
        variant = variant_of(name)
        path = weights or _weights_of(variant, download)
    elif name == "auto" and weights is not None:
        path = weights
    elif weights is None and _is_path(name):
        path = Path(name).expanduser()
    else:
        raise InvalidInput(
            f"encoder {name!r} is not known: use one of {', '.join(encoder_names())}, timm:NAME,"
            " or the path of a .pth or .safetensors file"
        )
    from dinosearch.encoders.dinov2 import DinoV2

    return DinoV2(path, variant, size=size, fit=fit, device=device, precision=precision)


def _choose() -> tuple[str, str]:
    """(name, the line that says why) of the best encoder on this machine."""
    best = best_present()
    if best is not None:
        return best.name, f"encoder {best.name}: the best DINOv2 whose weights are on this machine"
    return "mini", (
        "encoder mini: no DINOv2 weights are on this machine; for far better answers run"
        " `dinosearch encoders download dinov2_vitb14_reg` and build the index again"
    )


def _weights_of(variant: Variant, may_download: bool) -> Path:
    if may_download and find(variant) is None:
        from dinosearch.encoders.download import download

        return download(variant.name)
    return find_or_refuse(variant)


def _is_path(name: str) -> bool:
    return name.endswith((".pth", ".pt", ".safetensors")) or os.sep in name or Path(name).is_file()
