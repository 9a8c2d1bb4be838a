"""How well an index answers, measured against a ground truth."""

from __future__ import annotations

from dinosearch.evaluation.codec_report import CodecReport, codec_report
from dinosearch.evaluation.metrics import Estimate
from dinosearch.evaluation.run import Judged, Result, evaluate
from dinosearch.evaluation.truth import GroundTruth, Positive, TrueQuery

__all__ = [
    "CodecReport",
    "Estimate",
    "GroundTruth",
    "Judged",
    "Positive",
    "Result",
    "TrueQuery",
    "codec_report",
    "evaluate",
]
