"""What a probe is made of and how it is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dinosearch.errors import InvalidInput
from dinosearch.probes.descent import Descent
from dinosearch.probes.pooling import blocks_of

HEADS = {
    "linear": "cross-entropy and SGD, learning rate 0.01, momentum 0.9",
    "sweep": "the same at the 13 rates of DINOv2's evaluation, each of two feature sets",
    "logistic": "logistic regression, its penalty chosen on pictures held out",
    "knn": "a vote of the nearest pictures, their number chosen on pictures held out",
    "svm": "support vectors with a radial kernel: small sets, fine differences",
}
"""The heads there are, and what each is."""

DEFAULT_FEATURES = {
    "linear": "cls+mean",
    "sweep": "cls+mean",
    "logistic": "cls+mean",
    "knn": "cls",
    "svm": "cls+std+covariance",
}
"""What a head looks at unless it is told; a sweep also looks at `cls` alone."""


@dataclass(frozen=True)
class Recipe:
    """A head, the features it looks at, and the options of its training.

    head           one of `HEADS`
    features       blocks joined by `+`, see `dinosearch.probes.pooling`
    rate           learning rate of `linear`
    descent        how `linear` and `sweep` go down
    class_weights  `none`, or `balanced`: every class counts alike, however many pictures it has
    seed           of every draw
    """

    head: str = "linear"
    features: str = ""
    rate: float = 0.01
    descent: Descent = field(default_factory=Descent)
    class_weights: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise InvalidInput(f"head {self.head!r} is not one of {', '.join(HEADS)}")
        if not self.features:
            object.__setattr__(self, "features", DEFAULT_FEATURES[self.head])
        blocks_of(self.features)
        if self.class_weights not in ("none", "balanced"):
            raise InvalidInput(f"class weights {self.class_weights!r}: use none or balanced")
        if self.rate <= 0:
            raise InvalidInput(f"a learning rate of {self.rate} does not learn: use one above 0")
        self.descent.check()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Recipe:
        """What `to_dict` wrote; fields that a newer version added are not known here."""
        known = {name.name for name in fields(cls)}
        kept = {name: value for name, value in found.items() if name in known}
        return cls(**kept | {"descent": Descent(**found["descent"])})
