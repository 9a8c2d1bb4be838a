"""A bank: what is normal, as a live view of the good pictures of an index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike, fsdecode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.defects.judging import judge
from dinosearch.defects.making import FOLDS, Progress, make, members_of
from dinosearch.defects.reading import Ready, ready, stored
from dinosearch.defects.report import DefectReport, Nearest
from dinosearch.defects.state import Settings, State, load, save
from dinosearch.errors import DiskFull, InvalidInput, UnusableIndex
from dinosearch.geometry import Box, Region
from dinosearch.images import content_of
from dinosearch.search.engine import grid_of
from dinosearch.search.question import Answer, Hit

log = logging.getLogger(__name__)

REASONS = 5
"""Hottest patches of a picture for which the nearest normal patch is named."""

KIND = "banks"


class Bank:
    """What is normal by the good pictures of an index; made by `ImageIndex.bank`.

    Good are all pictures that meet its filters *now*: each use looks whether some came or
    went, and then brings the bank up to date first, and keeps it so. For any number of
    threads.
    """

    def __init__(
        self, corpus: Corpus, name: str, state: State, search: Callable[..., Answer]
    ) -> None:
        self.name = name
        self._corpus = corpus
        self._state = state
        self._search = search
        self._seen: tuple[int, bytes] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Bank {self.name}: {len(self._state.ids)} good pictures>"

    def score(self, picture: Any) -> DefectReport:
        """How far a picture is from normal, and where.

        `picture` is a path, an id, a PIL image, a uint8 array [H, W, 3] or a `Query`. A good
        picture of the bank itself, or a copy of it, is judged by the others. Raises
        `InvalidInput`, `PictureRefused`, and what encoding raises.
        """
        state = self.update()
        path = fsdecode(picture) if isinstance(picture, str | PathLike) else None
        held = self._held(picture, path)
        if held is not None:
            for item, found in stored(self._corpus, [held], around=state.settings.around):
                report = self._report(state, found, own=state.same_content(item.sha256))
                return replace(report, path=path or item.path, id=item.id, picture=item.id)
            raise InvalidInput(f"the index holds no picture with id {held}")
        (shown,) = self._corpus.features([picture])
        found = ready(shown.patches, shown.norms, shown.grid, around=state.settings.around)
        return replace(self._report(state, found), path=path, picture=picture)

    def scores(
        self,
        *,
        where: str | Sequence[str] = (),
        progress: Progress = lambda step, done, total: None,
    ) -> list[DefectReport]:
        """Stored pictures that match the filters, the worst first. Nothing is encoded.

        Each report holds the heat of its picture, four bytes a patch.
        """
        state = self.update()
        ids = self._corpus.ids(where)
        reports = []
        for item, found in stored(self._corpus, ids, around=state.settings.around):
            report = self._report(state, found, own=state.same_content(item.sha256))
            reports.append(replace(report, path=item.path, id=item.id, picture=item.id))
            progress("judging", len(reports), len(ids))
        return sorted(reports, key=lambda one: (-one.score, one.id))

    def similar(
        self, report: DefectReport, *, k: int = 10, where: str | Sequence[str] = ()
    ) -> list[Hit]:
        """Pictures with a part like the hottest patches of a report, best first.

        A region search for these patches at the size they have; with `where` among known
        defects only, such as `"label:scratch"`. Raises what `ImageIndex.search` raises.
        """
        answer = self._search(
            report.picture, region=Region(patches=report.hottest), k=min(k + 1, 1000), where=where,
            same_size=True,
        )  # fmt: skip
        return [hit for hit in answer.hits if hit.id != report.id][:k]

    def info(self) -> dict[str, Any]:
        """Facts about the bank, up to date."""
        state = self.update()
        threshold = state.threshold
        return {
            "name": self.name,
            "where": list(state.settings.where),
            "pictures": len(state.ids),
            "tokens": len(state.memory.tokens),
            "budget": state.settings.budget,
            "around": state.settings.around,
            "seed": state.settings.seed,
            "reach": round(state.reach, 6),
            "threshold": threshold.value,
            "false_alarms": {
                "asked": threshold.asked,
                "expected": threshold.promised,
                "interval": None if threshold.low is None else [threshold.low, threshold.high],
                "pictures": threshold.pictures,
                "folds": min(FOLDS, len(state.ids)),
                "enough": threshold.enough,
            },
            "made": state.made,
            "updated": state.updated,
        }

    def update(self, *, progress: Progress = lambda step, done, total: None) -> State:
        """Take in good pictures that came and let go of those that went.

        Done by every use of the bank; the answer is the bank that would be made anew.
        Raises `InvalidInput` when no good picture is left.
        """
        with self._lock:
            ids = self._corpus.ids(self._state.settings.where)
            generation = self._corpus.ask(lambda snapshot, catalog: snapshot.generation)
            now = (generation, ids.tobytes())
            if now == self._seen:
                return self._state
            members = members_of(self._corpus, ids)
            before = self._state
            if not (
                np.array_equal(members.ids, before.ids)
                and np.array_equal(members.contents, before.contents)
            ):
                self._state = make(
                    self._corpus, before.settings, members, before=before, progress=progress
                )
                log.info(
                    "bank %s: brought up to date, %d good pictures", self.name, len(self._state.ids)
                )
                self._keep()
            self._seen = now
            return self._state

    def _keep(self) -> None:
        """Keep what was brought up to date, where that is possible."""
        try:
            save(
                self._corpus.named(KIND),
                self.name,
                self._state,
                fingerprint=self._corpus.fingerprint,
            )
        except (UnusableIndex, DiskFull) as error:
            # It serves all the same; the next one to open it does the work again.
            log.warning("bank %s is up to date but was not kept: %s", self.name, error)

    def _held(self, picture: Any, path: str | None) -> int | None:
        """The id of an item, or of one with the content of a file."""
        if isinstance(picture, int | np.integer) and not isinstance(picture, bool):
            return int(picture)
        content = content_of(path) if path is not None else None
        if content is None:
            return None
        same = self._corpus.ask(lambda snapshot, catalog: catalog.items_of_content(content))
        return same[0].id if same else None

    def _report(
        self, state: State, found: Ready, *, own: NDArray[np.int64] | Sequence[int] = ()
    ) -> DefectReport:
        """What the bank says of patches; good pictures `own` have no say."""
        memory = state.ready.without(own) if len(own) else state.ready
        if not len(memory.tokens):
            raise InvalidInput(
                f"the bank {self.name!r} holds nothing but this very picture: it cannot judge it"
            )
        judged = judge(found.tokens, found.usable, memory)
        grid = found.grid
        threshold = state.threshold
        heat = judged.heat.reshape(grid.rows, grid.cols)
        cells = [divmod(int(cell), grid.cols) for cell in judged.hottest]
        nearest = []
        for cell, row in zip(cells[:REASONS], judged.matches.tolist(), strict=False):
            good = self._good(int(memory.pictures[row]), int(memory.cells[row]), grid.cols)
            if good is not None:
                score = float(heat[cell])
                nearest.append(Nearest(cell, score, *good, 1 - score))
        return DefectReport(
            judged.score,
            threshold.value,
            heat,
            grid,
            tuple(cells),
            tuple(nearest),
            threshold.promised,
        )

    def _good(
        self, picture: int, cell: int, cols: int
    ) -> tuple[int, str, tuple[int, int], Box] | None:
        """Id, path, cell and its box of a good patch; None for a picture just removed."""
        try:
            (item,) = self._corpus.items([picture])
        except InvalidInput:
            return None
        row, col = divmod(cell, cols)
        box = grid_of(item, self._corpus.view).box_of_cells(row, col, row + 1, col + 1)
        return picture, item.path, (row, col), box


def bank_of(
    corpus: Corpus,
    name: str,
    search: Callable[..., Answer],
    *,
    where: str | Sequence[str] | None = None,
    budget: int | None = None,
    seed: int | None = None,
    false_alarms: float | None = None,
    around: int | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Bank:
    """The bank of that name, made where there is none or it is to be another one.

    Raises what `ImageIndex.bank` raises.
    """
    files = corpus.named(KIND)
    if where is None and not files.has(name):
        files.load(name)  # a slip of the pen must not become a bank of everything: it raises
    before = load(files, name, fingerprint=corpus.fingerprint) if files.has(name) else None
    settings = before.settings if before else Settings()
    if where is not None:
        filters = [where] if isinstance(where, str) else where
        settings = replace(settings, where=tuple(one for one in filters if one))
    if budget is not None:
        settings = replace(settings, budget=budget)
    if seed is not None:
        settings = replace(settings, seed=seed)
    if false_alarms is not None:
        settings = replace(settings, false_alarms=false_alarms)
    if around is not None:
        settings = replace(settings, around=around)
    settings.checked()
    if before is not None and settings == before.settings:
        bank = Bank(corpus, name, before, search)
        bank.update(progress=progress)
        return bank
    members = members_of(corpus, corpus.ids(settings.where))
    made = make(corpus, settings, members, progress=progress)
    save(files, name, made, fingerprint=corpus.fingerprint)
    return Bank(corpus, name, made, search)
