from __future__ import annotations

import numpy as np
import pytest

from dinosearch.storage import vectors
from dinosearch.storage.catalog import VectorIndexRow
from dinosearch.storage.folder import Folder


def unit(rng, n, d):
    """Clustered unit vectors, as features are."""
    centres = np.random.default_rng(0).normal(size=(40, d))
    rows = centres[rng.integers(0, 40, n)] + 1.5 * rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "x")
    folder.prepare()
    return folder


@pytest.fixture
def blocks():
    rng = np.random.default_rng(7)
    return [unit(rng, n, 48) for n in (700, 1, 1500, 800)]


def loaded(folder, built):
    row = VectorIndexRow(
        built.sealed.name, built.sealed.bytes, built.sealed.sha256, (1, 2, 3, 4), built.rows,
        built.nlist, built.nprobe, built.recall, built.recall_queries,
    )  # fmt: skip
    return vectors.VectorIndex(folder, row)


def test_exact_is_what_numpy_says(blocks):
    everything = np.concatenate(blocks)
    queries = everything[[0, 5, 2999]]
    allowed = np.random.default_rng(1).random(len(everything)) < 0.3
    scores, positions = vectors.exact(blocks, queries, 12, allowed)
    full = np.where(allowed, queries @ everything.T, -np.inf)
    order = np.argsort(-full, axis=1)[:, :12]
    assert (positions == order).all()
    assert np.allclose(scores, np.take_along_axis(full, order, 1))


def test_exact_says_so_when_there_are_fewer(blocks):
    allowed = np.zeros(3001, bool)
    allowed[[3, 2500]] = True
    scores, positions = vectors.exact(blocks, blocks[0][:1], 5, allowed)
    assert set(positions[0]) == {3, 2500, -1}
    assert np.isneginf(scores[0, 2:]).all()


def test_gather_crosses_blocks(blocks):
    picked = np.array([2999, 700, 0, 701, 699])
    assert (vectors.gather(blocks, picked) == np.concatenate(blocks)[picked]).all()


def test_the_tuned_index_reaches_its_target_on_vectors_it_was_not_tuned_on(folder, blocks):
    everything = np.concatenate(blocks)
    live = np.ones(len(everything), bool)
    built = vectors.build(folder, blocks, live)
    assert built.recall >= 0.99
    assert built.nprobe < built.nlist, "a tuned index must not simply scan every list"
    index = loaded(folder, built)
    held_out = unit(np.random.default_rng(99), 300, 48)
    found = index.search(held_out, 10, allowed=None)
    _, truth = vectors.exact(blocks, held_out, 10, live)
    overlap = np.mean([len(set(f) & set(t)) / 10 for f, t in zip(found, truth, strict=True)])
    assert overlap >= 0.95


def test_recall_is_measured_not_assumed(folder, blocks):
    """With one list probed the same measure reports the loss."""
    live = np.ones(3001, bool)
    built = vectors.build(folder, blocks, live)
    index = loaded(folder, built)
    own = np.arange(0, 3000, 30)
    queries = vectors.gather(blocks, own)
    truth, _ = vectors.exact(blocks, queries, 11, live)
    found = index.search(queries, 11, allowed=None, nprobe=1)
    poor = vectors.recall(blocks, queries, own, truth, found)
    assert poor < 0.9


def test_dead_rows_are_never_found(folder, blocks):
    live = np.ones(3001, bool)
    live[::2] = False
    built = vectors.build(folder, blocks, live)
    found = loaded(folder, built).search(np.concatenate(blocks)[:50], 10, allowed=live)
    assert live[found[found >= 0]].all()
    assert (found >= 0).any()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_file_is_refused_before_faiss_sees_it(folder, blocks, damage):
    built = vectors.build(folder, blocks, np.ones(3001, bool))
    path = folder.derived / built.sealed.name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-10])
    else:
        path.unlink()
    with pytest.raises(ValueError, match="faiss"):
        loaded(folder, built)
