"""Whole-picture search: dinosearch's store beside scikit-learn, numpy and bare FAISS.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \\
        .venv/bin/python benchmarks/cls_search.py

Clustered unit vectors of 384 numbers with 96 latent dimensions, queries held out, one at
a time, one thread; all methods take turns in one process. What counts are the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.derived import refresh_vectors
from dinosearch.storage.folder import Folder
from dinosearch.storage.snapshot import Snapshot
from dinosearch.storage.writer import Batch, Origin, Row, Writer

K = 10
Vectors = NDArray[np.float32]


def vectors(count: int, dim: int, seed: int) -> Vectors:
    """Unit rows around 2,000 centres, in a space of 96 latent dimensions."""
    shared = np.random.default_rng(0)
    basis = shared.normal(size=(96, dim)).astype(np.float32)
    centres = shared.normal(size=(2_000, 96)).astype(np.float32)
    rng = np.random.default_rng(seed)
    latent = centres[rng.integers(0, len(centres), count)]
    latent = latent + 1.2 * rng.normal(size=latent.shape).astype(np.float32)
    rows = latent @ basis + 0.3 * rng.normal(size=(count, dim)).astype(np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def store(root: Path, rows: Vectors) -> Snapshot:
    """An index on disk, made by the writer that indexing uses; one token per picture."""
    folder = Folder(root)
    folder.prepare()
    Catalog.create(folder.catalog, {"fingerprint_digest": "benchmark"}).close()
    folder.write_manifest()
    token = np.array([[1.0]], dtype=np.float16)
    with Writer(folder, fingerprint="benchmark", grid=(1, 1), min_free=0) as writer:
        for start in range(0, len(rows), 5_000):
            batch = Batch()
            for number in range(start, min(start + 5_000, len(rows))):
                origin = Origin(f"/p/{number}.png", "/p", f"{number:064x}", 1, 1)
                batch.rows.append(
                    Row(origin, rows[number], token, 560, 560, "PNG", "crop", "2024", (), b"")
                )
            writer.commit(batch)
        refresh_vectors(writer)
    catalog = Catalog.open(folder.catalog, writable=False)
    return Snapshot(folder, catalog, fingerprint="benchmark", previous=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rows = vectors(options.count, options.dim, seed=1)
    queries = vectors(options.queries, options.dim, seed=2)

    from sklearn.neighbors import NearestNeighbors

    brute = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(rows)
    flat = faiss.IndexFlatIP(options.dim)
    flat.add(rows)
    _, truth = flat.search(queries, K)

    with tempfile.TemporaryDirectory() as folder:
        snapshot = store(Path(folder) / "index", rows)
        row = snapshot.vector_row
        assert row is not None
        # FAISS alone on float32 lists, with as many lists, tuned to the recall we reach.
        ours = _overlap(truth, np.stack([_search(snapshot, q) for q in queries]))
        ivf = faiss.index_factory(options.dim, f"IVF{row.nlist},Flat", faiss.METRIC_INNER_PRODUCT)
        ivf.train(rows[:: max(1, len(rows) // (row.nlist * 128))])
        ivf.add(rows)
        ivf.nprobe = 1
        while _overlap(truth, ivf.search(queries, K)[1]) < ours and ivf.nprobe < row.nlist:
            ivf.nprobe = max(ivf.nprobe + 1, ivf.nprobe * 5 // 4)

        def numpy_scan(query: Vectors) -> NDArray[np.int64]:
            scores = rows @ query
            best = np.argpartition(-scores, K)[:K]
            found: NDArray[np.int64] = best[np.argsort(-scores[best])]
            return found

        methods: dict[str, Callable[[Vectors], NDArray[np.int64]]] = {
            "scikit-learn brute force": lambda q: brute.kneighbors(q[None], return_distance=False)[
                0
            ],
            "numpy scan": numpy_scan,
            "FAISS Flat": lambda q: flat.search(q[None], K)[1][0],
            f"FAISS IVF{row.nlist},Flat nprobe {ivf.nprobe}": (
                lambda q: ivf.search(q[None], K)[1][0]
            ),
            f"dinosearch (nprobe {row.nprobe})": lambda q: _search(snapshot, q),
        }
        times: dict[str, list[float]] = {name: [] for name in methods}
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in methods}
        for query in queries:
            for name, method in methods.items():
                started = time.thread_time()
                found[name].append(method(query))
                times[name].append(time.thread_time() - started)
        slowest = statistics.median(times["scikit-learn brute force"])
        print(f"{options.count} x {options.dim}, k = {K}, {options.queries} queries, one thread")
        print("| method | recall@10 | CPU ms a query (median) | times scikit-learn |")
        print("|---|---|---|---|")
        for name in methods:
            middle = statistics.median(times[name])
            recall = _overlap(truth, np.stack(found[name]))
            print(f"| {name} | {recall:.4f} | {middle * 1000:.3f} | {slowest / middle:.0f} |")
        print(f"recall that the index measured on its own vectors: {row.recall:.4f}")


def _search(snapshot: Snapshot, query: Vectors) -> NDArray[np.int64]:
    found: NDArray[np.int64] = snapshot.search_cls(query[None], K)[1][0]
    return found


def _overlap(truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(truth, found, strict=True)]))


if __name__ == "__main__":
    main()
