"""What a codec costs: worked by hand where it can be, and on an index of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.evaluation import codec_report
from dinosearch.evaluation.codec_report import ENOUGH, kept_shares
from dinosearch.storage import codecs
from dinosearch.storage.codecs import Int8
from tests.cli.commands import ask, run
from tests.painting import SIZE, noise, save

COUNT = 45


def test_kept_shares_by_hand():
    exact = np.array([[0.9, 0.8, 0.7, 0.6, -np.inf], [0.5, 0.5, 0.5, 0.1, 0.9]])
    coded = np.array([[0.9, 0.6, 0.5, 0.7, -np.inf], [0.1, 0.5, 0.2, 0.05, 0.9]])
    # First row: 0 and 3 instead of 0 and 1. Second: 4 and 1, where 0, 1 and 2 are level.
    assert kept_shares(exact, coded, 2).tolist() == [0.5, 1.0]
    assert kept_shares(exact, exact, 3).tolist() == [1.0, 1.0]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codecs")
    for seed in range(COUNT):
        save(folder / "c" / f"{seed:03d}.png", noise(seed))
    for name in ("fp16", "int8"):
        with dinosearch.create(folder / name, encoder="colour", size=SIZE, tokens=name) as index:
            index.add(folder / "c")
    return folder


@pytest.fixture(scope="module")
def report(place):
    with dinosearch.open(place / "fp16") as index:
        return codec_report(index, pictures=40, regions=30)


def test_figures_on_noise(report):
    by_name = {one.codec: one for one in report.figures}
    assert list(by_name) == list(codecs.NAMES)
    exact, int8, pq = by_name["fp16"], by_name["int8"], by_name["pq"]
    assert (exact.kept.value, exact.moved_most) == (1.0, 0.0)
    # 100 patches of 8 numbers; a scale of two bytes; pq puts two numbers into a byte.
    assert [one.bytes_tokens for one in (exact, int8, pq)] == [1600, 1000, 600]
    # Also 100 chosen tokens of 8 + 2 bytes, 100 norms of 2, id, CLS and four checksums.
    beside = 100 * 10 + 100 * 2 + 8 + 4 * 8 + 16
    assert [one.bytes_all for one in (exact, int8)] == [1600 + beside, 1000 + beside]
    assert 0 < int8.moved < 1e-3
    assert int8.kept.value is not None
    assert int8.kept.value > 0.9
    assert pq.moved > int8.moved
    assert (report.pictures, report.regions, report.reference) == (40, 30, "fp16")


def test_the_smallest_that_keeps_enough_is_recommended(report):
    good = [one for one in report.figures if (one.kept.value or 0) >= ENOUGH]
    smallest = min(good, key=lambda one: one.bytes_all)
    assert report.recommended == smallest.codec
    assert report.recommended in report.reason
    assert "already" not in report.reason


def test_the_same_seed_gives_the_same_report(place, report):
    with dinosearch.open(place / "fp16") as index:
        again = codec_report(index, pictures=40, regions=30)
        other = codec_report(index, pictures=40, regions=30, seed=1)
    bare = [[replace(one, decode_ms=0) for one in r.figures] for r in (report, again, other)]
    assert bare[0] == bare[1]
    assert bare[0] != bare[2]


def test_a_codec_that_spoils_tokens_is_seen(place, monkeypatch):
    """Without the small numbers of each token, answers change and the report says so."""
    honest = Int8.encode

    def spoiled(self, tokens):
        return honest(self, np.where(np.abs(tokens) > 0.4, tokens, 0))

    monkeypatch.setattr(Int8, "encode", spoiled)
    with dinosearch.open(place / "fp16") as index:
        report = codec_report(index, pictures=40, regions=30)
    by_name = {one.codec: one for one in report.figures}
    assert (by_name["int8"].kept.value or 0) < ENOUGH
    assert by_name["int8"].moved > 0.01
    assert report.recommended != "int8"


def test_a_region_is_not_looked_for_in_its_own_picture(place, monkeypatch):
    """Where all tokens are lost a score moves by itself: 1 in the own picture, less elsewhere."""
    honest = Int8.encode
    monkeypatch.setattr(Int8, "encode", lambda self, tokens: honest(self, tokens * 0))
    with dinosearch.open(place / "fp16") as index:
        report = codec_report(index, pictures=40, regions=30)
    by_name = {one.codec: one for one in report.figures}
    assert 0.8 < by_name["int8"].moved_most < 0.999


def test_an_index_in_a_codec_is_its_own_reference(place):
    with dinosearch.open(place / "int8") as index:
        report = codec_report(index, pictures=40, regions=10)
    by_name = {one.codec: one for one in report.figures}
    assert (by_name["int8"].kept.value, by_name["int8"].moved) == (1.0, 0.0)
    assert report.reference == "int8"
    assert "int8 already" in report.reason


def test_what_cannot_be_learned_is_left_out(place, monkeypatch):
    monkeypatch.setattr(codecs, "TRAINING_LEAST", 10_000)
    with dinosearch.open(place / "fp16") as index:
        report = codec_report(index, pictures=21, regions=2)
    assert [one.codec for one in report.figures] == ["fp16", "int8"]
    assert report.left_out == ("pca-int8", "pq")


def test_too_small_an_index(place, tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        with pytest.raises(InvalidInput, match="holds 0 pictures"):
            codec_report(index)
        index.add([place / "c" / "000.png"])
        with pytest.raises(InvalidInput, match="holds 1 pictures"):
            codec_report(index)
        with pytest.raises(InvalidInput, match="more than 20"):
            codec_report(index, pictures=20)


def test_the_command(place):
    arguments = ("codec-report", "--in", place / "fp16", "--pictures", 30, "--regions", 5)
    told = ask(*arguments)
    assert [one["codec"] for one in told["figures"]] == list(codecs.NAMES)
    assert told["recommended"] in codecs.NAMES
    shown = run(*arguments)
    assert f"recommended: {told['recommended']}" in shown.stdout
    assert "5 regions in 30 pictures" in shown.stderr
