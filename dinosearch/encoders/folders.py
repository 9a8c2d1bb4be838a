"""Where weights are looked for, computed without importing torch."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """dinosearch's cache: `$XDG_CACHE_HOME/dinosearch`, else `~/.cache/dinosearch`."""
    return _xdg_cache() / "dinosearch"


def download_folder() -> Path:
    """Where downloaded weights go: `$DINOSEARCH_WEIGHTS`, else `weights` in the cache."""
    chosen = os.environ.get("DINOSEARCH_WEIGHTS")
    return Path(chosen).expanduser() if chosen else cache_folder() / "weights"


def hub_checkpoints() -> Path:
    """The folder that `torch.hub` downloads checkpoints to.

    `$TORCH_HOME/hub/checkpoints`, else `torch/hub/checkpoints` in the XDG cache: the
    rule of `torch.hub.get_dir`.
    """
    home = os.environ.get("TORCH_HOME")
    root = Path(home).expanduser() if home else _xdg_cache() / "torch"
    return root / "hub" / "checkpoints"


def weights_folders() -> list[Path]:
    """Every folder that is searched for official weights, in order, each once."""
    folders = [download_folder(), cache_folder() / "weights", hub_checkpoints()]
    return list(dict.fromkeys(folders))


def _xdg_cache() -> Path:
    chosen = os.environ.get("XDG_CACHE_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache"
