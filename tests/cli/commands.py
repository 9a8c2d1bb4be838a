"""Running the command line as users do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("dinosearch"))


def run(*arguments, code=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def ask(*arguments, code=0):
    """The JSON document of a command: the whole of stdout."""
    return json.loads(run(*arguments, "--json", code=code).stdout)
