"""The documents and exit codes that other people's scripts rely on."""

from __future__ import annotations

import os
import subprocess

import pytest

from dinosearch.geometry import PATCH
from tests.cli.commands import COMMAND, ask, run
from tests.painting import BLUE, RED, SIZE, noise, plain, save


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    save(folder / "red" / "a.png", plain(RED))
    save(folder / "red" / "b.png", plain((250, 0, 0)))
    save(folder / "blue" / "c.png", plain(BLUE))
    for seed in range(5):
        save(folder / "noise" / f"{seed}.png", noise(seed))
    return folder


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "x"
    arguments = ("index", corpus, "--to", folder, "--encoder", "colour", "--size", SIZE)
    document = ask(*arguments, "--labels", "folders")
    counts = ("seen", "added", "updated", "unchanged", "refused", "failed")
    assert [document[name] for name in counts] == [8, 8, 0, 0, 0, 0]
    return folder


def test_the_codec_of_tokens_is_settled_when_the_index_is_made(corpus, tmp_path):
    x = tmp_path / "x"
    arguments = ("index", corpus / "red", "--to", x, "--encoder", "colour", "--size", SIZE)
    ask(*arguments, "--tokens", "int8")
    assert ask("info", "--in", x)["tokens"] == "int8"
    assert "tokens     int8" in run("info", "--in", x).stdout
    assert ask("index", corpus / "blue", "--to", x)["added"] == 1
    assert ask("index", corpus, "--to", x, "--tokens", "int8")["added"] == 5
    error = ask("index", corpus, "--to", x, "--tokens", "pq", code=2)["error"]
    assert "keeps its tokens as int8" in error["message"]
    assert "leave --tokens out" in error["message"]
    run("index", corpus, "--to", x, "--tokens", "zip", code=2)
    assert ask("verify", "--full", "--in", x)["ok"] is True
    box = f"{PATCH},{PATCH},{3 * PATCH},{3 * PATCH}"
    query = corpus / "noise" / "3.png"
    hit = ask("search", query, "--in", x, "--region", box, "-k", 1, "--same-size")["hits"][0]
    assert (hit["path"], hit["box"]) == (str(query), [14.0, 14.0, 42.0, 42.0])
    assert hit["score"] == pytest.approx(1, abs=2e-3)


def test_a_second_run_finds_nothing_to_do_with_the_options_of_the_index(corpus, built):
    document = ask("index", corpus, "--to", built)
    assert (document["seen"], document["unchanged"], document["encoded"]) == (8, 8, 0)


def test_search_document(corpus, built):
    document = ask("search", corpus / "red" / "a.png", "--in", built, "-k", 2)
    first, second = document["hits"]
    assert set(first) == {"rank", "id", "path", "score", "box", "labels"}
    assert (first["rank"], first["path"]) == (1, str(corpus / "red" / "a.png"))
    assert (first["score"], first["box"], first["labels"]) == (1.0, None, ["red"])
    assert second["path"].endswith("b.png")
    assert set(document["timing_ms"]) == {"encode", "search", "explain", "total"}


def test_search_by_region_mask_id_and_filter(corpus, built, tmp_path):
    box = f"{PATCH},{PATCH},{3 * PATCH},{3 * PATCH}"
    query = corpus / "noise" / "3.png"
    by_box = ask("search", query, "--in", built, "--region", box, "-k", 1)["hits"][0]
    assert (by_box["path"], by_box["box"]) == (str(query), [14.0, 14.0, 42.0, 42.0])
    mask = plain((0, 0, 0))
    mask[1:3, 1:3] = 255
    save(tmp_path / "mask.png", mask)
    by_mask = ask("search", query, "--in", built, "--mask", tmp_path / "mask.png", "-k", 1)
    assert by_mask["hits"][0] == by_box
    found = ask("search", "--id", by_box["id"], "--in", built, "--where", "-label:noise")
    assert len(found["hits"]) == 3


def test_a_sheet_is_saved(corpus, built, tmp_path):
    sheet = tmp_path / "sheet.png"
    ask("search", corpus / "red" / "a.png", "--in", built, "--save", sheet)
    assert sheet.read_bytes()[:4] == b"\x89PNG"
    run(
        "search", corpus / "red" / "a.png", "--in", built, "--save", tmp_path / "no" / "s.png",
        code=2,
    )  # fmt: skip


