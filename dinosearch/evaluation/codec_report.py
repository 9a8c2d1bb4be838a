"""What each token codec would cost on an index: bytes, and answers that change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import InvalidInput
from dinosearch.evaluation.metrics import Estimate, bootstrap
from dinosearch.indexing.committer import BATCH_ROWS
from dinosearch.scoring import similarities
from dinosearch.search.reader import Reader
from dinosearch.storage import codecs
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.codecs import Codec
from dinosearch.storage.folder import Folder
from dinosearch.storage.index_codec import codec_name
from dinosearch.storage.segment_file import picture_bytes
from dinosearch.storage.snapshot import Snapshot

if TYPE_CHECKING:
    from dinosearch.image_index import ImageIndex

TOP = 10
ENOUGH = 0.99
"""The share of the exact top ten that a codec must keep to be recommended."""

SIDES = (3, 9)
"""A region is so many cells high and wide, the second not included."""

_TRIES = 50


@dataclass(frozen=True)
class CodecFigures:
    """What one codec costs.

    Bytes are per picture: of `tokens` alone (codes and scales), and of `all` that a segment
    holds. `kept` is the share of the exact top ten that stays in the top ten, a mean over
    regions; `moved` the mean, and `moved_most` the largest, change of a score. `decode_ms`:
    how long it takes to read a picture's tokens out of their codes here, in the middle of
    all that were read.
    """

    codec: str
    bytes_tokens: int
    bytes_all: int
    kept: Estimate
    moved: float
    moved_most: float
    decode_ms: float


@dataclass(frozen=True)
class CodecReport:
    """What each codec costs, and the smallest that keeps `ENOUGH` of the answers.

    `reference` is the codec of the tokens that the index holds, which all are measured
    against; `left_out` names codecs that had too few tokens to learn from.
    """

    figures: tuple[CodecFigures, ...]
    recommended: str
    reason: str
    reference: str
    left_out: tuple[str, ...]
    pictures: int
    regions: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def codec_report(
    index: ImageIndex,
    *,
    pictures: int = 300,
    regions: int = 150,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CodecReport:
    """Rank pictures of an index for regions of their own, with its tokens and with coded ones.

    A region is a rectangle of 3 to 8 cells a side, anywhere in one of up to `pictures`
    random pictures; the others are ranked by MaxSim over all their tokens. Codebooks are
    learned as an index does: from its first batch. Raises `InvalidInput` for an index that
    is too small to have answers that could change.
    """
    if pictures <= 2 * TOP or regions < 1:
        raise InvalidInput(f"ask for more than {2 * TOP} pictures and at least one region")
    folder = Folder(Path(index.path))
    reader = Reader(folder, fingerprint=index.fingerprint.digest)
    rng = np.random.default_rng(seed)

    def ask(snapshot: Snapshot, catalog: Catalog) -> CodecReport:
        alive = np.flatnonzero(snapshot.live)
        if len(alive) <= 2 * TOP:
            raise InvalidInput(
                f"{index.path} holds {len(alive)} pictures: a report needs more than {2 * TOP},"
                f" or nearly all are among the best {TOP} whatever is done to them"
            )
        sample = np.sort(rng.choice(alive, min(pictures, len(alive)), replace=False))
        kinds = _codecs(snapshot, alive[:BATCH_ROWS], rng, seed)
        asked = _regions(snapshot, sample, regions, rng)
        exact, coded = _scores(snapshot, sample, asked, kinds, progress)
        reference = codec_name(catalog)
        figures = [_figures(snapshot, one, exact, coded[one.name], rng=rng) for one in kinds]
        return _recommend(figures, reference, pictures=len(sample), regions=regions, seed=seed)

    try:
        return reader.ask(ask)
    finally:
        reader.close()


@dataclass(frozen=True)
class _Part:
    """Tokens float32 [m, Dp] of a region of the picture in column `own` of the sample."""

    own: int
    tokens: NDArray[np.float32]


@dataclass(frozen=True)
class _Coded:
    """Scores float32 [regions, pictures] by a codec, -inf where a region meets its own picture.

    `seconds` that each picture took to decode.
    """

    scores: NDArray[np.float32]
    seconds: list[float]


def _codecs(
    snapshot: Snapshot, first: NDArray[np.int64], rng: np.random.Generator, seed: int
) -> list[Codec]:
    """The codecs to compare; those of the index itself with its own codebook."""
    segments = [snapshot.segment(number) for number in range(len(snapshot.segment_rows))]
    own = {segment.codec.name: segment.codec for segment in segments}
    each = -(-codecs.TRAINING_MOST // len(first))
    taught = []
    for position in first.tolist():
        tokens = snapshot.tokens(position)
        shown = np.flatnonzero(tokens.any(axis=1))
        taught.append(tokens[rng.choice(shown, min(each, len(shown)), replace=False)])
    kinds: list[Codec] = []
    for name in codecs.NAMES:
        if not codecs.is_trained(name):
            kinds.append(codecs.plain(name, segments[0].patch_dim))
        elif codec := own.get(name) or codecs.train(name, taught, seed=seed):
            kinds.append(codec)
    return kinds


def _regions(
    snapshot: Snapshot, sample: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[_Part]:
    rows, cols = snapshot.segment(0).grid
    found = []
    for own in rng.choice(len(sample), count, replace=count > len(sample)).tolist():
        tokens = snapshot.tokens(int(sample[own])).reshape(rows, cols, -1)
        for _ in range(_TRIES):
            height, width = (min(int(rng.integers(*SIDES)), side) for side in (rows, cols))
            top = int(rng.integers(0, rows - height + 1))
            left = int(rng.integers(0, cols - width + 1))
            part = tokens[top : top + height, left : left + width].astype(np.float32)
            if part.any(axis=2).all():  # else it lies on padding, which nobody marks
                break
        found.append(_Part(own, part.reshape(height * width, -1)))
    return found


def _scores(
    snapshot: Snapshot,
    sample: NDArray[np.int64],
    asked: Sequence[_Part],
    kinds: Sequence[Codec],
    progress: Callable[[int, int], None],
) -> tuple[NDArray[np.float32], dict[str, _Coded]]:
    """Scores by the tokens as they are stored, and by each codec."""
    together = np.concatenate([part.tokens for part in asked])
    counts = np.array([len(part.tokens) for part in asked])
    starts = np.cumsum(counts) - counts

    def maxsims(tokens: NDArray[np.float16]) -> NDArray[np.float32]:
        best = similarities(together, tokens).max(axis=1)
        return np.asarray(np.add.reduceat(best, starts) / counts, dtype=np.float32)

    exact = np.empty((len(asked), len(sample)), dtype=np.float32)
    coded = {codec.name: _Coded(np.empty_like(exact), []) for codec in kinds}
    for column, position in enumerate(sample.tolist()):
        progress(column, len(sample))
        tokens = snapshot.tokens(position)
        exact[:, column] = maxsims(tokens)
        for codec in kinds:
            code = codec.encode(tokens)
            started = time.perf_counter()
            read = codec.decode(code)
            coded[codec.name].seconds.append(time.perf_counter() - started)
            coded[codec.name].scores[:, column] = maxsims(read)
    progress(len(sample), len(sample))
    for scores in (exact, *(one.scores for one in coded.values())):
        scores[np.arange(len(asked)), [part.own for part in asked]] = -np.inf
    return exact, coded


def kept_shares(
    exact: NDArray[np.floating], coded: NDArray[np.floating], k: int
) -> NDArray[np.float64]:
    """float64 [q]: the share of each row's k best by `coded` that are among them by `exact`.

    Both [q, n], -inf where a picture does not take part. One whose exact score is no worse
    than that of the k-th, but for rounding, is among the best.
    """
    bar = np.partition(exact, exact.shape[1] - k, axis=1)[:, exact.shape[1] - k] - 1e-6
    first = np.argsort(-coded, axis=1, kind="stable")[:, :k]
    shares: NDArray[np.float64] = (np.take_along_axis(exact, first, 1) >= bar[:, None]).mean(axis=1)
    return shares


def _figures(
    snapshot: Snapshot,
    codec: Codec,
    exact: NDArray[np.float32],
    coded: _Coded,
    *,
    rng: np.random.Generator,
) -> CodecFigures:
    scores, segment = coded.scores, snapshot.segment(0)
    taking_part = np.isfinite(exact)
    moved = np.abs(scores[taking_part] - exact[taking_part])
    book = 0 if codec.codebook is None else codec.codebook.nbytes // BATCH_ROWS
    # Beside the picture's patches: its id, its CLS vector, its checksums.
    beside = 8 + 4 * segment.dim + 16
    return CodecFigures(
        codec=codec.name,
        bytes_tokens=segment.patches * codec.token_bytes,
        bytes_all=picture_bytes(segment.patches, codec) + beside + book,
        kept=bootstrap(kept_shares(exact, scores, TOP), rng=rng),
        moved=float(moved.mean()),
        moved_most=float(moved.max()),
        decode_ms=round(float(np.median(coded.seconds)) * 1000, 3),
    )


def _recommend(
    figures: Sequence[CodecFigures], reference: str, *, pictures: int, regions: int, seed: int
) -> CodecReport:
    good = [one for one in figures if (one.kept.value or 0) >= ENOUGH]
    best = min(good, key=lambda one: one.bytes_all) if good else figures[0]
    largest = max(one.bytes_all for one in figures)
    reason = (
        f"{best.codec} takes {best.bytes_all / largest:.2f} of the bytes of {figures[0].codec} and"
        f" keeps {best.kept.value:.3f} of the best {TOP}: no smaller codec keeps {ENOUGH}"
    )
    if reference != codecs.Exact.name:
        reason += (
            f"; measured against tokens that are {reference} already, so that what this index"
            " has lost does not show"
        )
    measured = [one.codec for one in figures]
    return CodecReport(
        figures=tuple(figures),
        recommended=best.codec,
        reason=reason,
        reference=reference,
        left_out=tuple(name for name in codecs.NAMES if name not in measured),
        pictures=pictures,
        regions=regions,
        seed=seed,
    )
