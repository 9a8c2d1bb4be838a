"""Segments: the HDF5 files that hold the features, one sealed file per committed batch.

    ids      int64   [n]           item of each row
    cls      float32 [n, D]        unit CLS vectors, contiguous
    tokens   float16 [n, P, Dp]    unit patch tokens, one chunk per picture, uncompressed
    checks   uint32  [n, 2]        CRC-32 of the bytes of each row of cls and of tokens

HDF5 builds the file in memory and `folder.seal` puts the bytes on disk: libhdf5 has been
seen to die at a full disk, and this way it never meets one. Reading goes around it too:
the offset of every row is looked up once, then rows are read straight from the file, so
that threads do not queue for HDF5's lock. Each row is checked the first time it is read;
a damaged one raises `UnusableIndex` and is never searched.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid
import zlib
from collections.abc import Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import UnusableIndex
from dinosearch.storage.catalog import SegmentRow
from dinosearch.storage.folder import Folder, Sealed, seal

LAYOUT_VERSION = 1


def write_segment(
    folder: Folder,
    ids: NDArray[np.int64],
    cls: NDArray[np.float32],
    tokens: Sequence[NDArray[np.float16]] | NDArray[np.float16],
    *,
    fingerprint: str,
    grid: tuple[int, int],
) -> Sealed:
    """Seal one segment and return what the catalog has to remember of it.

    `ids` [n], `cls` [n, D] and n arrays of tokens [P, Dp], all rows unit length;
    `fingerprint` is the digest of the encoder's and `grid` the rows and columns of P.
    Raises ValueError for vectors that are zero or not finite, `DiskFull` at a full disk.
    """
    n = len(ids)
    patches, width = tokens[0].shape
    lengths = np.linalg.norm(cls, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):
        raise ValueError("a CLS vector is not of unit length")
    if grid[0] * grid[1] != patches:
        raise ValueError(f"{patches} tokens do not fill a grid of {grid[0]} x {grid[1]}")
    cls = np.ascontiguousarray(cls, dtype="<f4")
    checks = np.empty((n, 2), dtype="<u4")
    # Room for everything at once: growing the image in memory would copy it each time.
    expected = n * patches * width * 2 + cls.nbytes + (1 << 20)
    name = f"{uuid.uuid4().hex}.h5"
    with h5py.File(
        name, "w", driver="core", backing_store=False, block_size=expected, libver="latest"
    ) as file:
        # Text of fixed length: HDF5 keeps other text in a heap without a checksum, and reading
        # a damaged heap has been seen never to end (libhdf5 2.0).
        file.attrs["format"] = np.bytes_("dinosearch-segment")
        file.attrs["layout_version"] = LAYOUT_VERSION
        file.attrs["fingerprint"] = np.bytes_(fingerprint)
        file.attrs["grid"] = np.bytes_(json.dumps(list(grid)))
        file.create_dataset("ids", data=np.asarray(ids, dtype="<i8"))
        file.create_dataset("cls", data=cls)
        stored = file.create_dataset(
            "tokens", (n, patches, width), dtype="<f2", chunks=(1, patches, width)
        )
        for row, one in enumerate(tokens):
            block = np.ascontiguousarray(one, dtype="<f2")
            if not np.isfinite(block).all():
                raise ValueError(f"the tokens of item {ids[row]} are not finite")
            stored.id.write_direct_chunk((row, 0, 0), block)
            checks[row] = zlib.crc32(cls[row].data), zlib.crc32(block.data)
        file.create_dataset("checks", data=checks)
        file.flush()
        image = file.id.get_file_image()
    return seal(folder.segments / name, image)


class Segment:
    """One sealed segment, open for reading from any number of threads.

    The file stays open, so that a reader of an older generation can go on after the file
    has been replaced and unlinked.
    """

    def __init__(self, folder: Folder, row: SegmentRow, *, fingerprint: str) -> None:
        self.name = row.name
        self.rows = row.rows
        self._path = folder.segments / row.name
        self._lock = threading.Lock()
        try:
            self._handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise UnusableIndex(
                    f"{folder.root} has more segments than this process may open files: raise the"
                    " limit (ulimit -n), or merge them with `dinosearch compact`"
                ) from error
            raise UnusableIndex(
                f"{self._path} cannot be opened ({error.strerror}): run"
                f" `dinosearch verify --in {folder.root}`"
            ) from error
        try:
            size = os.fstat(self._handle).st_size
            if size != row.bytes:
                raise self._damaged(f"it has {size} bytes instead of {row.bytes}")
            self._read_layout(fingerprint)
        except BaseException:
            self.close()
            raise
        self._checked = np.zeros(self.rows, dtype=bool)
        self._cls: NDArray[np.float32] | None = None

    def _read_layout(self, fingerprint: str) -> None:
        try:
            # Sealed files never change, and a lock would fail on read-only media.
            with h5py.File(self._path, "r", locking=False) as file:
                if file.attrs["layout_version"] != LAYOUT_VERSION:
                    raise self._damaged("its layout version is not known")
                if self._text(file, "fingerprint") != fingerprint:
                    raise self._damaged("it was written for another encoder")
                rows, cols = json.loads(self._text(file, "grid"))
                self.grid = (int(rows), int(cols))
                for name in ("ids", "cls", "tokens", "checks"):
                    dataset = file.get(name, getlink=True)
                    if not isinstance(dataset, h5py.HardLink):
                        raise self._damaged(f"{name} is a link to another place")
                    dataset = file[name]
                    if dataset.external or dataset.is_virtual or dataset.compression:
                        raise self._damaged(f"{name} does not hold its own plain data")
                self._check_shape(file["ids"], "<i8", (self.rows,))
                self._check_shape(file["checks"], "<u4", (self.rows, 2))
                cls, tokens = file["cls"], file["tokens"]
                self.dim = int(cls.shape[1])
                self.patches, self.patch_dim = int(tokens.shape[1]), int(tokens.shape[2])
                self._check_shape(cls, "<f4", (self.rows, self.dim))
                self._check_shape(tokens, "<f2", (self.rows, self.patches, self.patch_dim))
                if self.patches != self.grid[0] * self.grid[1]:
                    raise self._damaged("its tokens do not fill its grid")
                self.ids: NDArray[np.int64] = file["ids"][:]
                self._checks: NDArray[np.uint32] = file["checks"][:]
                self._cls_offset = cls.id.get_offset()
                self._offsets = np.full(self.rows, -1, dtype=np.int64)
                tokens.id.chunk_iter(self._place_chunk)
        except UnusableIndex:
            raise
        except Exception as error:
            raise self._damaged(f"HDF5 says: {error}") from error
        end = os.fstat(self._handle).st_size
        token_bytes = self.patches * self.patch_dim * 2
        outside = (self._offsets < 0) | (self._offsets + token_bytes > end)
        if outside.any() or self._cls_offset is None or self._cls_offset < 0:
            raise self._damaged("some of its rows are not there")

    def _text(self, file: h5py.File, name: str) -> str:
        if file.attrs.get_id(name).dtype.kind != "S":
            raise self._damaged(f"its {name} is not text of fixed length")
        return bytes(file.attrs[name]).decode()

    def _place_chunk(self, chunk: h5py.h5d.StoreInfo) -> None:
        row = chunk.chunk_offset[0]
        if chunk.size == self.patches * self.patch_dim * 2 and not chunk.filter_mask:
            self._offsets[row] = chunk.byte_offset

    def _check_shape(self, dataset: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> None:
        if dataset.dtype != np.dtype(dtype) or dataset.shape != shape:
            raise self._damaged(
                f"{dataset.name} is {dataset.dtype} {dataset.shape}, not {dtype} {shape}"
            )

    @property
    def cls(self) -> NDArray[np.float32]:
        """float32 [n, D], unit rows, mapped from the file; checked when first asked for."""
        with self._lock:
            if self._cls is None:
                # By its handle: the name may be gone by now.
                with os.fdopen(os.dup(self._handle), "rb") as file:
                    mapped = np.memmap(
                        file,
                        dtype="<f4",
                        mode="r",
                        offset=self._cls_offset,
                        shape=(self.rows, self.dim),
                    )
                for row in range(self.rows):
                    if zlib.crc32(mapped[row].data) != self._checks[row, 0]:
                        raise self._damaged(f"the CLS vector of item {self.ids[row]} has changed")
                self._cls = mapped
            return self._cls

    def tokens(self, rows: NDArray[np.intp] | Sequence[int]) -> NDArray[np.float16]:
        """float16 [len(rows), P, Dp]: the unit tokens of some rows, in that order."""
        out = np.empty((len(rows), self.patches, self.patch_dim), dtype="<f2")
        for place, row in enumerate(rows):
            view = memoryview(out[place]).cast("B")
            read = os.preadv(self._handle, [view], int(self._offsets[row]))
            if read != len(view):
                raise self._damaged(f"the tokens of item {self.ids[row]} end early")
            if not self._checked[row]:
                if zlib.crc32(view) != self._checks[row, 1]:
                    raise self._damaged(f"the tokens of item {self.ids[row]} have changed")
                self._checked[row] = True
        return out

    def _damaged(self, why: str) -> UnusableIndex:
        return UnusableIndex(
            f"segment {self._path} is damaged: {why}; run"
            f" `dinosearch verify --full --in {self._path.parent.parent}` and restore the file"
            " from a copy, or index the pictures into a new folder"
        )

    def close(self) -> None:
        """Give the file back. Arrays handed out before stay valid."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        if getattr(self, "_handle", -1) >= 0:
            self.close()
