"""The pool: order, flow, death and time of its processes, and nothing left behind."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dinosearch.encoders.preprocess import make_view
from dinosearch.errors import DinoSearchError
from dinosearch.geometry import Box, View
from dinosearch.images import Decoder, Picture, Refusal, process
from tests.images.samples import encoded, noise, slow_jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        pixels = np.full((20, 30 + number, 3), 40 * number, dtype=np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encoded(Image.fromarray(pixels), "PNG"))
    (tmp_path / "slow.jpg").write_bytes(slow_jpeg(150))
    return tmp_path


def gone(pids: tuple[int, ...]) -> bool:
    """Whether no process of these ids is left, waiting a moment for the last of them."""
    for _ in range(200):
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            return True
        time.sleep(0.02)
    return False


def decoder_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("dinosearch-decoder")]


def wait_until_busy(pid: int) -> None:
    """Wait until a process has worked for a while longer: it is in the middle of a picture."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    start = ticks()
    for _ in range(1000):
        if ticks() >= start + 20:
            return
        time.sleep(0.01)
    raise AssertionError("the process never got busy")


def test_a_view_is_made_of_the_upright_pixels(decoder, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(noise(211, 97)), "PNG"))
    picture = decoder.decode(tmp_path / "a.png")
    grid = View(56).grid(211, 97)
    assert picture.grid == grid
    np.testing.assert_array_equal(picture.view, make_view(Image.fromarray(noise(211, 97)), grid))
    data = (tmp_path / "a.png").read_bytes()
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.bytes == (tmp_path / "a.png").stat().st_size
    assert picture.mtime_ns == (tmp_path / "a.png").stat().st_mtime_ns


def test_focus_moves_the_crop(decoder, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(noise(400, 100)), "PNG"))
    focus = Box(350, 10, 390, 60)
    picture = decoder.decode(tmp_path / "a.png", focus=focus)
    assert picture.grid == View(56).grid(400, 100, focus=focus)
    expected = make_view(Image.fromarray(noise(400, 100)), picture.grid)
    np.testing.assert_array_equal(picture.view, expected)


def test_relative_paths_mean_the_callers_folder(decoder, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert decoder.decode("1.png").path == str(folder / "1.png")


def test_without_thumbnails(folder):
    with Decoder(View(28), workers=1, thumbnails=False) as decoder:
        picture = decoder.decode(folder / "0.png")
        assert isinstance(picture, Picture)
        assert picture.thumbnail == b""


def test_many_come_in_the_order_given(decoder, folder):
    paths = [folder / f"{n % 6}.png" for n in range(40)]
    paths.insert(0, folder / "slow.jpg")
    paths.insert(17, folder / "missing.png")
    results = list(decoder.decode_many(paths))
    assert [r.path for r in results] == [str(p) for p in paths]
    for path, result in zip(paths, results, strict=True):
        if path.suffix == ".png" and path.stem.isdigit():
            assert (result.view == 40 * int(path.stem)).all()
    assert isinstance(results[17], Refusal)


def test_a_slow_consumer_stops_the_reading(folder):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield folder / f"{number % 6}.png"

    with Decoder(View(28), workers=2) as decoder:
        pictures = decoder.decode_many(endless())
        for consumed in range(1, 12):
            next(pictures)
            time.sleep(0.02)
            assert len(taken) < consumed + 3 * 2
            assert len(decoder.pids) <= 2


def test_dropping_the_iterator_and_closing_leaves_nothing(folder):
    before = decoder_threads()
    (folder / "slow.jpg").write_bytes(slow_jpeg(1500))
    with Decoder(View(28), workers=2) as decoder:
        pictures = decoder.decode_many([folder / "0.png", *[folder / "slow.jpg"] * 50])
        next(pictures)
        pids = decoder.pids
        start = time.monotonic()
        del pictures
    # The five that were in flight would take two processes over ten seconds.
    assert time.monotonic() - start < 6
    assert pids
    assert gone(pids)
    assert decoder.pids == ()
    assert decoder_threads() == before
    with pytest.raises(RuntimeError):
        decoder.decode(folder / "0.png")


def test_processes_are_started_late_and_reused(folder):
    with Decoder(View(28), workers=2) as decoder:
        assert decoder.pids == ()
        for number in range(6):
            decoder.decode(folder / f"{number}.png")
        first = decoder.pids
        assert len(first) in (1, 2)
        list(decoder.decode_many(folder / f"{n % 6}.png" for n in range(20)))
        assert set(first) <= set(decoder.pids)


def test_a_process_killed_in_mid_picture_is_replaced(folder):
    with Decoder(View(28), workers=1) as decoder:
        decoder.decode(folder / "0.png")
        (pid,) = decoder.pids
        pictures = decoder.decode_many([folder / "slow.jpg", folder / "1.png"])

        def kill() -> None:
            wait_until_busy(pid)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        results = list(pictures)
        killer.join()
        assert all(isinstance(result, Picture) for result in results)
        assert decoder.pids != (pid,)
        assert gone((pid,))


def test_a_picture_that_kills_twice_is_given_up_and_others_are_not(folder):
    with Decoder(View(28), workers=2) as decoder:
        list(decoder.decode_many([folder / "0.png"] * 4))
        known: set[int] = set()
        stop = threading.Event()

        def kill_the_busy() -> None:
            """Kill every process in the middle of a picture: only the slow one lasts so long."""
            started: dict[int, int] = {}
            while not stop.is_set():
                for pid in decoder.pids:
                    try:
                        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    except OSError:
                        continue
                    ticks = int(fields[11]) + int(fields[12])
                    # The start of a process costs some 30 ticks of its own.
                    if ticks - started.setdefault(pid, ticks) >= 60 and pid not in known:
                        known.add(pid)
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)

        killer = threading.Thread(target=kill_the_busy)
        killer.start()
        names = ["1.png", "slow.jpg", "2.png", "3.png", "4.png", "5.png"]
        (folder / "slow.jpg").write_bytes(slow_jpeg(1500))
        results = list(decoder.decode_many(folder / name for name in names))
        stop.set()
        killer.join()
        assert len(known) == 2
        states = [(r.state, r.code) if isinstance(r, Refusal) else "ok" for r in results]
        assert states == ["ok", ("failed", "decoder-crash"), "ok", "ok", "ok", "ok"]
        assert isinstance(results[1], Refusal)
        assert "SIGKILL" in results[1].detail
        assert results[1].bytes == (folder / "slow.jpg").stat().st_size


