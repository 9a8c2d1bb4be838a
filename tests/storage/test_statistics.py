"""Statistics of the corpus: when they are measured, lost, stale, and what must not stay."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.derived import refresh_statistics
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.upkeep import compact
from dinosearch.storage.verify import verify
from dinosearch.storage.writer import Batch
from tests.storage.store import create, fill, row, snapshot, writer


def measure(seen: Snapshot) -> dict[str, np.ndarray]:
    """The ids that were there, and something that is not contiguous."""
    grid = np.arange(6, dtype=np.float16).reshape(2, 3)
    return {"ids": seen.ids, "turned": grid.T}


@pytest.fixture
def folder(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(20))
        assert refresh_statistics(store, measure)
    return folder


def measured(folder: Folder) -> list[int]:
    found = snapshot(folder).statistics
    assert found is not None
    ids: list[int] = found.arrays["ids"].tolist()
    return ids


def files(folder: Folder) -> list[str]:
    return sorted(path.name for path in folder.derived.glob("*.safetensors"))


def test_what_was_measured_is_there_to_the_bit(folder):
    found = snapshot(folder).statistics
    assert found is not None
    assert found.arrays["ids"].tolist() == list(range(1, 21))
    assert found.arrays["ids"].dtype == np.int64
    assert found.arrays["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found.arrays["turned"].dtype == np.float16
    assert files(folder) == [found.row.name]
    assert found.row.items == 20


def test_below_two_pictures_there_is_no_file(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        assert not refresh_statistics(store, measure)
        fill(store, range(1))
        assert not refresh_statistics(store, measure)
        assert snapshot(folder).statistics is None
        fill(store, range(1, 2))
        assert refresh_statistics(store, measure)
        items = store.catalog.items([1])
        store.remove(items)
        assert not refresh_statistics(store, measure)
    assert files(folder) == []
    assert snapshot(folder).statistics_row is None


def test_only_a_change_of_more_than_a_quarter_measures_anew(folder):
    with writer(folder) as store:
        for number in range(20, 25):
            fill(store, range(number, number + 1))
            assert not refresh_statistics(store, measure)
        assert measured(folder) == list(range(1, 21))
        fill(store, range(25, 26))
        assert refresh_statistics(store, measure)
        assert measured(folder) == list(range(1, 27))
        store.remove(store.catalog.items(list(range(1, 7))))
        assert not refresh_statistics(store, measure), "6 of 26 have gone"
        store.remove(store.catalog.items([7]))
        assert refresh_statistics(store, measure), "7 of 26"
    assert measured(folder) == list(range(8, 27))
    assert len(files(folder)) == 1, "the old one is gone"


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_a_damaged_file_is_noticed_not_used_and_made_anew(folder, how, caplog):
    (path,) = folder.derived.glob("*.safetensors")
    data = bytearray(path.read_bytes())
    if how == "lost":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-1])
    else:
        data[-3] ^= 1
        path.write_bytes(data)
    quick, full = verify(folder), verify(folder, full=True)
    assert quick.ok == (how == "flipped")
    assert any(path.name in problem and "derived" in problem for problem in full.problems)
    with caplog.at_level(logging.WARNING):
        seen = snapshot(folder)
        assert seen.statistics is None
        with writer(folder) as store:
            fill(store, range(30, 31))
        following = snapshot(folder, previous=seen)
        assert following.statistics is None
    assert sum(path.name in record.message for record in caplog.records) == 1, "said once"
    with writer(folder) as store:
        assert refresh_statistics(store, measure)
    assert measured(folder)[-1] == 21
    assert verify(folder, full=True).ok


def test_the_next_snapshot_takes_over_what_is_loaded(folder):
    seen = snapshot(folder)
    loaded = seen.statistics
    with writer(folder) as store:
        fill(store, range(30, 31))
    for path in folder.derived.glob("*.safetensors"):
        path.unlink()
    assert snapshot(folder, previous=seen).statistics is loaded


def test_compact_measures_anew_where_what_was_measured_may_be_gone(folder):
    with writer(folder) as store:
        (before,) = files(folder)
        compact(store, measure=measure)
        assert files(folder) == [before], "nothing has gone"
        store.remove(store.catalog.items([5]))
        assert not refresh_statistics(store, measure)
        compact(store, measure=measure)
        assert files(folder) != [before]
    assert 5 not in measured(folder)
    assert len(measured(folder)) == 19


def test_a_compact_that_was_cut_short_is_made_good_by_the_next(folder):
    """Killed between the merging and the measuring: no dead row tells of it any more."""

    class Cut(Exception):
        pass

    def never(seen: Snapshot) -> dict[str, np.ndarray]:
        raise Cut

    with writer(folder) as store:
        store.remove(store.catalog.items([5]))
        with pytest.raises(Cut):
            compact(store, measure=never)
    with writer(folder) as store:
        compact(store, measure=measure)
    assert 5 not in measured(folder)


def test_without_a_measure_what_must_not_stay_is_dropped(folder):
    with writer(folder) as store:
        store.remove(store.catalog.items([5]))
        compact(store)
    assert files(folder) == []
    assert snapshot(folder).statistics is None
    assert verify(folder, full=True).ok


def test_a_writer_keeps_the_named_file_and_sweeps_any_other(folder):
    (kept,) = files(folder)
    (folder.derived / "0123.safetensors").write_bytes(b"left by a killed writer")
    with writer(folder):
        pass
    assert files(folder) == [kept]


def test_an_index_from_before_is_read_without_and_written_with(folder):
    with writer(folder) as store, store.catalog.write() as db:
        db.execute("DROP TABLE statistics")
    (left,) = files(folder)
    catalog = Catalog.open(folder.catalog, writable=False)
    assert catalog.statistics() is None
    catalog.close()
    assert snapshot(folder).statistics is None
    assert verify(folder, full=True).ok
    with writer(folder) as store:
        assert left not in files(folder), "nothing names it any more"
        generation = store.catalog.generation()
        assert refresh_statistics(store, measure)
        assert store.catalog.generation() == generation + 1
        store.commit(Batch(rows=[row(50)]))
    assert measured(folder) == list(range(1, 21))
