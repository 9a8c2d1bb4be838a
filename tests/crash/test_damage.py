"""Bytes of stored files flipped, cut and zeroed: found by verify, never searched in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import UnusableIndex
from dinosearch.storage import segments
from dinosearch.storage.folder import Folder
from tests.crash.commands import Forks
from tests.crash.corpus import SIZE, draw_many
from tests.crash.scenarios import index_arguments

CONSTANTS = {"BATCH_ROWS": 16, "batch_size": 16, "SMALLEST": 32}

KINDS = {
    "segment": ("segments/*.h5", 24),
    "faiss": ("derived/*.faiss", 12),
    "statistics": ("derived/*.safetensors", 6),
    "manifest": ("manifest.json", 8),
    "catalog": ("catalog.sqlite", 14),
    "thumbs": ("derived/thumbs.sqlite", 6),
}
"""Where each kind of stored file lies, and how often it is damaged here."""

ALWAYS_FOUND = ("segment", "faiss", "statistics", "manifest")


@dataclass
class Healthy:
    """A sound index and all that it finds."""

    index: Path
    answers: dict[str, Any]
    forks: Forks
    copy: Path


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healthy]:
    folder = tmp_path_factory.mktemp("damage")
    pictures, index = folder / "pictures", folder / "index"
    draw_many(pictures, 60)
    with Forks(folder, decoded=pictures, size=SIZE) as forks:
        done = forks.run({"constants": CONSTANTS}, *index_arguments(pictures, index))
        assert done.code == 0, done.err
        assert dinosearch.open(index).info()["vectors"]["kind"] == "ivf"
        answers = forks.run({}, "answers", index).json
        assert len(answers) == 60
        yield Healthy(index, answers, forks, folder / "copy")


def mutate(path: Path, rng: np.random.Generator) -> str:
    """Do something to a file that changes it; says what."""
    data = bytearray(path.read_bytes())
    before = bytes(data)
    how = ("flip", "cut", "zero", "scramble")[int(rng.integers(4))]
    while bytes(data) == before:
        place = int(rng.integers(len(data)))
        length = int(rng.integers(1, max(2, min(4096, len(data) - place))))
        if how == "flip":
            data[place] ^= 1 << int(rng.integers(8))
        elif how == "cut":
            del data[place:]
        elif how == "zero":
            data[place : place + length] = bytes(min(length, len(data) - place))
        else:
            length = min(length, len(data) - place)
            data[place : place + length] = rng.bytes(length)
    path.write_bytes(data)
    return f"{how} at {place} of {len(before)}"


def damage(healthy: Healthy, kind: str, rng: np.random.Generator) -> str:
    """A fresh copy of the index with one file of that kind damaged; says how."""
    shutil.rmtree(healthy.copy, ignore_errors=True)
    shutil.copytree(healthy.index, healthy.copy)
    files = sorted(healthy.copy.glob(KINDS[kind][0]))
    file = files[int(rng.integers(len(files)))]
    return f"{kind}: {mutate(file, rng)}"


def is_found(healthy: Healthy, what: str) -> bool:
    """Whether `verify --full` finds it; it must end in an orderly way either way."""
    done = healthy.forks.run({}, "verify", "--full", "--json", "--in", healthy.copy)
    assert done.code in (0, 1, 2, 4), f"{what}: verify ended with {done.code}: {done.err}"
    assert "Traceback" not in done.err, f"{what}: {done.err}"
    if done.code in (0, 1):
        assert done.json["ok"] is (done.code == 0)
    return done.code != 0


def search_says(healthy: Healthy, what: str) -> str:
    """`right`, `refused` or `wrong`: what searching the damaged index gives."""
    done = healthy.forks.run({}, "answers", healthy.copy)
    assert done.code in (0, 2, 4), f"{what}: searching ended with {done.code}: {done.err}"
    assert "Traceback" not in done.err, f"{what}: {done.err}"
    if done.code:
        return "refused"
    return "right" if json.loads(done.out) == healthy.answers else "wrong"


def damage_often(healthy: Healthy, kind: str, times: int, seed: int) -> tuple[float, float]:
    """(share that verify found, share that searching answered wrongly) of `times` damages."""
    rng = np.random.default_rng(seed)
    found = wrong = 0
    for _ in range(times):
        what = damage(healthy, kind, rng)
        seen = is_found(healthy, what)
        said = search_says(healthy, what)
        found += seen
        wrong += said == "wrong"
        if kind in ALWAYS_FOUND:
            assert seen, f"{what} went unseen"
            assert said != "wrong", f"{what} was searched in silence"
    return found / times, wrong / times


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_not_searched(healthy, kind):
    _, wrong = damage_often(healthy, kind, KINDS[kind][1], seed=1)
    if kind == "thumbs":
        assert wrong == 0


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_much_damage(healthy, kind, capsys):
    found, wrong = damage_often(healthy, kind, 300, seed=2)
    with capsys.disabled():
        print(f"\n{kind}: verify found {found:.0%}, searching gave wrong answers in {wrong:.0%}")
    if kind == "catalog":
        # SQLite's own check sees structure: a value that changed into another it cannot.
        assert found > 0.3


def test_a_missing_file_is_found(healthy):
    for kind in ("segment", "faiss", "statistics"):
        shutil.rmtree(healthy.copy, ignore_errors=True)
        shutil.copytree(healthy.index, healthy.copy)
        sorted(healthy.copy.glob(KINDS[kind][0]))[0].unlink()
        assert is_found(healthy, f"{kind} missing")
        assert search_says(healthy, f"{kind} missing") == (
            "refused" if kind == "segment" else "right"
        )


def test_a_swapped_segment_is_found(healthy):
    """Two sound files under each other's names."""
    shutil.rmtree(healthy.copy, ignore_errors=True)
    shutil.copytree(healthy.index, healthy.copy)
    first, second = sorted(healthy.copy.glob("segments/*.h5"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert is_found(healthy, "swapped")


def test_segments_have_no_heap(healthy):
    """Reading a damaged global heap of HDF5 (signature GCOL) may never end: there is none."""
    for path in healthy.index.glob("segments/*.h5"):
        assert b"GCOL" not in path.read_bytes()


class _NeverDiffers(int):
    def __ne__(self, other: object) -> bool:
        return False


class _NoChecksum:
    @staticmethod
    def crc32(data: Any, value: int = 0) -> int:
        return _NeverDiffers(0)


def test_the_harness_sees_a_store_without_checksums(healthy, monkeypatch):
    """Where rows are not checked, a changed token gives a changed score, and this test sees it."""
    shutil.rmtree(healthy.copy, ignore_errors=True)
    shutil.copytree(healthy.index, healthy.copy)
    _change_a_token(Folder(healthy.copy))
    with dinosearch.open(healthy.copy) as index, pytest.raises(UnusableIndex, match="changed"):
        index.search(1, k=10, region=(14, 14, 42, 42))
    monkeypatch.setattr(segments, "zlib", _NoChecksum)
    with dinosearch.open(healthy.copy) as index:
        hits = index.search(1, k=10, region=(14, 14, 42, 42))
    assert [(h.id, round(h.score, 4)) for h in hits] != [
        (number, score) for number, _, score, _ in healthy.answers["1"][1]
    ]


def _change_a_token(folder: Folder) -> None:
    """Turn the middle of picture 1's tokens into another colour's, in place."""
    import h5py

    for path in folder.segments.glob("*.h5"):
        with h5py.File(path, "r") as file:
            rows = np.flatnonzero(file["ids"][:] == 1)
            if not len(rows):
                continue
            place = file["tokens"].id.get_chunk_info_by_coord((int(rows[0]), 0, 0)).byte_offset
        data = bytearray(path.read_bytes())
        token = np.array([127, 0, 0, 0, 0, 0, 0, 0], dtype="|i1").tobytes()
        for patch in (5, 6, 9, 10):
            data[place + patch * 8 : place + (patch + 1) * 8] = token
        path.write_bytes(data)
        return
    raise AssertionError("picture 1 lies in no segment")
