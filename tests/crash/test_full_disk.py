"""A disk that really is full: a small file system of its own, or a limit where none can be had.

Mounting needs a machine where the test runs as root with CAP_SYS_ADMIN. Elsewhere the
limit on the size of a file stands in (RLIMIT_FSIZE): the writes fail as really, with
EFBIG in place of ENOSPC, and only a disk that is full as a whole is not tested.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dinosearch
from dinosearch.storage.verify import VerifyReport
from tests.crash.checks import check, check_complete
from tests.crash.commands import Done, run, runner_command
from tests.crash.corpus import Truth, draw_many
from tests.crash.stages import CONSTANTS

LARGE = 280
"""400 patches of 8 numbers a picture: segments and thumbnails of some size."""


def mount(folder: Path, megabytes: int) -> bool:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    try:
        mounted = mount(disk, 4)
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("nothing can be mounted here: only the limit on a file's size is tested")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("full") / "pictures"
    draw_many(folder, 200)
    for path in sorted(folder.iterdir())[::5]:  # noise: its thumbnail is large
        pixels = np.random.default_rng(int(path.stem)).integers(0, 256, (256, 256, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder, Truth(size=LARGE).learn(sorted(folder.iterdir()))


def index(pictures: Path, to: Path, *more: str, **options: object) -> Done:
    arguments = ("index", str(pictures), "--to", str(to), "--encoder", "colour")
    plan = {"constants": CONSTANTS}
    return run(runner_command(plan, *arguments, "--size", str(LARGE), "--json", *more), **options)


def verified(folder: Path) -> VerifyReport:
    with dinosearch.open(folder) as opened:
        return opened.verify(full=True)


def is_disk_full(done: Done) -> bool:
    assert done.code == 74, f"{done.code}: {done.err}"
    assert "Traceback" not in done.err
    assert done.json["error"]["type"] == "DiskFull"
    last = done.err.splitlines()[-1]
    return "make room and run the same command again" in last and "safe" in last


def test_full_in_the_middle(small_disk, corpus):
    pictures, truth = corpus
    folder = small_disk / "index"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    done = index(pictures, folder, "--min-free", "0")
    assert is_disk_full(done)
    assert 0 < done.acknowledged < 200
    # Nothing must be deleted by hand to look at it, search it or check it.
    state = check(folder, pictures, truth, acknowledged=done.acknowledged)
    assert state.items == done.acknowledged
    with dinosearch.open(folder) as opened:
        assert opened.search(2, k=3)[0].id == 2
    again = index(pictures, folder, "--min-free", "0")
    assert is_disk_full(again)
    assert check(folder, pictures, truth, acknowledged=done.acknowledged).items >= state.items
    ballast.unlink()
    grow(small_disk)
    finished = index(pictures, folder, "--min-free", "0")
    assert finished.code == 0, finished.err
    check_complete(folder, pictures, truth)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 4, 12, 40, 100, 200, 400])
def test_full_from_the_start(small_disk, corpus, room):
    """So many KiB are free when a new index is made: each size fails at another step."""
    pictures, truth = corpus
    folder = small_disk / "index"
    fill(small_disk, room)
    done = index(pictures, folder, "--min-free", "0")
    assert is_disk_full(done)
    (small_disk / "ballast").unlink()
    grow(small_disk)
    check(folder, pictures, truth, acknowledged=done.acknowledged)
    assert index(pictures, folder, "--min-free", "0").code == 0
    check_complete(folder, pictures, truth)


def fill(disk: Path, keep: int) -> None:
    """Leave `keep` KiB."""
    with open(disk / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            size = ballast.tell()
        ballast.truncate(max(0, size // 4096 * 4096 - keep * 1024))


def test_a_full_disk_can_be_read_and_relieved(small_disk, corpus):
    """Searching, removing and looking need no room beyond what SQLite wants for a moment."""
    pictures, _ = corpus
    folder = small_disk / "index"
    grow(small_disk)
    assert index(pictures, folder, "--min-free", "0").code == 0
    fill(small_disk, 0)
    with dinosearch.open(folder) as opened:
        assert opened.search(2, k=3)[0].id == 2
        assert opened.verify().ok
    done = run(runner_command({}, "remove", "3", "--in", folder, "--json"))
    assert done.code in (0, 74), done.err
    assert "Traceback" not in done.err
    (small_disk / "ballast").unlink()
    assert verified(folder).ok


def test_default_refuses_before_the_batch(small_disk, corpus):
    pictures, _ = corpus
    folder = small_disk / "index"
    done = index(pictures, folder)
    assert is_disk_full(done)
    assert "MB free and the next batch wants 1,024 MB" in done.err
    assert verified(folder).items == 0
    assert list((folder / "segments").iterdir()) == []


def test_a_file_that_may_not_grow(tmp_path, corpus):
    """The fallback for machines where nothing can be mounted; it runs everywhere."""
    pictures, truth = corpus
    folder = tmp_path / "index"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 << 10, 300 << 10))

    done = index(pictures, folder, "--min-free", "0", "--workers", "1", preexec_fn=limit)
    assert done.code in (4, 74), done.err
    assert "Traceback" not in done.err
    state = check(folder, pictures, truth, acknowledged=done.acknowledged)
    assert state.items < 200
    assert index(pictures, folder, "--min-free", "0").code == 0
    check_complete(folder, pictures, truth)
