"""What the catalog tells: pages, counts, copies, where a picture was found."""

from __future__ import annotations

import os

import pytest

from dinosearch.search.filters import parse_filters
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.writer import Batch, Origin, Row
from tests.storage.store import create, fill, row, writer


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """The numbers 0 to 99, with the ids 1 to 100; 7, 19 and 20 are removed."""
    folder = create(tmp_path_factory.mktemp("store") / "x")
    with writer(folder) as store:
        fill(store, range(100))
        store.remove(store.catalog.items([8, 20, 21]))
    catalog = Catalog.open(folder.catalog, writable=False)
    yield catalog
    catalog.close()


def pages(catalog, conditions, limit):
    """All ids, page after page."""
    found: list[list[int]] = []
    for _ in range(60):
        after = found[-1][-1] if found else 0
        page = catalog.page(conditions, after=after, limit=limit)
        if not page:
            return found
        assert len(page) <= limit
        found.append([item.id for item in page])
    raise AssertionError("the pages do not end")


def test_pages_hold_every_item_once_by_id(catalog):
    everything = pages(catalog, [], 30)
    assert [len(page) for page in everything] == [30, 30, 30, 7]
    ids = [one for page in everything for one in page]
    assert ids == [n for n in range(1, 101) if n not in (8, 20, 21)]


def test_pages_hold_what_the_filters_leave(catalog):
    conditions = parse_filters(["label:odd", "path:0001"])  # 00010.png to 00019.png
    assert pages(catalog, conditions, 2) == [[12, 14], [16, 18]]
    assert catalog.page(conditions, after=16, limit=9)[0].path == "/pictures/00017.png"
    assert catalog.page(conditions, after=18, limit=9) == []


def test_counts_agree_with_pages(catalog):
    for filters, count in (
        ([], 97),
        (["label:even"], 49),
        (["-label:even"], 48),
        (["label:even", "label:odd"], 0),
        (["meta.number:40..49"], 10),
    ):
        conditions = parse_filters(filters)
        assert catalog.count(conditions) == count
        assert sum(len(page) for page in pages(catalog, conditions, 20)) == count


def test_items_know_their_source_and_their_path_below_it(catalog):
    item = catalog.item(10)
    assert (item.source, item.relative_path) == ("/pictures", "00009.png")


def of_content(path: bytes, source: str, content: int) -> Row:
    made = row(content)
    origin = Origin(os.fsdecode(path), source, f"{content:064x}", 10, 20)
    return Row(**{**vars(made), "origin": origin})


def test_copies_are_grouped_under_the_smallest_id_of_their_content(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        store.commit(Batch(rows=[of_content(b"/p/%d.png" % n, "/p", n) for n in (1, 2, 3)]))
        store.commit(Batch(rows=[of_content(b"/q/%d.png" % n, "/q", n) for n in (3, 1, 1000)]))
        store.commit(Batch(rows=[of_content(b"/q/deep/3.png", "/q", 3)]))
        assert store.catalog.copies().tolist() == [[1, 1], [3, 3], [4, 3], [5, 1], [7, 3]]
        assert [item.id for item in store.catalog.items_of_content(f"{3:064x}")] == [3, 4, 7]
        assert store.catalog.items([7])[0].relative_path == "deep/3.png"
        store.remove(store.catalog.items([3]))
        assert store.catalog.copies().tolist() == [[1, 1], [4, 4], [5, 1], [7, 4]]
        store.remove(store.catalog.items([4, 5]))
        assert store.catalog.copies().shape == (0, 2)


def test_a_name_that_is_not_utf_8_has_a_relative_path_too(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        store.commit(Batch(rows=[of_content(b"/p/\xff/a\n.png", "/p", 1)]))
        (item,) = store.catalog.items([1])
    assert os.fsencode(item.relative_path) == b"\xff/a\n.png"
