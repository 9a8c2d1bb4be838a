"""Every rule about devices, precision and memory, in one place."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Callable
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from dinosearch.encoders.encoder import EncodingFailed
from dinosearch.errors import InvalidInput

log = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
Result = TypeVar("Result")

KEPT_BYTES = 512 << 20

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(asked: str) -> str:
    """`cpu`, `cuda` or `cuda:N` for `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises `InvalidInput` for a device that is unknown or not there.
    """
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "cuda" if present else "cpu"
    if asked == "cpu":
        return asked
    kind, _, number = asked.partition(":")
    if kind != "cuda" or (":" in asked and not number.isdecimal()):
        raise InvalidInput(f"device {asked!r} is not known: use auto, cpu, cuda or cuda:N")
    if not present:
        raise InvalidInput(
            f"device {asked} was asked for, but torch sees no CUDA device here: use --device cpu,"
            " or install a driver and a CUDA build of torch"
        )
    if number and int(number) >= present:
        raise InvalidInput(
            f"device {asked} was asked for, but there are {present} CUDA devices:"
            f" use cuda:0 to cuda:{present - 1}"
        )
    return asked


def choose_precision(asked: str, device: str) -> Precision:
    """The precision to compute in: `auto` is fp32 on a CPU, bf16 or else fp16 on CUDA."""
    if asked == "auto":
        if device == "cpu":
            return "fp32"
        with torch.cuda.device(device):
            # Emulated bf16 is slower than fp16 by far on the cards that lack it.
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if asked not in ("fp32", "bf16", "fp16"):
        raise InvalidInput(f"precision {asked!r} is not known: use auto, fp32, bf16 or fp16")
    return cast(Precision, asked)


def place(model: nn.Module, device: str, precision: Precision, *, channels_last: bool) -> nn.Module:
    """Bring a model to a device, ready for inference only.

    This sets switches of the whole process. On CUDA, cuDNN may time its kernels, since
    all batches have one size, and fp32 products use TF32 unless fp32 was the precision
    asked for, so that whoever wants the reference gets it. On a CPU, freed memory is kept.
    """
    model.eval().requires_grad_(False)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if device != "cpu":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = precision != "fp32"
        torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
        model.to(device)
    else:
        _keep_freed_memory()
        if precision == "fp32":
            _pack_linears(model)
    return model


def send(batch: Tensor, device: str) -> Tensor:
    """`batch` on the device; through pinned memory, so that the copy overlaps work."""
    if device == "cpu" or batch.device.type != "cpu":
        return batch.to(device)
    return batch.contiguous().pin_memory().to(device, non_blocking=True)


def lay_out(batch: Tensor, *, channels_last: bool) -> Tensor:
    """`batch` [B, C, H, W] in the memory layout that the model runs fastest in."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return batch.contiguous(memory_format=layout)


def autocast(device: str, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """The context to run a model in."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=_DTYPES[precision])


def run_batches(
    function: Callable[[Tensor], Result], batch: Tensor, start_size: int
) -> tuple[list[Result], int]:
    """Apply `function` to `batch` in slices of `start_size` rows.

    When memory runs out, the cache is emptied, the size halved and the work goes on where
    it stopped; that is logged once. Returns the results in order, and the size that
    worked, which the caller does well to start with next time. Raises `EncodingFailed`
    if even one row does not fit.
    """
    results: list[Result] = []
    size, done = max(1, start_size), 0
    while done < len(batch):
        part = batch[done : done + size]
        # The error's traceback keeps the tensors of the failed try alive; it must be gone
        # before the cache is emptied, so the retry stands outside the except clause.
        reason = None
        try:
            results.append(function(part))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        if reason is None:
            done += len(part)
            continue
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(part) == 1:
            height, width = batch.shape[-2:]
            raise EncodingFailed(
                f"out of memory with a single picture of {width} x {height} pixels ({reason}):"
                " free the device's memory, use --device cpu, a smaller --size or a smaller"
                " encoder"
            )
        size = len(part) // 2
    if size < start_size:
        log.warning("out of memory: batches are now of %d pictures instead of %d", size, start_size)
    return results, size


def _is_out_of_memory(error: BaseException) -> bool:
    # The CPU allocator has no class of its own for this.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _keep_freed_memory() -> None:
    """Let glibc keep up to `KEPT_BYTES` of freed memory instead of giving it back.

    By default every tensor above 32 MB is mapped and zeroed anew by the kernel in each
    layer, which costs `mini` almost half of its time at 640 px. Where the C library is
    another one, nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


class _PackedLinear(nn.Module):
    """A linear layer whose weight oneDNN has laid out for its kernels beforehand.

    Plain torch lays it out anew in every call, which costs a ViT a third of its time on
    a CPU. The result differs only by the order of sums.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return y


def _pack_linears(model: nn.Module) -> None:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and child.weight.dtype == torch.float32:
                packed = _packed(child)
                if packed is None:
                    return
                setattr(module, name, packed)


def _packed(linear: nn.Linear) -> nn.Module | None:
    """The packed layer; None where this build or processor cannot, or does it wrongly."""
    # These operators are torch's own, but not promised to stay: tried before trusted.
    try:
        with torch.no_grad():
            packed = _PackedLinear(linear)
            probe = torch.linspace(-1, 1, linear.in_features)[None, None]
            if torch.allclose(packed(probe), linear(probe), rtol=1e-3, atol=1e-4):
                return packed
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        log.debug("linear layers stay as they are: %s", error)
    return None
