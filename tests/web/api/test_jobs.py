"""Jobs: indexing and looking for changes beside the page, one after the other."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dinosearch
from dinosearch.encoders.colour import Colour
from dinosearch.storage.folder import Folder
from tests.painting import BLUE, RED, SIZE, noise, plain, save
from tests.web.api.answers import ask, problem_of
from tests.web.api.waiting import ended, job_of, until

JOBS = "/api/v1/jobs"


@pytest.fixture
def corpus(tmp_path):
    """Pictures that are indexed (`known`), and some that are not (`more`)."""
    for seed in range(3):
        save(tmp_path / "corpus" / "known" / f"{seed}.png", noise(seed))
    save(tmp_path / "corpus" / "more" / "red" / "red.png", plain(RED))
    save(tmp_path / "corpus" / "more" / "blue" / "blue.png", plain(BLUE))
    (tmp_path / "corpus" / "more" / "bad.png").write_bytes(b"no picture")
    with dinosearch.create(tmp_path / "demo", encoder="colour", size=SIZE) as index:
        index.add(tmp_path / "corpus" / "known")
    return tmp_path / "corpus"


@pytest.fixture
def client(corpus, tmp_path, serve):
    return serve(indexes=(tmp_path / "demo",), roots=(corpus,)).test_client()


def index_job(client, *folders, **options):
    """Begin to index folders below the root `corpus`."""
    roots = [{"root": "corpus", "folder": folder} for folder in folders]
    response = client.post(JOBS, json={"kind": "index", "roots": roots} | options)
    assert response.status_code == 202, response.get_data(as_text=True)
    job = response.get_json()
    assert response.headers["Location"] == f"{JOBS}/{job['id']}"
    return job


class Gate:
    """Holds the encoder up, so that a job stands where a test wants it."""

    def __init__(self, monkeypatch, events):
        self.reached, self.open = events
        original = Colour.encode_views

        def waiting(encoder, views):
            self.reached.set()
            assert self.open.wait(60)
            return original(encoder, views)

        monkeypatch.setattr(Colour, "encode_views", waiting)


@pytest.fixture
def gate(monkeypatch):
    from threading import Event

    gate = Gate(monkeypatch, (Event(), Event()))
    yield gate
    gate.open.set()


def test_a_new_picture_is_found_once_its_folder_is_indexed(client):
    begun = index_job(client, "more", labels="folders")
    assert (begun["kind"], begun["index"], begun["state"]) == ("index", "demo", "queued")
    job = ended(client, begun)
    assert (job["state"], job["done"], job["total"], job["committed"]) == ("done", 3, 3, 3)
    counts = {name: job["result"][name] for name in ("seen", "added", "refused", "failed")}
    assert counts == {"seen": 3, "added": 2, "refused": 1, "failed": 0}
    assert job["message"] == "2 added, 0 updated, 0 unchanged, 1 refused, 0 failed"
    assert job["errors"] == ["1 file was not taken"]
    assert job["params"]["roots"] == [{"root": "corpus", "folder": "more"}]
    assert job["params"] | {"roots": []} == {
        "labels": "folders", "prune": False, "readd": False, "roots": []
    }  # fmt: skip
    assert job["log"][-1].endswith(job["message"])
    assert job["created_at"] <= job["started_at"] <= job["ended_at"]
    assert (job["eta_s"], job["cancelling"]) == (None, False)
    answer = ask(client, 1, k=10)
    paths = {hit["path"]: hit["labels"] for hit in answer["hits"]}
    assert paths == {
        "0.png": [],
        "1.png": [],
        "2.png": [],
        "red/red.png": ["red"],
        "blue/blue.png": ["blue"],
    }
    assert client.get("/api/v1/info").get_json()["index"]["images"] == 5


def test_an_index_job_prunes_and_adds_again_when_told_to(client, corpus, tmp_path):
    (corpus / "known" / "0.png").unlink()
    with dinosearch.open(tmp_path / "demo") as index:
        index.remove(corpus / "known" / "1.png")
    kept = ended(client, index_job(client, "known"))["result"]
    assert (kept["vanished"], kept["pruned"], kept["left_out"], kept["added"]) == (1, 0, 1, 0)
    done = ended(client, index_job(client, "known", prune=True, readd=True))["result"]
    assert (done["pruned"], done["left_out"], done["added"]) == (1, 0, 1)


def test_the_drift_is_counted(client, corpus):
    save(corpus / "known" / "new.png", plain(RED))
    save(corpus / "known" / "1.png", plain(RED), scale=2)
    (corpus / "known" / "2.png").unlink()
    job = ended(client, client.post(JOBS, json={"kind": "changes"}).get_json())
    assert (job["kind"], job["state"]) == ("changes", "done")
    assert job["result"] == {
        "added": 1,
        "changed": 1,
        "missing": 1,
        "unchanged": 1,
        "unreachable": 0,
        "stopped": False,
    }
    assert job["message"] == "1 new, 1 changed, 1 missing"


def test_jobs_wait_for_each_other_and_are_listed_newest_first(client, gate):
    first = index_job(client, "more")
    until(gate.reached.is_set)
    second = client.post(JOBS, json={"kind": "changes"}).get_json()
    third = index_job(client, "known")
    listed = client.get(JOBS).get_json()["jobs"]
    assert [job["id"] for job in listed] == [third["id"], second["id"], first["id"]]
    assert [job["state"] for job in listed] == ["queued", "queued", "running"]
    assert (listed[2]["step"], listed[2]["total"]) == ("indexing", 3)
    assert listed[2]["started_at"]
    assert listed[0]["started_at"] is None
    gate.open.set()
    assert ended(client, third)["state"] == ended(client, first)["state"] == "done"
    jobs = client.application.extensions["dinosearch"].jobs.all("demo")
    begun = sorted(jobs, key=lambda job: job.started_at)
    assert [job.id for job in begun] == [first["id"], second["id"], third["id"]]
    assert begun[0].ended_at <= begun[1].started_at
    assert begun[1].ended_at <= begun[2].started_at


def test_a_queued_job_is_cancelled_at_once(client, gate):
    first = index_job(client, "more")
    until(gate.reached.is_set)
    second = index_job(client, "known")
    assert client.delete(f"{JOBS}/{second['id']}").status_code == 204
    job = job_of(client, second)
    assert (job["state"], job["started_at"], job["result"]) == ("cancelled", None, None)
    assert job["log"][-1].endswith("cancelled before it began")
    gate.open.set()
    assert ended(client, first)["state"] == "done"
    assert job_of(client, second)["state"] == "cancelled"


def test_a_running_job_that_is_cancelled_keeps_what_it_has(client, gate, corpus):
    for seed in range(100, 400):
        save(corpus / "many" / f"{seed}.png", noise(seed))
    job = index_job(client, "many")
    until(gate.reached.is_set)
    assert client.delete(f"{JOBS}/{job['id']}").status_code == 204
    running = job_of(client, job)
    assert (running["state"], running["cancelling"]) == ("running", True)
    gate.open.set()
    over = ended(client, job)
    assert (over["state"], over["cancelling"], over["result"]["stopped"]) == (
        "cancelled",
        False,
        True,
    )
    added = over["result"]["added"]
    assert 0 < added < 300
    assert client.get("/api/v1/info").get_json()["index"]["images"] == 3 + added
    again = ended(client, client.post(f"{JOBS}/{job['id']}/retry").get_json())
    assert again["result"]["added"] == 300 - added


def test_an_ended_job_is_removed_and_may_be_done_again(client, corpus):
    job = ended(client, index_job(client, "more"))
    save(corpus / "more" / "new.png", noise(8))
    response = client.post(f"{JOBS}/{job['id']}/retry")
    assert response.status_code == 202
    again = response.get_json()
    assert again["id"] != job["id"]
    assert again["params"] == job["params"]
    assert ended(client, again)["result"]["added"] == 1
    assert client.delete(f"{JOBS}/{job['id']}").status_code == 204
    problem_of(client.get(f"{JOBS}/{job['id']}"), 404, "job-not-found")
    problem_of(client.delete(f"{JOBS}/{job['id']}"), 404, "job-not-found")
    problem_of(client.post(f"{JOBS}/{job['id']}/retry"), 404, "job-not-found")
    assert [one["id"] for one in client.get(JOBS).get_json()["jobs"]] == [again["id"]]


def test_a_job_that_goes_on_cannot_be_begun_again(client, gate):
    job = index_job(client, "more")
    until(gate.reached.is_set)
    problem_of(client.post(f"{JOBS}/{job['id']}/retry"), 409, "conflict")


def test_polling_costs_nothing_while_nothing_changes(client):
    job = ended(client, index_job(client, "more"))
    for path in (JOBS, f"{JOBS}/{job['id']}"):
        first = client.get(path)
        tag = first.headers["ETag"]
        assert first.headers["Retry-After"] == "1"
        same = client.get(path, headers={"If-None-Match": tag})
        assert (same.status_code, same.data) == (304, b"")
    tag = client.get(JOBS).headers["ETag"]
    ended(client, client.post(JOBS, json={"kind": "changes"}).get_json())
    changed = client.get(JOBS, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert len(changed.get_json()["jobs"]) == 2


def test_while_another_process_writes_the_job_says_so(client, tmp_path):
    code = (
        "import sys, pathlib\n"
        "from dinosearch.storage.folder import Folder\n"
        "with Folder(pathlib.Path(sys.argv[1])).writer_lock():\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "demo")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        job = ended(client, index_job(client, "more"))
    finally:
        other.communicate("")
    assert job["state"] == "failed"
    assert job["message"] == ("another process is writing to this index: try again when it is done")
    assert job["errors"] == [job["message"]]
    assert ended(client, client.post(f"{JOBS}/{job['id']}/retry").get_json())["state"] == "done"


def test_a_job_that_breaks_says_so_without_a_trace(client, monkeypatch):
    def broken(self, *arguments, **options):
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(Folder, "writer_lock", broken)
    job = ended(client, index_job(client, "more"))
    assert job["state"] == "failed"
    assert "log" in job["message"]
    assert "secret" not in str(job)
