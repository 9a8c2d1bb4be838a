"""Defects: what is unlike everything normal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dinosearch.errors import InvalidInput, PictureRefused
from dinosearch.faces.searching import Searching

if TYPE_CHECKING:
    from PIL import Image

    from dinosearch.defects.bank import Bank
    from dinosearch.defects.report import DefectReport


class Defects(Searching):
    """What is unlike everything normal."""

    def bank(
        self,
        name: str,
        where: str | Sequence[str] | None = None,
        *,
        budget: int | None = None,
        seed: int | None = None,
        false_alarms: float | None = None,
        around: int | None = None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> Bank:
        """What is normal, by the pictures that meet the filters `where`: to find defects with.

        Opens the bank of that name; with `where` it is made where there is none, and any option
        that asks for another one makes it anew. What is not given stays as the bank has it, or
        as the default.

        where         filters such as `"label:good"`, joined by and; () for all pictures
        budget        tokens it holds at most; default 5,000
        seed          of all that is drawn; default 0
        false_alarms  share of good pictures that may be called faulty; default 0.05
        around        cells that each patch is averaged over: 1 (default) for none, or 3
        progress      told a step, how many pictures of it are done, and of how many

        Good pictures that come or go later change the bank at its next use. Raises
        `InvalidInput` when no picture matches, `UnusableIndex`, `DiskFull`.
        """
        from dinosearch.defects.bank import bank_of

        return bank_of(
            self._corpus,
            name,
            self.answer,
            where=where,
            budget=budget,
            seed=seed,
            false_alarms=false_alarms,
            around=around,
            progress=progress,
        )

    def banks(self) -> list[str]:
        """The names of the banks there are, in order."""
        return self._corpus.named("banks").names()

    def delete_bank(self, name: str) -> None:
        """Forget a bank; its pictures stay. Raises `InvalidInput` where there is none."""
        self._corpus.named("banks").delete(name)

    def defect_map(self, report: DefectReport, *, max_side: int = 1024) -> Image.Image:
        """A picture that a bank judged, under its heat and with boxes around its hot spots.

        No side is longer than `max_side`. Raises `InvalidInput`, `PictureRefused`.
        """
        from PIL import Image

        from dinosearch.defects.drawing import draw_report

        stored = lambda number: (self.item(number), self.thumbnail(number))  # noqa: E731
        shown = report.picture if report.path is None else report.path
        try:
            pixels = self._queries.pixels(shown, stored)[0]
        except (InvalidInput, PictureRefused):
            if report.id is None:
                raise
            # Its file is gone or broken, but the index holds a small picture of it.
            pixels = self._queries.pixels(report.id, stored)[0]
        picture = Image.fromarray(pixels)
        picture.thumbnail((max_side, max_side))
        return draw_report(picture, report)
