"""The writer's side: folders of pictures become items of an index."""

from __future__ import annotations

from dinosearch.indexing.annotations import annotator_for
from dinosearch.indexing.changes import Changes, find_changes
from dinosearch.indexing.pipeline import add_pictures
from dinosearch.indexing.report import AddReport, Progress
from dinosearch.indexing.sources import check_sources

__all__ = [
    "AddReport",
    "Changes",
    "Progress",
    "add_pictures",
    "annotator_for",
    "check_sources",
    "find_changes",
]