def test_info_and_verify_documents(built):
    info = ask("info", "--in", built)
    assert (info["items"], info["encoder"], info["recall"]) == (8, "colour", 1.0)
    assert info["bytes"] > 0
    assert info["labels"] == {"blue": 1, "noise": 5, "red": 2}
    verified = ask("verify", "--full", "--in", built)
    assert (verified["ok"], verified["items"], verified["problems"]) == (True, 8, [])


def test_plain_output_names_the_pictures(corpus, built):
    done = run("search", corpus / "blue" / "c.png", "--in", built, "-k", 1)
    assert str(corpus / "blue" / "c.png") in done.stdout
    assert "1.000" in done.stdout
    assert "of 8 pictures" in done.stderr


def test_failures_remove_compact_verify_on_a_hurt_index(corpus, tmp_path):
    save(tmp_path / "p" / "good.png", plain(RED))
    save(tmp_path / "p" / "other.png", plain(BLUE))
    (tmp_path / "p" / "bad.jpg").write_text("no picture")
    x = tmp_path / "x"
    counts = ask("index", tmp_path / "p", "--to", x, "--encoder", "colour", "--size", SIZE, code=3)
    assert (counts["seen"], counts["added"], counts["refused"]) == (3, 2, 1)
    (failure,) = ask("failures", "--in", x)["failures"]
    assert failure["path"].endswith("bad.jpg")
    assert (failure["state"], bool(failure["code"]), bool(failure["detail"])) == (
        "refused",
        True,
        True,
    )
    assert ask("remove", tmp_path / "p" / "good.png", "--in", x) == {"removed": 1}
    assert ask("compact", "--in", x)["dead_rows"] == 1
    assert ask("info", "--in", x)["items"] == 1
    (segment,) = (x / "segments").iterdir()
    data = bytearray(segment.read_bytes())
    data[-100] ^= 1
    segment.write_bytes(data)
    assert ask("verify", "--full", "--in", x, code=1)["ok"] is False
    assert ask("verify", "--in", x)["ok"] is True, "the quick check reads no bytes"


def test_encoders_list_says_what_is_here():
    rows = {row["name"]: row for row in ask("encoders", "list")["encoders"]}
    assert rows["mini"]["weights"]
    assert rows["dinov2_vitl14_reg"]["dim"] == 1024
    assert len(rows) == 9


def test_errors_are_a_document_too(tmp_path):
    error = ask("info", "--in", tmp_path / "nothing", code=2)["error"]
    assert error["exit_code"] == 2
    assert "dinosearch index" in error["message"]
    assert run("--help").stdout.count("\n") > 10
    run("nonsense", code=2)
    run("search", "--in", tmp_path, code=2)


def test_drawn_pictures_are_the_same_every_time(tmp_path):
    from dinosearch.cli.drawn import draw_corpus

    draw_corpus(tmp_path / "a", 6)
    draw_corpus(tmp_path / "b", 6)
    first, second = (sorted((tmp_path / n).rglob("*.jpg")) for n in "ab")
    assert [p.parent.name for p in first] == ["gear", "nut", "plate", "screw", "spring", "washer"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_typo_leaves_no_index_behind(tmp_path):
    x = tmp_path / "x"
    run("index", tmp_path / "typo", "--to", x, "--encoder", "colour", code=2)
    save(tmp_path / "p" / "a.png", plain(RED))
    arguments = ("index", tmp_path / "p", "--to", x, "--encoder", "colour")
    run(*arguments, "--labels", tmp_path / "none.csv", code=2)
    assert not x.exists()


def test_a_reader_that_goes_away_is_no_error(built):
    line = f"{COMMAND} info --json --in {built} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_lacks_letters_gets_their_numbers(tmp_path, built):
    save(tmp_path / "日本.png", plain(RED))
    x = tmp_path / "x"
    run("index", tmp_path / "日本.png", "--to", x, "--encoder", "colour", "--size", SIZE)
    done = subprocess.run(
        [COMMAND, "search", "--id", "1", "--in", str(x)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert rb"\u65e5\u672c.png" in done.stdout


def test_verify_reports_an_index_that_cannot_be_opened(tmp_path):
    save(tmp_path / "p" / "a.png", plain(RED))
    x = tmp_path / "x"
    run("index", tmp_path / "p", "--to", x, "--encoder", "colour", "--size", SIZE)
    (x / "catalog.sqlite").write_bytes(b"nothing of the sort" * 500)
    problems = ask("verify", "--in", x, code=1)["problems"]
    assert "damaged" in problems[0]


@pytest.mark.parametrize("what", ["²", "9" * 30])
def test_removing_what_is_not_there(built, what):
    run("remove", what, "--in", built, code=2)
