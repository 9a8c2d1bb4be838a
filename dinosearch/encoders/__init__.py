"""Pictures become features.

`load_encoder` gives an `Encoder`; its `encode` gives `Features`; its `fingerprint` says
which features those are. Importing this room loads neither torch nor timm: whoever only
asks for help or lists names must not wait for them.
"""

from __future__ import annotations

from dinosearch.encoders.encoder import Encoder, EncodingFailed, Features
from dinosearch.encoders.fingerprint import Fingerprint
from dinosearch.encoders.loading import load_encoder
from dinosearch.encoders.weights import available, encoder_names

__all__ = [
    "Encoder",
    "EncodingFailed",
    "Features",
    "Fingerprint",
    "available",
    "encoder_names",
    "load_encoder",
]
