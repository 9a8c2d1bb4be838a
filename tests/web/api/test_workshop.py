"""Heavy work: done by few, in front of a bounded queue, while the rest goes on. Real threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from dinosearch.web import Settings, create_app
from dinosearch.web.problems import Problem
from dinosearch.web.workshop import Workshop

from dinosearch.encoders.colour import Colour
from dinosearch.errors import EncoderUnavailable
from tests.painting import noise
from tests.web.api.answers import ask, problem_of, upload
from tests.web.api.corpus import png
from tests.web.api.waiting import until


class Gate:
    """Holds the encoder up; `inside` counts those that wait in it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = self.passed = 0

    def wait(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.open.wait(60)
        with self.lock:
            self.inside -= 1
            self.passed += 1


@pytest.fixture
def gate(monkeypatch):
    gate, original = Gate(), Colour.encode_views

    def waiting(encoder, views):
        gate.wait()
        return original(encoder, views)

    monkeypatch.setattr(Colour, "encode_views", waiting)
    yield gate
    gate.open.set()


def inside(app) -> int:
    return sum(app.extensions["dinosearch"].workshop.inside.values())


def test_uploads_beyond_the_queue_are_sent_away_with_a_time_to_come_back(serve, gate):
    app = serve(heavy=3)
    with ThreadPoolExecutor(3) as threads:
        begun = [threads.submit(upload, app.test_client(), png(noise(600 + n))) for n in range(3)]
        until(lambda: inside(app) == 3)
        for path, body in (
            ("/api/v1/search", {"query": {"image_id": 1}}),
            ("/api/v1/explain", {"query": {"image_id": 1}, "image_ids": [1]}),
        ):
            response = app.test_client().post(path, json=body)
            problem_of(response, 503, "index-busy")
            assert response.headers["Retry-After"] == "2"
        response = upload(app.test_client(), png(noise(9)))
        problem_of(response, 503, "index-busy")
        metrics = app.test_client().get("/api/v1/metrics").get_data(as_text=True)
        assert "dinosearch_heavy_sent_away_total 3.0" in metrics
        assert 'dinosearch_heavy_inside{lane="encode"} 3.0' in metrics
        gate.open.set()
        assert [one.result().status_code for one in begun] == [201] * 3
    assert (gate.most, gate.passed) == (1, 3), "one after the other"
    assert inside(app) == 0
    assert upload(app.test_client(), png(noise(9))).status_code == 201


def test_thumbnails_lists_and_searches_do_not_wait_for_encoding(serve, gate, site):
    app = serve(heavy=6)
    with ThreadPoolExecutor(4) as threads:
        begun = [threads.submit(upload, app.test_client(), png(noise(600 + n))) for n in range(4)]
        until(lambda: inside(app) == 4)
        client = app.test_client()
        item = site.ids["wide.png"]
        assert client.get(f"/api/v1/images/{item}/thumb").status_code == 200
        assert client.get(f"/api/v1/images/{item}/thumb?s=1600").status_code == 200
        assert client.get(f"/api/v1/images/{item}").status_code == 200
        assert client.get("/api/v1/images").status_code == 200
        assert client.get("/api/v1/info").status_code == 200
        assert client.get("/").status_code == 200
        assert ask(client, item, k=3)["hits"]
        region = {"patches": [[2, 7]]}
        here = {"mode": "region", "region": region, "same_size": True}
        assert ask(client, item, **here, explain=2)["hits"][0]["heat"]
        assert not any(one.done() for one in begun)
        gate.open.set()
        assert {one.result().status_code for one in begun} == {201}


def test_what_takes_too_long_is_given_up_and_finished_all_the_same(serve, gate):
    app = serve(deadline=1.0)
    client, content = app.test_client(), png(noise(31))
    response = upload(client, content)
    problem_of(response, 504, "timeout")
    assert response.headers["Retry-After"] == "5"
    until(lambda: gate.inside == 1)  # it goes on
    gate.open.set()
    until(lambda: gate.passed == 1)
    again = until(lambda: (r := upload(client, content)).status_code == 201 and r)
    assert gate.passed == 1, "what was done meanwhile is not lost"
    assert len(ask(client, again.get_json()["query_id"], k=2)["hits"]) == 2


def test_the_same_picture_asked_for_twice_at_once_is_encoded_once(serve, gate):
    app, content = serve(), png(noise(32))
    with ThreadPoolExecutor(2) as threads:
        begun = [threads.submit(upload, app.test_client(), content) for _ in range(2)]
        until(lambda: inside(app) == 2)
        gate.open.set()
        assert [one.result().status_code for one in begun] == [201, 201]
    assert gate.passed == 1


def test_a_server_whose_encoder_is_still_being_loaded_says_so(site, tmp_path, monkeypatch):

    loading, original = threading.Event(), Colour.__init__

    def slow(self, **options):
        assert loading.wait(60)
        original(self, **options)

    monkeypatch.setattr(Colour, "__init__", slow)
    app = create_app(Settings(indexes=(site.folder,), uploads=tmp_path / "uploads"))
    client = app.test_client()
    try:
        response = client.get("/api/v1/readyz")
        assert problem_of(response, 503, "model-unavailable")["detail"].endswith("being loaded")
        assert response.headers["Retry-After"] == "2"
        assert client.get("/api/v1/healthz").get_json() == {"status": "ok"}
        assert client.get("/api/v1/info").get_json()["machine"]["device"] is None
        assert ask(client, 1, k=2)["hits"], "an id needs no encoder"
        loading.set()
        until(lambda: client.get("/api/v1/readyz").status_code == 200)
        assert client.get("/api/v1/info").get_json()["machine"]["device"] == "cpu"
    finally:
        loading.set()
        app.extensions["dinosearch"].close()


def test_an_encoder_that_cannot_be_loaded_leaves_the_rest_at_work(site, tmp_path, monkeypatch):

    def missing(self, **options):
        raise EncoderUnavailable("no file /secret/weights.pth")

    monkeypatch.setattr(Colour, "__init__", missing)
    app = create_app(Settings(indexes=(site.folder,), uploads=tmp_path / "uploads"))
    client = app.test_client()
    try:
        until(lambda: "being loaded" not in client.get("/api/v1/readyz").get_json()["detail"])
        document = problem_of(client.get("/api/v1/readyz"), 503, "model-unavailable")
        assert document["detail"] == "the encoder of demo cannot be loaded"
        problem_of(upload(client, png(noise(33))), 503, "model-unavailable")
        assert ask(client, 1, k=2)["hits"]
        assert client.get("/api/v1/images/1/thumb").status_code == 200
    finally:
        app.extensions["dinosearch"].close()


def test_an_error_of_the_work_is_the_works_own():
    workshop = Workshop(heavy=2, deadline=60)
    try:
        for error in (ValueError("a"), TimeoutError("its own"), Problem("conflict", "b")):
            with pytest.raises(type(error)) as raised:
                workshop.do("encode", lambda error=error: (_ for _ in ()).throw(error))
            assert raised.value is error
        assert workshop.do("scan", lambda: 5) == 5
        assert (workshop.inside["encode"], workshop.done["encode"]) == (0, 3)
    finally:
        workshop.close()


def test_work_that_ends_at_the_deadline_is_not_lost(monkeypatch):
    """The answer comes between the wait's giving up and the look at whether it is there."""
    workshop = Workshop(heavy=2, deadline=0.05)
    original = Future.result

    def late(future, timeout=None):
        if timeout is None:
            return original(future)
        try:
            return original(future, timeout)
        except TimeoutError:
            done.set()
            until(future.done)
            raise

    done = threading.Event()
    monkeypatch.setattr(Future, "result", late)
    try:
        assert workshop.do("encode", lambda: done.wait(60) and "here") == "here"
    finally:
        workshop.close()


def test_what_waited_too_long_in_the_queue_is_never_begun():
    workshop = Workshop(heavy=9, deadline=0.1)
    held, begun = threading.Event(), []
    try:
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(workshop.do, "encode", lambda: held.wait(60))
            until(lambda: workshop.inside["encode"] == 1)
            second = threads.submit(workshop.do, "encode", lambda: begun.append(1))
            for one in (first, second):
                assert isinstance(one.exception(), Problem)
        held.set()
        workshop.do("encode", lambda: time.sleep(0))
        assert begun == []
    finally:
        held.set()
        workshop.close()
