"""A segmenter: a trained head that says of every cell, and so of every pixel, what it shows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import EncoderMismatch, InvalidInput, UnusableIndex
from dinosearch.geometry import PatchGrid
from dinosearch.probes.segmentation.cells import IGNORE, mask_of, upsampled
from dinosearch.probes.segmentation.context import cell_features, check_context
from dinosearch.probes.segmentation.head import Head
from dinosearch.probes.segmentation.masks import (
    check_mask,
    match_masks,
    read_mask,
    relative_path_of,
    save_mask,
)
from dinosearch.probes.segmentation.scores import ClassIou, overlaps, pooled_iou
from dinosearch.probes.segmentation.strokes import BACKGROUND, classes_of
from dinosearch.probes.segmentation.training import Mask, Recipe, train_head
from dinosearch.storage.catalog import Item

if TYPE_CHECKING:
    from dinosearch.search.query_picture import QueryPicture

KIND = "segmenter"

CONTEXT = ("around",)
GROUND = 20
"""Other pictures that are taken to show none of the classes, where there are only strokes."""


class _Usual(NamedTuple):
    """What did best on the tuning half of benchmarks/segmentation.py."""

    decay: float
    balance: float
    threshold: float


_OF_MASKS = _Usual(decay=1e-3, balance=0.0, threshold=0.5)
_OF_STROKES = _Usual(decay=1e-2, balance=0.5, threshold=0.3)
"""Few cells say what the things are and many what they are not, hence the balance; no picture
is known well enough to choose a threshold by."""

Masks = str | PathLike[str] | Mapping[Any, Any]


@dataclass(frozen=True)
class SegmentMap:
    """What a segmenter says of one picture.

    probabilities  float32 [1 + classes, rows, cols], background first, adding up to 1; NaN
                   where a cell shows padding
    grid           where the cells lie in the picture
    classes        the names of classes 1, 2, ...
    thresholds     float32 [classes]: what a class's probability must reach
    """

    probabilities: NDArray[np.float32]
    grid: PatchGrid
    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]

    @cached_property
    def mask(self) -> Mask:
        """uint8 [height, width], in pixels of the upright picture: the class of each.

        0 is background, k the k-th class, 255 where the model was shown nothing.
        """
        cells = np.where(np.isfinite(self.probabilities), self.probabilities, 0)
        return mask_of(cells, self.grid, self.thresholds)

    def probability(self, name: str) -> NDArray[np.float32]:
        """float32 [height, width]: how probable a class is at each pixel; NaN if not shown."""
        names = (BACKGROUND, *self.classes)
        if name not in names:
            raise InvalidInput(f"{name!r} is no class; there are {', '.join(names)}")
        cells = np.nan_to_num(self.probabilities[names.index(name)])
        return upsampled(cells, self.grid)

    @property
    def shares(self) -> dict[str, float]:
        """The part of the shown pixels that each class covers, in [0, 1]."""
        counts = np.bincount(self.mask.ravel(), minlength=256)
        shown = max(1, int(counts[:IGNORE].sum()))
        return {name: float(counts[i] / shown) for i, name in enumerate(self.classes, 1)}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the mask as a PNG whose values are class numbers; see `mask`."""
        save_mask(self.mask, path)


@dataclass(frozen=True)
class ItemSegments:
    """What a segmenter found in one item: shares of its pixels, and the mask file, if saved."""

    id: int
    path: str
    shares: dict[str, float]
    mask: str | None


