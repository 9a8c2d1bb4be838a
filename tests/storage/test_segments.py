from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.segments import Segment, write_segment
from dinosearch.storage.verify import verify
from tests.storage.store import FINGERPRINT, GRID, create, features, fill, writer


@pytest.fixture
def folder(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(12))
    return folder


def opened(folder):
    (row,) = Catalog.open(folder.catalog, writable=False).live_segments()
    return Segment(folder, row, fingerprint=FINGERPRINT)


def test_any_hdf5_tool_reads_a_segment(folder):
    (path,) = folder.segments.iterdir()
    with h5py.File(path) as file:
        assert file["ids"][:].tolist() == list(range(1, 13))
        assert file["tokens"].chunks == (1, 6, 6)
        assert file["tokens"].compression is None
        for n in range(12):
            assert (file["cls"][n] == features(n)[0]).all()
            assert (file["tokens"][n] == features(n)[1]).all()


def test_rows_come_in_the_order_asked_for(folder):
    tokens = opened(folder).tokens([11, 0, 5])
    assert all((tokens[i] == features(n)[1]).all() for i, n in enumerate((11, 0, 5)))


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_is_reported_and_never_read(folder, seed):
    """Whatever byte changes: opening or reading says so, or what is read is untouched."""
    (path,) = folder.segments.iterdir()
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    assert not verify(folder, full=True).ok
    try:
        segment = opened(folder)
        cls, tokens = segment.cls, segment.tokens(range(12))
    except UnusableIndex:
        pass
    else:
        assert all((cls[n] == features(n)[0]).all() for n in range(12))
        assert all((tokens[n] == features(n)[1]).all() for n in range(12))


def test_damage_within_the_vectors_is_always_caught(folder):
    (path,) = folder.segments.iterdir()
    clean = path.read_bytes()
    at_tokens = clean.index(features(5)[1].tobytes()) + 7
    at_cls = clean.index(features(5)[0].tobytes()) + 7
    for place in (at_tokens, at_cls):
        data = bytearray(clean)
        data[place] ^= 0x10
        path.write_bytes(data)
        segment = opened(folder)
        with pytest.raises(UnusableIndex, match=r"item 6 (has|have) changed"):
            _ = segment.tokens([5]) if place == at_tokens else segment.cls


def test_a_file_that_reads_another_file_is_refused(folder, tmp_path):
    """HDF5 can point a dataset at any file of the system; a segment may not."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 4096)
    (path,) = folder.segments.iterdir()
    with h5py.File(path, "r+") as file:
        shape, dtype = file["cls"].shape, file["cls"].dtype
        del file["cls"]
        file.create_dataset("cls", shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    catalog = Catalog.open(folder.catalog, writable=True)
    with catalog.write() as db:  # even a catalog that vouches for the size
        db.execute("UPDATE segments SET bytes = ?", [path.stat().st_size])
    with pytest.raises(UnusableIndex, match="own plain data"):
        opened(folder)


def test_a_segment_of_another_encoder_is_refused(folder):
    (row,) = Catalog.open(folder.catalog, writable=False).live_segments()
    with pytest.raises(UnusableIndex, match="another encoder"):
        Segment(folder, row, fingerprint="fedcba9876543210")


@pytest.mark.parametrize("bad", ["zero", "nan", "token"])
def test_vectors_without_a_direction_are_not_written(folder, bad):
    cls, tokens = (np.stack([f]) for f in features(1))
    if bad == "zero":
        cls[:] = 0
    elif bad == "nan":
        cls[0, 0] = np.nan
    else:
        tokens[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"unit length|finite"):
        write_segment(folder, np.array([99]), cls, tokens, fingerprint=FINGERPRINT, grid=GRID)
    assert len(list(folder.segments.iterdir())) == 1


def test_an_open_reader_outlives_the_file(folder):
    segment = opened(folder)
    shutil.rmtree(folder.segments)
    assert (segment.tokens([3])[0] == features(3)[1]).all()
