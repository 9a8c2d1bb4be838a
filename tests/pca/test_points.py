"""Patches as points, and the page they are put into."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from dinosearch.geometry import View
from dinosearch.pca import pca_maps
from dinosearch.pca.points import points_of
from dinosearch.pca.scatter_page import save_page
from tests.painting import CELLS, SIZE


def maps():
    rng = np.random.default_rng(0)
    square, wide = View(SIZE).grid(SIZE, SIZE), View(SIZE, fit="pad").grid(2 * SIZE, SIZE)
    shape = (CELLS * CELLS, 8)
    return pca_maps([(rng.normal(size=shape), square), (rng.normal(size=shape), wide)])


def test_every_patch_that_shows_picture_is_a_point():
    square, wide = maps()
    points = points_of([square, wide])
    shown = int(wide.grid.shown.sum())
    assert 50 <= shown < 100
    assert np.bincount(points.picture).tolist() == [100, shown]
    for n in (0, 57, 99, 100, 99 + shown):
        one = (square, wide)[points.picture[n]]
        row, col = points.cells[n]
        assert one.grid.shown[row, col]
        assert points.xyz[n].tolist() == one.xyz[row, col].tolist()
        assert points.rgb[n].tolist() == one.rgb[row, col].tolist()


def test_of_too_many_some_are_drawn_and_stay_what_they_are():
    both = maps()
    points = points_of(both, most=30)
    assert len(points.xyz) == 30
    assert len({(p, *c) for p, c in zip(points.picture.tolist(), points.cells.tolist(),
                                       strict=True)}) == 30  # fmt: skip
    for xyz, picture, (row, col) in zip(points.xyz, points.picture, points.cells, strict=True):
        assert xyz.tolist() == both[picture].xyz[row, col].tolist()


def data_of(page: str):
    found = re.search(r'id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def unpacked(text: str, kind: str):
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_page_holds_the_points(tmp_path):
    both = maps()
    save_page(both, ["a", "b"], tmp_path / "s.html")
    data = data_of((tmp_path / "s.html").read_text())
    points = points_of(both)
    assert data["count"] == len(points.xyz)
    place = unpacked(data["place"], "<i2").reshape(-1, 3).astype(float)
    assert np.abs(place).max() == 32767
    # Moved and scaled alike in all directions: distances keep their proportions.
    true = np.linalg.norm(points.xyz - points.xyz[0], axis=1)
    drawn = np.linalg.norm(place - place[0], axis=1)
    scale = drawn[1:] / true[1:]
    assert scale == pytest.approx(np.full(len(scale), scale.mean()), rel=1e-3)
    assert unpacked(data["colour"], "u1").reshape(-1, 3).tolist() == points.rgb.tolist()
    assert unpacked(data["picture"], "<u2").tolist() == points.picture.tolist()
    assert unpacked(data["cell"], "<u2").reshape(-1, 2).tolist() == points.cells.tolist()


def test_names_and_title_stay_text(tmp_path):
    names = ["</script><script>alert(1)</script>", "\udcff@DATA@.png"]
    save_page(maps(), names, tmp_path / "s.html", title='<i>"@SHARES@"')
    page = (tmp_path / "s.html").read_text()
    assert page.count("<script") == 2
    assert "<i>" not in page
    assert "<title>&lt;i&gt;&quot;@SHARES@&quot;</title>" in page
    assert data_of(page)["names"] == [names[0], "?@DATA@.png"]
