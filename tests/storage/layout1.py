"""Segments as they were written before there were codecs, to see that they are still read."""

from __future__ import annotations

import json
import zlib

import h5py
import numpy as np

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.folder import Folder, sha256_of


def as_layout_1(folder: Folder) -> None:
    """Write every segment of an index anew in layout 1, in place."""
    for path in folder.segments.glob("*.h5"):
        with h5py.File(path) as file:
            ids, cls, tokens = file["ids"][:], file["cls"][:], file["tokens"][:]
            fingerprint, grid = file.attrs["fingerprint"], json.loads(bytes(file.attrs["grid"]))
        _write(path, ids, cls, tokens, fingerprint, grid)
        catalog = Catalog.open(folder.catalog, writable=True)
        with catalog.write() as db:
            db.execute(
                "UPDATE segments SET bytes = ?, sha256 = ? WHERE name = ?",
                [path.stat().st_size, sha256_of(path), path.name],
            )
        catalog.close()


def _write(path, ids, cls, tokens, fingerprint, grid):
    assert tokens.dtype == np.float16
    checks = [
        (zlib.crc32(a.tobytes()), zlib.crc32(b.tobytes())) for a, b in zip(cls, tokens, strict=True)
    ]
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["format"] = np.bytes_("dinosearch-segment")
        file.attrs["layout_version"] = 1
        file.attrs["fingerprint"] = fingerprint
        file.attrs["grid"] = np.bytes_(json.dumps(grid))
        file.create_dataset("ids", data=ids)
        file.create_dataset("cls", data=cls)
        stored = file.create_dataset("tokens", tokens.shape, "<f2", chunks=(1, *tokens.shape[1:]))
        for row, block in enumerate(tokens):
            stored.id.write_direct_chunk((row, 0, 0), np.ascontiguousarray(block))
        file.create_dataset("checks", data=np.array(checks, dtype="<u4"))
