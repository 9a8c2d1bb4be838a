"""An index of ten pictures, made once by the command line; who damages it takes a copy."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.commands import dinosearch, run
from tests.crash.corpus import draw_many
from tests.crash.scenarios import index_arguments


@pytest.fixture(scope="package")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dinosearch-bad-input-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def pictures(place: Path) -> Path:
    draw_many(place / "pictures", 10)
    return place / "pictures"


@pytest.fixture(scope="package")
def sound(place: Path, pictures: Path) -> Path:
    """The index that no test changes."""
    done = dinosearch(*index_arguments(pictures, place / "sound"))
    assert done.code == 0, done.err
    return place / "sound"


@pytest.fixture
def copy(sound: Path, place: Path) -> Iterator[Path]:
    """A copy of it to damage."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(shutil.copytree(sound, Path(folder) / "index"))


@pytest.fixture
def mortal(tmp_path: Path) -> dict[str, Any]:
    """Options for a process that file permissions hold for, which for root they do not.

    Root gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH before the command starts; an
    ordinary user has neither.
    """
    if os.geteuid() != 0:
        return {}
    prctl = ctypes.CDLL(None).prctl

    def give_up() -> None:
        for capability in (1, 2):
            prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "closed" / "file").touch(mode=0)
    options: dict[str, Any] = {"preexec_fn": give_up}
    if run(["cat", str(tmp_path / "closed" / "file")], **options).code == 0:
        pytest.skip("root cannot give up its rights here (no CAP_SETPCAP): run as a user")
    return options
