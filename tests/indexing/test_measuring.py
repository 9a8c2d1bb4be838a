"""What is measured of a corpus at index time, against the tokens that are stored."""

from __future__ import annotations

import numpy as np
import pytest

import dinosearch
from dinosearch.indexing import measuring
from dinosearch.pca import fit_basis
from dinosearch.pca.corpus import basis_of
from tests.painting import CELLS, SIZE, noise, pixels, save


def statistics(index):
    return index._reader.ask(lambda snapshot, catalog: snapshot.statistics)


def snapshot(index):
    return index._reader.ask(lambda snapshot, catalog: snapshot)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(12):
        save(folder / f"{seed:02d}.png", noise(seed))
    with dinosearch.create(
        tmp_path_factory.mktemp("index") / "x", encoder="colour", size=SIZE
    ) as index:
        index.add(folder)
        yield index


def test_indexing_stores_every_token_of_a_small_corpus_and_its_components(index):
    found = statistics(index)
    seen = snapshot(index)
    tokens = np.concatenate([seen.tokens(position) for position in range(12)])
    assert np.array_equal(found.arrays["tokens"], tokens)
    basis, expected = basis_of(found.arrays), fit_basis(tokens)
    assert basis is not None
    for name in ("mean", "components", "explained_variance_ratio", "low", "high"):
        assert np.array_equal(getattr(basis, name), getattr(expected, name)), name
    cls = seen.cls(np.arange(12))
    pairs = sorted(float(cls[a] @ cls[b]) for a in range(12) for b in range(a))
    assert found.arrays["whole"] == pytest.approx(np.array(pairs), abs=1e-6)


def test_a_large_corpus_is_sampled_evenly(index, monkeypatch):
    monkeypatch.setattr(measuring, "PICTURES", 5)
    monkeypatch.setattr(measuring, "TOKENS", 60)
    seen = snapshot(index)
    tokens = measuring.sample_tokens(seen, np.random.default_rng(1))
    assert tokens.shape == (60, seen.tokens(0).shape[1])
    held = [{token.tobytes() for token in seen.tokens(position)} for position in range(12)]
    owners = [
        {position for position in range(12) if token.tobytes() in held[position]}
        for token in tokens
    ]
    counts = np.bincount([min(owner) for owner in owners], minlength=12)
    assert sorted(counts.tolist())[-5:] == [12] * 5
    assert len({token.tobytes() for token in tokens}) == 60, "none twice"
    again = measuring.sample_tokens(seen, np.random.default_rng(1))
    assert np.array_equal(again, tokens)


def test_padding_is_not_sampled(tmp_path):
    from PIL import Image

    for seed in range(3):
        wide = Image.fromarray(pixels(noise(seed))[: SIZE // 2])
        (tmp_path / "c").mkdir(exist_ok=True)
        wide.save(tmp_path / "c" / f"{seed}.png")
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE, fit="pad") as index:
        index.add(tmp_path / "c")
        tokens = statistics(index).arrays["tokens"]
    # Five rows of ten show picture; a half more where a row is shared with padding.
    assert 3 * 50 <= len(tokens) <= 3 * 6 * CELLS
    assert np.linalg.norm(tokens.astype(np.float32), axis=1) == pytest.approx(
        np.ones(len(tokens)), abs=2e-3
    )


def test_a_request_to_stop_leaves_nothing_half_measured(index, tmp_path):
    steps = [""]
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as other:
        report = other.add(
            index.sources(),
            progress=lambda progress: steps.append(progress.step),
            stop=lambda: steps[-1] == "statistics: measuring the corpus",
        )
        assert report.stopped
        assert report.added == 12
        assert statistics(other) is None
        assert not list((tmp_path / "x").glob("derived/*.safetensors"))
        other.add(index.sources())
        assert statistics(other).row.items == 12


def test_one_more_leaves_them_alone_and_compact_forgets_what_was_removed(tmp_path):
    for seed in range(8):
        save(tmp_path / "c" / f"{seed}.png", noise(seed))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "c")
        first = statistics(index)
        tokens = first.arrays["tokens"]
        assert first.row.items == 8
        save(tmp_path / "c" / "8.png", noise(8))
        index.add(tmp_path / "c")
        assert statistics(index) is first
        gone = {token.tobytes() for token in snapshot(index).tokens(0)}
        assert gone <= {token.tobytes() for token in tokens}
        index.remove(1)
        index.compact()
        left = {token.tobytes() for token in statistics(index).arrays["tokens"]}
        assert not gone & left