class Segmenter:
    """A trained segmenter of an index; made by `ImageIndex.train_segmenter`.

    `facts` says how it was made: classes, context, pictures, cells, seed, cross-fitted IoU.
    """

    def __init__(
        self, corpus: Corpus, name: str, facts: dict[str, Any], head: Head,
        thresholds: NDArray[np.float32],
    ) -> None:  # fmt: skip
        self.name = name
        self.facts = facts
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.thresholds = thresholds
        self._corpus = corpus
        self._head = head
        self._context = check_context(facts["context"])

    def __repr__(self) -> str:
        return f"<Segmenter {self.name}: {', '.join(self.classes)}>"

    @property
    def iou(self) -> list[ClassIou]:
        """Cross-fitted when it was trained; empty without masks of two pictures."""
        return [ClassIou(**one) for one in self.facts["iou"]]

    def predict(self, picture: Any) -> SegmentMap:
        """Segment a picture: an id, a path, a PIL image, a uint8 array [H, W, 3] or a `Query`.

        Raises `InvalidInput`, `PictureRefused`.
        """
        (one,) = self._corpus.features([picture])
        return self._map(one)

    def maps(self, ids: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, SegmentMap]]:
        """(id, map) of items from their stored tokens, in the order of the disk."""
        from dinosearch.search.query_picture import QueryPicture

        for block, tokens in self._corpus.tokens(ids):
            vectors, grids = self._corpus.cls(block), self._corpus.grids(block)
            for one, own, cls, grid in zip(block.tolist(), tokens, vectors, grids, strict=True):
                yield one, self._map(QueryPicture(cls, own, grid))

    def predict_items(
        self,
        *,
        where: str | Sequence[str] = (),
        save: str | PathLike[str] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[ItemSegments]:
        """Segment the items that match the filters, without encoding, by id.

        With `save` each mask becomes a PNG in that folder, named by the picture's path below
        its source with `.png` after it, as a folder of masks to train from is. Raises
        `InvalidInput` where two pictures would get one name, or one cannot be written.
        """
        ids = self._corpus.ids(where)
        items = {item.id: item for item in self._corpus.items(ids)}
        files = _mask_files(items.values(), save)
        found = []
        for done, (one, shown) in enumerate(self.maps(ids), 1):
            if one in files:
                shown.save(files[one])
            file = os.fspath(files[one]) if one in files else None
            found.append(ItemSegments(one, items[one].path, shown.shares, file))
            progress(done, len(ids))
        return sorted(found, key=lambda one: one.id)

    def evaluate(
        self, masks: Masks, *, where: str | Sequence[str] = (), white: bool = False, seed: int = 0
    ) -> list[ClassIou]:
        """IoU of each class over the items that have masks, pooled, with its interval.

        `masks` and `white` as in `train_segmenter`. Masks of pictures it was trained on
        flatter. Raises `InvalidInput` where no item has a mask.
        """
        readers = mask_readers(self._corpus, masks, where, len(self.classes), white)
        if not readers:
            raise InvalidInput(f"none of the masks {_named(masks)} belongs to a picture")
        counts = [
            overlaps(shown.mask, readers[one](), len(self.classes))
            for one, shown in self.maps(np.array(sorted(readers)))
        ]
        return pooled_iou(np.stack(counts), self.classes, rng=np.random.default_rng(seed))

    def _map(self, one: QueryPicture) -> SegmentMap:
        features = cell_features(one.patches, one.cls, one.grid, self._context)
        cells = self._head.probabilities(features)
        cells[~one.grid.shown.ravel()] = np.nan
        shape = (len(self.classes) + 1, one.grid.rows, one.grid.cols)
        return SegmentMap(cells.T.reshape(shape), one.grid, self.classes, self.thresholds)


def train_segmenter(
    corpus: Corpus,
    name: str,
    *,
    masks: Masks | None = None,
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
    """Train a segmenter and keep it with the index; `ImageIndex.train_segmenter` explains."""
    _check_name(corpus, name)
    drawn = {_id_of(corpus, key): one for key, one in (strokes or {}).items()}
    if classes is None and drawn:
        classes = classes_of(drawn)
    named = None if classes is None else _checked(classes)
    readers: dict[int, Callable[[], Mask]] = {}
    if masks is not None:
        readers = mask_readers(corpus, masks, where, len(named) if named else None, white)
    if not readers and not drawn:
        told = f": none of {_named(masks)} belongs to a picture" if masks is not None else ""
        raise InvalidInput(f"give masks or strokes to learn from{told}")
    if named is None:
        named = _counted(readers)
    usual = _OF_MASKS if readers else _OF_STROKES
    recipe = Recipe(
        check_context(CONTEXT if context is None else context),
        hidden,
        usual.decay if decay is None else decay,
        usual.balance if balance is None else balance,
        usual.threshold,
        seed,
    )
    if ground is None:
        ground = 0 if readers else GROUND
    others = np.setdiff1d(corpus.ids(where), [*readers, *drawn])
    rng = np.random.default_rng(seed)
    trained = train_head(
        corpus,
        named,
        masks=readers,
        strokes=drawn,
        ground=rng.permutation(others)[:ground].tolist(),
        recipe=recipe,
    )
    facts = {
        "kind": KIND,
        "version": 1,
        "fingerprint": corpus.fingerprint,
        "classes": list(named),
        **asdict(recipe),
        "masks": len(readers),
        "strokes": len(drawn),
        "pictures": trained.pictures,
        "cells": trained.cells,
        "iou": [asdict(one) for one in trained.iou],
        "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    arrays = {**trained.head.arrays(), "thresholds": trained.thresholds}
    corpus.named("probes").save(name, facts, arrays)
    return load_segmenter(corpus, name)


def load_segmenter(corpus: Corpus, name: str) -> Segmenter:
    """A segmenter that the index keeps.

    Raises `InvalidInput` where there is none, or another kind of probe of that name;
    `EncoderMismatch` for one that was trained on another encoder's tokens;
    `UnusableIndex` for a damaged one.
    """
    kept = corpus.named("probes").load(name)
    if kept.facts.get("kind") != KIND:
        raise InvalidInput(
            f"the probe {name!r} is no segmenter but a {kept.facts.get('kind')}: open it with"
            " `dinosearch probe`, or index.probe(name)"
        )
    if kept.facts.get("fingerprint") != corpus.fingerprint:
        raise EncoderMismatch(
            f"the segmenter {name!r} was trained on tokens of another encoder than this index"
            " has: train it anew from its masks"
        )
    arrays = dict(kept.arrays)
    try:
        return Segmenter(corpus, name, kept.facts, Head.of_arrays(arrays), arrays["thresholds"])
    except (KeyError, TypeError) as error:
        raise UnusableIndex(
            f"the segmenter {name!r} lacks {error}: it was saved by another version of"
            " dinosearch; train it anew"
        ) from error


def segmenter_names(corpus: Corpus) -> list[str]:
    """The names of the segmenters that the index keeps, in order."""
    kept = corpus.named("probes")
    return [name for name in kept.names() if kept.load(name).facts.get("kind") == KIND]


def delete_segmenter(corpus: Corpus, name: str) -> None:
    """Forget a segmenter. Raises `InvalidInput` where there is none of that name."""
    load_segmenter(corpus, name)
    corpus.named("probes").delete(name)


def mask_readers(
    corpus: Corpus,
    masks: Masks,
    where: str | Sequence[str],
    classes: int | None,
    white: bool,
) -> dict[int, Callable[[], Mask]]:
    """What reads and checks the mask of each item that has one, by id.

    `masks` is a folder of PNG files, or a mapping from ids or paths to arrays or PNG files.
    """
    within = corpus.ids(where)
    if isinstance(masks, str | PathLike):
        items = {item.id: item for item in corpus.items(within)}
        files, _ = match_masks(masks, items.values())
        given: dict[int, Any] = dict(files)
    else:
        given = {_id_of(corpus, key): value for key, value in masks.items()}
        given = {key: value for key, value in given.items() if key in set(within.tolist())}
        items = {item.id: item for item in corpus.items(sorted(given))}
    return {key: partial(_read, value, items[key], classes, white) for key, value in given.items()}


def _read(value: Any, item: Item, classes: int | None, white: bool) -> Mask:
    pixels = read_mask(value, item) if isinstance(value, str | PathLike) else np.asarray(value)
    return check_mask(pixels, item, classes=classes, white=white)


def _check_name(corpus: Corpus, name: str) -> None:
    """Raise `InvalidInput` where a probe of another kind would be written over."""
    kept = corpus.named("probes")
    if kept.has(name) and (kind := kept.load(name).facts.get("kind")) != KIND:
        raise InvalidInput(
            f"there is a probe {name!r} of another kind already ({kind}): choose another name"
        )


def _counted(readers: Mapping[int, Callable[[], Mask]]) -> tuple[str, ...]:
    """Names for classes that were not named: `object`, or their numbers."""
    most, unknown = 0, False
    for read in readers.values():
        mask = read()
        most = max(most, int(mask[mask != IGNORE].max(initial=0)))
        unknown |= bool((mask == IGNORE).any())
    if not most:
        white = ", where 255 is what is not known: say so if white is the object" if unknown else ""
        raise InvalidInput(f"the masks hold no class, only the values 0 and 255{white}")
    return ("object",) if most == 1 else tuple(str(i) for i in range(1, most + 1))


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    names = [classes] if isinstance(classes, str) else list(classes)
    if not names or len(set(names)) < len(names) or BACKGROUND in names or len(names) > 254:
        raise InvalidInput(
            f"the classes are {names}: name 1 to 254 different ones; {BACKGROUND} is there anyway"
        )
    return tuple(names)


def _id_of(corpus: Corpus, key: Any) -> int:
    """The id of an item that is named by id or path."""
    if not isinstance(key, str | PathLike):
        return int(key)
    path = os.path.abspath(os.fsdecode(key))
    item = corpus.ask(lambda snapshot, catalog: catalog.item_at(path))
    if item is None:
        raise InvalidInput(f"the index holds no picture {path}: index it first")
    return item.id


def _mask_files(items: Iterable[Item], save: str | PathLike[str] | None) -> dict[int, Path]:
    """Where the mask of each item goes."""
    if save is None:
        return {}
    files = {item.id: Path(save) / f"{relative_path_of(item)}.png" for item in items}
    if len(set(files.values())) < len(files):
        raise InvalidInput(
            "two pictures have the same path below different sources, and their masks would have"
            " one name: save those of each source apart, with the filter path:SOURCE"
        )
    return files


def _named(masks: Masks | None) -> str:
    return os.fspath(masks) if isinstance(masks, str | PathLike) else "them"
