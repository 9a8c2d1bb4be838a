"""`timm:NAME`: any vision transformer or CNN of timm behind the same interface.

A transformer gives its patch tokens after the last norm, and its CLS token or, where it
has none, its own pooling. A CNN gives its stride-16 map, or its last one if it has none,
and its own pooled head. The picture is enlarged so that the map has DINOv2's grid.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models import VisionTransformer
from torch import Tensor, nn

from dinosearch.encoders.checkpoint import State, read_state
from dinosearch.encoders.checksum import verified_sha256
from dinosearch.encoders.fingerprint import Fingerprint, normalisation_text
from dinosearch.encoders.torch_encoder import TorchEncoder, Triple
from dinosearch.errors import EncoderUnavailable, InvalidInput
from dinosearch.geometry import PATCH, Fit, View

PREFIX = "timm:"
PATCH_STRIDE = 16


class TimmModel(TorchEncoder):
    """A timm model; `name` is `timm:NAME`.

    Weights come from the file `weights`, or with `download` from timm's own cache or
    source. Mean and standard deviation are the model's own; resizing is dinosearch's.
    Raises `InvalidInput` for an unknown name, `EncoderUnavailable` for missing or wrong
    weights or a model without a grid of patches.
    """

    def __init__(
        self,
        name: str,
        *,
        size: int,
        fit: Fit,
        device: str,
        precision: str,
        weights: Path | None,
        download: bool,
    ) -> None:
        short = name.removeprefix(PREFIX)
        _check_name(short)
        if weights is None and not download:
            raise EncoderUnavailable(
                f"the weights of {name} are not given: pass a local file with weights=FILE, or"
                f" allow the download with `--encoder {name} --download` (it goes to timm's cache)"
            )
        path = weights if weights is not None else _fetch(short)
        path = path.expanduser().absolute()
        model: nn.Module = timm.create_model(short, pretrained=False, num_classes=0).eval()
        _load(model, read_state(path), short, path)
        self.name = name
        self.transformer = isinstance(model, VisionTransformer)
        self.level = None if self.transformer else _level(model)
        cell, self.patch_dim, self.dim = _measure(model, self.level, short)
        self.size = size
        self.view = View(size * cell // PATCH, cell, fit)
        _resize(model, self.view.size, short)
        config = _config(model)
        self.mean, self.std = _triple(config["mean"]), _triple(config["std"])
        self.weights = str(path)
        self.fingerprint = Fingerprint(
            architecture=name,
            weights_sha256=verified_sha256(path),
            size=size,
            cell=cell,
            fit=fit,
            normalisation=normalisation_text(self.mean, self.std),
            interpolation="bicubic antialias",
        )
        self.channels_last = not self.transformer
        self.start(model, device=device, precision=precision, cuda_batch=32)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        cls, patches = _split(self.model, batch, self.level)
        return {"x_norm_clstoken": cls, "x_norm_patchtokens": patches.flatten(2).transpose(1, 2)}


def _split(model: Any, batch: Tensor, level: int | None) -> tuple[Tensor, Tensor]:
    """CLS [B, D] and the patch map [B, Dp, rows, cols] of a batch."""
    if isinstance(model, VisionTransformer):
        tokens = model.forward_features(batch)
        cls = tokens[:, 0] if model.has_class_token else model.forward_head(tokens, True)
        down, across = _patch(model)
        rows, cols = batch.shape[2] // down, batch.shape[3] // across
        patches = tokens[:, model.num_prefix_tokens :].transpose(1, 2)
        return cls, patches.reshape(*patches.shape[:2], rows, cols)
    if level is None:
        last = model.forward_features(batch)
        return model.forward_head(last, pre_logits=True), last
    last, maps = model.forward_intermediates(batch, indices=[level], output_fmt="NCHW")
    return model.forward_head(last, pre_logits=True), maps[0]


def _level(model: Any) -> int | None:
    """Which of a CNN's maps has stride 16; None for the last, whatever its stride."""
    info = getattr(model, "feature_info", None)
    if info is None or not hasattr(model, "forward_intermediates"):
        return None
    levels = [i for i, entry in enumerate(info) if entry["reduction"] == PATCH_STRIDE]
    return levels[-1] if levels else len(info) - 1


