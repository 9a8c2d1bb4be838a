"""Whole-picture search, against answers worked out from the colour encoder's formula."""

from __future__ import annotations

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput, PictureRefused
from tests.painting import BLACK, BLUE, RED, SIZE, WHITE, cosine, noise, pixels, plain, save

SHADES = [(int(v), 0, 0) for v in np.linspace(0, 255, 18)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number, shade in enumerate(SHADES):
        save(folder / "shades" / f"{number:02d}.png", plain(shade))
    save(folder / "blue" / "blue.png", plain(BLUE))
    for seed in range(21):
        save(folder / "noise" / f"{seed}.png", noise(seed))
    return folder


@pytest.fixture(scope="module")
def index(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "x"
    with dinosearch.create(path, encoder="colour", size=SIZE) as index:
        index.add(corpus, labels="folders")
        yield index


def names(hits):
    return [hit.path.rsplit("/", 1)[1] for hit in hits]


def test_shades_come_in_the_order_of_their_distance_with_the_right_scores(index, corpus):
    hits = index.search(corpus / "shades" / "05.png", k=5, where="label:shades")
    assert names(hits)[0] == "05.png"
    assert set(names(hits)[1:3]) == {"04.png", "06.png"}
    assert set(names(hits)[3:]) == {"03.png", "07.png"}
    by_name = dict(zip(names(hits), hits, strict=True))
    for number in (3, 4, 5, 6, 7):
        expected = cosine(SHADES[5], SHADES[number])
        assert by_name[f"{number:02d}.png"].score == pytest.approx(expected, abs=2e-3)


def test_every_stored_picture_finds_itself_first(index, corpus):
    paths = sorted(corpus.rglob("*.png"))
    assert len(paths) == 40
    for path in paths:
        hit = index.search(path, k=1)[0]
        assert hit.path == str(path)
        assert hit.score == pytest.approx(1, abs=1e-5)


def test_by_id_and_in_memory_and_by_path_answer_alike(index, corpus):
    by_path = index.search(corpus / "noise" / "3.png", k=7)
    by_id = index.search(by_path[0].id, k=7)
    in_memory = index.search(pixels(noise(3)), k=7)
    assert names(by_path) == names(by_id) == names(in_memory)
    assert [h.score for h in by_path] == pytest.approx([h.score for h in by_id], abs=1e-6)


def test_mean_and_any_of_several_pictures(index, corpus):
    red, blue = corpus / "shades" / "17.png", corpus / "blue" / "blue.png"
    mean = index.search([red, blue], k=40, combine="mean")
    best = index.search([red, blue], k=40, combine="any")
    score = {hit.path: hit.score for hit in mean}
    either = {hit.path: hit.score for hit in best}
    # Red and blue differ in two channels by everything: cosine 0.
    assert score[str(red)] == pytest.approx(0.5, abs=1e-3)
    assert either[str(red)] == either[str(blue)] == pytest.approx(1, abs=1e-5)
    assert {best[0].path, best[1].path} == {str(red), str(blue)}
    for path, value in score.items():
        separately = [index.search(one, k=40) for one in (red, blue)]
        values = [next(h.score for h in hits if h.path == path) for hits in separately]
        assert value == pytest.approx(np.mean(values), abs=1e-4)
        assert either[path] == pytest.approx(max(values), abs=1e-4)
        break


def test_filters_return_k_when_k_match(index, corpus):
    query = corpus / "noise" / "0.png"
    assert len(index.search(query, k=18, where="label:shades")) == 18
    assert len(index.search(query, k=30, where="-label:shades")) == 22
    assert names(index.search(query, k=3, where=["label:blue"])) == ["blue.png"]
    assert index.search(query, where=["label:blue", "label:noise"]) == []
    assert len(index.search(query, k=50, where=f"path:{corpus}/noise/1")) == 11
    assert len(index.search(query, k=50, where="path:noise/1")) == 11
    assert len(index.search(query, k=50, where=f"size:{SIZE}..")) == 40
    assert index.search(query, where=f"size:..{SIZE - 1}") == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"k": 0}, "ask for 1 to 1000"),
        ({"k": 1001}, "ask for 1 to 1000"),
        ({"combine": "most"}, "use mean or any"),
        ({"where": "colour:red"}, "'colour' is not a key"),
        ({"where": "label"}, "is not \\[-\\]key:value"),
        ({"where": "date:soon"}, "is not a date"),
        ({"where": "size:big"}, "is not a number"),
        ({"where": "date:.."}, "at one end of the range"),
        ({"where": "label:\udcff"}, "not valid text"),
    ],
)
def test_questions_that_cannot_be_asked(index, corpus, call, message):
    with pytest.raises(InvalidInput, match=message):
        index.search(corpus / "noise" / "0.png", **call)


