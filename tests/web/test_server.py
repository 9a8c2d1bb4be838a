"""The real `dinosearch serve`: its address, its signals, its refusals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dinosearch
from tests.painting import SIZE, noise, save

COMMAND = str(Path(sys.executable).with_name("dinosearch"))
TOKEN = "a-secret-of-many-letters"


class Server:
    """A running `dinosearch serve`."""

    def __init__(self, *arguments: str | Path, cache: Path, token: str | None = None) -> None:
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        environment |= {"DINOSEARCH_TOKEN": token} if token else {}
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.process = subprocess.Popen(
            [COMMAND, "serve", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = re.fullmatch(r"dinosearch is at (http://\S+/)\n", self.line)
        assert found, self.line + self.process.communicate()[1]
        self.url = found[1]

    def ask(self, path: str, body: Any = None, *, headers: Any = None) -> tuple[int, Any]:
        """Status and document of an answer; POST with a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, self._headers if headers is None else headers
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """The exit code and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=120)
        return self.process.returncode, said


@contextmanager
def serving(*arguments: str | Path, cache: Path, token: str | None = None) -> Iterator[Server]:
    server = Server(*arguments, "--port", "0", cache=cache, token=token)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of two indexes, with 3 and 5 pictures."""
    root: Path = tmp_path_factory.mktemp("served")
    for name, seeds in (("first", range(3)), ("second", range(5))):
        for seed in seeds:
            save(root / name / f"{seed}.png", noise(seed))
        with dinosearch.create(root / "all" / name, encoder="colour", size=SIZE) as index:
            index.add(root / name)
    return root / "all"


def refused(*arguments: str | Path, token: str | None = None) -> str:
    """What is said by a server that must not start."""
    environment = {**os.environ, "DINOSEARCH_TOKEN": token or ""}
    done = subprocess.run(
        [COMMAND, "serve", *map(str, arguments)],
        capture_output=True, text=True, timeout=180, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_prints_its_address_and_answers_for_every_index(folder, tmp_path):
    with serving("--in", folder, cache=tmp_path) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", server.url)
        status, info = server.ask("api/v1/info")
        assert (status, info["index"]["name"]) == (200, "first")
        assert [one["images"] for one in info["indexes"]] == [3, 5]
        assert server.ask("api/v1/info?index=second")[1]["index"]["images"] == 5
        assert server.ask("api/v1/info?index=third")[0] == 404
        body = {"query": {"image_id": 2}, "k": 2}
        _, answer = server.ask("api/v1/search?index=second", body)
        assert answer["hits"][0]["path"] == "1.png"
        assert (tmp_path / "dinosearch" / "uploads").stat().st_mode & 0o077 == 0
        assert server.end(signal.SIGINT)[0] == 130


def test_one_port_is_for_one_server(folder, tmp_path):
    with serving("--in", folder, cache=tmp_path) as server:
        port = server.url.rsplit(":", 1)[1].strip("/")
        said = refused("--in", folder, "--port", port)
        assert f"cannot listen on 127.0.0.1:{port}" in said
        assert "--port" in said
        assert server.ask("api/v1/healthz") == (200, {"status": "ok"})
        assert server.end(signal.SIGTERM)[0] == 143


def test_a_token_from_a_file_is_wanted_and_never_shown(folder, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    arguments = ("--in", folder, "--host", "0.0.0.0", "--token-file", tmp_path / "token")
    with serving(*arguments, cache=tmp_path, token="another-that-does-not-count") as server:
        right = {"Authorization": f"Bearer {TOKEN}"}
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert server.ask("api/v1/info")[0] == 401
        assert server.ask("api/v1/info", headers={})[0] == 401
        assert server.ask("api/v1/info", headers=right)[0] == 200
        code, said = server.end(signal.SIGTERM)
    assert code == 143
    assert TOKEN not in server.line + said


def test_a_signal_in_the_middle_of_a_job_keeps_what_was_committed(folder, tmp_path):
    """Thousands of names for one file: each is read, none takes room on the disk."""
    pictures = tmp_path / "pictures"
    first = save(pictures / "0.png", noise(7), scale=8)
    for number in range(1, 3_000):
        os.link(first, pictures / f"{number}.png")
    index = tmp_path / "x"
    dinosearch.create(index, encoder="colour", size=SIZE).close()
    with serving("--in", index, "--root", pictures, cache=tmp_path) as server:
        body = {"kind": "index", "roots": [{"root": "pictures"}]}
        status, job = server.ask("api/v1/jobs", body)
        assert status == 202
        for _ in range(3_000):
            job = server.ask(f"api/v1/jobs/{job['id']}")[1]
            if job["committed"] or job["ended_at"]:
                break
            time.sleep(0.01)
        assert job["state"] == "running"
        assert 0 < job["committed"] < 3_000
        code, said = server.end(signal.SIGTERM)
        assert (code, said.count("Traceback")) == (143, 0), said
    with dinosearch.open(index) as found:
        assert job["committed"] <= len(found) < 3_000
        assert found.verify(full=True).ok
        assert found.search(1, k=1)[0].score == pytest.approx(1, abs=1e-4)


def test_an_address_that_others_reach_takes_a_token(folder):
    said = refused("--in", folder, "--host", "0.0.0.0", "--port", "0")
    assert "give a token (--token-file FILE), or listen on 127.0.0.1" in said


def test_a_token_that_would_be_guessed_is_refused_and_not_repeated(folder):
    said = refused("--in", folder, "--port", "0", token="guess-me")
    assert "shorter than 16 characters" in said
    assert "guess-me" not in said


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("\n", "is empty")])
def test_a_token_file_must_hold_one(folder, tmp_path, content, words):
    if content is not None:
        (tmp_path / "token").write_text(content)
    said = refused("--in", folder, "--port", "0", "--token-file", tmp_path / "token")
    assert words in said


def test_where_there_is_no_index_it_says_how_to_make_one(tmp_path):
    said = refused("--in", tmp_path, "--port", "0")
    assert "neither an index nor a folder of indexes" in said
    assert "dinosearch index" in said


def test_an_address_of_another_machine_cannot_be_listened_on(folder, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    said = refused("--in", folder, "--host", "192.0.2.1", "--port", "0", "--token-file",
                   tmp_path / "token")  # fmt: skip
    assert "cannot listen on 192.0.2.1" in said
