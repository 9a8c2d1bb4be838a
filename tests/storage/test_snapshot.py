"""What a reader sees: every committed vector, approximate search against exact, filters."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from dinosearch.errors import UnusableIndex
from dinosearch.search.filters import parse_filters
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.derived import refresh_vectors
from dinosearch.storage.snapshot import SCAN_BELOW
from dinosearch.storage.upkeep import compact
from dinosearch.storage.verify import verify
from dinosearch.storage.writer import Batch
from tests.storage.store import create, features, fill, row, snapshot, writer

N = 2_500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("store") / "x")
    with writer(folder) as store:
        fill(store, range(N - 150))
        assert refresh_vectors(store)
        fill(store, range(N - 150, N))  # newer than the FAISS file
        assert not refresh_vectors(store), "a few newer rows are scanned, not worth a build"
    return folder


def number_of(seen, position):
    """The number a stored picture was made from: ids are given from 1 in order."""
    return int(seen.id_at[position]) - 1


def test_every_row_is_what_was_committed(folder):
    seen = snapshot(folder)
    assert len(seen) == N
    for position in range(0, N, 97):
        cls, tokens = features(number_of(seen, position))
        assert (seen.cls(np.array([position]))[0] == cls).all()
        assert (seen.tokens(position) == tokens).all()


def test_the_file_covers_the_older_rows_and_says_how_well_it_answers(folder):
    seen = snapshot(folder)
    assert seen.covered == N - 150
    assert seen.vector_row is not None
    assert seen.vector_row.recall >= 0.99
    assert 1 <= seen.vector_row.nprobe <= seen.vector_row.nlist


def test_every_stored_vector_finds_itself_newer_ones_too(folder):
    seen = snapshot(folder)
    positions = np.arange(N)
    scores, found, _ = seen.search_cls(seen.cls(positions), 1)
    assert (found[:, 0] == positions).mean() >= 0.995
    assert np.allclose(scores[-150:, 0], 1, atol=1e-5), "rows newer than the file are scanned"


def test_approximate_against_exact(folder):
    seen = snapshot(folder)
    queries = np.stack([features(n)[0] for n in range(10_000, 10_200)])
    scores, found, _ = seen.search_cls(queries, 10)
    exact_scores, exact, _ = seen.search_cls(queries, 10, exactly=True)
    overlap = [len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)]
    assert np.mean(overlap) >= 0.97
    same = found == exact
    assert np.allclose(scores[same], exact_scores[same], atol=1e-6), "scores are exact ones"


def test_without_the_file_the_answers_are_exact(folder, tmp_path):
    seen = snapshot(folder)
    (file,) = folder.derived.glob("*.faiss")
    away = file.rename(tmp_path / "away")
    try:
        without = snapshot(folder)
        queries = seen.cls(np.arange(0, N, 50))
        scores, found, _ = without.search_cls(queries, 10)
        exact_scores, exact, _ = seen.search_cls(queries, 10, exactly=True)
        assert (found == exact).all()
        assert (scores == exact_scores).all()
        assert without.vectors_damaged
    finally:
        away.rename(file)


@pytest.mark.parametrize(
    ("filters", "keep"),
    [
        (["label:rare"], lambda n: n % 500 == 0),
        (["label:even"], lambda n: n % 2 == 0),
        (["-label:even"], lambda n: n % 2 == 1),
        (["label:even", "split:test"], lambda n: n % 10 == 0),
        (["date:2024-03"], lambda n: n % 12 == 2),
        (["date:2024-03..2024-04"], lambda n: n % 12 in (2, 3)),
        (["date:..2024-02-05"], lambda n: n % 12 in (0, 1)),
        (["-date:2024"], lambda n: False),
        (["path:/pictures/0000"], lambda n: n < 10),
        (["path:0000"], lambda n: n < 10),
        (["meta.number:77"], lambda n: n == 77),
        (["meta.number:100..109"], lambda n: 100 <= n < 110),
        (["meta.name with.dot:n5"], lambda n: n == 5),
        (["-meta.absent:1"], lambda n: True),
        (["meta.text:..5"], lambda n: False),
        (['meta.a"b:1'], lambda n: n == 9),
        (["size:200"], lambda n: True),
        (["size:201.."], lambda n: False),
    ],
)
def test_filters_mean_what_they_say_and_give_k_when_k_match(folder, filters, keep):
    seen = snapshot(folder)
    catalog = Catalog.open(folder.catalog, writable=False)
    conditions = parse_filters(filters)
    ids = catalog.matching(conditions)
    expected = {n + 1 for n in range(N) if keep(n)}
    assert set(ids.tolist()) == expected
    allowed = seen.allowed(ids)
    _, found, _ = seen.search_cls(features(3)[0][None], 20, allowed=allowed)
    found = found[found >= 0]
    assert len(found) == min(20, len(expected))
    assert {int(seen.id_at[p]) for p in found} <= expected


def test_a_filter_too_wide_to_scan_goes_through_the_lists_and_still_gives_k(folder, monkeypatch):
    monkeypatch.setattr("dinosearch.storage.snapshot.SCAN_BELOW", 0)
    assert SCAN_BELOW == 20_000
    seen = snapshot(folder)
    everything = np.arange(N)
    for share in (0.5, 0.05, 0.004):
        allowed = np.random.default_rng(3).random(N) < share
        queries = np.stack([features(n)[0] for n in range(20_000, 20_040)])
        _, found, _ = seen.search_cls(queries, 10, allowed=allowed)
        _, truth, _ = seen.search_cls(queries, 10, allowed=allowed, exactly=True)
        assert (found >= 0).sum() == (truth >= 0).sum()
        assert np.isin(found[found >= 0], everything[allowed]).all()
        overlap = [len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)]
        assert np.mean(overlap) >= 0.95


def test_k_come_back_when_the_lists_near_the_query_hold_no_match(folder, monkeypatch):
    monkeypatch.setattr("dinosearch.storage.snapshot.SCAN_BELOW", 0)
    seen = snapshot(folder)
    for number in range(40_000, 40_010):
        query = features(number)[0][None]
        everything = np.concatenate(seen.cls_blocks()) @ query[0]
        allowed = everything < np.quantile(everything, 0.5)  # all that is far from the query
        _, found, _ = seen.search_cls(query, 1_000, allowed=allowed)
        assert (found >= 0).sum() == 1_000
        assert allowed[found[0]].all()


def test_updates_and_removals_are_seen_by_the_next_snapshot_only(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(40), per_batch=15)
        before = snapshot(folder)
        store.commit(Batch(rows=[row(7, item=8, content=900)]))
        store.remove(store.catalog.items([1, 2]))
        after = snapshot(folder, before)
    assert (len(before), len(after)) == (40, 38)
    assert after.generation == before.generation + 2
    old = before.positions_of(np.array([8]))
    assert (before.cls(old)[0] == features(7)[0]).all()
    new = after.positions_of(np.array([8]))
    assert (after.cls(new)[0] == features(900)[0]).all()
    assert after.positions_of(np.array([1, 2, 3])).tolist()[:2] == [-1, -1]
    _, found, _ = after.search_cls(features(0)[0][None], 40)
    assert 1 not in {int(after.id_at[p]) for p in found[0] if p >= 0}


def test_ids_are_never_given_twice(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(5))
        store.remove(store.catalog.items([4, 5]))
        assert store.commit(Batch(rows=[row(50)])) == [6]


def test_compaction_keeps_every_item_and_forgets_what_was_removed(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(130), per_batch=10)
        reader = snapshot(folder)
        store.remove(store.catalog.items(list(range(1, 21))))
        done = compact(store)
    assert (done.segments_before, done.segments_after, done.dead_rows) == (13, 1, 20)
    assert len(list(folder.segments.iterdir())) == 1, "nobody else reads, so old files go at once"
    after = snapshot(folder)
    assert len(after) == 110
    for item in (21, 77, 130):
        position = after.positions_of(np.array([item]))
        assert (after.cls(position)[0] == features(item - 1)[0]).all()
        assert (after.tokens(int(position[0])) == features(item - 1)[1]).all()
    assert verify(folder, full=True).ok
    removed = features(3)[0].tobytes()
    assert all(
        removed not in path.read_bytes() for path in folder.root.rglob("*") if path.is_file()
    )
    del reader


def test_one_removed_row_is_gone_after_compaction(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(100))
        store.remove(store.catalog.items([50]))
        compact(store)
    assert len(snapshot(folder).id_at) == 99


def test_recall_holds_when_most_of_the_file_is_no_longer_used(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(2_000), per_batch=500)
        refresh_vectors(store)
        store.remove(store.catalog.items([n for n in range(1, 2_001) if n % 20]))
    seen = snapshot(folder)
    queries = np.stack([features(n)[0] for n in range(30_000, 30_200)])
    _, found, exactly = seen.search_cls(queries, 10)
    _, truth, _ = seen.search_cls(queries, 10, exactly=True)
    assert not exactly
    overlap = [len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)]
    assert np.mean(overlap) >= 0.97


@pytest.mark.parametrize("column", ["row = 999", "row = -1", "segment = 77"])
def test_a_catalog_that_points_nowhere_is_reported_not_searched(tmp_path, column):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(20), per_batch=10)
        store.catalog._connection.execute("PRAGMA foreign_keys=OFF")
        with store.catalog.write() as db:
            db.execute(f"UPDATE items SET {column} WHERE id = 3")
    with pytest.raises(UnusableIndex, match="item 3 lies in a row that is not there"):
        snapshot(folder)
    report = verify(folder, full=True)
    assert not report.ok
    assert any("3" in problem for problem in report.problems)


def test_a_count_that_no_file_could_hold_asks_for_no_memory(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(20))
        with store.catalog.write() as db:
            db.execute("UPDATE segments SET rows = ?", [10**13])
    with pytest.raises(UnusableIndex, match="holds 10000000000000 rows"):
        snapshot(folder)
    assert not verify(folder, full=True).ok


def test_many_segments_are_merged_with_few_open_files(tmp_path):
    folder = create(tmp_path / "x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with writer(folder) as store:
        fill(store, range(300), per_batch=1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        try:
            assert compact(store).segments_after == 2
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert verify(folder, full=True).ok


def test_removals_do_not_have_the_file_built_again_and_again(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(3_000), per_batch=500)
        assert refresh_vectors(store)
        store.remove(store.catalog.items(list(range(1, 1_801))))
        refresh_vectors(store)
        assert not refresh_vectors(store), "nothing has changed since"
