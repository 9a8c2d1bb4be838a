"""A bank is a live view of the good pictures of an index."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.defects.state import load
from dinosearch.defects.table import save_table
from dinosearch.errors import EncoderMismatch, InvalidInput, UnusableIndex
from dinosearch.export.guard import guarded
from tests.painting import (
    CELLS,
    PATCH,
    SIZE,
    cosine,
    noise,
    pixels,
    plain,
    planted,
    save,
)

RED = (150, 60, 0)
ONE_RED = np.array([[RED]], dtype=np.uint8)
ONE_BLUE = np.array([[(0, 207, 90)]], dtype=np.uint8)


def shade(number):
    return (0, 200 + number, 0)


def paint(folder):
    for number in range(20):
        save(folder / "good" / f"{number:02d}.png", plain(shade(number)))
    save(folder / "bad" / "red.png", planted(shade(7), ONE_RED, 2, 6))
    save(folder / "bad" / "blue.png", planted(shade(7), ONE_BLUE, 5, 5))
    return folder


def made(folder, photos):
    index = dinosearch.create(folder, encoder="colour", size=SIZE, tokens="fp16")
    index.add(photos, labels="folders")
    return index


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty good greens, and two with a cell of another colour."""
    return paint(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def index(photos, tmp_path_factory):
    """Of `photos`; only asked, and banks made in it."""
    with made(tmp_path_factory.mktemp("index") / "x", photos) as one:
        yield one


@pytest.fixture(scope="module")
def bank(index):
    return index.bank("good", where=["label:good"])


@pytest.fixture
def live(tmp_path):
    """An index of such photos, and their folder, for what changes them."""
    photos = paint(tmp_path / "photos")
    with made(tmp_path / "index", photos) as one:
        yield one, photos


def test_a_red_cell_among_green_scores_one_less_its_best_cosine(index, bank, photos):
    report = bank.score(photos / "bad" / "red.png")
    nearest = max(cosine(RED, shade(number)) for number in range(20))
    # One cell of a hundred: the hottest in a hundred is that one.
    assert report.score == pytest.approx(1 - nearest, abs=2e-3)
    assert report.heat[2, 6] == pytest.approx(1 - nearest, abs=2e-3)
    others = np.delete(report.heat.ravel(), 2 * CELLS + 6)
    assert others == pytest.approx(0, abs=2e-3)
    assert report.verdict == "faulty"
    assert report.hottest == ((2, 6),)
    assert report.boxes == (pytest.approx((6 * 14, 2 * 14, 7 * 14, 3 * 14)),)
    assert report.path == str(photos / "bad" / "red.png")
    assert report.id == index.id_of(photos / "bad" / "red.png")


def test_the_reason_is_the_normal_patch_that_is_most_alike(index, bank, photos):
    report = bank.score(photos / "bad" / "red.png")
    (reason,) = report.nearest
    # Of all the greens the darkest is the least unlike red.
    assert reason.id == index.id_of(photos / "good" / "00.png")
    assert reason.path == str(photos / "good" / "00.png")
    assert reason.cell == (2, 6)
    assert reason.cosine == pytest.approx(cosine(RED, shade(0)), abs=2e-3)
    row, col = reason.good_cell
    assert reason.box == pytest.approx((col * 14, row * 14, col * 14 + 14, row * 14 + 14))


def test_masks_and_heat_lie_where_the_pixels_are(bank):
    report = bank.score(pixels(planted(shade(7), ONE_RED, 2, 6), scale=2))
    assert report.boxes[0] == pytest.approx((6 * 28, 2 * 28, 7 * 28, 3 * 28))
    mask = report.mask_in_pixels()
    expected = np.zeros((280, 280), dtype=bool)
    expected[2 * 28 : 3 * 28, 6 * 28 : 7 * 28] = True
    assert np.array_equal(mask, expected)
    assert report.heat_in_pixels()[2 * 28, 6 * 28] == report.heat[2, 6]


def test_pictures_not_in_the_index_are_judged_alike(bank, photos):
    known = bank.score(photos / "bad" / "red.png")
    array = bank.score(pixels(planted(shade(7), ONE_RED, 2, 6)))
    image = bank.score(Image.fromarray(pixels(planted(shade(7), ONE_RED, 2, 6))))
    for one in (array, image):
        assert one.score == pytest.approx(known.score, abs=1e-3)
        assert one.id is None
        assert one.verdict == "faulty"


def test_the_threshold_is_that_of_pictures_judged_by_the_others(index, bank):
    info = bank.info()
    assert info["pictures"] == 20
    assert info["false_alarms"]["enough"]
    assert info["false_alarms"]["pictures"] == 20
    assert info["false_alarms"]["expected"] == pytest.approx(1 / 21)
    # Worst is a picture at an end whose neighbours were drawn into its fold: at most five off.
    assert 1 - cosine(shade(0), shade(1)) - 1e-3 <= info["threshold"]
    assert info["threshold"] <= 1 - cosine(shade(0), shade(5)) + 1e-3
    good = [one for one in bank.scores(where="label:good") if one.verdict == "faulty"]
    assert not good


def test_stored_pictures_are_judged_worst_first_without_encoding(index, bank, monkeypatch):
    calls = []
    monkeypatch.setattr(
        type(index.encoder), "encode_views", lambda *args: calls.append(args), raising=True
    )
    reports = bank.scores()
    assert [os.path.basename(one.path) for one in reports[:2]] == ["red.png", "blue.png"]
    assert len(reports) == 22
    assert sorted((one.score for one in reports), reverse=True) == [one.score for one in reports]
    assert bank.score(reports[0].id).score == pytest.approx(reports[0].score)
    assert not calls


def test_a_good_picture_is_judged_by_the_others(index, photos):
    one = index.bank("all", where=()).score(photos / "bad" / "red.png")
    nearest = max(cosine(RED, shade(number)) for number in range(20))
    assert one.score == pytest.approx(1 - nearest, abs=2e-3)
    assert one.nearest[0].id != one.id


def same(one, other):
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.contents, other.contents)
    for mine, theirs in zip(one.memory, other.memory, strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(one.scores, other.scores)
    assert one.threshold == other.threshold
    assert one.reach == other.reach


@pytest.mark.parametrize("budget", [7, 40, 5_000])
def test_a_bank_that_pictures_came_to_and_went_from_is_that_made_anew(live, budget):
    index, photos = live
    # Budgets that are full at once, and one that never is; pictures of many colours.
    for number in range(6):
        save(photos / "good" / f"noise{number}.png", noise(number))
    index.add(photos, labels="folders")
    bank = index.bank("live", where="label:good", budget=budget)
    before = bank.update()
    save(photos / "good" / "new.png", noise(50))
    save(photos / "good" / "05.png", noise(51))  # another content under the same path
    index.add(photos, labels="folders")
    # So many go that each of the others may propose more than before.
    index.remove([photos / "good" / f"{name}.png" for name in ("noise2", "03", *range(10, 19))])
    gone = before.ids[:4].tolist()
    state = bank.update()
    anew = index.bank("anew", where="label:good", budget=budget).update()
    same(state, anew)
    assert len(state.memory.tokens) == min(budget, sum(map(len, _cells(state))))
    new = index.id_of(photos / "good" / "new.png")
    assert new in state.ids
    assert set(state.memory.pictures.tolist()) <= set(state.ids.tolist())
    assert gone[3] not in state.ids


def _cells(state):
    return [one.cells for one in state.proposals.values()]


def test_a_picture_that_became_good_counts_at_the_next_use(live):
    index, photos = live
    bank = index.bank("good", where="label:good")
    assert bank.score(photos / "bad" / "red.png").verdict == "faulty"
    save(photos / "good" / "reddish.png", planted(shade(3), ONE_RED, 8, 8))
    index.add(photos, labels="folders")
    report = bank.score(photos / "bad" / "red.png")
    assert report.heat[2, 6] == pytest.approx(0, abs=2e-3)
    memory = bank.update().memory
    remembered = zip(memory.pictures.tolist(), memory.cells.tolist(), strict=True)
    assert (index.id_of(photos / "good" / "reddish.png"), 8 * CELLS + 8) in set(remembered)
    index.remove(photos / "good" / "reddish.png")
    assert bank.score(photos / "bad" / "red.png").verdict == "faulty"


def test_an_update_is_kept_and_reads_only_what_is_new(live, monkeypatch):
    index, photos = live
    bank = index.bank("good", where="label:good")
    from dinosearch.defects import making, memory

    seen: list[int] = []

    def propose(*arguments, **options):
        seen.append(1)
        return memory.propose(*arguments, **options)

    monkeypatch.setattr(making, "propose", propose)
    save(photos / "good" / "new.png", plain((5, 250, 5)))
    index.add(photos, labels="folders")
    assert bank.info()["pictures"] == 21
    assert len(seen) == 1, "one new picture, one looked at"
    assert index.bank("good").info()["pictures"] == 21
    assert len(seen) == 1, "what was kept needs no looking"


def test_a_bank_in_a_folder_that_cannot_be_written_serves_all_the_same(live, monkeypatch, caplog):
    index, photos = live
    bank = index.bank("good", where="label:good")
    from dinosearch.defects import bank as banks

    def refuse(*args, **options):
        raise UnusableIndex("the folder is read-only for you")

    save(photos / "good" / "new.png", plain((5, 250, 5)))
    index.add(photos, labels="folders")
    monkeypatch.setattr(banks, "save", refuse)
    assert bank.info()["pictures"] == 21
    assert "was not kept" in caplog.text


def test_the_seed_decides_what_is_drawn_and_nothing_else_does(live):
    index, photos = live
    for number in range(6):
        save(photos / "good" / f"noise{number}.png", noise(number))
    index.add(photos, labels="folders")
    one, two, other = (
        index.bank(name, where="label:good", budget=30, seed=seed).update()
        for name, seed in (("one", 3), ("two", 3), ("other", 4))
    )
    same(one, two)
    assert not np.array_equal(one.memory.cells, other.memory.cells)


def test_options_that_are_not_given_stay(index, bank):
    index.bank("mine", where="label:good", seed=8)
    again = index.bank("mine")
    assert again.info()["seed"] == 8
    changed = index.bank("mine", false_alarms=0.2)
    assert changed.info()["where"] == ["label:good"]
    assert changed.info()["false_alarms"]["expected"] == pytest.approx(4 / 21)
    assert changed.info()["threshold"] < bank.info()["threshold"]
    assert index.bank("mine").info() == changed.info()
    assert index.bank("mine", where=()).info()["pictures"] == 22


def test_averaging_over_neighbours_spreads_the_heat(index, photos):
    wide = index.bank("wide", where="label:good", around=3)
    report = wide.score(photos / "bad" / "red.png")
    # Eight greens and a red: the sum leans a little to red, in nine cells alike.
    hot = np.argwhere(report.heat > report.heat.max() / 2)
    assert hot.min(axis=0).tolist() == [1, 5]
    assert hot.max(axis=0).tolist() == [3, 7]
    assert 0 < report.score < bank_score(index, photos)


def bank_score(index, photos):
    return index.bank("plain", where="label:good").score(photos / "bad" / "red.png").score


def test_few_good_pictures_set_a_threshold_that_says_so(index, photos):
    few = index.bank("few", where=["path:" + str(photos / "good" / "0")])
    info = few.info()
    assert info["pictures"] == 10
    assert not info["false_alarms"]["enough"]
    assert info["false_alarms"]["expected"] == pytest.approx(1 / 11)
    one = index.bank("one", where=["path:" + str(photos / "good" / "00.png")])
    report = one.score(photos / "bad" / "red.png")
    assert (report.threshold, report.verdict) == (None, "unknown")
    assert not report.mask.any()
    with pytest.raises(InvalidInput, match="nothing but this very picture"):
        one.score(photos / "good" / "00.png")


def test_copies_do_not_call_each_other_perfect(live):
    index, photos = live
    for number in range(10):
        odd = noise(number)
        save(photos / "twins" / f"a{number}.png", odd)
        save(photos / "twins" / f"b{number}.png", odd)
    index.add(photos, labels="folders")
    state = index.bank("twins", where="label:twins").update()
    assert (state.scores > 0.01).all()


def test_padding_takes_no_part(tmp_path):
    for number in range(6):
        wide = pixels(plain(shade(number)))[:70]
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(wide).save(path)
    with dinosearch.create(tmp_path / "i", encoder="colour", size=SIZE, fit="pad") as index:
        index.add(tmp_path / "photos")
        bank = index.bank("all", where=())
        state = bank.update()
        rows = {int(cell) // CELLS for cell in state.memory.cells}
        shown = index.grid(index.item(1)).shown
        assert rows == set(np.flatnonzero(shown.any(axis=1)).tolist())
        assert all(one.usable == int(shown.sum()) for one in state.proposals.values())
        report = bank.score(1)
        assert np.array_equal(np.isnan(report.heat), ~shown)


def test_known_defects_of_the_same_kind_are_found(live):
    index, photos = live
    bank = index.bank("good", where="label:good")
    save(photos / "bad" / "other.png", planted(shade(2), ONE_RED, 7, 1))
    index.add(photos, labels="folders")
    report = bank.score(photos / "bad" / "red.png")
    hits = bank.similar(report, k=3, where="label:bad")
    assert [os.path.basename(hit.path) for hit in hits] == ["other.png", "blue.png"]
    assert hits[0].score == pytest.approx(1, abs=2e-3)
    assert hits[0].box == pytest.approx((PATCH, 7 * PATCH, 2 * PATCH, 8 * PATCH))
    fresh = bank.score(pixels(planted(shade(9), ONE_RED, 0, 0)))
    assert os.path.basename(bank.similar(fresh, k=1, where="label:bad")[0].path) in (
        "red.png",
        "other.png",
    )


def test_the_map_shows_heat_and_a_box_where_the_defect_is(live):
    index, photos = live
    bank = index.bank("good", where="label:good")
    report = bank.score(photos / "bad" / "red.png")
    drawn = np.asarray(index.defect_map(report))
    assert drawn.shape == (140, 140, 3)
    plain_picture = pixels(planted(shade(7), ONE_RED, 2, 6))
    changed = np.argwhere((drawn.astype(int) - plain_picture != 0).any(axis=2))
    assert changed.min(axis=0).tolist() == [2 * 14, 6 * 14]
    assert changed.max(axis=0).tolist() == [3 * 14 - 1, 7 * 14 - 1]
    os.remove(photos / "bad" / "red.png")
    assert index.defect_map(report).size == (140, 140), "of the thumbnail"


def test_banks_are_listed_and_deleted(index):
    index.bank("once", where="label:good")
    assert "once" in index.banks()
    index.delete_bank("once")
    assert "once" not in index.banks()
    with pytest.raises(InvalidInput, match="no bank 'once'"):
        index.delete_bank("once")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 0}, "budget"),
        ({"seed": -1}, "seed"),
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"false_alarms": 1.0}, "false_alarms"),
        ({"around": 2}, "around"),
        ({"around": 11}, "around"),
        ({"where": "nonsense"}, "filter"),
        ({"where": "label:none"}, "no picture of the index is good"),
    ],
)
def test_what_cannot_be_is_refused_and_makes_nothing(index, options, words):
    with pytest.raises(InvalidInput, match=words):
        index.bank("x", **{"where": "label:good", **options})
    assert "x" not in index.banks()


