"""What a run does with what it finds: found by hand, counted, written once."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.indexing.sources import is_gone
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from tests.painting import BLUE, GREEN, RED, SIZE, noise, plain, save


@pytest.fixture
def index(tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        yield index


def test_every_named_source_is_taken_and_no_file_twice(index, tmp_path):
    p = tmp_path / "p"
    save(p / "a.png", plain(RED))
    save(p / "sub" / "b.png", plain(BLUE))
    save(p / ".hidden" / "c.png", plain(GREEN))
    save(p / "plain.png", noise(1)).rename(p / "scan")
    report = index.add([p, p / "sub", p, p / ".hidden", p / "scan"])
    assert (report.seen, report.added) == (4, 4)
    with pytest.raises(InvalidInput, match=r"there is no file or folder .*typo"):
        index.add([p, p / "typo"])


def test_prune_looks_at_places_not_at_how_they_were_named(index, tmp_path):
    p = tmp_path / "p"
    save(p / "sub" / "0.png", plain(RED))
    save(p / "sub" / "1.png", plain(BLUE))
    save(p / "2.png", plain(GREEN))
    index.add(p / "sub")
    index.add(p)
    (p / "sub" / "0.png").unlink()
    assert index.add(p).vanished == 1
    assert len(index) == 3
    report = index.add(p, prune=True)
    assert (report.vanished, report.pruned, len(index)) == (1, 1, 2)
    (p / "sub" / "1.png").unlink()
    save(p / "sub" / "other.png", noise(2))
    assert index.add(p / "sub", prune=True).pruned == 1


def test_an_empty_folder_is_not_pruned_beside_a_full_one(index, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    save(a / "1.png", plain(RED))
    save(b / "2.png", plain(BLUE))
    index.add([a, b])
    (b / "2.png").unlink()
    with pytest.raises(InvalidInput, match="is its drive mounted"):
        index.add([a, b], prune=True)
    assert len(index) == 2
    save(b / "3.png", noise(1))
    assert index.add([a, b], prune=True).pruned == 1


def test_gone_means_known_not_to_be_there(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert is_gone(str(tmp_path / "nothing"))
    assert is_gone(str(tmp_path / "file" / "below"))
    assert is_gone(str(tmp_path / "folder")), "a folder has taken the picture's place"
    assert not is_gone(str(tmp_path / "file"))
    assert not is_gone(str(tmp_path / ("n" * 400))), "a name one cannot ask about"


def test_a_moved_picture_keeps_id_and_labels_and_counts_as_updated(index, tmp_path):
    p = tmp_path / "p"
    save(p / "cats" / "a.png", plain(RED))
    index.add(p, labels="folders")
    (hit,) = index.search(1)
    (p / "dogs").mkdir()
    (p / "cats" / "a.png").rename(p / "dogs" / "b.png")
    report = index.add(p, labels="folders")
    assert (report.updated, report.moved, report.encoded, report.seen) == (1, 1, 0, 1)
    (after,) = index.search(1)
    assert (after.id, after.path, after.labels) == (hit.id, str(p / "dogs" / "b.png"), ("dogs",))


def test_a_copy_does_not_take_the_id_of_a_picture_on_an_unplugged_drive(index, tmp_path):
    drive, copies = tmp_path / "drive", tmp_path / "copies"
    save(drive / "a.png", plain(RED))
    index.add(drive)
    copies.mkdir()
    shutil.move(drive / "a.png", copies / "a.png")  # the drive's folder is empty now
    report = index.add(copies)
    assert (report.added, report.moved, len(index)) == (1, 0, 2)


def test_two_copies_are_two_items(index, tmp_path):
    first = save(tmp_path / "p" / "a.png", plain(RED))
    shutil.copy(first, tmp_path / "p" / "b.png")
    assert index.add(tmp_path / "p").added == 2
    shutil.copy(first, tmp_path / "p" / "later.png")
    report = index.add(tmp_path / "p")
    assert (report.added, report.moved, report.unchanged) == (1, 0, 2)
    assert index.item(1).path == str(first)


def test_a_time_beyond_what_64_bits_hold_is_no_trouble(index, tmp_path):
    path = save(tmp_path / "p" / "a.png", plain(RED))
    os.utime(path, ns=(10**18, 10_400_000_000 * 10**9))
    if path.stat().st_mtime_ns < 1 << 63:
        # This file system cannot keep such a time; what it keeps must work all the same.
        os.utime(path, (0, -1))
    assert index.add(tmp_path / "p").added == 1
    assert index.add(tmp_path / "p").unchanged == 1


def test_a_picture_that_is_whole_again_is_no_failure_any_more(index, tmp_path):
    path = save(tmp_path / "p" / "a.png", plain(RED))
    index.add(tmp_path / "p")
    good, when = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(good[:40])
    assert index.add(tmp_path / "p").refused == 1
    assert len(index.failures()) == 1
    path.write_bytes(good)
    os.utime(path, ns=(when, when))
    assert index.add(tmp_path / "p").unchanged == 1
    assert index.failures() == []


def test_a_table_reaches_items_outside_the_sources_and_names_the_rest(index, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    save(a / "1.png", plain(RED))
    save(b / "2.png", plain(BLUE))
    index.add(a)
    table = tmp_path / "labels.csv"
    table.write_text("path,label,camera\na/1.png,old,A7\nb/2.png,new,\nb/3.png,none,\n")
    report = index.add(b, labels=table)
    assert report.unmatched == [str(b / "3.png")]
    assert [index.item(i).labels for i in (1, 2)] == [("old",), ("new",)]
    assert index.item(1).metadata == {"camera": "A7"}
    table.write_text("path,label\na/1.png,newer\n")
    assert index.add(a, labels=table).relabelled == 1
    assert index.item(1).labels == ("newer",)


def test_removed_stays_out_until_it_changes(index, tmp_path):
    path = save(tmp_path / "p" / "a.png", plain(RED))
    save(tmp_path / "p" / "b.png", plain(BLUE))
    index.add(tmp_path / "p")
    assert index.remove(path) == 1
    report = index.add(tmp_path / "p")
    assert (report.unchanged, report.left_out, len(index)) == (2, 1, 1)
    os.utime(path)
    assert index.add(tmp_path / "p").left_out == 1, "another time alone is no change"
    save(path, noise(3))
    assert index.add(tmp_path / "p").added == 1
    assert index.remove([path]) == 1
    assert index.add(tmp_path / "p", readd=True).added == 1


def test_stopping_ends_after_what_is_encoded(index, tmp_path):
    for seed in range(120):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 130

    report = index.add(tmp_path / "p", stop=stop)
    assert report.stopped
    assert 0 < len(index) == report.added < 120
    assert index.add(tmp_path / "p").added == 120 - report.added
    assert len(index) == 120


def test_progress_never_calls_committed_what_is_not(index, tmp_path, monkeypatch):
    monkeypatch.setattr("dinosearch.indexing.committer.BATCH_ROWS", 10)
    for seed in range(45):
        save(tmp_path / "p" / f"{seed:02d}.png", noise(seed))
    wrong = []

    def check(progress):
        if progress.committed:
            with dinosearch.open(tmp_path / "x") as reader:
                if len(reader) < progress.committed:
                    wrong.append(progress)

    index.add(tmp_path / "p", progress=check)
    assert len(index) == 45
    assert not wrong


def test_lengths_of_tokens_are_kept_and_padding_has_none(tmp_path, monkeypatch):
    path = save(tmp_path / "p" / "a.png", noise(1))
    with Image.open(path) as picture:
        picture.crop((0, 0, SIZE, SIZE // 2)).save(path)
    encoder = dinosearch.load_encoder("colour", size=SIZE, fit="pad")
    honest = encoder.encode_views
    lengths = np.arange(1, 101, dtype=np.float32)[None]
    monkeypatch.setattr(
        encoder, "encode_views", lambda views: replace(honest(views), patch_norms=lengths)
    )
    with dinosearch.create(tmp_path / "x", encoder=encoder) as index:
        index.add(path)
    folder = Folder(tmp_path / "x")
    catalog = Catalog.open(folder.catalog, writable=False)
    seen = Snapshot(folder, catalog, fingerprint=encoder.fingerprint.digest, previous=None)
    (norms,) = seen.segment(0).norms([0])
    shown = seen.tokens(0).any(axis=1)
    assert shown.sum() == 60, "six of ten rows, the outer two of them half padding"
    assert (norms[shown] == lengths[0, shown]).all()
    assert (norms[~shown] == 0).all()