def test_pictures_that_cannot_be_asked_with(index, corpus, tmp_path):
    with pytest.raises(InvalidInput, match="there is no file"):
        index.search(tmp_path / "nothing.png")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(PictureRefused, match=r"text\.jpg"):
        index.search(tmp_path / "text.jpg")
    with pytest.raises(InvalidInput, match="no picture with id 4711"):
        index.search(4711)
    with pytest.raises(InvalidInput, match="1 to 16 pictures"):
        index.search([])


def test_an_empty_index_answers_with_nothing(tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        assert index.search(pixels(plain(WHITE))) == []
        assert index.search(pixels(plain(WHITE)), region=(0, 0, 50, 50)) == []
        assert index.search(pixels(plain(BLACK)), where="label:x") == []
        assert index.verify(full=True).ok


def test_a_wide_picture_is_searched_by_its_centre(index):
    wide = np.concatenate([pixels(plain(BLUE)), pixels(plain(RED)), pixels(plain(BLUE))], axis=1)
    assert index.search(wide, k=1)[0].path.endswith("17.png")  # red, as the crop sees it


def test_an_answer_says_whether_everything_was_compared(index, corpus):
    query = corpus / "noise" / "0.png"
    answer = index.answer(query, where="label:blue")
    assert (answer.exact, answer.searched) == (True, 1)


def test_answers_stay_whole_while_a_writer_commits_between_their_parts(tmp_path, monkeypatch):
    """A commit right after scoring: the answer is wholly that of the generation asked."""
    from dinosearch.search.engine import Engine

    red = save(tmp_path / "p" / "red.png", plain(RED))
    save(tmp_path / "p" / "blue.png", plain(BLUE))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p", labels="folders")
        original = Engine._items
        calls: list[int] = []

        def hits_after_a_commit(self, *arguments):
            if not calls:
                save(red, plain(WHITE), scale=2)
                with dinosearch.open(tmp_path / "x") as other:
                    other.add(tmp_path / "p")
                    other.remove(tmp_path / "p" / "blue.png")
                    other.compact()
            calls.append(1)
            return original(self, *arguments)

        monkeypatch.setattr(Engine, "_items", hits_after_a_commit)
        before = index.search(pixels(plain(RED)), k=2, region=(0, 0, SIZE, SIZE))
        assert [hit.path for hit in before] == [str(red), str(tmp_path / "p" / "blue.png")]
        assert [hit.score for hit in before] == pytest.approx([1, 0], abs=1e-2)
        assert list(before[0].box or ()) == [0, 0, SIZE, SIZE], (
            "the size it had, not the one it has now"
        )
        after = index.search(pixels(plain(RED)), k=2, region=(0, 0, SIZE, SIZE))
        assert [hit.path for hit in after] == [str(red)]
        assert after[0].score == pytest.approx(cosine(RED, WHITE), abs=1e-3)
        assert list(after[0].box or ()) == [0, 0, 2 * SIZE, 2 * SIZE]


def test_many_threads_ask_beside_a_writer(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    for seed in range(40):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "p")

        def ask(number):
            hits = index.search(1 + number % 30, k=30, where=f"size:{SIZE}..")
            return len(hits), hits[0].id == 1 + number % 30

        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(ask, number) for number in range(300)]
            with dinosearch.open(tmp_path / "x") as other:
                for seed in range(40, 46):
                    save(tmp_path / "p" / f"{seed}.png", noise(seed))
                    other.add(tmp_path / "p")
                    other.remove(tmp_path / "p" / f"{seed}.png")
            assert {one.result() for one in asked} == {(30, True)}


def test_an_index_that_is_dropped_is_no_reader_any_more(tmp_path):
    import gc

    index = dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE)
    for seed in range(3):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
        index.add(tmp_path / "p")
    del index
    gc.collect()
    with dinosearch.open(tmp_path / "x") as other:
        done = other.compact()
        assert (done.segments_before, done.segments_after, done.waiting_for_readers) == (3, 1, 0)
        assert len(list((tmp_path / "x" / "segments").iterdir())) == 1


def test_compaction_waits_for_a_reader_with_the_old_files(tmp_path):
    for seed in range(3):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
        with (
            dinosearch.open(tmp_path / "x")
            if seed
            else dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index
        ):
            index.add(tmp_path / "p")
    segments = tmp_path / "x" / "segments"
    with dinosearch.open(tmp_path / "x") as reader, dinosearch.open(tmp_path / "x") as other:
        done = other.compact()
        assert (done.segments_after, done.waiting_for_readers) == (1, 3)
        assert len(list(segments.iterdir())) == 4
        assert len(reader.search(1, k=3)) == 3
    with dinosearch.open(tmp_path / "x") as index:
        assert index.compact().waiting_for_readers == 0
        assert len(list(segments.iterdir())) == 1
        assert len(index.search(1, k=3)) == 3
