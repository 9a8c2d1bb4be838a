"""Labels that people give, and probes that learn them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from dinosearch.faces.face import Face

if TYPE_CHECKING:
    from dinosearch.probes.labelling import LabelImport
    from dinosearch.probes.probe import Probe
    from dinosearch.probes.queue import Queued
    from dinosearch.storage.labels import LabelChange


class Labelling(Face):
    """Labels that people give, and probes that learn them."""

    def label(
        self,
        what: int | str | PathLike[str] | Iterable[int | str | PathLike[str]],
        label: str | Sequence[str],
        *,
        author: str | None = None,
        add: bool = False,
    ) -> int:
        """Say what items, by id or path, show; returns how many of them changed.

        The labels replace those the items had; with `add` what people gave stays beside
        them. `author` is your login name unless you say another. What a person says
        stands: later runs of `add` with labels do not bring back what folders and tables
        said of these items. Works beside a running `add`, and counts at once. Raises
        `InvalidInput`, and changes nothing, for an item there is not or a label that is none.
        """
        from dinosearch.probes.labelling import label as give

        return give(self._corpus, _each(what), label, author=author, add=add)

    def unlabel(
        self,
        what: int | str | PathLike[str] | Iterable[int | str | PathLike[str]],
        label: str | None = None,
        *,
        author: str | None = None,
    ) -> int:
        """Take a label, or all of them, off items; returns how many. This stands, too."""
        from dinosearch.probes.labelling import unlabel

        return unlabel(self._corpus, _each(what), label, author=author)

    def undo_label(self, *, author: str | None = None) -> list[LabelChange]:
        """Take back the author's last change of labels; empty where there is none.

        Again and again, change by change. Raises `InvalidInput` where somebody else has
        changed the labels of one of its items since.
        """
        from dinosearch.probes.labelling import undo_label

        return undo_label(self._corpus, author=author)

    def label_history(
        self, *, item: int | None = None, author: str | None = None, limit: int = 100
    ) -> list[LabelChange]:
        """Who labelled what and when, newest first: of one item, by one author, or all."""
        from dinosearch.probes.labelling import label_history

        return label_history(self._corpus, item=item, author=author, limit=limit)

    def import_labels(
        self, table: str | PathLike[str], *, author: str | None = None
    ) -> LabelImport:
        """Take the labels of a CSV with the columns `path,label`, as one change of `author`."""
        from dinosearch.probes.labelling import import_labels

        return import_labels(self._corpus, table, author=author)

    def export_labels(self, *, where: str | Sequence[str] = ()) -> str:
        """CSV with the columns `path,label,author,time`; no cell is a spreadsheet's formula."""
        from dinosearch.probes.labelling import export_labels

        return export_labels(self._corpus, where=where)

    def train_probe(
        self,
        name: str,
        labels: str | PathLike[str] | Mapping[Any, Any] | None = None,
        *,
        where: str | Sequence[str] = (),
        head: str = "linear",
        features: str = "",
        rate: float = 0.01,
        iterations: int = 2_000,
        batch: int = 128,
        accumulate: int = 1,
        momentum: float = 0.9,
        decay: float = 0.0,
        warmup: int = 0,
        schedule: str | None = None,
        class_weights: str = "none",
        held_out: float | str = 0.2,
        seed: int = 0,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None,
    ) -> Probe:
        """Train a head on the stored features, keep it under a name, say how right it is.

        labels         None: the labels of the items; a CSV with the columns `path,label`; or
                       a mapping from id or path to a class, or to each class's probability
        where          filters: which items to train on and to judge by
        head           `linear` (cross-entropy and SGD), `sweep` (13 learning rates at once, as
                       DINOv2 is evaluated), `logistic`, `knn` or `svm` (radial kernel)
        features       `cls`, `cls+mean`, `cls+covariance`, ...: blocks that `probes.pooling`
                       knows, joined by +; by default what serves the head
        rate, iterations, batch, momentum, decay
                       of SGD; a sweep has rates of its own
        accumulate     look at a batch in so many parts; the gradient stays the same
        warmup         iterations in which the rate climbs
        schedule       `constant` (linear) or `cosine` (sweep) unless you say otherwise
        class_weights  `balanced` makes every class count alike
        held_out       share of the pictures that the probe is judged by and never sees, or
                       `split`: those of the split test; 0 for none

        Items that carry no label, or several, are passed over and counted. Nothing is
        encoded. Raises `InvalidInput`.
        """
        from dinosearch.probes.descent import Descent
        from dinosearch.probes.probe import train_probe
        from dinosearch.probes.recipe import Recipe

        schedule = schedule or ("cosine" if head == "sweep" else "constant")
        descent = Descent(iterations, batch, accumulate, momentum, decay, warmup, schedule)
        recipe = Recipe(head, features, rate, descent, class_weights, seed)
        return train_probe(
            self._corpus,
            name,
            labels,
            where=where,
            recipe=recipe,
            held_out=held_out,
            progress=progress,
        )

    def probe(self, name: str) -> Probe:
        """The probe kept under a name. Raises `InvalidInput`, `UnusableIndex`."""
        from dinosearch.probes.probe import load_probe

        return load_probe(self._corpus, name)

    def probes(self) -> list[str]:
        """The names of the probes that `train_probe` has kept."""
        from dinosearch.probes.probe import probe_names

        return probe_names(self._corpus)

    def delete_probe(self, name: str) -> None:
        """Forget a probe. Raises `InvalidInput` where there is none of that name."""
        from dinosearch.probes.probe import delete_probe

        delete_probe(self._corpus, name)

    def label_queue(
        self,
        probe: Probe | str | None = None,
        *,
        count: int = 20,
        where: str | Sequence[str] = (),
        seed: int = 0,
    ) -> list[Queued]:
        """What to label next, each picture with the reason.

        Of the items that nobody has labelled: those the probe is unsure of and that are unlike
        each other, and one in five at random, to measure with. Copies come once.
        """
        from dinosearch.probes.queue import label_queue

        asked = self.probe(probe) if isinstance(probe, str) else probe
        return label_queue(self._corpus, asked, count=count, where=where, seed=seed)


def _each(
    what: int | str | PathLike[str] | Iterable[int | str | PathLike[str]],
) -> Iterable[int | str | PathLike[str]]:
    return [what] if isinstance(what, int | str | PathLike) else what
