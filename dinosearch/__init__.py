"""dinosearch finds pictures by what is in them.

import dinosearch
index = dinosearch.create("indexes/parts", encoder="mini")
index.add("photos/", labels="folders")
hits = index.search("query.jpg", region=(120, 80, 260, 210))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dinosearch.defects.bank import Bank
    from dinosearch.defects.report import DefectReport
    from dinosearch.duplicates.finding import DuplicateGroup, Duplicates
    from dinosearch.duplicates.leaks import Leak
    from dinosearch.duplicates.one_picture import CopyOf
    from dinosearch.duplicates.trash import Applied, Undone
    from dinosearch.encoders import Encoder, load_encoder
    from dinosearch.errors import DinoSearchError
    from dinosearch.geometry import Box, PatchGrid, Region
    from dinosearch.image_index import ImageIndex
    from dinosearch.images import meaning_of
    from dinosearch.indexing import AddReport, Changes
    from dinosearch.indexing import Progress as AddProgress
    from dinosearch.opening import create, verify
    from dinosearch.opening import open_index as open
    from dinosearch.overview.overview import Overview
    from dinosearch.pca import PcaMap
    from dinosearch.probes.probe import LabelError, Prediction, Probe
    from dinosearch.probes.queue import Queued
    from dinosearch.probes.segmentation.segmenter import Segmenter, SegmentMap
    from dinosearch.scoring import knee
    from dinosearch.search.evidence import Evidence
    from dinosearch.search.queries import Query
    from dinosearch.search.question import Answer, Hit
    from dinosearch.storage.catalog import Item
    from dinosearch.storage.decisions import Decision
    from dinosearch.storage.labels import LabelChange

# Resolved when first used (PEP 562), so that `import dinosearch` costs nothing.
_HOMES = {
    "AddProgress": ("dinosearch.indexing", "Progress"),
    "AddReport": ("dinosearch.indexing", "AddReport"),
    "Answer": ("dinosearch.search.question", "Answer"),
    "Bank": ("dinosearch.defects.bank", "Bank"),
    "Box": ("dinosearch.geometry", "Box"),
    "Changes": ("dinosearch.indexing", "Changes"),
    "DefectReport": ("dinosearch.defects.report", "DefectReport"),
    "DinoSearchError": ("dinosearch.errors", "DinoSearchError"),
    "Encoder": ("dinosearch.encoders", "Encoder"),
    "Evidence": ("dinosearch.search.evidence", "Evidence"),
    "Hit": ("dinosearch.search.question", "Hit"),
    "ImageIndex": ("dinosearch.image_index", "ImageIndex"),
    "Item": ("dinosearch.storage.catalog", "Item"),
    "LabelChange": ("dinosearch.storage.labels", "LabelChange"),
    "LabelError": ("dinosearch.probes.probe", "LabelError"),
    "PatchGrid": ("dinosearch.geometry", "PatchGrid"),
    "Overview": ("dinosearch.overview.overview", "Overview"),
    "PcaMap": ("dinosearch.pca", "PcaMap"),
    "Prediction": ("dinosearch.probes.probe", "Prediction"),
    "Probe": ("dinosearch.probes.probe", "Probe"),
    "Query": ("dinosearch.search.queries", "Query"),
    "Queued": ("dinosearch.probes.queue", "Queued"),
    "Region": ("dinosearch.geometry", "Region"),
    "SegmentMap": ("dinosearch.probes.segmentation.segmenter", "SegmentMap"),
    "Segmenter": ("dinosearch.probes.segmentation.segmenter", "Segmenter"),
    "create": ("dinosearch.opening", "create"),
    "knee": ("dinosearch.scoring", "knee"),
    "load_encoder": ("dinosearch.encoders", "load_encoder"),
    "meaning_of": ("dinosearch.images", "meaning_of"),
    "open": ("dinosearch.opening", "open_index"),
    "verify": ("dinosearch.opening", "verify"),
    "Applied": ("dinosearch.duplicates.trash", "Applied"),
    "CopyOf": ("dinosearch.duplicates.one_picture", "CopyOf"),
    "Decision": ("dinosearch.storage.decisions", "Decision"),
    "DuplicateGroup": ("dinosearch.duplicates.finding", "DuplicateGroup"),
    "Duplicates": ("dinosearch.duplicates.finding", "Duplicates"),
    "Leak": ("dinosearch.duplicates.leaks", "Leak"),
    "Undone": ("dinosearch.duplicates.trash", "Undone"),
}

__all__ = [
    "AddProgress",
    "AddReport",
    "Answer",
    "Applied",
    "Bank",
    "Box",
    "Changes",
    "CopyOf",
    "Decision",
    "DefectReport",
    "DinoSearchError",
    "DuplicateGroup",
    "Duplicates",
    "Encoder",
    "Evidence",
    "Hit",
    "ImageIndex",
    "Item",
    "LabelChange",
    "LabelError",
    "Leak",
    "Overview",
    "PatchGrid",
    "PcaMap",
    "Prediction",
    "Probe",
    "Query",
    "Queued",
    "Region",
    "SegmentMap",
    "Segmenter",
    "Undone",
    "create",
    "knee",
    "load_encoder",
    "meaning_of",
    "open",
    "verify",
]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'dinosearch' has no attribute {name!r}") from None
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
