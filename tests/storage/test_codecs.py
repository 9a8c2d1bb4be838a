"""Token codecs: what comes back, what it costs, and that an index keeps to one of them."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.storage import codecs
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.index_codec import IndexCodec, check_codec, codec_name
from dinosearch.storage.segments import Segment
from dinosearch.storage.upkeep import compact
from dinosearch.storage.verify import verify
from dinosearch.storage.writer import Batch, Writer
from tests.storage.layout1 import as_layout_1
from tests.storage.store import FINGERPRINT, PATCH_DIM, create, features, fill, norms, row, writer

LEAST_HERE = 300
"""Tokens that teach a codebook here: of 50 pictures of 6."""


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    monkeypatch.setattr(codecs, "TRAINING_LEAST", LEAST_HERE)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def tokens_of(dim, count=20, patches=100, rank=None):
    """Unit tokens [count, patches, dim] that lie in a space of `rank` directions."""
    rng = np.random.default_rng(dim)
    rows = rng.normal(size=(count, patches, rank or dim))
    return unit(rows @ rng.normal(size=(rank or dim, dim))).astype(np.float16)


def made(name, tokens):
    if codecs.is_trained(name):
        codec = codecs.train(name, list(tokens))
        assert codec is not None
        return codec
    return codecs.plain(name, tokens.shape[-1])


def test_int8_worked_by_hand():
    codec = codecs.plain("int8", 2)
    coded = codec.encode(np.array([[0.6, 0.8], [0, -1], [0, 0]], dtype=np.float32))
    # 0.8 becomes 127, and 0.6 / 0.8 * 127 = 95.25 becomes 95.
    assert coded.codes.tolist() == [[95, 127], [0, -127], [0, 0]]
    assert coded.scales is not None
    lengths = [np.hypot(95, 127), 127, np.inf]
    assert coded.scales == pytest.approx([1 / one for one in lengths], rel=1e-3)
    read = codec.decode(coded)
    assert read.dtype == np.float16
    assert read.tolist() == pytest.approx(np.array([[95, 127], [0, -127], [0, 0]]) / np.array(
        [[158.6], [127], [1]]), abs=1e-3)  # fmt: skip


@pytest.mark.parametrize("name", codecs.NAMES)
def test_what_is_read_is_near_what_was_written(name):
    """Bars: a few times the error that the codec has by its step, on random tokens."""
    tokens = tokens_of(16, rank=8)
    codec = made(name, tokens)
    read = codec.decode(codec.encode(tokens[0]))
    assert read.dtype == np.float16
    assert read.shape == tokens[0].shape
    assert np.linalg.norm(read.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)
    cosine = (read.astype(np.float32) * tokens[0]).sum(axis=1)
    bar = {"fp16": 0.999, "int8": 0.999, "pca-int8": 0.93, "pq": 0.99}[name]
    assert cosine.min() > bar


@pytest.mark.parametrize("name", codecs.NAMES)
def test_padding_stays_zero(name):
    tokens = tokens_of(8)
    codec = made(name, tokens)
    with_padding = tokens[0].copy()
    with_padding[10:20] = 0
    read = codec.decode(codec.encode(with_padding))
    assert (read[10:20] == 0).all()
    assert (read[:10] == codec.decode(codec.encode(tokens[0]))[:10]).all()


def test_half_precision_is_exact_and_coding_int8_again_changes_nothing():
    tokens = tokens_of(64)[0]
    exact, int8 = codecs.plain("fp16", 64), codecs.plain("int8", 64)
    assert (exact.decode(exact.encode(tokens)) == tokens).all()
    once = int8.encode(tokens)
    assert (int8.encode(int8.decode(once)).codes == once.codes).all()


@pytest.mark.parametrize(
    ("name", "width", "token_bytes"), [("fp16", 16, 32), ("int8", 16, 18), ("pq", 8, 10)]
)
def test_bytes(name, width, token_bytes):
    codec = made(name, tokens_of(16))
    assert (codec.width, codec.token_bytes) == (width, token_bytes)
    assert codec.encode(tokens_of(16)[0]).nbytes == 100 * token_bytes


def test_pca_keeps_the_directions_that_hold_the_energy():
    tokens = tokens_of(32, rank=8)
    codec = made("pca-int8", tokens)
    assert codec.width == 8
    assert codec.codebook @ codec.codebook.T == pytest.approx(np.eye(8), abs=1e-5)
    read = codec.decode(codec.encode(tokens[3])).astype(np.float32)
    assert (read * tokens[3]).sum(axis=1).min() > 0.999, "all of the energy is in eight"
    # A score against a code is that of the projected query.
    query = tokens[0, 0].astype(np.float32)
    coded = codec.encode(tokens[3])
    short = (coded.codes @ (codec.codebook @ query)) * coded.scales
    assert short == pytest.approx(read @ query, abs=2e-3)


def test_a_prime_width_is_one_code():
    codec = made("pq", tokens_of(7))
    assert (codec.width, codec.dim) == (1, 7)


def test_too_few_tokens_teach_nothing_and_padding_does_not_count():
    tokens = [np.zeros((LEAST_HERE, 4), np.float16), *tokens_of(4, count=1, patches=299)]
    assert codecs.train("pq", tokens) is None
    assert codecs.train("pq", [*tokens, tokens_of(4, count=1, patches=1)[0]]) is not None


# -- in an index ------------------------------------------------------------------------


def segments(folder):
    catalog = Catalog.open(folder.catalog, writable=False)
    rows = catalog.live_segments()
    catalog.close()
    return [Segment(folder, row, fingerprint=FINGERPRINT) for row in rows]


@pytest.fixture(params=["int8", "pca-int8", "pq"])
def folder(request, tmp_path):
    folder = create(tmp_path / "x", tokens=request.param)
    with writer(folder) as store:
        fill(store, range(60), per_batch=60)
        fill(store, range(60, 80), per_batch=10)
    return folder


def test_every_segment_holds_the_codes_of_the_one_codebook(folder):
    first, second, third = segments(folder)
    assert first.codec.name == codec_name(Catalog.open(folder.catalog, writable=False))
    assert first.codec.writes_like(second.codec)
    assert first.codec.writes_like(third.codec)
    for segment, start in ((first, 0), (second, 60), (third, 70)):
        for n in range(segment.rows):
            exact = features(start + n)[1]
            coded = segment.codec.encode(exact)
            assert (segment.coded([n]).codes[0] == coded.codes).all()
            assert (segment.coded([n]).scales[0] == coded.scales).all()
            assert (segment.tokens([n])[0] == segment.codec.decode(coded)).all()
            assert (segment.norms([n])[0] == norms(start + n)).all()
    assert verify(folder, full=True).ok


def test_any_hdf5_tool_reads_codes_and_scales(folder):
    segment = segments(folder)[0]
    with h5py.File(folder.segments / segment.name) as file:
        assert file.attrs["codec"].decode() == segment.codec.name
        assert (file["tokens"][5] == segment.coded([5]).codes[0]).all()
        assert (file["scales"][5] == segment.coded([5]).scales[0]).all()
        if segment.codec.codebook is not None:
            assert (file["codebook"][:] == segment.codec.codebook).all()


def test_rows_come_in_the_order_asked_for_from_threads(folder):
    from concurrent.futures import ThreadPoolExecutor

    segment = segments(folder)[0]
    alone = [segment.tokens([n])[0] for n in range(60)]
    fresh = segments(folder)[0]
    orders = [np.random.default_rng(seed).permutation(60) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for order, tokens in zip(orders, threads.map(fresh.tokens, orders), strict=True):
            assert all((tokens[i] == alone[n]).all() for i, n in enumerate(order))


def test_compaction_copies_codes_and_chosen_tokens_as_they_are(folder):
    before = {}
    for segment in segments(folder):
        codes, scales = segment.chosen
        for n, item in enumerate(segment.ids.tolist()):
            one = segment.stored(n)
            before[item] = (one.coded.codes, one.coded.scales, codes[n], scales[n])
    with writer(folder) as store:
        store.remove(store.catalog.items([3, 61]))
        compact(store)
    (segment,) = segments(folder)
    codes, scales = segment.chosen
    assert segment.ids.tolist() == sorted(set(before) - {3, 61})
    for n, item in enumerate(segment.ids.tolist()):
        one = segment.stored(n)
        now = (one.coded.codes, one.coded.scales, codes[n], scales[n])
        assert all((a == b).all() for a, b in zip(before[item], now, strict=True))
        assert (segment.norms([n])[0] == norms(item - 1)).all()
    assert verify(folder, full=True).ok


def test_a_second_compaction_finds_nothing_to_do(tmp_path):
    """Of 21 kB a picture 23 fit: two segments of 10 are merged, and stay so."""
    folder = create(tmp_path / "x", tokens="int8")
    large = tokens_of(32, count=60, patches=400)
    with Writer(folder, fingerprint=FINGERPRINT, grid=(20, 20), min_free=0) as store:
        for start in range(0, 60, 10):
            numbers = range(start, start + 10)
            store.commit(
                Batch(rows=[replace(row(n), tokens=large[n], norms=None) for n in numbers])
            )
        compact(store, token_budget=500_000)
        rows = store.catalog.live_segments()
        assert [one.rows for one in rows] == [20, 20, 20]
        compact(store, token_budget=500_000)
        assert store.catalog.live_segments() == rows


def test_damage_in_codes_scales_and_codebook_is_caught(folder):
    segment = segments(folder)[0]
    path = folder.segments / segment.name
    clean = path.read_bytes()
    one = segment.stored(5)
    for part in (one.coded.codes, one.coded.scales):
        changed = bytearray(part.tobytes())
        changed[3] ^= 0x10
        # Of few tokens all are chosen, so that their codes stand in the file twice.
        path.write_bytes(clean.replace(part.tobytes(), bytes(changed)))
        with pytest.raises(UnusableIndex, match="tokens of item 6 have changed"):
            segments(folder)[0].tokens([5])
    if segment.codec.codebook is not None:
        data = bytearray(clean)
        data[clean.index(segment.codec.codebook.tobytes()) + 3] ^= 0x10
        path.write_bytes(data)
        with pytest.raises(UnusableIndex, match="codebook has changed"):
            segments(folder)
        assert not verify(folder, full=True).ok
        with h5py.File(path, "r+") as file:
            del file["codebook"]
            file.create_dataset("codebook", data=np.zeros((3, 5), "<f4"))
        catalog = Catalog.open(folder.catalog, writable=True)
        with catalog.write() as db:
            size = path.stat().st_size
            db.execute("UPDATE segments SET bytes = ? WHERE name = ?", [size, path.name])
        with pytest.raises(UnusableIndex, match="does not fit its codec"):
            segments(folder)


def test_until_there_are_tokens_enough_pictures_are_kept_exactly(tmp_path):
    folder = create(tmp_path / "x", tokens="pq")
    with writer(folder) as store:
        fill(store, range(40), per_batch=20)
        assert [one.codec.name for one in segments(folder)] == ["fp16", "fp16"]
        fill(store, range(40, 100), per_batch=60)
        assert [one.codec.name for one in segments(folder)] == ["fp16", "fp16", "pq"]
        book = segments(folder)[-1].codec
    with writer(folder) as store:
        fill(store, range(100, 105))
        compact(store)
    (segment,) = segments(folder)
    assert segment.codec.writes_like(book)
    assert (segment.tokens([7])[0] == book.decode(book.encode(features(7)[1]))).all()
    assert verify(folder, full=True).ok


def test_merging_may_teach_the_codebook(tmp_path):
    folder = create(tmp_path / "x", tokens="pq")
    with writer(folder) as store:
        fill(store, range(80), per_batch=20)
        compact(store)
    (segment,) = segments(folder)
    assert (segment.codec.name, segment.rows) == ("pq", 80)


def test_the_first_layout_goes_on_in_half_precision(tmp_path):
    folder = create(tmp_path / "x")
    with writer(folder) as store:
        fill(store, range(5))
    as_layout_1(folder)
    catalog = Catalog.open(folder.catalog, writable=True)
    with catalog.write() as db:
        db.execute("DELETE FROM meta WHERE key = 'tokens'")
    catalog.close()
    with writer(folder) as store:
        store.commit(Batch(rows=[row(7)]))
    old, new = segments(folder)
    assert (old.layout, new.layout, new.codec.name) == (1, 2, "fp16")
    assert (new.tokens([0])[0] == features(7)[1]).all()


def test_a_codec_nobody_knows(tmp_path):
    with pytest.raises(InvalidInput, match="fp16, int8, pca-int8, pq, not 'zip'"):
        check_codec("zip")
    folder = create(tmp_path / "x", tokens="zip")
    with pytest.raises(UnusableIndex, match="keeps tokens as 'zip'"):
        writer(folder)
    catalog = Catalog.open(folder.catalog, writable=False)
    with pytest.raises(UnusableIndex):
        IndexCodec(folder, catalog, fingerprint=FINGERPRINT)


def test_the_newest_segment_gives_the_codebook_to_the_next_writer(tmp_path):
    folder = create(tmp_path / "x", tokens="pca-int8")
    with writer(folder) as store:
        fill(store, range(60))
    catalog = Catalog.open(folder.catalog, writable=False)
    never = lambda: pytest.fail("a codebook is learned once")  # noqa: E731
    again = IndexCodec(folder, catalog, fingerprint=FINGERPRINT).choose(PATCH_DIM, never)
    assert again.writes_like(segments(folder)[0].codec)
