"""What the views of one app work with."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from .jobs import Jobs
from .metrics import Metrics
from .previews import Previews
from .security import Guard
from .settings import Settings
from .shelf import Shelf
from .uploads import Uploads
from .workshop import Workshop


@dataclass(frozen=True)
class Services:
    """Made once by `create_app`; everything in it may be used from any thread."""

    settings: Settings
    shelf: Shelf
    uploads: Uploads
    previews: Previews
    workshop: Workshop
    jobs: Jobs
    guard: Guard
    metrics: Metrics

    def close(self) -> None:
        """Stop the running job at its next commit and give everything back."""
        self.jobs.close()
        self.workshop.close()
        self.shelf.close()


def services() -> Services:
    """Those of the app that is answering."""
    found: Services = current_app.extensions["dinosearch"]
    return found