def test_a_damaged_bank_is_never_used(index):
    index.bank("hurt", where="label:good")
    path = Path(index.path) / "banks" / "hurt.safetensors"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnusableIndex, match="damaged"):
        index.bank("hurt")


def test_a_bank_that_does_not_hold_together_is_refused(index):
    files = index._corpus.named("banks")
    index.bank("odd", where="label:good")
    kept = files.load("odd")
    files.save("odd", kept.facts, {**kept.arrays, "cells": kept.arrays["cells"][:-1]})
    with pytest.raises(UnusableIndex, match="do not fit together"):
        index.bank("odd")
    files.save("odd", {**kept.facts, "format": 99}, kept.arrays)
    with pytest.raises(UnusableIndex, match="format 99"):
        index.bank("odd")
    files.save("odd", {**kept.facts, "fingerprint": "other"}, kept.arrays)
    with pytest.raises(EncoderMismatch, match="another encoder"):
        index.bank("odd")


def test_what_was_kept_comes_back_as_it_was(index, bank):
    made = bank.update()
    read = load(index._corpus.named("banks"), "good", fingerprint=index.fingerprint.digest)
    same(made, read)
    assert read.settings == made.settings
    content = hashlib.sha256(Path(index.item(3).path).read_bytes()).hexdigest()
    assert read.same_content(content).tolist() == ([3] if 3 in read.ids else [])


def test_the_table_holds_one_row_a_picture(bank, photos, tmp_path):
    reports = bank.scores()
    save_table(reports, tmp_path / "t.csv")
    rows = [line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines()]
    assert len(rows) == 23
    assert rows[1][0] == str(photos / "bad" / "red.png")
    assert rows[1][2] == "faulty"
    assert float(rows[1][3]) == pytest.approx(reports[0].score, abs=1e-6)
    assert [float(v) for v in rows[1][5:9]] == [84, 28, 98, 42]
    assert guarded("=1+1") == "'=1+1"
    assert guarded("photo.png") == "photo.png"


def test_an_unknown_name_is_no_new_bank(live):
    index, _ = live
    with pytest.raises(InvalidInput, match="no bank 'typo'"):
        index.bank("typo")
    assert "typo" not in index.banks()
    index.bank("all", where=()).info()
    assert "all" in index.banks()
