from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dinosearch.errors import InvalidInput
from dinosearch.geometry import Box, PatchGrid, Region, View, check_fit, check_size

SIDES = st.integers(1, 4000)


def cells_of(grid: PatchGrid, region) -> list[tuple[int, int]]:
    return [(r, c) for r, c in np.argwhere(grid.cells(Region.parse(region))).tolist()]


def test_560_pixels_hold_1600_patches():
    grid = View(560).grid(560, 560)
    assert (grid.rows, grid.cols, grid.patches) == (40, 40, 1600)
    assert View(392).grid(100, 900).patches == 784


@given(width=SIDES, height=SIDES)
def test_the_crop_is_torchvisions(width, height):
    from torchvision.transforms.v2.functional._geometry import (
        _center_crop_compute_crop_anchor,
        _compute_resized_output_size,
    )

    grid = View(560).grid(width, height)
    scaled_h, scaled_w = _compute_resized_output_size((height, width), size=[560])
    assert (grid.scaled_width, grid.scaled_height) == (scaled_w, scaled_h)
    top, left = _center_crop_compute_crop_anchor(560, 560, scaled_h, scaled_w)
    assert (grid.left, grid.top) == (left, top)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_boxes_go_to_the_view_and_back(fit):
    grid = View(560, fit=fit).grid(1120, 840)
    box = Box(300, 200, 500, 400)
    back = grid.to_picture(grid.to_view(box))
    assert np.allclose(back, box)


def test_cells_of_a_rectangle_worked_out_by_hand():
    # 1120 x 1120 at 560: two picture pixels a view pixel, so a cell is 28 picture pixels.
    grid = View(560).grid(1120, 1120)
    assert cells_of(grid, (28, 56, 84, 112)) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    # Just under half of the column to the right does not count, half of it does.
    assert cells_of(grid, (28, 56, 84 + 13, 84)) == [(2, 1), (2, 2)]
    assert cells_of(grid, (28, 56, 84 + 14, 84)) == [(2, 1), (2, 2), (2, 3)]


def test_a_thin_strip_keeps_the_cells_along_it():
    grid = View(56).grid(56, 56)
    assert cells_of(grid, (0, 2, 56, 6)) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_box_of_cells_covers_exactly_those_cells():
    grid = View(560).grid(1000, 700)
    box = grid.box_of_cells(3, 5, 7, 10)
    assert cells_of(grid, box) == [(r, c) for r in range(3, 7) for c in range(5, 10)]


def test_a_mask_marks_the_cells_it_covers_half():
    grid = View(56).grid(56, 56)
    mask = np.zeros((56, 56), dtype=bool)
    mask[14:28, 0:14] = True  # all of cell (1, 0)
    mask[0:7, 14:28] = True  # the upper half of cell (0, 1)
    mask[0:5, 42:56] = True  # a third of cell (0, 3)
    assert cells_of(grid, mask) == [(0, 1), (1, 0)]


def test_patches_name_cells():
    grid = View(56).grid(300, 200)
    assert cells_of(grid, [(0, 1), (3, 3), (0, 1)]) == [(0, 1), (3, 3)]


def test_padding_is_not_shown():
    grid = View(56, fit="pad").grid(200, 100)  # 56 x 28, two rows of the four, in the middle
    assert grid.shown.sum(axis=1).tolist() == [0, 4, 4, 0]
    assert cells_of(grid, (0, 0, 50, 50)) == [(1, 0)]


def test_a_crop_window_moves_to_hold_the_region():
    view = View(560)
    wide = view.grid(1600, 800)
    assert (wide.left, wide.scaled_width) == (280, 1120)
    with pytest.raises(InvalidInput, match="shows the model nothing"):
        wide.cells(Region.parse((0, 0, 200, 200)))
    moved = view.grid(1600, 800, focus=Box(0, 0, 200, 200))
    assert moved.left == 0
    assert moved.cells(Region.parse((0, 0, 200, 200))).sum() == 100
    # A region the centre crop already holds leaves the window where it was.
    assert view.grid(1600, 800, focus=Box(600, 100, 900, 300)) == wide


