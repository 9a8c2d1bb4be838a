"""What lies under the sources of an index now, beside what it holds: the drift."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from dinosearch.indexing.sources import find_all, is_gone
from dinosearch.storage.catalog import Catalog


@dataclass
class Changes:
    """Counts of files since their sources were indexed, told by size and time alone.

    `added` are new, `changed` differ from what was indexed, `missing` are items without a
    file; `unreachable` names sources that are not there at all (a drive not plugged in?),
    whose items count as neither.
    """

    added: int = 0
    changed: int = 0
    missing: int = 0
    unchanged: int = 0
    unreachable: list[str] = field(default_factory=list)
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_changes(catalog: Catalog, *, stop: Callable[[], bool] = lambda: False) -> Changes:
    """Compare the index with its sources. Reads no picture, writes nothing."""
    report = Changes()
    reachable = []
    for source in catalog.sources():
        if os.path.lexists(source):
            reachable.append(source)
        else:
            report.unreachable.append(source)
    for one, _ in find_all(reachable):
        if stop():
            report.stopped = True
            return report
        if one.problem is not None:
            continue
        item = catalog.item_at(one.path)
        if item is not None:
            same = (item.bytes, item.mtime_ns) == (one.size, one.mtime_ns)
            report.unchanged += same
            report.changed += not same
        elif not _settled(catalog, one.path, (one.size, one.mtime_ns)):
            report.added += 1
    gone = {item for source in reachable for item, path in catalog.paths_under(source)
            if is_gone(path)}  # fmt: skip
    report.missing = len(gone)
    return report


def _settled(catalog: Catalog, path: str, state: tuple[int, int]) -> bool:
    """Whether a file that is no item was refused or removed as it is now."""
    failure = catalog.failure_at(path)
    if failure is not None and (failure.bytes, failure.mtime_ns) == state:
        return True
    removed = catalog.was_removed(path)
    return removed is not None and removed[1:] == state
