"""The device rules, as far as a machine without a CUDA device can show them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from dinosearch.encoders import EncodingFailed, device, load_encoder
from dinosearch.encoders.torch_encoder import TorchEncoder
from dinosearch.errors import InvalidInput


def small_mini():
    encoder = load_encoder("mini", size=56, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    return encoder


class Hungry:
    """Doubles its batch, but runs out of memory above `limit` rows, as CUDA would."""

    def __init__(self, limit, error=torch.OutOfMemoryError):
        self.limit = limit
        self.error = error
        self.sizes = []

    def __call__(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.limit:
            raise self.error("CUDA out of memory. DefaultCPUAllocator: can't allocate memory")
        return batch * 2


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
@pytest.mark.parametrize(("limit", "worked"), [(100, 8), (8, 8), (5, 4), (3, 2), (1, 1)])
def test_the_batch_is_halved_until_it_fits(limit, worked, error):
    batch = torch.arange(20.0).reshape(20, 1)
    hungry = Hungry(limit, error)
    parts, size = device.run_batches(hungry, batch, 8)
    assert torch.equal(torch.cat(parts), batch * 2)
    assert size == worked
    # What was done before memory ran out is not done again.
    assert sum(n for n in hungry.sizes if n <= limit) == 20


def test_it_is_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        device.run_batches(Hungry(2), torch.zeros(40, 1), 16)
    assert [r.getMessage() for r in caplog.records] == [
        "out of memory: batches are now of 2 pictures instead of 16"
    ]


def test_a_single_picture_that_does_not_fit_is_an_error_with_advice():
    with pytest.raises(EncodingFailed, match=r"single picture of 560 x 280 .*--device cpu"):
        device.run_batches(Hungry(0), torch.zeros(4, 3, 280, 560), 4)


def test_another_error_passes_through():
    def broken(batch):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        device.run_batches(broken, torch.zeros(2, 1), 2)


def test_an_encoder_remembers_the_smaller_batch(monkeypatch):
    encoder = small_mini()
    views = np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    encoder.batch_size = 8
    expected = encoder.encode_views(views)
    sizes = []
    forward = encoder.forward

    def hungry(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(batch)

    monkeypatch.setattr(encoder, "forward", hungry)
    features = encoder.encode_views(views)
    np.testing.assert_allclose(features.cls, expected.cls, atol=1e-5)
    np.testing.assert_allclose(features.patches, expected.patches, atol=1e-5)
    assert encoder.batch_size == 1
    sizes.clear()
    encoder.encode_views(views)
    assert sizes == [1] * 7


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "cuda:", "mps", ""])
def test_an_unknown_device_is_refused(asked):
    with pytest.raises(InvalidInput, match="is not known"):
        device.choose_device(asked)


def test_cuda_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose_device("auto") == "cpu"
    with pytest.raises(InvalidInput, match="sees no CUDA device"):
        load_encoder("mini", device="cuda")


def test_the_device_and_precision_follow_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose_device("auto") == "cuda"
    assert device.choose_device("cuda:1") == "cuda:1"
    with pytest.raises(InvalidInput, match="cuda:0 to cuda:1"):
        device.choose_device("cuda:2")


def test_precision():
    assert device.choose_precision("auto", "cpu") == "fp32"
    assert device.choose_precision("bf16", "cpu") == "bf16"
    with pytest.raises(InvalidInput, match="fp64"):
        device.choose_precision("fp64", "cpu")


def test_packed_linear_layers_compute_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(96, 200), nn.GELU(), nn.Linear(200, 64, bias=False))
    x = torch.randn(2, 33, 96)
    with torch.no_grad():
        expected = model(x)
        packed = device.place(model, "cpu", "fp32", channels_last=False)
        torch.testing.assert_close(packed(x), expected, atol=1e-5, rtol=1e-5)


def test_a_vector_that_is_not_finite_names_its_picture(monkeypatch):
    encoder = small_mini()
    forward = encoder.forward

    def broken(batch):
        features = forward(batch)
        features["x_norm_patchtokens"][:, 3] *= float("nan") if float(batch.mean()) > 0 else 1.0
        return features

    monkeypatch.setattr(encoder, "forward", broken)
    views = np.zeros((3, 64, 64, 3), np.uint8)
    views[1] = 255
    with pytest.raises(EncodingFailed, match=r"patch vectors .* pictures \[1\]") as caught:
        encoder.encode_views(views)
    assert caught.value.rows == (1,)


def test_a_zero_vector_is_an_error(monkeypatch):
    encoder = small_mini()
    forward = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda b: {k: v * 0 for k, v in forward(b).items()})
    with pytest.raises(EncodingFailed, match="CLS vectors"):
        encoder.encode_views(np.zeros((1, 64, 64, 3), np.uint8))
