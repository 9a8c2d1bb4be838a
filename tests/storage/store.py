"""A store filled with made-up features, without pictures or an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.writer import Annotation, Batch, Origin, Row, Writer

DIM, PATCH_DIM, GRID = 24, 6, (2, 3)
FINGERPRINT = "0123456789abcdef"


def create(root: Path, *, tokens: str = "fp16") -> Folder:
    folder = Folder(root)
    folder.prepare()
    meta = {"fingerprint_digest": FINGERPRINT, "tokens": tokens}
    Catalog.create(folder.catalog, meta).close()
    folder.write_manifest()
    return folder


def writer(folder: Folder) -> Writer:
    return Writer(folder, fingerprint=FINGERPRINT, grid=GRID, min_free=0)


def features(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit CLS [24] and tokens [6, 6] that depend on a number alone."""
    rng = np.random.default_rng([7, number])
    centre = np.random.default_rng([8, number % 30]).normal(size=DIM)
    cls = centre + 1.2 * rng.normal(size=DIM)
    tokens = rng.normal(size=(6, PATCH_DIM))
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return (cls / np.linalg.norm(cls)).astype(np.float32), tokens.astype(np.float16)


def norms(number: int) -> np.ndarray:
    """Lengths [6] that the tokens of a number had."""
    return np.arange(1, 7, dtype=np.float32) + number / 8


def row(number: int, *, item: int | None = None, content: int | None = None) -> Row:
    cls, tokens = features(number if content is None else content)
    return Row(
        origin=Origin(f"/pictures/{number:05d}.png", "/pictures", f"{number:064x}", 10, 20),
        cls=cls,
        tokens=tokens,
        width=300 + number,
        height=200,
        format="PNG",
        fit="crop",
        date=f"2024-{1 + number % 12:02d}-05T10:00:00",
        notes=(),
        thumbnail=b"jpeg %d" % number,
        item=item,
        norms=norms(number),
    )


def fill(store: Writer, numbers: range, *, per_batch: int = 100) -> None:
    for start in range(numbers.start, numbers.stop, per_batch):
        part = range(start, min(start + per_batch, numbers.stop))
        annotations = [
            Annotation(
                f"/pictures/{n:05d}.png",
                "table",
                labels=("even" if n % 2 == 0 else "odd", *(["rare"] if n % 500 == 0 else [])),
                split="train" if n % 10 else "test",
                metadata={"number": str(n), "name with.dot": f"n{n}", "text": "n/a"}
                | ({'a"b': "1"} if n == 9 else {}),
            )
            for n in part
        ]
        store.commit(Batch(rows=[row(n) for n in part], annotations=annotations))


def snapshot(folder: Folder, previous: Snapshot | None = None) -> Snapshot:
    catalog = Catalog.open(folder.catalog, writable=False)
    return Snapshot(folder, catalog, fingerprint=FINGERPRINT, previous=previous)
