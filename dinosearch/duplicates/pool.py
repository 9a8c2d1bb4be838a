"""The pictures among which copies are sought, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from dinosearch.corpus import Corpus
from dinosearch.duplicates.candidates import lowering
from dinosearch.duplicates.comparing import Shown
from dinosearch.duplicates.detail import Grey
from dinosearch.duplicates.layout import Patches
from dinosearch.duplicates.perceptual_hash import BITS, SIDE, hash_bits
from dinosearch.search.engine import grid_of
from dinosearch.search.recent import Recent
from dinosearch.storage.catalog import Catalog, Item
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.thumbnails import Thumbnails

SQUARE = 64
"""Side of the grey squares that what look-alikes have in common is computed from."""

COMMON = 48
"""Pictures that a picture's look-alikes are."""

LOOKALIKES = 4
"""Of them, not being candidates themselves, those that a score is judged by."""

SAMPLE = 500
"""Tokens of the corpus that say what is usual."""

_AT_HAND = 1_024
_SQUARES_AT_HAND = 20_000


class Pool:
    """One picture for each content among some items, in order of id; `n` of them.

    `items` [n]; `cls` float32 [n, D]; `known` bool [n]: has a thumbnail; `bits`, `mirrored`
    bool [n, 64]: perceptual hashes; `lowered` float32 [n]: what score normalisation takes
    off; `same` [n]: all items of a picture's content. For any thread.
    """

    def __init__(self, corpus: Corpus, items: Sequence[Item], *, seed: int = 0) -> None:
        first: dict[str, int] = {}
        self.same: list[list[Item]] = []
        self.items: list[Item] = []
        for item in items:
            number = first.setdefault(item.sha256, len(self.items))
            if number == len(self.items):
                self.items.append(item)
                self.same.append([])
            self.same[number].append(item)
        self._corpus = corpus
        self._thumbnails = Thumbnails(corpus.folder)
        ids = [item.id for item in self.items]
        self.cls = corpus.cls(ids)
        self._squares: Recent[int, NDArray[np.uint8] | None] = Recent(_SQUARES_AT_HAND)
        self.known, self.bits, self.mirrored = self._hashes()
        self.lowered = lowering(self.cls, np.random.default_rng(seed))
        self.sample = corpus.ask(_sample)
        self._shown: Recent[int, Shown] = Recent(_AT_HAND)
        self._common: Recent[int, NDArray[np.float32]] = Recent(_AT_HAND)

    def __len__(self) -> int:
        return len(self.items)

    def shown(self, number: int) -> Shown | None:
        """A picture ready to be compared; None for one without a thumbnail, or gone meanwhile."""
        if not self.known[number]:
            return None
        found = self._shown.get(number)
        if found is None:
            item = self.items[number]
            grey = grey_of_jpeg(self._jpeg(item), item.width, item.height)
            tokens = self._tokens(item)
            if grey is None or tokens is None:
                return None
            patches = Patches.of(tokens, grid_of(item, self._corpus.view), self.sample)
            found = Shown(patches, grey, lambda: self._common_of(number))
            self._shown.put(number, found)
        return found

    def _common_of(self, number: int) -> NDArray[np.float32]:
        found = self._common.get(number)
        if found is None:
            found = self.common(self.cls[number])
            self._common.put(number, found)
        return found

    def nearest(self, cls: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """int64: the numbers of the pictures most alike by CLS, best first."""
        cosines = self.cls @ cls
        count = min(count, len(cosines))
        near = np.argpartition(-cosines, count - 1)[:count]
        return np.asarray(near[np.argsort(-cosines[near], kind="stable")], dtype=np.int64)

    def common(self, cls: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [64, 64]: the mean of a picture's look-alikes, each standardised.

        Of few pictures none are alike enough to have anything in common but copies.
        """
        if len(self) < 4 * COMMON:
            return np.zeros((SQUARE, SQUARE), np.float32)
        squares = [self.square(number) for number in self.nearest(cls, COMMON + 1).tolist()]
        values = np.stack([one for one in squares if one is not None]).astype(np.float32)
        values -= values.mean(axis=(1, 2), keepdims=True)
        values /= np.maximum(values.std(axis=(1, 2), keepdims=True), 1)
        return np.asarray(values.mean(axis=0), dtype=np.float32)

    def square(self, number: int) -> NDArray[np.uint8] | None:
        """uint8 [64, 64]: a picture in grey, squeezed into a square."""
        if not self.known[number]:
            return None
        found = self._squares.get(number)
        if found is None:
            found = square_of_jpeg(self._jpeg(self.items[number]))
            self._squares.put(number, found)
        return found

    def lookalikes(
        self, cls: NDArray[np.float32], square: NDArray[np.uint8], without: set[int]
    ) -> list[int]:
        """The pictures that look most like one, to the pixel, of those nearest by CLS.

        `without` are those that may be copies of it.
        """
        if len(self) < 4 * COMMON:
            return []
        near, rows = [], []
        for number in self.nearest(cls, 4 * COMMON).tolist():
            other = None if number in without else self.square(number)
            if other is not None:
                near.append(number)
                rows.append(other.reshape(-1))
        values = np.stack(rows).astype(np.float32)
        own = square.reshape(-1).astype(np.float32)
        values -= values.mean(axis=1, keepdims=True)
        own = own - own.mean()
        length = np.linalg.norm(values, axis=1) * np.linalg.norm(own)
        order = np.argsort(-(values @ own) / np.maximum(length, 1e-3), kind="stable")
        return [near[place] for place in order[:LOOKALIKES].tolist()]

    def _hashes(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """bool [n], [n, 64], [n, 64]: which have a hash, the hashes, and those mirrored."""
        kept, fresh = self._thumbnails.hashes(), {}
        known = np.zeros(len(self.items), bool)
        bits = np.zeros((2, len(self.items), BITS), bool)
        for number, item in enumerate(self.items):
            packed = kept.get(item.sha256)
            if packed is None:
                square = square_of_jpeg(self._jpeg(item))
                if square is None:
                    continue
                self._squares.put(number, square)
                packed = fresh[item.sha256] = np.packbits(hashes_of(square)).tobytes()
            if len(packed) == 2 * BITS // 8:
                known[number] = True
                both = np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool)
                bits[:, number] = both.reshape(2, BITS)
        self._thumbnails.keep_hashes(fresh)
        return known, bits[0], bits[1]

    def _jpeg(self, item: Item) -> bytes | None:
        return self._thumbnails.get(item.sha256)

    def _tokens(self, item: Item) -> NDArray[np.float16] | None:
        for _, block in self._corpus.tokens([item.id]):
            tokens: NDArray[np.float16] = block[0]
            return tokens
        return None


def square_of_jpeg(jpeg: bytes | None) -> NDArray[np.uint8] | None:
    """uint8 [64, 64]: a JPEG in grey, squeezed into a square; None where it cannot be read."""
    from PIL import Image

    if not jpeg:
        return None
    try:
        with Image.open(BytesIO(jpeg)) as picture:
            # Decoded at a fraction of its size, which is all that is needed.
            picture.draft("L", (2 * SQUARE, 2 * SQUARE))
            grey = picture.convert("L").resize((SQUARE, SQUARE), Image.Resampling.BOX)
    except (OSError, ValueError):
        return None
    return np.asarray(grey)


def hashes_of(square: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool [2, 64]: the perceptual hash of a grey square, and that of it mirrored."""
    half = SQUARE // SIDE
    small = square.reshape(1, SIDE, half, SIDE, half).mean(axis=(2, 4))
    return np.concatenate([hash_bits(small), hash_bits(small, mirrored=True)])


def grey_of_jpeg(jpeg: bytes | None, width: int, height: int) -> Grey | None:
    """A thumbnail of a picture of `width` x `height` pixels; None for one that cannot be read."""
    from PIL import Image

    if not jpeg:
        return None
    try:
        with Image.open(BytesIO(jpeg)) as picture:
            values = np.asarray(picture.convert("L"))
    except (OSError, ValueError):
        return None
    return Grey(values, width, height)


def _sample(snapshot: Snapshot, catalog: Catalog) -> NDArray[np.float32]:
    tokens = snapshot.token_sample
    if tokens is None or not len(tokens):
        dim = snapshot.tokens(0).shape[1] if len(snapshot.id_at) else 0
        return np.empty((0, dim), np.float32)
    return tokens[:: max(1, len(tokens) // SAMPLE)].astype(np.float32)
