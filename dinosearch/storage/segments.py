"""Segments: the HDF5 files that hold the features, one sealed file per committed batch.

    ids            int64   [n]          item of each row
    cls            float32 [n, D]       unit CLS vectors, contiguous
    tokens                 [n, P, W]    unit patch tokens as the codec keeps them, one chunk
                                        per picture, uncompressed (storage/codecs.py)
    scales         float16 [n, P]       of those codes; not for fp16
    codebook       float32              of a codec that was trained
    norms          float16 [n, P]       length of each token before it was made unit
    chosen         int8    [n, T, Dp]   code of the tokens that propose the picture for a
    chosen_scales  float16 [n, T]       region, contiguous
    checks         uint32  [n, 4]       CRC-32 of each row of cls; of tokens and scales; of
                                        chosen and chosen_scales; of norms

Layout 1, which is still read, had ids, cls, tokens in half precision and checks of those.

Reading goes around HDF5: the offset of every row is looked up once, then rows are read
straight from the file, so that threads do not queue for HDF5's lock. Each row is checked
the first time it is read; a damaged one raises `UnusableIndex` and is never searched.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dinosearch.errors import UnusableIndex
from dinosearch.storage import codecs
from dinosearch.storage.catalog import SegmentRow
from dinosearch.storage.codecs import Codec, Coded
from dinosearch.storage.folder import Folder
from dinosearch.storage.segment_file import StoredPicture, chosen_code

_CLS, _TOKENS, _CHOSEN, _NORMS = range(4)

Rows = NDArray[np.integer] | Sequence[int]


class Segment:
    """One sealed segment, open for reading from any number of threads.

    The file stays open, so that a reader of an older generation can go on after the file
    has been replaced and unlinked. `codec` says what its codes mean.
    """

    codec: Codec

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
            self._size = os.fstat(self._handle).st_size
            if self._size != row.bytes:
                raise self._damaged(f"it has {self._size} bytes instead of {row.bytes}")
            self._read_layout(fingerprint)
        except BaseException:
            self.close()
            raise
        self._checked = np.zeros(self.rows, dtype=bool)
        self._cls: NDArray[np.float32] | None = None
        self._chosen: tuple[NDArray[np.int8], NDArray[np.float16]] | None = None

    # -- opening ---------------------------------------------------------------------

    def _read_layout(self, fingerprint: str) -> None:
        try:
            # Sealed files never change, and a lock would fail on read-only media.
            with h5py.File(self._path, "r", locking=False) as file:
                self.layout = int(file.attrs["layout_version"])
                if self.layout not in (1, 2):
                    raise self._damaged("its layout version is not known")
                if self._text(file, "fingerprint") != fingerprint:
                    raise self._damaged("it was written for another encoder")
                rows, cols = json.loads(self._text(file, "grid"))
                self.grid = (int(rows), int(cols))
                self.patches = self.grid[0] * self.grid[1]
                self.dim = int(self._dataset(file, "cls").shape[1])
                self._read_tokens(file)
                columns = 2 if self.layout == 1 else 4
                checks = self._dataset(file, "checks", "<u4", (self.rows, columns))
                self.ids: NDArray[np.int64] = self._dataset(file, "ids", "<i8", (self.rows,))[:]
                self._checks: NDArray[np.uint32] = checks[:]
                self._cls_offset = self._offset(file, "cls", "<f4", (self.rows, self.dim))
                if self.layout > 1:
                    self._read_beside_tokens(file)
        except UnusableIndex:
            raise
        except Exception as error:
            raise self._damaged(f"HDF5 says: {error}") from error

    def _read_tokens(self, file: h5py.File) -> None:
        """The codec, and where the codes of each row lie."""
        name = self._text(file, "codec") if self.layout > 1 else "fp16"
        if name not in codecs.NAMES:
            raise self._damaged(f"its codec {name!r} is not known")
        tokens = self._dataset(file, "tokens")
        if codecs.is_trained(name):
            book = self._codebook(file, name)
            self.codec = codecs.with_codebook(name, book)
        else:
            self.codec = codecs.plain(name, int(tokens.shape[2]))
        self.patch_dim = self.codec.dim
        shape = (self.rows, self.patches, self.codec.width)
        self._dataset(file, "tokens", self.codec.dtype, shape)
        self._code_bytes = shape[1] * shape[2] * tokens.dtype.itemsize
        self._offsets = np.full(self.rows, -1, dtype=np.int64)
        tokens.id.chunk_iter(self._place_chunk)
        if ((self._offsets < 0) | (self._offsets + self._code_bytes > self._size)).any():
            raise self._damaged("some of its rows are not there")
        if self.codec.scaled:
            self._scales_offset = self._offset(file, "scales", "<f2", (self.rows, self.patches))

    def _codebook(self, file: h5py.File, name: str) -> NDArray[np.float32]:
        chosen = self._dataset(file, "chosen")
        dataset = self._dataset(file, "codebook")
        if not codecs.fits_codebook(name, dataset.shape, int(chosen.shape[2])):
            raise self._damaged(f"its codebook of {dataset.shape} does not fit its codec {name}")
        self._offset(file, "codebook", "<f4", dataset.shape)
        book: NDArray[np.float32] = dataset[:]
        if zlib.crc32(book.data) != int(file.attrs["codebook_check"]):
            raise self._damaged("its codebook has changed")
        return book

    def _read_beside_tokens(self, file: h5py.File) -> None:
        self.chosen_count = int(self._dataset(file, "chosen").shape[1])
        few = (self.rows, self.chosen_count)
        self._norms_offset = self._offset(file, "norms", "<f2", (self.rows, self.patches))
        self._chosen_offset = self._offset(file, "chosen", "|i1", (*few, self.patch_dim))
        self._chosen_scales_offset = self._offset(file, "chosen_scales", "<f2", few)

    def _dataset(
        self, file: h5py.File, name: str, dtype: str = "", shape: tuple[int, ...] = ()
    ) -> h5py.Dataset:
        """A dataset that holds its own plain data, of that type and shape where they are given."""
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise self._damaged(f"{name} is a link to another place")
        dataset = file[name]
        if dataset.external or dataset.is_virtual or dataset.compression:
            raise self._damaged(f"{name} does not hold its own plain data")
        if dtype and (dataset.dtype != np.dtype(dtype) or dataset.shape != shape):
            raise self._damaged(
                f"{dataset.name} is {dataset.dtype} {dataset.shape}, not {dtype} {shape}"
            )
        return dataset

    def _offset(self, file: h5py.File, name: str, dtype: str, shape: tuple[int, ...]) -> int:
        """Where a contiguous dataset of that type and shape begins in the file."""
        dataset = self._dataset(file, name, dtype, shape)
        offset = dataset.id.get_offset()
        if offset is None or not 0 <= offset <= self._size - dataset.nbytes:
            raise self._damaged(f"{name} is not there as a whole")
        return int(offset)

    def _text(self, file: h5py.File, name: str) -> str:
        if file.attrs.get_id(name).dtype.kind != "S":
            raise self._damaged(f"its {name} is not text of fixed length")
        return bytes(file.attrs[name]).decode()

    def _place_chunk(self, chunk: h5py.h5d.StoreInfo) -> None:
        row = chunk.chunk_offset[0]
        if chunk.size == self._code_bytes and not chunk.filter_mask:
            self._offsets[row] = chunk.byte_offset

    # -- reading ---------------------------------------------------------------------

    @property
    def cls(self) -> NDArray[np.float32]:
        """float32 [n, D], unit rows, mapped from the file; checked when first asked for."""
        with self._lock:
            if self._cls is None:
                mapped = self._map("<f4", self._cls_offset, (self.rows, self.dim))
                for row in range(self.rows):
                    self._check(row, _CLS, "the CLS vector of item {} has changed", mapped[row])
                self._cls = mapped
            return self._cls

    @property
    def chosen(self) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
        """int8 [n, T, Dp] and scales float16 [n, T]: codes of the chosen tokens.

        Mapped from the file, checked when first asked for; zeros where a picture has
        fewer. Made from the tokens, five milliseconds a picture, in a segment of layout 1.
        """
        with self._lock:
            if self._chosen is None:
                if self.layout > 1:
                    few = (self.rows, self.chosen_count)
                    codes = self._map("|i1", self._chosen_offset, (*few, self.patch_dim))
                    scales = self._map("<f2", self._chosen_scales_offset, few)
                    for row in range(self.rows):
                        why = "the chosen tokens of item {} have changed"
                        self._check(row, _CHOSEN, why, codes[row], scales[row])
                    self._chosen = codes, scales
                else:
                    made = [chosen_code(self.tokens([row])[0]) for row in range(self.rows)]
                    self._chosen = (
                        np.stack([one.codes for one in made]),
                        np.stack([one.scales for one in made if one.scales is not None]),
                    )
            return self._chosen

    def tokens(self, rows: Rows) -> NDArray[np.float16]:
        """float16 [len(rows), P, Dp]: the unit tokens of some rows, in that order."""
        return self.codec.decode(self.coded(rows))

    def coded(self, rows: Rows) -> Coded:
        """The tokens of some rows as they lie here; what that means, `codec` says."""
        codes = np.empty((len(rows), self.patches, self.codec.width), dtype=self.codec.dtype)
        scales = np.empty((len(rows), self.patches), "<f2") if self.codec.scaled else None
        for place, row in enumerate(rows):
            parts = [codes[place]]
            self._read(codes[place], int(self._offsets[row]), row)
            if scales is not None:
                self._read(scales[place], self._scales_offset + int(row) * self.patches * 2, row)
                parts.append(scales[place])
            if not self._checked[row]:
                self._check(row, _TOKENS, "the tokens of item {} have changed", *parts)
                self._checked[row] = True
        return Coded(codes, scales)

    def norms(self, rows: Rows) -> NDArray[np.float32]:
        """float32 [len(rows), P]: the lengths that the tokens had before they were made unit.

        0 where a patch shows only padding, NaN where the segment does not know.
        """
        if self.layout == 1:
            return np.full((len(rows), self.patches), np.nan, dtype=np.float32)
        norms = np.empty((len(rows), self.patches), dtype="<f2")
        for place, row in enumerate(rows):
            self._read(norms[place], self._norms_offset + int(row) * self.patches * 2, row)
            self._check(row, _NORMS, "the norms of item {} have changed", norms[place])
        return norms.astype(np.float32)

    def stored(self, row: int) -> StoredPicture:
        """What lies here of one picture's patches, to be written again as it is."""
        coded, norms = self.coded([row]), self.norms([row])
        codes, scales = self.chosen
        return StoredPicture(
            Coded(coded.codes[0], None if coded.scales is None else coded.scales[0]),
            norms[0].astype("<f2"),
            Coded(codes[row], scales[row]),
        )

    def _map(self, dtype: str, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
        # By its handle: the name may be gone by now.
        with os.fdopen(os.dup(self._handle), "rb") as file:
            return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape)

    def _read(self, out: NDArray[Any], offset: int, row: int) -> None:
        view = out.data.cast("B")
        if os.preadv(self._handle, [view], offset) != len(view):
            raise self._damaged(f"the data of item {self.ids[row]} end early")

    def _check(self, row: int, column: int, why: str, *parts: NDArray[Any]) -> None:
        value = 0
        for part in parts:
            value = zlib.crc32(part.data, value)
        if value != self._checks[row, column]:
            raise self._damaged(why.format(self.ids[row]))

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
