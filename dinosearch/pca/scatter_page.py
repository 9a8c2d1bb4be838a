"""The patches of PCA maps in space, as one page to turn and zoom that needs nothing else."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dinosearch.pca.maps import PcaMap
from dinosearch.pca.points import MOST, Points, points_of

_FULL = np.iinfo(np.int16).max


def save_page(
    maps: Sequence[PcaMap],
    names: Sequence[str],
    path: str | PathLike[str],
    *,
    title: str = "Patches in space",
    most: int = MOST,
) -> None:
    """Save the patches of all maps as a page; `names` tells pictures apart. Raises `OSError`.

    The page asks nobody for anything: it works from a disk, without a network.
    """
    points = points_of(maps, most=most)
    shares = maps[0].explained_variance_ratio
    told = ", ".join(f"component {n}: {share:.0%}" for n, share in enumerate(shares, 1))
    count = f"{len(points.xyz)} patches of {len(maps)} pictures"
    words = {
        "TITLE": html.escape(title),
        "SHARES": html.escape(f"{count}; share of the variance: {told}"),
        "LABEL": html.escape(f"{title}: {count} along three components, in their colours"),
        "DATA": _as_script(points, names),
    }
    page = files("dinosearch.pca").joinpath("scatter.html").read_text(encoding="utf-8")
    # In one go: what is put in is not looked through for marks.
    page = re.sub("@([A-Z]+)@", lambda mark: words[mark[1]], page)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


def _as_script(points: Points, names: Sequence[str]) -> str:
    """JSON in which nothing can end the script it lies in."""
    middle = (points.xyz.max(axis=0) + points.xyz.min(axis=0)) / 2
    # One scale for all three: distances are what there is to see.
    half = float(np.abs(points.xyz - middle).max()) or 1.0
    content = {
        "count": len(points.xyz),
        "names": [name.encode(errors="replace").decode() for name in names],
        "place": _packed(np.rint((points.xyz - middle) / half * _FULL), "<i2"),
        "colour": _packed(points.rgb, "u1"),
        "picture": _packed(points.picture, "<u2"),
        "cell": _packed(points.cells, "<u2"),
    }
    return json.dumps(content).replace("<", "\\u003c")


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode()
