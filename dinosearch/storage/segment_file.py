"""How a segment is written: what a picture leaves in it, and the file as a whole.

HDF5 builds the file in memory and `folder.seal` puts the bytes on disk: libhdf5 has been
seen to die at a full disk, and this way it never meets one.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dinosearch.storage.chosen import PER_ITEM, choose
from dinosearch.storage.codecs import Codec, Coded, Int8
from dinosearch.storage.folder import Folder, Sealed, seal

LAYOUT_VERSION = 2

LONGEST_NORM = 65_504.0
"""The largest number that half precision holds."""


@dataclass(frozen=True)
class StoredPicture:
    """What a segment holds of one picture's patches, as it lies there.

    `norms` float16 [P]: lengths that the tokens had, NaN where nobody knows. `chosen`: the
    code, in int8, of the T tokens that propose the picture for a region.
    """

    coded: Coded
    norms: NDArray[np.float16]
    chosen: Coded

    @property
    def nbytes(self) -> int:
        return self.coded.nbytes + self.norms.nbytes + self.chosen.nbytes


def stored(
    tokens: NDArray[np.floating], norms: NDArray[np.floating] | None, codec: Codec
) -> StoredPicture:
    """What to store of a picture of unit `tokens` [P, Dp] (padding zero) of lengths `norms` [P].

    Raises ValueError for tokens that are not finite.
    """
    if not np.isfinite(tokens).all():
        raise ValueError("the tokens of a picture are not finite")
    lengths = np.full(len(tokens), np.nan) if norms is None else np.minimum(norms, LONGEST_NORM)
    return StoredPicture(codec.encode(tokens), lengths.astype("<f2"), chosen_code(tokens))


def chosen_code(tokens: NDArray[np.floating]) -> Coded:
    """The chosen tokens of a picture of `tokens` [P, Dp], int8 [min(PER_ITEM, P), Dp].

    Zeros at the end where fewer patches show something.
    """
    # Padding is like nothing at all: it would be chosen before everything else.
    shown = tokens[tokens.any(axis=1)]
    few = np.zeros((min(PER_ITEM, len(tokens)), tokens.shape[1]), dtype=np.float32)
    if len(shown):
        picked = choose(shown, len(few))
        few[: len(picked)] = picked
    return Int8(tokens.shape[1]).encode(few)


def picture_bytes(patches: int, codec: Codec) -> int:
    """Bytes that `StoredPicture` takes of a picture of so many patches."""
    return patches * (codec.token_bytes + 2) + min(PER_ITEM, patches) * (codec.dim + 2)


def write_segment(
    folder: Folder,
    ids: NDArray[np.int64],
    cls: NDArray[np.float32],
    pictures: Iterable[StoredPicture],
    *,
    codec: Codec,
    fingerprint: str,
    grid: tuple[int, int],
) -> Sealed:
    """Seal one segment and return what the catalog has to remember of it.

    `ids` [n], `cls` [n, D] of unit length, and n pictures whose tokens `codec` has coded;
    `fingerprint` is the digest of the encoder's and `grid` the rows and columns of P.
    Raises ValueError for vectors that are zero or not finite, `DiskFull` at a full disk.
    """
    n, patches = len(ids), grid[0] * grid[1]
    lengths = np.linalg.norm(cls, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):
        raise ValueError("a CLS vector is not of unit length")
    cls = np.ascontiguousarray(cls, dtype="<f4")
    norms = np.empty((n, patches), dtype="<f2")
    scales = np.empty((n, patches), dtype="<f2")
    kept = min(PER_ITEM, patches)
    chosen = np.empty((n, kept, codec.dim), dtype="|i1")
    chosen_scales = np.empty((n, kept), dtype="<f2")
    checks = np.empty((n, 4), dtype="<u4")
    # Room for everything at once: growing the image in memory would copy it each time.
    book = 0 if codec.codebook is None else codec.codebook.nbytes
    expected = n * picture_bytes(patches, codec) + cls.nbytes + book + (1 << 20)
    name = f"{uuid.uuid4().hex}.h5"
    with h5py.File(
        name,
        "w",
        driver="core",
        backing_store=False,
        block_size=expected,
        libver="latest",
        # What is mapped from the file is read as it lies.
        alignment_threshold=64,
        alignment_interval=64,
    ) as file:
        _describe(file, codec, fingerprint, grid)
        file.create_dataset("ids", data=np.asarray(ids, dtype="<i8"))
        file.create_dataset("cls", data=cls)
        tokens = file.create_dataset(
            "tokens", (n, patches, codec.width), codec.dtype, chunks=(1, patches, codec.width)
        )
        row = -1
        for row, one in enumerate(pictures):
            codes = np.ascontiguousarray(one.coded.codes, dtype=codec.dtype)
            if codes.shape != tokens.shape[1:]:
                raise ValueError(
                    f"{len(codes)} tokens do not fill a grid of {grid[0]} x {grid[1]}, or are"
                    f" not of {codec.width} numbers"
                )
            tokens.id.write_direct_chunk((row, 0, 0), codes)
            if one.coded.scales is not None:
                scales[row] = one.coded.scales
            norms[row] = one.norms
            chosen[row], chosen_scales[row] = one.chosen.codes, one.chosen.scales
            checks[row] = (
                checksum(cls[row]),
                checksum(codes, scales[row]) if codec.scaled else checksum(codes),
                checksum(chosen[row], chosen_scales[row]),
                checksum(norms[row]),
            )
        if row + 1 != n:
            raise ValueError(f"{row + 1} pictures were given for {n} ids")
        if codec.scaled:
            file.create_dataset("scales", data=scales)
        file.create_dataset("norms", data=norms)
        file.create_dataset("chosen", data=chosen)
        file.create_dataset("chosen_scales", data=chosen_scales)
        file.create_dataset("checks", data=checks)
        file.flush()
        image = file.id.get_file_image()
    return seal(folder.segments / name, image)


def _describe(file: h5py.File, codec: Codec, fingerprint: str, grid: tuple[int, int]) -> None:
    # Text of fixed length: HDF5 keeps other text in a heap without a checksum, and reading
    # a damaged heap has been seen never to end (libhdf5 2.0).
    file.attrs["format"] = np.bytes_("dinosearch-segment")
    file.attrs["layout_version"] = LAYOUT_VERSION
    file.attrs["fingerprint"] = np.bytes_(fingerprint)
    file.attrs["grid"] = np.bytes_(json.dumps(list(grid)))
    file.attrs["codec"] = np.bytes_(codec.name)
    if codec.codebook is not None:
        # In each segment, a megabyte at most: a codebook cannot be lost without its codes.
        book = np.ascontiguousarray(codec.codebook, dtype="<f4")
        file.create_dataset("codebook", data=book)
        file.attrs["codebook_check"] = np.uint32(checksum(book))


def checksum(*parts: NDArray[Any]) -> int:
    """CRC-32 of the bytes of contiguous arrays, one after the other."""
    value = 0
    for part in parts:
        value = zlib.crc32(part.data, value)
    return value