def _measure(model: Any, level: int | None, name: str) -> tuple[int, int, int]:
    """(cell, patch width, CLS width), measured by showing the model its own size."""
    side = int(_config(model)["input_size"][-1])
    try:
        with torch.no_grad():
            cls, patches = _split(model, torch.zeros(1, 3, side, side), level)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise EncoderUnavailable(
            f"timm's {name} has no features that dinosearch can use ({error}): use a vision"
            " transformer or a CNN"
        ) from error
    rows = patches.shape[2] if patches.ndim == 4 else 0
    if cls.ndim != 2 or not rows or rows != patches.shape[3] or side % rows:
        raise EncoderUnavailable(
            f"timm's {name} gives features of shape {list(cls.shape)} and {list(patches.shape)}"
            f" for {side} px, not a vector and a square map: use another model"
        )
    return side // rows, patches.shape[1], cls.shape[1]


def _resize(model: Any, side: int, name: str) -> None:
    """Prepare a model that is built for one size for pictures of `side` pixels."""
    if not model.pretrained_cfg.get("fixed_input_size"):
        return
    try:
        model.set_input_size(img_size=(side, side))
    except (AttributeError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise EncoderUnavailable(
            f"timm's {name} cannot be shown pictures of {side} px ({error}): choose another --size"
        ) from error


def _load(model: Any, state: State, name: str, path: Path) -> None:
    """Load `state`; a classifier in it is left out, anything else must fit exactly."""
    # timm keeps the conversion of a family's older files beside the family's code.
    module = sys.modules[type(model).__module__]
    convert: Callable[[State, Any], State] | None = getattr(module, "checkpoint_filter_fn", None)
    classifier = model.pretrained_cfg.get("classifier") or "head"
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    heads = tuple(f"{head}." for head in names)
    try:
        converted = convert(state, model) if convert else state
        wanted = model.state_dict()
        kept = {k: v for k, v in converted.items() if k in wanted or not k.startswith(heads)}
        model.load_state_dict(kept, strict=True)
    except (RuntimeError, KeyError, AttributeError, ValueError) as error:
        raise EncoderUnavailable(
            f"{path} does not fit timm's {name}: {' '.join(str(error).split())[:300]}; give the"
            " weights file of this very model"
        ) from error


def _fetch(name: str) -> Path:
    """The file of timm's pretrained weights, from its cache or over the network."""
    from huggingface_hub import hf_hub_download
    from timm.models._hub import download_cached_file

    config = timm.models.get_pretrained_cfg(name)
    try:
        if config is not None and config.hf_hub_id:
            repository, _, revision = config.hf_hub_id.partition("@")
            file = config.hf_hub_filename or "model.safetensors"
            return Path(hf_hub_download(repository, file, revision=revision or None))
        if config is not None and config.url:
            return Path(download_cached_file(config.url, progress=False))
    except Exception as error:
        # The hub's client raises whatever its transport does.
        raise EncoderUnavailable(
            f"the weights of {PREFIX}{name} could not be downloaded"
            f" ({str(error).partition(chr(10))[0]}): check the network, or fetch the file on"
            " another machine and pass it with weights=FILE"
        ) from error
    raise EncoderUnavailable(f"timm has no pretrained weights for {name}: pass weights=FILE")


def _config(model: nn.Module) -> dict[str, Any]:
    config: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return config


def _check_name(name: str) -> None:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), 3)
        raise InvalidInput(
            f"timm has no model {name!r}"
            + (f": did you mean {', '.join(near)}?" if near else ": see timm.list_models()")
        )


def _patch(model: Any) -> tuple[int, int]:
    height, width = model.patch_embed.patch_size
    return int(height), int(width)


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
