from __future__ import annotations

from collections.abc import Iterator

import pytest

from dinosearch.geometry import View
from dinosearch.images import Decoder


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    """One pool for all tests that only decode: starting processes is most of their time."""
    with Decoder(View(56), workers=2, timeout_s=60) as decoder:
        yield decoder
