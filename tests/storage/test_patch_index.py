"""The patch index proposes what an exact comparison of the chosen tokens would."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dinosearch.storage import patch_index
from dinosearch.storage.catalog import Catalog, PatchIndexRow
from dinosearch.storage.derived import refresh_patches
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.upkeep import compact
from dinosearch.storage.writer import Batch, Origin, Row, Writer

WIDTH, GRID = 32, (4, 4)
FINGERPRINT = "0123456789abcdef"
RARE = np.eye(WIDTH, dtype=np.float32)[0]


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def tokens(number: int) -> np.ndarray:
    """Sixteen tokens around a few shared centres; every fiftieth picture holds a rare one."""
    rng = np.random.default_rng([3, number])
    centres = np.random.default_rng(4).normal(size=(60, WIDTH))
    centres[:, 0] = 0
    rows = centres[rng.integers(0, 60, 16)] + 0.6 * rng.normal(size=(16, WIDTH))
    rows = unit(rows)
    if number % 50 == 7:
        rows[5] = unit(RARE + 0.1 * rng.normal(size=WIDTH))
    return rows


def row(number: int) -> Row:
    return Row(
        Origin(f"/p/{number}.png", "/p", f"{number:064x}", 1, 1),
        unit(np.random.default_rng(number).normal(size=8)),
        tokens(number).astype(np.float16), 56, 56, "PNG", "crop", "2024", (), b"",
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(patch_index, "SMALLEST", 200)
    folder = Folder(tmp_path / "x")
    folder.prepare()
    Catalog.create(folder.catalog, {"fingerprint_digest": FINGERPRINT, "tokens": "fp16"}).close()
    folder.write_manifest()
    return folder


def writing(folder: Folder) -> Writer:
    return Writer(folder, fingerprint=FINGERPRINT, grid=GRID, min_free=0)


def fill(store: Writer, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 100):
        part = range(start, min(numbers.stop, start + 100))
        store.commit(Batch(rows=[row(number) for number in part]))


def snapshot(folder: Folder) -> Snapshot:
    catalog = Catalog.open(folder.catalog, writable=False)
    try:
        return Snapshot(folder, catalog, fingerprint=FINGERPRINT, previous=None)
    finally:
        catalog.close()


def exact(seen: Snapshot, queries: np.ndarray) -> np.ndarray:
    """float32 [q, positions]: the best cosine of each query among all tokens of a picture."""
    stored = np.stack([seen.tokens(position) for position in range(len(seen.id_at))])
    cosines = queries @ stored.reshape(-1, WIDTH).astype(np.float32).T
    return np.asarray(cosines.reshape(len(queries), len(stored), -1).max(axis=2))


QUERIES = np.stack([RARE, tokens(3)[0], tokens(900)[7]])


def test_it_names_the_pictures_that_an_exact_comparison_finds(folder):
    with writing(folder) as store:
        fill(store, range(1_000))
        assert refresh_patches(store)
    seen = snapshot(folder)
    assert seen.patches is not None
    proposal = seen.propose(QUERIES, seen.live, 300)
    truth = exact(seen, QUERIES)
    for query in range(len(QUERIES)):
        best = set(np.argsort(-truth[query])[:10].tolist())
        assert len(best & set(proposal.positions.tolist())) >= 9
        # Codes of four bits for two numbers: close, not equal.
        gap = proposal.best[query] - truth[query][proposal.positions]
        assert np.abs(gap[proposal.best[query] > proposal.floor[query]]).mean() < 0.1
    holders = np.flatnonzero(np.arange(1_000) % 50 == 7)
    ranked = proposal.positions[np.argsort(-proposal.best[0])]
    assert set(ranked[:20].tolist()) == set(holders.tolist())


def test_without_a_file_the_chosen_tokens_are_compared_exactly(folder):
    with writing(folder) as store:
        fill(store, range(150))
        assert not refresh_patches(store), "so few are compared as fast"
    seen = snapshot(folder)
    proposal = seen.propose(QUERIES, seen.live, 300)
    assert proposal.positions.tolist() == list(range(150))
    assert proposal.best == pytest.approx(exact(seen, QUERIES), abs=0.01)
    assert proposal.floor.tolist() == [-1, -1, -1]


def test_what_is_newer_than_the_file_is_proposed_at_once(folder):
    with writing(folder) as store:
        fill(store, range(400))
        refresh_patches(store)
        before = store.catalog.patch_index()
        fill(store, range(400, 410))
        assert not refresh_patches(store), "1 % more is scanned, not worth a file"
        assert store.catalog.patch_index() == before
    seen = snapshot(folder)
    positions = seen.propose(QUERIES, seen.live, 20).positions
    assert set(range(400, 410)) <= set(positions.tolist())
    proposal = seen.propose(QUERIES, seen.live, 20)
    newest = proposal.positions.tolist().index(407)
    assert proposal.best[0, newest] == pytest.approx(exact(seen, QUERIES)[0, 407], abs=0.01)


def test_a_tenth_more_is_added_without_learning_anew(folder):
    with writing(folder) as store:
        fill(store, range(400))
        refresh_patches(store)
        before = store.catalog.patch_index()
        first = snapshot(folder).patches
        fill(store, range(400, 460))
        assert refresh_patches(store)
        after = store.catalog.patch_index()
        assert not refresh_patches(store)
    assert before is not None
    assert after is not None
    assert (after.rows, after.trained_on, after.nlist) == (460, 400, before.nlist)
    assert not (folder.derived / before.name).exists()
    grown = snapshot(folder).patches
    assert first is not None
    assert grown is not None
    old, new = (one.search(QUERIES, 50, allowed=None, nprobe=10_000) for one in (first, grown))
    kept = new[1] < 400
    for query in range(len(QUERIES)):
        count = int(kept[query].sum())
        assert count > 25
        # FAISS rounds its tables anew for every search, so near ties may swap.
        same = set(new[1][query][kept[query]].tolist()) & set(old[1][query].tolist())
        assert len(same) >= 0.9 * len(set(new[1][query][kept[query]].tolist()))
    assert (grown.search(RARE[None], 15, allowed=None)[1] == 457).any()


def test_an_index_that_was_outgrown_is_learned_anew(folder):
    with writing(folder) as store:
        fill(store, range(200))
        refresh_patches(store)
        fill(store, range(200, 850))
        assert refresh_patches(store)
        row = store.catalog.patch_index()
    assert row is not None
    assert (row.rows, row.trained_on) == (850, 850)


def test_filters_and_removed_pictures_are_never_proposed(folder):
    with writing(folder) as store:
        fill(store, range(300))
        refresh_patches(store)
        gone = store.catalog.items([8, 58])  # pictures 7 and 57, which hold the rare token
        assert store.remove(gone) == 2
    seen = snapshot(folder)
    found = seen.propose(RARE[None], seen.live, 50).positions
    assert not {7, 57} & set(found.tolist())
    allowed = seen.live.copy()
    allowed[107:] = False
    query = tokens(3)[:1]
    proposal = seen.propose(query, allowed, 50)
    assert proposal.positions.max() < 107
    assert len(proposal.positions) > 5
    assert proposal.positions[proposal.best[0].argmax()] == 3
    allowed[3] = False
    assert 3 not in seen.propose(query, allowed, 50).positions


def test_compaction_forgets_removed_pictures_in_it(folder):
    with writing(folder) as store:
        fill(store, range(300))
        refresh_patches(store)
        store.remove(store.catalog.items([8]))
        compact(store)
        row = store.catalog.patch_index()
    assert row is not None
    assert row.rows == 299
    seen = snapshot(folder)
    proposal = seen.propose(RARE[None], seen.live, 50)
    ids = seen.id_at[proposal.positions[np.argsort(-proposal.best[0])[:5]]]
    assert set(ids.tolist()) == {58, 108, 158, 208, 258}


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_file_is_not_used_and_made_anew(folder, caplog, damage):
    with writing(folder) as store:
        fill(store, range(300))
        refresh_patches(store)
        row = store.catalog.patch_index()
    assert row is not None
    path = folder.derived / row.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flipped" else content[:-1])
    seen = snapshot(folder)
    proposal = seen.propose(QUERIES, seen.live, 50)
    assert len(proposal.positions) == 300
    assert proposal.best == pytest.approx(exact(seen, QUERIES), abs=0.01)
    assert "slower" in caplog.text
    with writing(folder) as store:
        assert refresh_patches(store)
    assert snapshot(folder).patches is not None


def test_a_segment_that_is_no_more_makes_the_file_useless(folder):
    with writing(folder) as store:
        fill(store, range(300))
        refresh_patches(store)
        with store.catalog.write() as db:
            segments = json.dumps([1, 2, 99])
            db.execute("UPDATE patch_index SET segments = ?", [segments])
    seen = snapshot(folder)
    assert seen.patches is None
    assert len(seen.propose(QUERIES, seen.live, 10).positions) == 300


def test_odd_and_narrow_tokens_have_codes_too(tmp_path):
    folder = Folder(tmp_path / "x")
    folder.prepare()
    for width in (3, 17):
        rows = unit(np.random.default_rng(width).normal(size=(20, 5, width)))
        built = patch_index.build(folder, [rows.copy], 20)
        index = patch_index.PatchIndex(folder, row_of(built))
        _, found = index.search(rows[:, 2], 1, allowed=None, nprobe=100)
        assert (found[:, 0] == np.arange(20)).mean() >= 0.9


def row_of(built: patch_index.BuiltPatches) -> PatchIndexRow:
    return PatchIndexRow(
        built.sealed.name, built.sealed.bytes, built.sealed.sha256, (1,), built.rows,
        built.per_item, built.nlist, built.trained_on,
    )  # fmt: skip
