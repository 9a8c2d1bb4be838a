"""Reports as a table for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from os import PathLike

from dinosearch.defects.report import DefectReport
from dinosearch.export.guard import guarded

COLUMNS = ("path", "id", "verdict", "score", "threshold", "x0", "y0", "x1", "y1", "like", "cosine")


def save_table(reports: Sequence[DefectReport], path: str | PathLike[str]) -> None:
    """Save one row a report as CSV: the box of its hottest spot, the normal patch most like it.

    Names are escaped, so that no spreadsheet takes one for a formula, and bytes of a name
    that are not UTF-8 are written as they are. Raises `OSError`.
    """
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in reports:
            box = [round(edge, 1) for edge in one.boxes[0]] if one.boxes else [""] * 4
            nearest = one.nearest[0] if one.nearest else None
            writer.writerow(
                [
                    guarded(one.path or ""),
                    "" if one.id is None else one.id,
                    one.verdict,
                    round(one.score, 6),
                    "" if one.threshold is None else round(one.threshold, 6),
                    *box,
                    guarded(nearest.path) if nearest else "",
                    round(nearest.cosine, 6) if nearest else "",
                ]
            )
