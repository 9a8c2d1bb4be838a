"""Other transformers and CNNs, with random weights from a file."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data.config import resolve_model_data_config
from torch.nn import functional as F

from dinosearch.encoders import load_encoder, timm_models
from dinosearch.errors import EncoderUnavailable, InvalidInput


def saved(name, path, **options):
    """A timm model with random weights, its classifier included, saved to `path`."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, **options).eval()
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return model


def views_and_batch(model, side, count=2):
    views = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    config = resolve_model_data_config(model)
    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    return views, ((torch.from_numpy(views) / 255 - mean) / std).permute(0, 3, 1, 2)


def assert_unit(ours, theirs):
    np.testing.assert_allclose(ours, F.normalize(theirs, dim=-1).numpy(), atol=2e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_transformer_gives_its_cls_and_patch_tokens(tmp_path, suffix):
    path = tmp_path / f"vit{suffix}"
    model = saved("test_vit", path)
    encoder = load_encoder("timm:test_vit", weights=path, size=140, device="cpu")
    # 160 px, the size that the model is built for: its positions are not resampled.
    assert (encoder.view.size, encoder.view.cell) == (160, 16)
    views, batch = views_and_batch(model, 160)
    features = encoder.encode_views(views)
    with torch.no_grad():
        tokens = model.forward_features(batch)
    assert_unit(features.cls, tokens[:, 0])
    assert_unit(features.patches, tokens[:, 1:])
    assert (encoder.name, encoder.dim, encoder.patch_dim) == ("timm:test_vit", 64, 64)


def test_a_transformer_without_cls_gives_its_pooling(tmp_path):
    path = tmp_path / "vit.pth"
    model = saved("test_vit3", path)
    encoder = load_encoder("timm:test_vit3", weights=path, size=140, device="cpu")
    views, batch = views_and_batch(model, encoder.view.size)
    features = encoder.encode_views(views)
    with torch.no_grad():
        tokens = model.forward_features(batch)
        pooled = model.forward_head(tokens, pre_logits=True)
    prefix = model.num_prefix_tokens
    # It has one register and pools by attention.
    assert (prefix, model.has_class_token) == (1, False)
    assert_unit(features.cls, pooled)
    assert_unit(features.patches, tokens[:, prefix:])


def test_a_transformer_takes_another_size(tmp_path):
    path = tmp_path / "vit.pth"
    saved("test_vit", path)
    encoder = load_encoder("timm:test_vit", weights=path, size=280, device="cpu")
    features = encoder.encode_views(np.zeros((1, 320, 320, 3), np.uint8))
    assert features.patches.shape == (1, 400, 64)


def test_a_cnn_gives_its_stride_16_map_and_its_pooled_head(tmp_path):
    path = tmp_path / "resnet.pth"
    model = saved("test_resnet", path)
    encoder = load_encoder("timm:test_resnet", weights=path, size=140, device="cpu")
    assert (encoder.view.size, encoder.view.cell, encoder.patch_dim) == (160, 16, 192)
    views, batch = views_and_batch(model, 160)
    features = encoder.encode_views(views)
    with torch.no_grad():
        x = model.maxpool(model.act1(model.bn1(model.conv1(batch))))
        sixteen = model.layer3(model.layer2(model.layer1(x)))
        head = model.layer4(sixteen).mean(dim=(2, 3))
    assert_unit(features.patches, sixteen.flatten(2).transpose(1, 2))
    assert_unit(features.cls, head)


def test_the_models_own_normalisation_is_in_the_fingerprint(tmp_path):
    path = tmp_path / "cnn.pth"
    saved("tf_efficientnet_lite0", path)
    encoder = load_encoder("timm:tf_efficientnet_lite0", weights=path, size=140, device="cpu")
    assert encoder.fingerprint.normalisation == "mean 0.5,0.5,0.5 std 0.5,0.5,0.5"
    assert encoder.fingerprint.architecture == "timm:tf_efficientnet_lite0"
    assert encoder.fingerprint.cell == 16


def test_without_weights_the_advice_is_a_file_or_the_download(monkeypatch):
    monkeypatch.setattr(timm_models, "_fetch", lambda name: pytest.fail("went to the network"))
    with pytest.raises(EncoderUnavailable, match=r"weights=FILE, or .*--download"):
        load_encoder("timm:test_vit")


def test_a_download_that_fails_is_said(monkeypatch):
    import huggingface_hub

    def offline(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(EncoderUnavailable, match="no route to host"):
        load_encoder("timm:test_vit", download=True)


def test_a_downloaded_file_is_loaded_as_a_local_one(tmp_path, monkeypatch):
    import huggingface_hub

    path = tmp_path / "model.safetensors"
    saved("test_vit", path)
    asked = []

    def fetched(repository, file, *, revision):
        asked.append((repository, file))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetched)
    encoder = load_encoder("timm:test_vit", download=True, size=140, device="cpu")
    assert asked == [("timm/test_vit.r160_in1k", "model.safetensors")]
    assert encoder.weights == str(path)


def test_an_unknown_model_suggests_near_ones():
    with pytest.raises(InvalidInput, match="did you mean resnet18"):
        load_encoder("timm:resnet118")


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "resnet.pth"
    saved("test_resnet", path)
    with pytest.raises(EncoderUnavailable, match="does not fit timm's test_vit"):
        load_encoder("timm:test_vit", weights=path)
