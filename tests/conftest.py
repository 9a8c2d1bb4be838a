from __future__ import annotations

from hypothesis import settings

# Correctness is tested here, never speed: a busy machine must not fail a test.
settings.register_profile("dinosearch", deadline=None, max_examples=60)
settings.load_profile("dinosearch")
