"""What a command loads: nobody should wait for libraries that the answer does not need."""

from __future__ import annotations

import json
import sys

import pytest

from tests.crash.commands import run

_SCRIPT = """
import json, sys
sys.argv = ["dinosearch", *json.loads(sys.argv[1])]
from dinosearch.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
sys.stdout.flush()
print()
print(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


def loaded_by(*arguments: str) -> set[str]:
    done = run([sys.executable, "-c", _SCRIPT, json.dumps(arguments)])
    told = json.loads(done.out.splitlines()[-1])
    assert told["code"] == 0, done.err
    return {name.partition(".")[0] for name in told["modules"]}


HEAVY = {"torch", "torchvision", "timm", "sklearn", "matplotlib", "flask"}


def test_help_loads_next_to_nothing():
    assert not loaded_by("--help") & (HEAVY | {"numpy", "PIL", "faiss", "h5py", "sqlite3", "rich"})


@pytest.mark.parametrize("command", ["index", "search", "info", "verify", "encoders"])
def test_help_of_a_command_loads_no_more(command):
    assert not loaded_by(command, "--help") & (HEAVY | {"faiss", "h5py", "sqlite3"})


def test_searching_by_id(sound):
    assert not loaded_by("search", "--id", "1", "--in", str(sound)) & HEAVY


def test_looking_after_an_index(sound):
    for command in ("info", "failures", "verify"):
        assert not loaded_by(command, "--in", str(sound)) & HEAVY
