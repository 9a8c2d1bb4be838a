"""The encoder that an index is bound to: loaded when it is needed, refused when it is another."""

from __future__ import annotations

import os
import threading
from os import PathLike
from pathlib import Path
from typing import Any

from dinosearch.encoders.encoder import Encoder
from dinosearch.encoders.fingerprint import Fingerprint
from dinosearch.encoders.loading import load_encoder
from dinosearch.errors import EncoderMismatch, EncoderUnavailable


class BoundEncoder:
    """One for all threads.

    `made_with` are the name, weights, size, fit and precision that the index was made with;
    `root` is its folder, for the messages.
    """

    def __init__(self, root: Path, fingerprint: Fingerprint, made_with: dict[str, Any]) -> None:
        self.fingerprint = fingerprint
        self.made_with = made_with
        self._root = root
        self._lock = threading.RLock()
        self._encoder: Encoder | None = None

    def get(self) -> Encoder:
        """The encoder, loaded when first asked for."""
        with self._lock:
            return self._encoder or self.load()

    def load(
        self,
        *,
        name: str | PathLike[str] | None = None,
        weights: str | PathLike[str] | None = None,
        size: int | None = None,
        fit: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        download: bool = False,
    ) -> Encoder:
        """Load it with other options than the index was made with, as `use_encoder` says."""
        made = self.made_with
        if name in (None, "auto"):
            name = made["name"]
        if name == made["name"] and weights is None and os.path.exists(made["weights"] or ""):
            weights = made["weights"]
        if str(name).endswith((".pth", ".safetensors")):
            # The file is all there is to a checkpoint.
            name, weights = weights or name, None
            if name == made["name"] and not os.path.exists(name):
                raise EncoderUnavailable(
                    f"{self._root} was made with the weights {name}, which are not there"
                    " any more: say where they are now, with --weights FILE or"
                    " index.use_encoder(weights=FILE)"
                )
        encoder = load_encoder(
            name,
            weights=weights,
            size=size or made["size"],
            fit=fit or made["fit"],
            device=device,
            precision=precision,
            download=download,
        )
        self.share(encoder)
        return encoder

    def share(self, encoder: Encoder) -> None:
        """Use an encoder that is loaded already. Raises `EncoderMismatch` for another one."""
        differences = self.fingerprint.differences(encoder.fingerprint)
        if differences:
            raise EncoderMismatch(
                f"{self._root} was made with {self.fingerprint}, but the encoder at hand is"
                f" {encoder.fingerprint} ({'; '.join(differences)}): use the encoder of the index,"
                " or index the pictures into a new folder"
            )
        with self._lock:
            self._encoder = encoder
