"""Segmenters, which say what each patch shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from dinosearch.faces.face import Face

if TYPE_CHECKING:
    from dinosearch.probes.segmentation.segmenter import Segmenter


class Segmenting(Face):
    """Segmenters, which say what each patch shows."""

    def train_segmenter(
        self,
        name: str,
        *,
        masks: str | PathLike[str] | Mapping[Any, Any] | None = None,
        strokes: Mapping[Any, Mapping[str, Any]] | None = None,
        classes: Sequence[str] | None = None,
        where: str | Sequence[str] = (),
        white: bool = False,
        ground: int | None = None,
        context: Sequence[str] | None = None,
        hidden: int = 0,
        decay: float | None = None,
        balance: float | None = None,
        seed: int = 0,
    ) -> Segmenter:
        """Learn to outline things from masks or strokes; kept with the index under `name`.

        masks    a folder of PNG files named like their pictures (`sub/a.jpg.png` or
                 `sub/a.png` for `sub/a.jpg`), or a mapping from ids or paths to uint8 arrays
                 [height, width] or PNG files: 0 is background, k the k-th class, 255 is not
                 known; in pixels of the upright picture
        strokes  a mapping from ids or paths to `{class: [stroke, ...]}`; a stroke is
                 `{"line": [[x, y], ...]}` in pixels or `{"cells": [[row, col], ...]}`; the
                 class `background` is what is none of the others
        classes  names of the classes 1, 2, ...; by default those of the strokes in order, or
                 `object` or numbers
        where    take only the masks of items that match
        white    255 in the masks is the first class, not unknown
        ground   so many other items that match `where`, drawn at random, are taken to show
                 none of the classes: strokes then need no background. By default 20 where
                 there are only strokes, which say little of what else there is; choose 0
                 where the things fill much of most pictures
        context  what a cell is told from beside its own token: `around`, `ring`, `cls`, `place`
        hidden   width of a hidden layer; 0 is a plain 1x1 convolution
        decay    of the weights; `balance`, in [0, 1]: how much rare classes are favoured; both
                 by default what did best in benchmarks/segmentation.py

        Thresholds are chosen by cross-fitting over the pictures with masks, and the IoU so
        found stands in `Segmenter.iou`. Raises `InvalidInput`.
        """
        from dinosearch.probes.segmentation.segmenter import train_segmenter

        return train_segmenter(
            self._corpus,
            name,
            masks=masks,
            strokes=strokes,
            classes=classes,
            where=where,
            white=white,
            ground=ground,
            context=context,
            hidden=hidden,
            decay=decay,
            balance=balance,
            seed=seed,
        )

    def segmenter(self, name: str) -> Segmenter:
        """A segmenter that the index keeps. Raises `InvalidInput` where there is none."""
        from dinosearch.probes.segmentation.segmenter import load_segmenter

        return load_segmenter(self._corpus, name)

    def segmenters(self) -> list[str]:
        """The names of the segmenters that the index keeps."""
        from dinosearch.probes.segmentation.segmenter import segmenter_names

        return segmenter_names(self._corpus)

    def delete_segmenter(self, name: str) -> None:
        """Forget a segmenter. Raises `InvalidInput` where there is none of that name."""
        from dinosearch.probes.segmentation.segmenter import delete_segmenter

        delete_segmenter(self._corpus, name)
