"""Waiting for what goes on beside a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient


def until(holds: Callable[[], Any], what: str = "it") -> Any:
    """What `holds` returns, once that is true; never a matter of how fast."""
    for _ in range(3_000):
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} does not come about")


def job_of(client: FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    """A job as it is now."""
    found: dict[str, Any] = client.get(f"/api/v1/jobs/{job['id']}").get_json()
    return found


def ended(client: FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    """A job once it is over."""
    until(lambda: job_of(client, job)["ended_at"], "the end of the job")
    return job_of(client, job)
