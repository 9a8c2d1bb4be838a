"""Strokes in pixels become the cells they touch."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.errors import InvalidInput
from dinosearch.geometry import PatchGrid
from dinosearch.probes.segmentation.strokes import cells_of_stroke, classes_of, stroke_shares

GRID = PatchGrid.of(70, 70, size=70)


def touched(stroke, grid=GRID):
    return list(map(tuple, np.argwhere(cells_of_stroke(stroke, grid)).tolist()))


def test_a_line_marks_the_cells_it_passes():
    assert touched({"line": [[7, 7], [60, 7]]}) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    assert touched({"line": [[7, 7], [7, 20], [21, 20]]}) == [(0, 0), (1, 0), (1, 1)]
    assert touched({"line": [[15, 30]]}) == [(2, 1)]
    assert touched({"line": [[0, 0], [70, 70]]}) == [(i, i) for i in range(5)]
    assert touched({"cells": [[1, 2], [4, 0]]}) == [(1, 2), (4, 0)]


def test_pixels_are_those_of_the_picture_whatever_the_model_is_shown():
    wide = PatchGrid.of(280, 140, size=70)  # half as large, shows columns 70 to 210
    assert touched({"line": [[75, 5]]}, wide) == [(0, 0)]
    assert touched({"line": [[0, 5], [110, 5]]}, wide) == [(0, 0), (0, 1)]
    assert touched({"line": [[10, 10]]}, wide) == []
    padded = PatchGrid.of(70, 35, size=70, fit="pad")
    assert touched({"line": [[1, 1], [1, 34]]}, padded) == [(1, 0), (2, 0), (3, 0)]


def test_a_line_that_goes_far_out_ends_and_marks_what_it_crosses():
    assert touched({"line": [[7, 7], [7, 1e12]]})[0] == (0, 0)
    assert (2, 2) in touched({"line": [[-700, 35], [700, 35]]})


def test_cells_of_several_strokes_are_shared():
    strokes = {
        "cat": [{"cells": [[0, 0], [0, 1]]}],
        "background": [{"cells": [[0, 1]]}, {"line": [[60, 60]]}],
    }
    assert classes_of({1: strokes, 2: {"ape": []}}) == ("ape", "cat")
    shares, known = stroke_shares(strokes, GRID, ["ape", "cat"])
    assert np.flatnonzero(known).tolist() == [0, 1, 24]
    assert shares[[0, 1, 24]].tolist() == [[0, 0, 1], [0.5, 0, 0.5], [1, 0, 0]]


@pytest.mark.parametrize(
    "stroke",
    [{"line": []}, {"line": [[1]]}, {"curve": [[1, 1]]}, [[1, 1]], {"line": [["a", 1]]},
     {"line": [[float("nan"), 1]]}, {"line": [[1, 1]], "cells": [[1, 1]]}, {"cells": [[0.5, 1]]},
     {"cells": [[5, 0]]}],
)  # fmt: skip
def test_what_is_no_stroke_is_refused(stroke):
    with pytest.raises(InvalidInput, match="stroke"):
        cells_of_stroke(stroke, GRID)


def test_a_stroke_that_marks_nothing_or_no_class_is_refused():
    with pytest.raises(InvalidInput, match="touches nothing that the model is shown"):
        stroke_shares({"cat": [{"line": [[-9, -9]]}]}, GRID, ["cat"])
    with pytest.raises(InvalidInput, match="'dog', but the classes are background, cat"):
        stroke_shares({"dog": [{"line": [[9, 9]]}]}, GRID, ["cat"])
