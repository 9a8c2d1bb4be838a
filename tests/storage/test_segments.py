from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.chosen import choose
from dinosearch.storage.codecs import Exact
from dinosearch.storage.segment_file import LONGEST_NORM, stored, write_segment
from dinosearch.storage.segments import Segment
from dinosearch.storage.upkeep import compact
from dinosearch.storage.verify import verify
from tests.storage.layout1 import as_layout_1
from tests.storage.store import FINGERPRINT, GRID, create, features, fill, norms, snapshot, writer


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
            assert (file["norms"][n] == norms(n)).all()
        assert file["chosen"].shape == (12, 6, 6)
        assert file["checks"].shape == (12, 4)
        assert "scales" not in file


def test_rows_come_in_the_order_asked_for(folder):
    tokens = opened(folder).tokens([11, 0, 5])
    assert all((tokens[i] == features(n)[1]).all() for i, n in enumerate((11, 0, 5)))


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_is_reported_and_never_read(folder, seed):
    """Whatever byte changes: opening or reading says so, or what is read is untouched."""
    (path,) = folder.segments.iterdir()
    original = tuple(np.array(part) for part in opened(folder).chosen)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    assert not verify(folder, full=True).ok
    try:
        segment = opened(folder)
        cls, tokens = segment.cls, segment.tokens(range(12))
        lengths, (codes, scales) = segment.norms(range(12)), segment.chosen
    except UnusableIndex:
        pass
    else:
        assert (codes == original[0]).all()
        assert (scales == original[1]).all()
        assert all((lengths[n] == norms(n)).all() for n in range(12))
        assert all((cls[n] == features(n)[0]).all() for n in range(12))
        assert all((tokens[n] == features(n)[1]).all() for n in range(12))


def test_damage_within_the_vectors_is_always_caught(folder):
    (path,) = folder.segments.iterdir()
    clean = path.read_bytes()
    codes, scales = (np.array(part) for part in opened(folder).chosen)
    reads = {
        features(5)[1].tobytes(): lambda segment: segment.tokens([5]),
        features(5)[0].tobytes(): lambda segment: segment.cls,
        codes[5].tobytes(): lambda segment: segment.chosen,
        scales[5].tobytes(): lambda segment: segment.chosen,
        norms(5).astype(np.float16).tobytes(): lambda segment: segment.norms([5]),
    }
    for part, read in reads.items():
        assert clean.count(part) == 1
        data = bytearray(clean)
        data[clean.index(part) + 7] ^= 0x10
        path.write_bytes(data)
        segment = opened(folder)
        with pytest.raises(UnusableIndex, match=r"item 6 (has|have) changed"):
            read(segment)


