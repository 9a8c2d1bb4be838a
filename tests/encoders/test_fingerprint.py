"""Fingerprints, the checksums in them, and how `auto` chooses."""

from __future__ import annotations

import json
import logging
import os
import shutil
from typing import Any

import pytest
import torch

from dinosearch.encoders import (
    Fingerprint,
    available,
    checksum,
    encoder_names,
    load_encoder,
    loading,
    weights,
)
from dinosearch.errors import EncoderUnavailable, InvalidInput
from tests.encoders import official


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(official.random_checkpoint(dim=64, depth=1), path)
    return path


def a_fingerprint(**changes):
    fields: dict[str, Any] = {
        "architecture": "dinov2_vits14",
        "weights_sha256": "ab" * 32,
        "size": 560,
        "cell": 14,
        "fit": "crop",
        "normalisation": "mean 0,0,0 std 1,1,1",
        "interpolation": "bicubic antialias",
    }
    return Fingerprint(**(fields | changes))


def test_two_loads_agree_and_precision_plays_no_part(checkpoint):
    one = load_encoder(checkpoint, device="cpu")
    other = load_encoder(str(checkpoint), device="cpu", precision="bf16")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint.digest == other.fingerprint.digest
    assert one.fingerprint.differences(other.fingerprint) == []


def test_a_path_loads_again_by_the_encoders_own_name(checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    encoder = load_encoder("tiny.pth", device="cpu")
    assert encoder.name == str(checkpoint)
    monkeypatch.chdir("/")
    assert load_encoder(encoder.name, device="cpu").fingerprint == encoder.fingerprint


@pytest.mark.parametrize("options", [{"size": 224}, {"fit": "pad"}, {"fit": "squash"}])
def test_another_size_or_fit_is_another_fingerprint(checkpoint, options):
    one = load_encoder(checkpoint, device="cpu").fingerprint
    other = load_encoder(checkpoint, device="cpu", **options).fingerprint
    assert one.digest != other.digest
    assert len(one.differences(other)) == 1


def test_other_weights_of_the_same_shape_are_another_fingerprint(checkpoint, tmp_path):
    torch.save(official.random_checkpoint(dim=64, depth=1, seed=9), tmp_path / "tiny.pth")
    one = load_encoder(checkpoint, device="cpu").fingerprint
    other = load_encoder(tmp_path / "tiny.pth", device="cpu").fingerprint
    assert one.architecture == other.architecture
    (line,) = one.differences(other)
    assert line.startswith("weights (sha256): ")


def test_the_digest_is_that_of_the_canonical_json():
    """Computed once by hand: a stored digest must mean the same for ever."""
    assert a_fingerprint().digest == "d7a6657b5a9df7fd"


@pytest.mark.parametrize("field", list(a_fingerprint().to_dict()))
def test_every_field_counts(field):
    value = 70 if field in ("size", "cell") else "int8"
    changed = a_fingerprint(**{field: value})
    assert changed.digest != a_fingerprint().digest
    assert len(a_fingerprint().differences(changed)) == 1


def test_differences_are_for_people():
    lines = a_fingerprint().differences(a_fingerprint(fit="pad", size=224))
    assert lines == ["picture size: 560 here, 224 there", "fit: crop here, pad there"]


def test_a_fingerprint_survives_json():
    text = json.dumps(a_fingerprint().to_dict())
    assert Fingerprint.from_dict(json.loads(text)) == a_fingerprint()


@pytest.mark.parametrize("change", [{"size": "560"}, {"size": True}, {"more": 1}, {"fit": None}])
def test_a_fingerprint_of_another_form_is_refused(change):
    with pytest.raises(InvalidInput, match="fingerprint"):
        Fingerprint.from_dict(a_fingerprint().to_dict() | change)


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch, own_caches):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    first = checksum.sha256_of(path)
    assert first == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with monkeypatch.context() as patch:
        patch.setattr(checksum, "hash_file", lambda p: pytest.fail("hashed again"))
        assert checksum.sha256_of(path) == first
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert checksum.sha256_of(path) != first
    (own_caches / "dinosearch" / "checksums.json").write_text("{damaged")
    path.write_bytes(b"abc")
    os.utime(path, ns=(2, 2))
    assert checksum.sha256_of(path) == first


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "in-the-way").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "in-the-way"))
    (tmp_path / "file").write_bytes(b"")
    assert checksum.sha256_of(tmp_path / "file").startswith("e3b0c44298fc1c14")


def test_weights_that_changed_since_their_download_are_refused(checkpoint, tmp_path):
    path = tmp_path / "tiny.pth"
    shutil.copy(checkpoint, path)
    checksum.sidecar(path).write_text(f"{checksum.hash_file(path)}  tiny.pth\n")
    load_encoder(path, device="cpu")
    torch.save(official.random_checkpoint(dim=64, depth=1, seed=5), path)
    with pytest.raises(EncoderUnavailable, match="is not the file that was downloaded"):
        load_encoder(path, device="cpu")


def test_auto_is_mini_where_nothing_better_is_and_says_how_to_get_it(caplog):
    with caplog.at_level(logging.INFO, logger=loading.__name__):
        encoder = load_encoder(size=56, device="cpu")
    assert encoder.name == "mini"
    assert encoder.note
    assert "dinosearch encoders download" in encoder.note
    assert [r.getMessage() for r in caplog.records] == [encoder.note]
    assert load_encoder("mini", size=56, device="cpu").note is None


def test_auto_takes_the_best_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DINOSEARCH_WEIGHTS", str(tmp_path))
    worse_first = reversed(weights.PREFERENCE)
    for name in worse_first:
        (tmp_path / weights.VARIANTS[name].file).touch()
        best = weights.best_present()
        assert best is not None
        assert best.name == name
    assert set(weights.PREFERENCE) == set(weights.VARIANTS)


def test_auto_loads_what_it_chose(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(official.random_checkpoint(dim=384, depth=12), folder / "dinov2_vits14_pretrain.pth")
    encoder = load_encoder(device="cpu")
    assert encoder.name == "dinov2_vits14"
    assert encoder.note == (
        "encoder dinov2_vits14: the best DINOv2 whose weights are on this machine"
    )


def test_hub_checkpoints_are_where_torch_says(tmp_path, monkeypatch):
    from dinosearch.encoders import folders

    assert folders.hub_checkpoints() == type(tmp_path)(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert folders.hub_checkpoints() == type(tmp_path)(torch.hub.get_dir()) / "checkpoints"


def test_the_list_says_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DINOSEARCH_WEIGHTS", str(tmp_path))
    (tmp_path / "dinov2_vitb14_reg4_pretrain.safetensors").touch()
    rows = {row.name: row for row in available()}
    assert len(rows) == 9
    assert rows["mini"].path is not None
    assert (rows["mini"].dim, rows["mini"].patch_dim) == (1280, 112)
    assert rows["dinov2_vitb14_reg"].path == tmp_path / "dinov2_vitb14_reg4_pretrain.safetensors"
    assert rows["dinov2_vitb14"].path is None
    assert rows["dinov2_vitg14"].dim == 1536


@pytest.mark.parametrize("name", ["dinov2_vith14", "clip", "dinov2_vits14_lc", ""])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(InvalidInput, match="dinov2_vitl14_reg"):
        load_encoder(name)
    assert name not in encoder_names()


@pytest.mark.parametrize("options", [{"size": 561}, {"size": 0}, {"fit": "tiles"}])
def test_a_size_or_fit_that_cannot_be_is_refused(options):
    with pytest.raises(InvalidInput):
        load_encoder("colour", **options)
