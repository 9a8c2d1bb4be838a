from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """No test sees weights or checksums of the person who runs it, nor leaves any."""
    home = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.delenv("DINOSEARCH_WEIGHTS", raising=False)
    return home