@pytest.mark.parametrize("name", ["cls", "norms", "chosen", "chosen_scales"])
def test_a_file_that_reads_another_file_is_refused(folder, tmp_path, name):
    """HDF5 can point a dataset at any file of the system; a segment may not."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 4096)
    (path,) = folder.segments.iterdir()
    with h5py.File(path, "r+") as file:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    vouch_for(folder)
    with pytest.raises(UnusableIndex, match="own plain data"):
        opened(folder)


def vouch_for(folder):
    """A catalog that says the file has the size it has now."""
    (path,) = folder.segments.iterdir()
    catalog = Catalog.open(folder.catalog, writable=True)
    with catalog.write() as db:
        db.execute("UPDATE segments SET bytes = ?", [path.stat().st_size])


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "complaint"),
    [
        ("norms", (12, 5), "<f2", "not <f2"),
        ("norms", (12, 6), "<f4", "not <f2"),
        ("chosen", (12, 6, 5), "|i1", r"not \|i1 \(12, 6, 6\)"),
        ("chosen", (11, 6, 6), "|i1", r"not \|i1 \(12, 6, 6\)"),
        ("chosen_scales", (12, 7), "<f2", "not <f2"),
        ("checks", (12, 2), "<u4", "not <u4"),
        ("tokens", (12, 6, 6), "|i1", "not <f2"),
    ],
)
def test_datasets_of_another_type_or_shape_are_refused(folder, name, shape, dtype, complaint):
    (path,) = folder.segments.iterdir()
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, data=np.zeros(shape, dtype))
    vouch_for(folder)
    with pytest.raises(UnusableIndex, match=complaint):
        opened(folder)


def test_a_link_to_another_place_is_refused(folder):
    (path,) = folder.segments.iterdir()
    with h5py.File(path, "r+") as file:
        del file["norms"]
        file["norms"] = h5py.SoftLink("/cls")
    vouch_for(folder)
    with pytest.raises(UnusableIndex, match="norms is a link"):
        opened(folder)


def test_an_unknown_codec_is_refused(folder):
    (path,) = folder.segments.iterdir()
    with h5py.File(path, "r+") as file:
        file.attrs["codec"] = np.bytes_("zip")
    vouch_for(folder)
    with pytest.raises(UnusableIndex, match="its codec 'zip' is not known"):
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
    codec = Exact(6)
    with pytest.raises(ValueError, match=r"unit length|finite"):
        write_segment(
            folder,
            np.array([99]),
            cls,
            (stored(one, None, codec) for one in tokens),
            codec=codec,
            fingerprint=FINGERPRINT,
            grid=GRID,
        )
    assert len(list(folder.segments.iterdir())) == 1


def test_an_open_reader_outlives_the_file(folder):
    segment = opened(folder)
    shutil.rmtree(folder.segments)
    assert (segment.tokens([3])[0] == features(3)[1]).all()


def test_norms_come_back_and_very_long_ones_stay_finite(folder):
    assert (opened(folder).norms([11, 2]) == np.stack([norms(11), norms(2)])).all()
    _, tokens = features(1)
    lengths = np.array([0, 1, 2, 3, 7e4, 1e9], dtype=np.float32)
    kept = stored(tokens, lengths, Exact(6)).norms
    assert kept.tolist() == [0, 1, 2, 3, LONGEST_NORM, LONGEST_NORM]


def test_chosen_tokens_are_those_of_the_exact_tokens_in_one_byte_a_number(folder, monkeypatch):
    segment = opened(folder)
    codes, scales = segment.chosen
    assert (codes.dtype, codes.shape, scales.dtype) == (np.int8, (12, 6, 6), np.float16)
    for n in range(12):
        meant = choose(features(n)[1], 200)
        read = codes[n].astype(np.float32) * scales[n, :, None].astype(np.float32)
        # Half a step of the rounding, of numbers of 1 at most.
        assert np.abs(read - meant).max() <= 0.5 / 127 + 1e-3
    assert codes.offset % 64 == 0, "so that it can be mapped by anyone"


def test_padding_is_never_chosen():
    rng = np.random.default_rng(0)
    tokens = np.abs(rng.normal(size=(400, 8))) + 0.1
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    tokens[100:] = 0
    few = stored(tokens, None, Exact(8)).chosen
    assert few.codes.shape == (200, 8)
    assert few.codes[:100].any(axis=1).all()
    assert not few.codes[100:].any()
    assert few.scales is not None
    assert (few.scales[100:] == 0).all()
    tokens[100:250] = tokens[:100].repeat(2, axis=0)[:150]
    full = stored(tokens, None, Exact(8)).chosen
    assert full.codes.any(axis=1).all()


def test_segments_of_the_first_layout_are_read_as_ever(folder):
    before = [np.array(part) for part in opened(folder).chosen]
    as_layout_1(folder)
    segment = opened(folder)
    assert segment.layout == 1
    assert all((segment.cls[n] == features(n)[0]).all() for n in range(12))
    assert all((segment.tokens([n])[0] == features(n)[1]).all() for n in range(12))
    assert np.isnan(segment.norms([3])).all()
    assert all((a == b).all() for a, b in zip(before, segment.chosen, strict=True))
    assert verify(folder, full=True).ok
    (path,) = folder.segments.iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(features(5)[1].tobytes()) + 7] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(UnusableIndex, match="item 6 have changed"):
        opened(folder).tokens([5])


def test_compaction_brings_the_first_layout_to_the_second(folder):
    as_layout_1(folder)
    with writer(folder) as store:
        fill(store, range(12, 20))
        store.remove(store.catalog.items([1]))
        compact(store)
    segment = opened(folder)
    assert (segment.layout, segment.ids.tolist()) == (2, list(range(2, 21)))
    for row, n in enumerate(range(1, 20)):
        assert (segment.tokens([row])[0] == features(n)[1]).all()
    assert np.isnan(segment.norms(range(11))).all(), "nobody knows them any more"
    assert (segment.norms([11])[0] == norms(12)).all()
    assert verify(folder, full=True).ok
    assert len(snapshot(folder)) == 19
