"""What people decided about pairs of pictures: the same, or different after all.

Keyed by the contents of the two files, so that a decision outlives moving, removing and
indexing anew. It does not outlive a change of the file, which then is another picture.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dinosearch.storage.catalog import Catalog
from dinosearch.storage.writer import timestamp

Verdict = Literal["same", "different"]


class Decision(NamedTuple):
    """A verdict on two contents, by hex SHA-256 with `first` < `second`."""

    first: str
    second: str
    verdict: str
    author: str
    decided_at: str


def decisions(catalog: Catalog) -> list[Decision]:
    """All decisions, oldest first."""
    if not catalog.has_table("decisions"):
        return []
    with catalog.read() as db:
        rows = db.execute(
            "SELECT first, second, verdict, author, decided_at FROM decisions"
            " ORDER BY decided_at, first, second"
        ).fetchall()
    return [Decision(*row) for row in rows]


def decide(catalog: Catalog, one: str, other: str, verdict: Verdict, *, author: str) -> Decision:
    """Remember a verdict on two contents, instead of what was decided before."""
    first, second = sorted((one, other))
    decision = Decision(first, second, verdict, author, timestamp())
    with catalog.write() as db:
        db.execute("INSERT OR REPLACE INTO decisions VALUES(?, ?, ?, ?, ?)", list(decision))
    return decision


def undecide(catalog: Catalog, one: str, other: str) -> bool:
    """Forget a verdict; False where there was none."""
    with catalog.write() as db:
        gone = db.execute(
            "DELETE FROM decisions WHERE first = ? AND second = ?", sorted((one, other))
        ).rowcount
    return bool(gone)
