"""What makes two encoders give the same features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from dinosearch.errors import InvalidInput

PrecisionClass = Literal["float", "int8"]

_MEANING = {
    "architecture": "architecture",
    "weights_sha256": "weights (sha256)",
    "size": "picture size",
    "cell": "patch size",
    "fit": "fit",
    "normalisation": "normalisation",
    "interpolation": "interpolation",
    "precision_class": "precision class",
}


@dataclass(frozen=True)
class Fingerprint:
    """Everything that an index must agree on with a query.

    `size` is the nominal picture size in pixels; `cell` the side of a patch in pixels of
    what the model is shown; `normalisation` the mean and standard deviation as text.
    fp32, bf16, fp16 and TF32 on any device are one precision class, `float`.
    """

    architecture: str
    weights_sha256: str
    size: int
    cell: int
    fit: str
    normalisation: str
    interpolation: str
    precision_class: PrecisionClass = "float"

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the sha256 of the canonical JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON; the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fingerprint:
        """The fingerprint that `to_dict` wrote.

        Raises `InvalidInput` when a field is missing, unknown or of another type.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            wrong = ", ".join(sorted(names ^ set(values)))
            raise InvalidInput(
                f"this encoder fingerprint lacks, or has too much of: {wrong};"
                " it was written by another version of dinosearch"
            )
        for name, value in values.items():
            expected = int if name in ("size", "cell") else str
            if type(value) is not expected:
                raise InvalidInput(
                    f"the encoder fingerprint's {name} is {value!r}, not {expected.__name__}"
                )
        return cls(**values)

    def differences(self, other: Fingerprint) -> list[str]:
        """One line for people per field that differs: `fit: crop here, pad there`."""
        mine, theirs = self.to_dict(), other.to_dict()
        lines = []
        for name, meaning in _MEANING.items():
            a, b = mine[name], theirs[name]
            if a != b:
                if name == "weights_sha256":
                    a, b = a[:12], b[:12]
                lines.append(f"{meaning}: {a} here, {b} there")
        return lines

    def __str__(self) -> str:
        return f"{self.architecture} {self.size}px {self.fit} {self.digest}"


def normalisation_text(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Mean and standard deviation as they enter a fingerprint, 6 significant digits."""

    def row(values: tuple[float, ...]) -> str:
        return ",".join(f"{value:.6g}" for value in values)

    return f"mean {row(mean)} std {row(std)}"
