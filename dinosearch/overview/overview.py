"""The overview of an index: made, kept beside it, and followed as pictures come and go."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.errors import DinoSearchError, InvalidInput, UnusableIndex
from dinosearch.overview.placing import among_neighbours, marks, to_unit_square
from dinosearch.overview.principal import Plane, fit_plane
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.named_files import NamedFile
from dinosearch.storage.snapshot import Snapshot

log = logging.getLogger(__name__)

METHODS = ("pca", "umap")

CHANGED = 0.1
"""A kept map is made anew when more than this share of the pictures it was made of have come,
gone or changed since."""

LEAST_FOR_UMAP = 5

_UMAP_NEIGHBOURS = 15
_BLOCK = 4096


@dataclass(frozen=True)
class Overview:
    """A place in the plane for every item, by id.

    ids        int64 [n], ascending
    xy         float32 [n, 2]; the pictures that the map was made of fill [-1, 1] along its
               longer side, those that came later may lie a little outside
    method     `pca` or `umap`
    explained  float64 [2]: the share of the variance along x and y; None for umap
    later      bool [n]: came or changed after the map was made, and was placed on it: by the
               same projection (pca), or at the mean place of its nearest neighbours, weighted
               by cosine (umap)
    made_at    when the map was made, UTC
    """

    ids: NDArray[np.int64]
    xy: NDArray[np.float32]
    method: str
    explained: NDArray[np.float64] | None
    later: NDArray[np.bool_]
    made_at: str


def overview(
    corpus: Corpus, *, method: str = "pca", seed: int = 0, refresh: bool = False
) -> Overview:
    """The overview of an index; `ImageIndex.map` explains."""
    if method not in METHODS:
        raise InvalidInput(f"the method is {method!r}: use {' or '.join(METHODS)}")
    kept = None if refresh else _kept(corpus, method, seed)
    new: list[NamedFile] = []

    def work(snapshot: Snapshot, catalog: Catalog) -> Overview:
        new.clear()
        if not len(snapshot):
            nowhere = np.zeros((0, 2), dtype=np.float32)
            none = np.zeros(0, dtype=bool)
            return Overview(snapshot.ids, nowhere, method, None, none, _now())
        placed = None if kept is None else _placed(snapshot, kept)
        if placed is None:
            facts = {"fingerprint": corpus.fingerprint, "method": method, "seed": seed}
            new.append(_made(snapshot, facts))
            placed = _placed(snapshot, new[0])
            assert placed is not None, "a map that was just made fits"
        return placed

    shown = corpus.ask(work)
    for made in new:
        try:
            corpus.named("maps").save(method, made.facts, made.arrays)
        except UnusableIndex as error:
            log.warning("the map is not kept: %s", error)
    return shown


def _kept(corpus: Corpus, method: str, seed: int) -> NamedFile | None:
    """The map that the index keeps, if it is of this method, seed and encoder."""
    maps = corpus.named("maps")
    if not maps.has(method):
        return None
    try:
        kept = maps.load(method)
    except DinoSearchError as error:
        log.warning("the map is made anew: %s", error)
        return None
    wanted = {"version": 1, "method": method, "fingerprint": corpus.fingerprint}
    if method == "umap":  # principal components need no seed
        wanted["seed"] = seed
    fits = all(kept.facts.get(key) == value for key, value in wanted.items())
    return kept if fits else None


def _made(snapshot: Snapshot, facts: dict[str, Any]) -> NamedFile:
    """A new map of all items."""
    facts = {"version": 1, "made_at": _now(), **facts}
    arrays: dict[str, NDArray[Any]] = {"ids": snapshot.ids, "marks": _marks(snapshot)}
    if facts["method"] == "pca":
        plane = fit_plane(_vectors(snapshot))
        xy = np.concatenate([plane.project(block) for block in _vectors(snapshot)])
        arrays |= {"mean": plane.mean, "axes": plane.axes, "explained": plane.explained}
    else:
        xy = _umap(np.concatenate(list(_vectors(snapshot))), facts["seed"])
    middle, scale = to_unit_square(xy)
    arrays |= {"middle": middle, "scale": np.array([scale])}
    arrays["xy"] = ((xy - middle) * scale).astype(np.float32)
    return NamedFile(facts["method"], facts, arrays)


def _placed(snapshot: Snapshot, kept: NamedFile) -> Overview | None:
    """The items on a kept map; None where too many have changed since it was made."""
    method, plane = str(kept.facts["method"]), None
    try:
        made, seen, xy, middle, scale = (
            kept.arrays[name] for name in ("ids", "marks", "xy", "middle", "scale")
        )
        if method == "pca":
            plane = Plane(*(kept.arrays[name] for name in ("mean", "axes", "explained")))
    except KeyError as error:
        log.warning("the map is made anew: it lacks %s", error)
        return None
    ids = snapshot.ids
    where = np.minimum(np.searchsorted(made, ids), len(made) - 1)
    same = (made[where] == ids) & (seen[where] == _marks(snapshot))
    later = ~same
    # What has changed counts as gone and as come.
    if int(later.sum()) + len(made) - int(same.sum()) > CHANGED * len(made):
        return None
    placed = np.empty((len(ids), 2), dtype=np.float32)
    placed[same] = xy[where[same]]
    if later.any():
        fresh = snapshot.cls(snapshot.positions_of(ids[later]))
        if plane is not None:
            placed[later] = (plane.project(fresh) - middle) * scale
        else:
            known = snapshot.cls(snapshot.positions_of(ids[same]))
            placed[later] = among_neighbours(fresh, known, placed[same])
    explained = None if plane is None else plane.explained
    return Overview(ids, placed, method, explained, later, str(kept.facts["made_at"]))


def _umap(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """float32 [n, 2]: UMAP (McInnes et al., 2018) of unit vectors, one thread, so repeatable."""
    if len(vectors) < LEAST_FOR_UMAP:
        raise InvalidInput(
            f"{len(vectors)} pictures are too few for umap, {LEAST_FOR_UMAP} at least: use pca"
        )
    try:
        from umap import UMAP
    except ImportError as error:
        raise InvalidInput(
            f"umap is not installed ({error}): pip install 'dinosearch[map]', or use pca"
        ) from error
    model = UMAP(
        n_components=2,
        n_neighbors=min(_UMAP_NEIGHBOURS, len(vectors) - 1),
        metric="cosine",
        # Small corpora have no spectrum to begin with.
        init="spectral" if len(vectors) > 50 else "random",
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(vectors), dtype=np.float32)


def _vectors(snapshot: Snapshot) -> Iterator[NDArray[np.float32]]:
    """float32 [b, D]: the CLS vectors of all items by id, a few thousand at a time."""
    for low in range(0, len(snapshot), _BLOCK):
        yield snapshot.cls(snapshot.positions_of(snapshot.ids[low : low + _BLOCK]))


def _marks(snapshot: Snapshot) -> NDArray[np.uint32]:
    return np.concatenate([marks(block) for block in _vectors(snapshot)])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
