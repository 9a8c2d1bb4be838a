"""What a run of indexing tells: while it goes on, and when it is over."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `step` is `finding`, `indexing` or what is being derived.

    `total` files were found, `done` of them are decided, `committed` would survive a
    power cut now.
    """

    step: str
    total: int = 0
    done: int = 0
    committed: int = 0


@dataclass
class AddReport:
    """Counts of one run; `seen = added + updated + unchanged + refused + failed`.

    `refused` files are not pictures dinosearch reads (the same next time), `failed` ones
    could not be read this time. `left_out` of the unchanged were removed by the user
    earlier and stay out. `vanished` items have no file any more and were kept unless
    pruned. `relabelled` items got other labels or metadata. `unmatched` names rows of the
    labels table for which there is no item.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    failed: int = 0
    moved: int = 0
    left_out: int = 0
    relabelled: int = 0
    vanished: int = 0
    pruned: int = 0
    unmatched: list[str] = field(default_factory=list)
    encoded: int = 0
    seconds: float = 0.0
    stopped: bool = False

    @property
    def seen(self) -> int:
        return self.added + self.updated + self.unchanged + self.refused + self.failed

    def to_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, **asdict(self)}
