"""Copies: which pictures are one picture, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.duplicates.groups import EXACT_UP_TO, KINDS
from dinosearch.duplicates.of_generation import OfGeneration
from dinosearch.errors import InvalidInput
from dinosearch.faces.looking import Looking
from dinosearch.images import content_of
from dinosearch.search.queries import is_id
from dinosearch.storage.decisions import Decision

if TYPE_CHECKING:
    from dinosearch.duplicates.finding import Duplicates
    from dinosearch.duplicates.leaks import Leak
    from dinosearch.duplicates.one_picture import CopyOf
    from dinosearch.duplicates.plan import Plan
    from dinosearch.duplicates.pool import Pool
    from dinosearch.duplicates.trash import Applied, Undone


class Copies(Looking):
    """Which pictures are one picture, and what becomes of them."""

    _pools: OfGeneration[Pool]

    def duplicates(
        self,
        *,
        threshold: float | None = None,
        where: str | Sequence[str] = (),
        kinds: Sequence[str] = KINDS,
        crops: bool | None = None,
        exact_up_to: int = EXACT_UP_TO,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> Duplicates:
        """The groups of pictures that are copies of each other, each with one to keep.

        threshold    least score of a near copy or a crop, in (0, 1]: how much better two
                     pictures agree than their look-alikes do; None for the lowest at which
                     one false copy in a million pairs is expected of this index
        where        filters; only pictures that match are compared
        kinds        of `exact`, `pixels`, `near`, `contains`, `decided`, those that count
        crops        also look for small crops, by patches; None for doing so up to 20,000
                     pictures. Crops of a quarter or more are mostly found without
        exact_up_to  pictures up to which every pair is compared by CLS; beyond, likely ones
        progress     called with the step, how much of it is done, and of how much

        What was decided with `decide` holds. Raises `InvalidInput`, `UnusableIndex`.
        """
        from dinosearch.duplicates.finding import find_duplicates

        return find_duplicates(
            self._corpus,
            self._whole_pixels,
            threshold=threshold,
            where=where,
            kinds=kinds,
            crops=crops,
            exact_up_to=exact_up_to,
            progress=progress,
        )

    def copies_of(self, picture: Any, *, threshold: float = 0.6) -> list[CopyOf]:
        """The items that a picture is a copy of, surest first; nothing is built or stored.

        `picture` as in `search`; an id is no copy of itself. `threshold` as in `duplicates`.
        Raises `InvalidInput`, `PictureRefused`, `EncoderMismatch`, `UnusableIndex`.
        """
        from dinosearch.duplicates.finding import check_threshold
        from dinosearch.duplicates.one_picture import copies_of
        from dinosearch.duplicates.pool import Pool

        check_threshold(threshold)
        own: list[int] = []
        sha256 = None
        if is_id(picture):
            own, sha256 = [int(picture)], self.item(int(picture)).sha256
        elif isinstance(picture, str | PathLike):
            sha256 = content_of(picture)
        (features,) = self._corpus.features([picture])
        stored = lambda number: (self.item(number), self.thumbnail(number))  # noqa: E731
        pixels, _ = self._queries.pixels(picture, stored)
        pool = self._pools.of(
            self._corpus, lambda: Pool(self._corpus, self._corpus.items(self._corpus.ids()))
        )
        return copies_of(
            self._corpus, pool, features, pixels, sha256=sha256, threshold=threshold, without=own
        )

    def leaks(
        self,
        first: str | Sequence[str],
        second: str | Sequence[str],
        *,
        threshold: float | None = None,
        crops: bool | None = None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> list[Leak]:
        """Pictures of one set that are copies, or crops, of pictures of another.

        `first` and `second` are filters, such as `"split:train"` and `"split:test"`, or
        several each; no picture may match both. Other arguments as in `duplicates`.
        """
        from dinosearch.duplicates.leaks import find_leaks

        return find_leaks(
            self._corpus,
            self._whole_pixels,
            first,
            second,
            threshold=threshold,
            crops=crops,
            progress=progress,
        )

    def decide(self, one: int, other: int, verdict: str, *, author: str) -> Decision:
        """Remember that two items are the `same` or `different`.

        Two that are different are never grouped again, two that are the same always. The
        decision is about the contents of the files, so it outlives moving and indexing anew.
        Raises `InvalidInput`, `IndexLocked`.
        """
        from dinosearch.duplicates.deciding import decide

        with self._writer(0) as writer:
            return decide(writer, self.item(one), self.item(other), verdict, author=author)

    def undecide(self, one: int, other: int) -> bool:
        """Forget what was decided of two items; False where nothing was."""
        from dinosearch.storage.decisions import undecide

        first, second = self.item(one), self.item(other)
        with self._writer(0) as writer:
            return undecide(writer.catalog, first.sha256, second.sha256)

    def decisions(self) -> list[Decision]:
        """What was decided of pairs of contents, oldest first."""
        from dinosearch.storage.decisions import decisions

        return self._reader.ask(lambda snapshot, catalog: decisions(catalog))

    def plan_duplicates(
        self,
        found: Duplicates,
        file: str | PathLike[str],
        *,
        trash: str | PathLike[str] | None = None,
    ) -> Plan:
        """Write a plan that keeps one picture of each group and moves the others to a trash.

        Nothing is moved yet; the file is JSON for a person to read and to edit. `trash` is a
        folder outside of every source; the default lies in the folder of the index.
        """
        from dinosearch.duplicates.plan import make_plan, write_plan

        plan = make_plan(
            found,
            self._corpus.items([one for group in found.groups for one in group.ids]),
            index=self.path,
            index_id=self.id,
            sources=self.sources(),
            trash=trash,
        )
        write_plan(plan, file)
        return plan

    def apply_plan(
        self,
        file: str | PathLike[str],
        *,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> Applied:
        """Do what a plan says: move files to its trash, take them out of the index.

        Files that changed since are left where they are. Safe to kill: run it again to
        finish, or `undo_plan`. Raises `InvalidInput`, `IndexLocked`, `DiskFull`,
        `UnusableIndex`.
        """
        from dinosearch.duplicates.trash import apply_plan

        plan = self._plan_of(file)
        with self._writer(0) as writer:
            return apply_plan(plan, writer, progress=progress)

    def undo_plan(
        self,
        file: str | PathLike[str],
        *,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> Undone:
        """Put back what a plan moved, and the items with their ids and labels.

        After a `compact` their features are gone; then the files are back, and the next
        `add` makes them new items. Raises what `apply_plan` raises.
        """
        from dinosearch.duplicates.trash import undo_plan

        plan = self._plan_of(file)
        with self._writer(0) as writer:
            return undo_plan(plan, writer, progress=progress)

    def _plan_of(self, file: str | PathLike[str]) -> Plan:
        from dinosearch.duplicates.plan import read_plan

        plan = read_plan(file)
        if plan.index != self.id:
            raise InvalidInput(
                f"the plan {os.fsdecode(file)} was made for another index than {self.path}"
            )
        return plan

    def _whole_pixels(self, path: str) -> NDArray[np.uint8]:
        return self.pixels(path)[0]
