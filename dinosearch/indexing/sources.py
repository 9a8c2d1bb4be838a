"""What was named to be indexed, what lies there, and what no longer does."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from dinosearch.errors import InvalidInput
from dinosearch.images import Found, find_files


def check_sources(sources: Sequence[str]) -> list[str]:
    """Absolute sources in the order given, each once.

    Raises `InvalidInput` when there is none, or when one does not exist.
    """
    roots = list(dict.fromkeys(os.path.abspath(os.fsdecode(source)) for source in sources))
    if not roots:
        raise InvalidInput("name at least one folder or file of pictures")
    for root in roots:
        if not os.path.lexists(root):
            raise InvalidInput(f"there is no file or folder {root}: name one that exists")
    return roots


def find_all(roots: Sequence[str]) -> list[tuple[Found, str]]:
    """Every file under the roots, once, with the folder it is said to be found under.

    A file that several sources hold belongs to the first.
    """
    found: dict[str, tuple[Found, str]] = {}
    for root in roots:
        under = root if os.path.isdir(root) else os.path.dirname(root)
        for one in find_files(root):
            found.setdefault(one.path, (one, under))
    return list(found.values())


def is_gone(path: str) -> bool:
    """True only for a file that is known not to be there: not when looking is forbidden."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def is_unmounted(source: str | None) -> bool:
    """Whether a source looks like the folder of a drive that is not plugged in: empty."""
    try:
        return source is not None and not os.listdir(source)
    except OSError:
        return False