@given(width=SIDES, height=SIDES, data=st.data())
def test_a_focused_window_stays_inside_and_holds_what_fits(width, height, data):
    x0 = data.draw(st.floats(0, width * 0.99))
    y0 = data.draw(st.floats(0, height * 0.99))
    focus = Box(x0, y0, data.draw(st.floats(x0, width)), data.draw(st.floats(y0, height)))
    grid = View(224).grid(width, height, focus=focus)
    assert 0 <= grid.left <= max(0, grid.scaled_width - 224)
    assert 0 <= grid.top <= max(0, grid.scaled_height - 224)
    view = grid.to_view(focus)
    if view.width <= 222:
        assert view.x0 >= -1
        assert view.x1 <= 225


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((-1, 0, 50, 50), "outside the picture"),
        ((0, 0, 50, 601), "outside the picture"),
        ((10, 10, 12, 12), "smaller than one patch"),
        ((50, 50, 10, 10), "is empty"),
        ((0, 0, float("nan"), 5), "not finite"),
        ("everything", "is not x0,y0,x1,y1"),
        ([(40, 0)], "outside the grid"),
        ([], "names no patch"),
        (np.zeros((600, 800), bool), "marks nothing"),
        (np.ones((10, 10), bool), "they must agree"),
    ],
)
def test_bad_regions_are_refused_with_the_reason(region, message):
    with pytest.raises(InvalidInput, match=message):
        View(560).grid(800, 600).cells(Region.parse(region))


def test_iou():
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).iou(Box(20, 20, 30, 30)) == 0


def test_sizes_and_fits():
    assert check_size(560) == 560
    with pytest.raises(InvalidInput, match="use 546 or 560"):
        check_size(550)
    with pytest.raises(InvalidInput, match="crop, pad or squash"):
        check_fit("tiles")


@given(width=SIDES, height=SIDES, data=st.data())
def test_fractions_and_pixels_are_each_others_inverse(width, height, data):
    x, y = (data.draw(st.floats(0, 0.9)) for _ in range(2))
    w = data.draw(st.floats(0.05, 1 - x))
    h = data.draw(st.floats(0.05, 1 - y))
    box = Box.of_fractions(x, y, w, h, width=width, height=height)
    assert box.fractions(width, height) == pytest.approx((x, y, w, h), abs=1e-5)
    Region.parse(box)
    assert box.x1 <= width
    assert box.y1 <= height


def test_fractions_worked_out_by_hand():
    box = Box.of_fractions(0.25, 0.5, 0.5, 0.25, width=800, height=400)
    assert tuple(box) == (200, 200, 600, 300)
    assert Box(200, 100, 600, 300).fractions(800, 400) == (0.25, 0.25, 0.5, 0.5)


def test_a_hair_beyond_the_edge_is_the_edge_and_more_is_not():
    box = Box.of_fractions(0.3, 0.3, 0.7000000001, 0.7, width=1000, height=500)
    assert (box.x1, box.y1) == (1000, 500)
    assert Box.of_fractions(0.5, 0, 0.51, 1, width=1000, height=500).x1 == pytest.approx(1010)


@pytest.mark.parametrize(
    ("fit", "width", "height", "window"),
    [
        # 1120 x 560 at 560: shown as it is, of which the middle half is seen.
        ("crop", 1120, 560, (280, 0, 840, 560)),
        ("crop", 560, 1120, (0, 280, 560, 840)),
        ("crop", 280, 280, (0, 0, 280, 280)),
        # 560 x 280 padded by 140 above and below: half as much again in picture pixels.
        ("pad", 1120, 560, (0, -280, 1120, 840)),
        ("pad", 560, 1120, (-280, 0, 840, 1120)),
        ("squash", 1120, 560, (0, 0, 1120, 560)),
        ("squash", 560, 1120, (0, 0, 560, 1120)),
    ],
)
def test_the_window_is_what_the_grid_covers_of_the_picture(fit, width, height, window):
    grid = View(560, fit=fit).grid(width, height)
    assert grid.window == pytest.approx(window)
    x, y, w, h = grid.window.fractions(width, height)
    # A cell as an overlay is drawn from fractions, and as the model has it.
    row, col = 17, 23
    left, top = (x + col * w / grid.cols) * width, (y + row * h / grid.rows) * height
    cell = grid.box_of_cells(row, col, row + 1, col + 1)
    assert (cell.x0, cell.y0) == pytest.approx((left, top))


def test_the_window_of_a_picture_that_is_no_multiple_of_the_size():
    grid = View(56, fit="crop").grid(100, 75)  # 74 x 56 at 56, cut by 9 at the left
    assert (grid.scaled_width, grid.left) == (74, 9)
    assert grid.window == pytest.approx((900 / 74, 0, 6500 / 74, 75))


def test_cells_that_do_not_fill_the_square_leave_the_rest_out_of_the_window():
    grid = View(70, cell=16, fit="squash").grid(140, 140)
    assert (grid.rows, grid.window) == (4, (0, 0, 128, 128))
