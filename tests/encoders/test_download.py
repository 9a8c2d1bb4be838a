"""Downloads against a server that behaves, and one that does not."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil

import numpy as np
import pytest
import torch

from dinosearch.encoders import download as module
from dinosearch.encoders import load_encoder
from dinosearch.encoders.download import DownloadFailed, download
from dinosearch.encoders.folders import download_folder
from dinosearch.encoders.weights import VARIANTS
from dinosearch.errors import DiskFull, EncoderUnavailable, InvalidInput
from tests.encoders import official
from tests.encoders.file_server import FileServer

NAME = "dinov2_vits14_reg"
FILE = "dinov2_vits14_reg4_pretrain.pth"


def content_of(seed, size=300_000):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server():
    server = FileServer(content_of(1))
    yield server
    server.close()


def fetch(server, folder, **options):
    options = {"sha256": sha256(server.content), "pause": 0} | options
    return download(NAME, folder, base_url=server.url, **options)


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_file_arrives_whole_with_its_checksum_beside_it(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert server.paths == [f"/dinov2_vits14/{FILE}"]
    assert path == tmp_path / "new" / FILE
    assert path.read_bytes() == server.content
    assert seen[-1] == (300_000, 300_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    beside = (tmp_path / "new" / f"{FILE}.sha256").read_text()
    assert beside == f"{sha256(server.content)}  {FILE}\n"
    assert leftovers(path.parent) == [FILE, f"{FILE}.sha256"]


def test_the_default_folder_is_the_one_that_is_searched(server, tmp_path, monkeypatch):
    path = fetch(server, None)
    assert path.parent == download_folder()
    monkeypatch.setenv("DINOSEARCH_WEIGHTS", str(tmp_path))
    assert fetch(server, None).parent == tmp_path


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_another_file_of_that_name_is_not_overwritten(server, tmp_path):
    (tmp_path / FILE).write_bytes(b"fine-tuned for weeks")
    with pytest.raises(DownloadFailed, match="move it away"):
        fetch(server, tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"fine-tuned for weeks"


def test_a_dropped_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.drops = [100_000, 50_000, 1]
    path = fetch(server, tmp_path)
    assert path.read_bytes() == server.content
    assert server.requests == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]


def test_a_later_run_goes_on_from_what_is_kept(server, tmp_path):
    server.drops = [200_000] + [0] * 20
    with pytest.raises(DownloadFailed, match="200000 bytes are kept"):
        fetch(server, tmp_path)
    assert not (tmp_path / FILE).exists()
    server.drops, server.requests = [], []
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.requests == ["bytes=200000-"]


def test_a_part_that_was_complete_needs_no_connection(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "hash_file", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fetch(server, tmp_path)
    monkeypatch.undo()
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [300_000, 250_000, 120_000, 150_000])
def test_a_file_that_changed_meanwhile_is_never_mixed(server, tmp_path, size):
    server.drops = [150_000] + [0] * 20
    with pytest.raises(DownloadFailed):
        fetch(server, tmp_path)
    server.drops, server.content = [], content_of(2, size)
    assert fetch(server, tmp_path).read_bytes() == server.content


def test_without_a_validator_it_starts_over(server, tmp_path):
    server.etag = False
    server.drops = [150_000]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.requests == [None, None]


def test_a_server_without_ranges_is_started_over_and_not_for_ever(server, tmp_path):
    server.ranges = False
    server.drops = [150_000]
    assert fetch(server, tmp_path / "one").read_bytes() == server.content
    server.drops = [100_000, 90_000] * 50
    with pytest.raises(DownloadFailed, match="could not be read"):
        fetch(server, tmp_path / "two")


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadFailed, match="its sha256 is"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert leftovers(tmp_path) == []


def test_the_published_checksum_is_asked_for_by_default(server, tmp_path):
    with pytest.raises(DownloadFailed, match=VARIANTS[NAME].sha256):
        fetch(server, tmp_path, sha256=None)
    assert leftovers(tmp_path) == []


def test_passing_faults_of_the_server_are_waited_out(server, tmp_path):
    server.errors = [503, 500, 429]
    assert fetch(server, tmp_path).read_bytes() == server.content


def test_a_missing_file_is_said_at_once(server, tmp_path):
    server.errors = [404]
    with pytest.raises(DownloadFailed, match="answers 404"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_no_server_at_all(server, tmp_path):
    server.close()
    with pytest.raises(DownloadFailed, match="refused"):
        fetch(server, tmp_path)


def test_a_disk_too_small_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFull, match="free some space"):
        fetch(server, tmp_path)
    assert not (tmp_path / FILE).exists()


def test_a_disk_that_fills_up_keeps_the_part(server, tmp_path, monkeypatch):
    server.drops = [100_000] + [0] * 20
    with pytest.raises(DownloadFailed):
        fetch(server, tmp_path)
    server.drops = []

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="what arrived is kept"):
            fetch(server, tmp_path)
    assert (tmp_path / f"{FILE}.part").stat().st_size >= 100_000
    assert fetch(server, tmp_path).read_bytes() == server.content


def test_a_folder_that_cannot_be_made_is_an_error_with_advice(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadFailed, match="DINOSEARCH_WEIGHTS"):
        fetch(server, tmp_path / "file")


@pytest.mark.parametrize("name", ["mini", "dinov2_vith14", "../dinov2_vits14"])
def test_only_official_names_can_be_fetched(name, tmp_path):
    with pytest.raises(InvalidInput, match="dinov2_vits14"):
        download(name, tmp_path)


def test_nothing_is_fetched_unless_asked_and_then_it_is_loaded(server, monkeypatch, tmp_path):
    torch.save(official.random_checkpoint(dim=384, depth=12, registers=4), tmp_path / "made.pth")
    server.content = (tmp_path / "made.pth").read_bytes()

    def from_here(name):
        return download(name, base_url=server.url, sha256=sha256(server.content), pause=0)

    monkeypatch.setattr(module, "download", from_here)
    with pytest.raises(EncoderUnavailable):
        load_encoder(NAME, size=56, device="cpu")
    assert server.requests == []
    encoder = load_encoder(NAME, size=56, device="cpu", download=True)
    assert encoder.fingerprint.weights_sha256 == sha256(server.content)
    load_encoder(NAME, size=56, device="cpu", download=True)
    assert len(server.requests) == 1
