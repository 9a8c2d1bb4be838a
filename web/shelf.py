"""The shelf: the indexes that are served, opened once, by name."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dinosearch
from dinosearch import DinoSearchError, Encoder, ImageIndex

from .problems import Problem
from .settings import BadSettings

log = logging.getLogger(__name__)

WARMING_WAIT_S = 10.0
"""How long closing waits for an encoder that is being loaded."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Served:
    """An index and what the server calls it; `folder` is as it was given on start."""

    name: str
    folder: str
    index: ImageIndex


class Shelf:
    """The served indexes, in the order given; the first is the one that is meant unsaid.

    `trouble` says which encoder cannot be loaded, once that is known.
    """

    def __init__(self, folders: tuple[str | os.PathLike[str], ...]) -> None:
        self._served: dict[str, Served] = {}
        self.trouble: str | None = None
        self._warm = threading.Event()
        self._closing = False
        self._warming: threading.Thread | None = None
        try:
            for folder in _indexes_in(folders):
                name = _name_of(folder, self._served)
                self._served[name] = Served(name, folder, dinosearch.open(folder))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def get(self, name: str | None) -> Served:
        """The index of that name, or the first. Raises `Problem`."""
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            raise Problem("not-found", "this server has no index of that name")
        return self._served[name]

    def start_warming(self) -> None:
        """Load what first requests would wait for, beside all else."""
        self._warming = threading.Thread(
            target=self._warm_up, name="dinosearch-warm-up", daemon=True
        )
        self._warming.start()

    def _warm_up(self) -> None:
        """Each encoder is loaded once for all its indexes."""
        loaded: dict[str, Encoder] = {}
        for served in self:
            if self._closing:
                return
            key = served.index.fingerprint.digest
            try:
                if key in loaded:
                    served.index.share_encoder(loaded[key])
                served.index.prepare()
                loaded[key] = served.index.encoder
            except DinoSearchError as error:
                log.error("%s: %s", served.name, error)
                self.trouble = f"the encoder of {served.name} cannot be loaded"
        self._warm.set()

    @property
    def not_ready(self) -> str | None:
        """Why the server is not ready to encode; None when it is."""
        return self.trouble if self._warm.is_set() else "the encoder is being loaded"

    def close(self) -> None:
        self._closing = True
        if self._warming is not None:
            # A process that ends while a library is being loaded hangs on the loader's lock.
            self._warming.join(WARMING_WAIT_S)
        for served in self:
            served.index.close()


def _indexes_in(folders: tuple[str | os.PathLike[str], ...]) -> list[str]:
    """The folders that are indexes, or that hold some."""
    found = []
    for one in folders:
        folder = os.fspath(one)
        if (Path(folder) / "manifest.json").exists():
            found.append(folder)
            continue
        inside = sorted(path.parent for path in Path(folder).glob("*/manifest.json"))
        if not inside:
            raise BadSettings(
                f"{folder} is neither an index nor a folder of indexes: make one with"
                f" `dinosearch index PHOTOS --to {folder}`"
            )
        found += [str(path) for path in inside]
    return list(dict.fromkeys(found))


def _name_of(folder: str, taken: dict[str, Served]) -> str:
    base = re.sub(r"[^a-z0-9_-]+", "-", os.path.basename(os.path.abspath(folder)).lower())
    base = base.strip("-_")[:56] or "index"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    assert NAME.fullmatch(name)
    return name
