"""Parity with the official formulas, and what happens to files that are not right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch.nn import functional as F

from dinosearch.encoders import dinov2, load_encoder
from dinosearch.encoders.weights import VARIANTS
from dinosearch.errors import EncoderUnavailable, InvalidInput
from tests.encoders import official

BOUND = 1e-4
SIZES = [(224, 224), (392, 392), (518, 518), (560, 560), (280, 420)]


def pictures(height, width, count=1, seed=1):
    """Normalised pictures with coarse structure, as real ones have."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 9, 9, generator=generator)
    return F.interpolate(coarse, size=(height, width), mode="bicubic") + 0.1 * torch.randn(
        count, 3, height, width, generator=generator
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Tiny checkpoints in the official layout: name to (path, tensors)."""
    folder = tmp_path_factory.mktemp("checkpoints")
    kinds: dict[str, dict[str, Any]] = {
        "plain": {"depth": 3},
        "registers": {"depth": 2, "registers": 4},
        "swiglu": {"depth": 2, "swiglu": True},
        "swiglu-registers": {"depth": 2, "swiglu": True, "registers": 4},
    }
    made = {}
    for seed, (name, shape) in enumerate(kinds.items()):
        state = official.random_checkpoint(seed=seed, **shape)
        path = folder / f"{name}.pth"
        torch.save(state, path)
        made[name] = (path, state)
    return made


def difference(encoder, state, batch):
    """Largest absolute difference of CLS, register and patch tokens from the official."""
    ours = encoder.forward_features(batch)
    with torch.no_grad():
        theirs = official.forward_features(state, batch, heads=encoder.dim // 64)
    assert set(ours) == set(theirs)
    for name in ours:
        assert ours[name].shape == theirs[name].shape
    return max(
        float((ours[name] - theirs[name]).abs().max()) for name in ours if ours[name].numel()
    )


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("kind", ["plain", "registers", "swiglu", "swiglu-registers"])
def test_tokens_equal_the_official_formulas(files, kind, size):
    path, state = files[kind]
    encoder = load_encoder(path, device="cpu")
    assert difference(encoder, state, pictures(*size)) < BOUND


@pytest.mark.parametrize("kind", ["plain", "registers"])
def test_safetensors_hold_the_same_model(files, kind, tmp_path):
    _, state = files[kind]
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    encoder = load_encoder(path, device="cpu")
    assert difference(encoder, state, pictures(224, 224)) < BOUND


def of_timm(table, rows, cols, *, antialias):
    return resample_abs_pos_embed(table, [rows, cols], num_prefix_tokens=1)


def by_size(table, rows, cols, *, antialias):
    grid = table[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(rows, cols), mode="bicubic")
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@pytest.mark.parametrize("size", [224, 392, 560])
@pytest.mark.parametrize("resampler", [of_timm, by_size])
def test_the_bound_sees_another_way_to_resample(files, monkeypatch, resampler, size):
    """Without this the parity tests could pass for want of positions that matter."""
    path, state = files["plain"]
    monkeypatch.setattr(dinov2, "resample_positions", resampler)
    encoder = load_encoder(path, device="cpu")
    assert difference(encoder, state, pictures(size, size)) > 100 * BOUND


def test_the_bound_sees_the_offset_on_a_model_with_registers(files, monkeypatch):
    path, state = files["registers"]
    monkeypatch.setattr(dinov2, "resample_positions", by_size)
    encoder = load_encoder(path, device="cpu")
    assert difference(encoder, state, pictures(560, 560)) > 100 * BOUND


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_every_register_and_layer_scale_matters(files, scale):
    """A checkpoint altered in one tensor must not pass for the original."""
    path, state = files["registers"]
    encoder = load_encoder(path, device="cpu")
    for name in ("register_tokens", "blocks.1.ls2.gamma", "norm.bias", "blocks.0.attn.qkv.bias"):
        altered = state | {name: state[name] * scale}
        assert difference(encoder, altered, pictures(224, 224)) > 10 * BOUND


@pytest.mark.parametrize("name", ["dinov2_vits14", "dinov2_vits14_reg"])
def test_a_hub_name_finds_its_file_and_gives_the_official_tokens(name, tmp_path, monkeypatch):
    variant = VARIANTS[name]
    state = official.random_checkpoint(dim=384, depth=12, registers=variant.registers)
    assert sum(tensor.numel() for tensor in state.values()) == variant.parameters
    torch.save(state, tmp_path / variant.file)
    monkeypatch.setenv("DINOSEARCH_WEIGHTS", str(tmp_path))
    encoder = load_encoder(name, device="cpu", size=224)
    assert (encoder.name, encoder.dim, encoder.patch_dim) == (name, 384, 384)
    assert encoder.fingerprint.architecture == name
    assert encoder.weights == str(tmp_path / variant.file)
    assert difference(encoder, state, pictures(224, 224)) < BOUND


def test_parameter_counts_of_the_published_sizes():
    """Millions, from the official model card: 21, 86, 300, 1100."""
    for name, millions in [
        ("dinov2_vits14", 22.06),
        ("dinov2_vitb14", 86.58),
        ("dinov2_vitl14", 304.37),
        ("dinov2_vitg14", 1136.48),
    ]:
        assert VARIANTS[name].parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_training_checkpoint_is_unwrapped(files, tmp_path):
    path, state = files["plain"]
    wrapped: dict[str, Any] = {"iteration": 5, "teacher": {}}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            # Chunks of two blocks, the index counted through, as in the training code.
            parts.insert(1, str(int(parts[1]) // 2))
        wrapped["teacher"]["backbone." + ".".join(parts)] = tensor
    wrapped["teacher"]["dino_head.mlp.0.weight"] = torch.zeros(4, 4)
    torch.save(wrapped, tmp_path / "teacher_checkpoint.pth")
    theirs = load_encoder(tmp_path / "teacher_checkpoint.pth", device="cpu")
    ours = load_encoder(path, device="cpu")
    batch = pictures(224, 224)
    for name, value in ours.forward_features(batch).items():
        assert torch.equal(value, theirs.forward_features(batch)[name])


def test_features_are_unit_rows_of_the_official_tokens(files):
    path, state = files["registers"]
    encoder = load_encoder(path, size=224, device="cpu")
    views = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    features = encoder.encode_views(views)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    batch = ((torch.from_numpy(views) / 255.0 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        theirs = official.forward_features(state, batch, heads=2)
    for ours, name in [(features.cls, "x_norm_clstoken"), (features.patches, "x_norm_patchtokens")]:
        expected = F.normalize(theirs[name], dim=-1).numpy()
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert features.patches.shape == (2, 256, 128)
    # Before the last layer norm, which would hide the long ones.
    lengths = theirs["x_prenorm"][:, 5:].norm(dim=-1).numpy()
    np.testing.assert_allclose(features.patch_norms, lengths, rtol=1e-4)


def test_one_by_one_is_the_same_as_together(files):
    path, _ = files["plain"]
    encoder = load_encoder(path, size=224, device="cpu")
    views = np.random.default_rng(3).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    encoder.batch_size = 3
    together = encoder.encode_views(views)
    for index in range(3):
        alone = encoder.encode_views(views[index : index + 1])
        np.testing.assert_allclose(together.cls[index], alone.cls[0], atol=1e-5)
        np.testing.assert_allclose(together.patches[index], alone.patches[0], atol=1e-5)


def test_no_pictures_give_no_features(files):
    path, _ = files["plain"]
    features = load_encoder(path, size=224, device="cpu").encode_views(
        np.empty((0, 224, 224, 3), np.uint8)
    )
    assert features.cls.shape == (0, 128)
    assert features.patches.shape == (0, 256, 128)


def test_bf16_is_near_fp32(files):
    path, _ = files["plain"]
    views = np.random.default_rng(3).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    exact = load_encoder(path, size=224, device="cpu")
    quick = load_encoder(path, size=224, device="cpu", precision="bf16")
    assert quick.precision == "bf16"
    assert quick.fingerprint == exact.fingerprint
    a, b = exact.encode_views(views), quick.encode_views(views)
    assert b.cls.dtype == np.float32
    assert float((a.patches * b.patches).sum(-1).min()) > 0.999
    assert not np.array_equal(a.patches, b.patches)


@pytest.mark.parametrize(
    "shape", [(1, 3, 225, 224), (1, 1, 224, 224), (3, 224, 224), (1, 3, 0, 14)]
)
def test_a_batch_that_holds_no_whole_patches_is_refused(files, shape):
    path, _ = files["plain"]
    encoder = load_encoder(path, device="cpu")
    with pytest.raises(InvalidInput):
        encoder.forward_features(torch.zeros(shape))


def test_missing_weights_name_file_folders_and_command(tmp_path, monkeypatch, own_caches):
    monkeypatch.setenv("DINOSEARCH_WEIGHTS", str(tmp_path))
    with pytest.raises(EncoderUnavailable) as caught:
        load_encoder("dinov2_vitl14_reg")
    message = str(caught.value)
    assert "dinov2_vitl14_reg4_pretrain.pth" in message
    assert str(tmp_path) in message
    assert str(own_caches / "torch" / "hub" / "checkpoints") in message
    assert "dinosearch encoders download dinov2_vitl14_reg" in message


def test_a_file_of_another_model_is_refused_by_name(files):
    path, _ = files["plain"]
    with pytest.raises(EncoderUnavailable, match="does not hold dinov2_vits14 but"):
        load_encoder("dinov2_vits14", weights=path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("blocks.1.attn.proj.bias"), "blocks.1.attn.proj.bias is missing"),
        (lambda s: s.update({"blocks.1.extra": torch.zeros(2)}), "blocks.1.extra is unknown"),
        (lambda s: s.update({"norm.weight": torch.zeros(64)}), r"norm.weight is \[64\] instead"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("blocks.0.")], "with gaps"),
        (lambda s: s.pop("pos_embed"), "no tensor pos_embed"),
        (lambda s: s.update({"pos_embed": torch.zeros(1, 1371, 128)}), "position table"),
        (
            lambda s: s.update({"patch_embed.proj.weight": torch.zeros(128, 3, 16, 16)}),
            "patch embedding",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_where(files, tmp_path, change, says):
    _, state = files["plain"]
    altered = dict(state)
    change(altered)
    torch.save(altered, tmp_path / "altered.pth")
    with pytest.raises(EncoderUnavailable, match=says):
        load_encoder(tmp_path / "altered.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_short_is_refused(files, tmp_path, suffix):
    path, state = files["plain"]
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        whole = path
    else:
        save_file(state, whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(EncoderUnavailable, match=r"cut.* cannot be read as weights"):
        load_encoder(cut)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"pos_embed": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(EncoderUnavailable, match="code"):
        load_encoder(tmp_path / "trap.pth")
    assert not (tmp_path / "trapped").exists()


def test_a_path_that_is_not_there_is_bad_usage(tmp_path):
    with pytest.raises(InvalidInput, match="no weights file"):
        load_encoder(tmp_path / "nothing.pth")
