"""An index is asked with the encoder it was made with, wherever its weights lie by now."""

from __future__ import annotations

import pytest
import torch

import dinosearch
from dinosearch.errors import EncoderMismatch, EncoderUnavailable
from dinosearch.opening import open_or_create
from tests.encoders.official import random_checkpoint
from tests.painting import noise, save


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(4):
        save(folder / f"{seed}.png", noise(seed))
    return folder


def test_weights_that_moved_are_named_and_others_are_refused(corpus, tmp_path):
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save(random_checkpoint(seed=1), first)
    torch.save(random_checkpoint(seed=2), second)
    with dinosearch.create(tmp_path / "x", encoder=first, size=56) as index:
        index.add(corpus)
        assert index.search(corpus / "2.png", k=1)[0].path == str(corpus / "2.png")
    moved = first.rename(tmp_path / "moved.pth")
    with dinosearch.open(tmp_path / "x") as index:
        assert index.search(3, k=1)[0].id == 3, "an id needs no encoder"
        with pytest.raises(EncoderUnavailable, match=r"a\.pth"):
            index.search(corpus / "2.png")
        with pytest.raises(EncoderMismatch, match="weights") as refusal:
            index.use_encoder(weights=second)
        assert str(index.fingerprint) in str(refusal.value)
        index.use_encoder(weights=moved)
        assert index.search(corpus / "2.png", k=1)[0].path == str(corpus / "2.png")


def test_another_size_or_fit_is_another_encoder(corpus, tmp_path):
    with open_or_create(tmp_path / "x", encoder="colour", size=56) as index:
        index.add(corpus)
    with pytest.raises(EncoderMismatch, match="picture size: 56 here, 84 there"):
        open_or_create(tmp_path / "x", size=84)
    with pytest.raises(EncoderMismatch, match="fit: crop here, pad there"):
        open_or_create(tmp_path / "x", encoder="colour", fit="pad")
    with pytest.raises(EncoderMismatch, match="architecture"):
        dinosearch.open(tmp_path / "x", encoder=dinosearch.load_encoder("mini", size=56))
    with open_or_create(tmp_path / "x") as index:
        assert len(index) == 4
