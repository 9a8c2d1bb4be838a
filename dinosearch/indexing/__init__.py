"""The writer's side: folders of pictures become items of an index."""

from __future__ import annotations

from dinosearch.indexing.pipeline import add_pictures
from dinosearch.indexing.report import AddReport, Progress

__all__ = ["AddReport", "Progress", "add_pictures"]
