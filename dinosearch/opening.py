"""Making and opening an index."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from os import PathLike
from pathlib import Path

from dinosearch.encoders import Encoder, load_encoder
from dinosearch.errors import InvalidInput, UnusableIndex
from dinosearch.image_index import ImageIndex
from dinosearch.storage.catalog import Catalog
from dinosearch.storage.codecs import DEFAULT
from dinosearch.storage.folder import Folder
from dinosearch.storage.index_codec import check_codec, codec_name
from dinosearch.storage.verify import VerifyReport
from dinosearch.storage.verify import verify as verify_index


def create(
    path: str | PathLike[str],
    *,
    encoder: str | PathLike[str] | Encoder = "auto",
    weights: str | PathLike[str] | None = None,
    size: int | None = None,
    fit: str = "crop",
    device: str = "auto",
    precision: str = "auto",
    download: bool = False,
    tokens: str = DEFAULT,
) -> ImageIndex:
    """Make a new, empty index in the folder `path` and open it.

    `encoder` is a name for `load_encoder`, which the further options go to, or an
    `Encoder`. `tokens` says how patch tokens are kept: `int8` in one byte a number,
    `fp16` exactly in two, `pca-int8` or `pq` in less than one; `codec_report` measures what
    each costs.
    Raises `InvalidInput` when there is an index, or anything else, already.
    """
    check_codec(tokens)
    folder = Folder(_absolute(path))
    if folder.exists():
        raise InvalidInput(f"{folder.root} is an index already: open it, or name another folder")
    if not isinstance(encoder, Encoder):
        encoder = load_encoder(
            encoder,
            weights=weights,
            size=size,
            fit=fit,
            device=device,
            precision=precision,
            download=download,
        )
    folder.prepare()
    with folder.writer_lock():
        if folder.exists():
            raise InvalidInput(f"{folder.root} has just been made an index by another process")
        folder.clear_killed_creation()
        made_with = {
            "name": encoder.name,
            "weights": encoder.weights,
            "size": encoder.size,
            "fit": encoder.view.fit,
            "precision": encoder.precision,
        }
        manifest = folder.new_manifest()
        Catalog.create(
            folder.catalog,
            {
                "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
                "encoder": json.dumps(made_with, sort_keys=True),
                "fingerprint": json.dumps(encoder.fingerprint.to_dict(), sort_keys=True),
                "fingerprint_digest": encoder.fingerprint.digest,
                "view": json.dumps(asdict(encoder.view), sort_keys=True),
                "tokens": tokens,
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        ).close()
        folder.write_manifest(manifest)
    return open_index(path, encoder=encoder)


def open_or_create(
    path: str | PathLike[str],
    *,
    encoder: str | PathLike[str] | None = None,
    weights: str | PathLike[str] | None = None,
    size: int | None = None,
    fit: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    download: bool = False,
    tokens: str | None = None,
) -> ImageIndex:
    """Open the index in the folder `path`, or make it when there is none.

    Options left None are those of the index, or the defaults of `create`. An index that
    was made otherwise than asked is refused with `EncoderMismatch`, one that keeps its
    `tokens` otherwise with `InvalidInput`.
    """
    folder = Folder(_absolute(path))
    if not folder.exists():
        return create(
            path,
            encoder=encoder or "auto",
            weights=weights,
            size=size,
            fit=fit or "crop",
            device=device,
            precision=precision,
            download=download,
            tokens=DEFAULT if tokens is None else tokens,
        )
    index = open_index(path)
    try:
        if tokens is not None:
            _check_tokens(folder, tokens)
        index.use_encoder(
            name=encoder,
            weights=weights,
            size=size,
            fit=fit,
            device=device,
            precision=precision,
            download=download,
        )
    except BaseException:
        index.close()
        raise
    return index


def _check_tokens(folder: Folder, asked: str) -> None:
    check_codec(asked)
    catalog = Catalog.open(folder.catalog, writable=False)
    try:
        kept = codec_name(catalog)
    finally:
        catalog.close()
    if asked != kept:
        raise InvalidInput(
            f"{folder.root} keeps its tokens as {kept}, which was settled when it was made, and"
            f" not as {asked}: leave --tokens out, or index the pictures into a new folder"
        )


def open_index(path: str | PathLike[str], *, encoder: Encoder | None = None) -> ImageIndex:
    """Open an index. Without `encoder`, the one it was made with is loaded when needed.

    Raises `InvalidInput` where there is no index, `UnusableIndex` for one that cannot be
    read, `EncoderMismatch` for an encoder it was not made with.
    """
    folder = Folder(_absolute(path))
    folder.read_manifest()
    catalog = Catalog.open(folder.catalog, writable=False)
    try:
        return ImageIndex(folder, catalog, encoder)
    except BaseException:
        catalog.close()
        raise


def verify(
    path: str | PathLike[str],
    *,
    full: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> VerifyReport:
    """Check an index that may be too damaged to open. Raises `InvalidInput` for none at all."""
    folder = Folder(_absolute(path))
    try:
        folder.read_manifest()
    except UnusableIndex as error:
        return VerifyReport(full, [str(error)])
    return verify_index(folder, full=full, progress=progress)


def _absolute(path: str | PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(os.fsdecode(path))))