def test_a_picture_that_takes_too_long(folder):
    with Decoder(View(28), workers=2, timeout_s=0.15) as decoder:
        names = ["0.png", "slow.jpg", "1.png", "2.png"]
        (folder / "slow.jpg").write_bytes(slow_jpeg(1500))
        start = time.monotonic()
        results = list(decoder.decode_many(folder / name for name in names))
        assert time.monotonic() - start < 10
        states = [(r.state, r.code) if isinstance(r, Refusal) else "ok" for r in results]
        assert states == ["ok", ("failed", "timeout"), "ok", "ok"]
        assert isinstance(decoder.decode(folder / "3.png"), Picture)


def test_a_process_that_keeps_memory_is_replaced(folder, monkeypatch):
    monkeypatch.setattr("dinosearch.images.decoder.MAX_GROWTH", -1)
    with Decoder(View(28), workers=1) as decoder:
        for number in range(3):
            assert isinstance(decoder.decode(folder / f"{number}.png"), Picture)
            assert decoder.pids == ()


def test_a_process_that_does_not_start_is_not_the_pictures_fault(folder, monkeypatch):
    environment = {**os.environ, "PYTHONHOME": str(folder / "nowhere")}
    monkeypatch.setattr(process, "_environment", lambda: environment)
    with Decoder(View(28), workers=1) as decoder:
        with pytest.raises(DinoSearchError, match="does not start"):
            decoder.decode(folder / "0.png")
        assert decoder.pids == ()


def test_the_current_folder_cannot_replace_a_module(folder, monkeypatch):
    (folder / "PIL.py").write_text("raise SystemExit(7)")
    (folder / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(folder)
    with Decoder(View(28), workers=1) as decoder:
        assert isinstance(decoder.decode("0.png"), Picture)


SCRIPT = """
import signal, sys, time
# Whatever starts the tests in the background may have had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from dinosearch.geometry import View
from dinosearch.images import Decoder
decoder = Decoder(View(28), workers=2)
list(decoder.decode_many([sys.argv[1]] * 8))
print(*decoder.pids, flush=True)
try:
    for picture in decoder.decode_many([sys.argv[2]] * 100):
        pass
finally:
    if sys.argv[3] == "close":
        decoder.close()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_owner(folder, end):
    """Also shows that a script needs no `__main__` guard."""
    owner = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder / "0.png"), str(folder / "slow.jpg"), "close"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pids = tuple(int(pid) for pid in owner.stdout.readline().split())
    assert pids
    time.sleep(0.3)
    owner.send_signal(end)
    _, complaints = owner.communicate(timeout=120)
    assert gone(pids)
    if end == signal.SIGINT:
        assert "KeyboardInterrupt" in complaints


def test_the_decoder_process_stays_light():
    code = (
        "import sys; import dinosearch.images.worker;"
        "print([m for m in ('torch', 'torchvision', 'timm', 'faiss', 'h5py') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
