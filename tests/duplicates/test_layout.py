"""Where one picture lies in another, from fields of random tokens whose place one knows."""

from __future__ import annotations

import numpy as np
import pytest

from dinosearch.duplicates.layout import Patches, Placement, coverage, placed
from dinosearch.geometry import PatchGrid

CELLS = 20
SIDE = CELLS * 14


def field(seed: int) -> np.ndarray:
    """Unit tokens [20, 20, 32]."""
    tokens = np.random.default_rng(seed).normal(size=(CELLS, CELLS, 32))
    return np.asarray(tokens / np.linalg.norm(tokens, axis=-1, keepdims=True), np.float32)


def patches(tokens: np.ndarray, width: int = SIDE, height: int = SIDE) -> Patches:
    grid = PatchGrid.of(width, height, size=SIDE, fit="squash")
    none = np.empty((0, tokens.shape[-1]), np.float32)
    return Patches.of(tokens.reshape(-1, tokens.shape[-1]), grid, none)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_picture_lies_in_itself_where_it_is():
    one = patches(field(1))
    found = placed(one, one, rng())
    assert found is not None
    assert [found.turn, found.shift] == pytest.approx([1, 0], abs=1e-6)
    assert [found.agreeing, found.share] == pytest.approx([400, 1])
    assert coverage(found, one, one) == (1, 1)


def test_patches_lie_in_the_middle_of_their_cells_in_pixels_of_the_picture():
    one = patches(field(1), width=2 * SIDE, height=SIDE)
    assert one.points[:2].tolist() == [14 + 7j, 42 + 7j]
    assert one.points[CELLS] == 14 + 21j


def test_a_crop_has_its_place_and_size():
    whole = field(2)
    # Rows 4-13 and columns 6-15, of which each cell fills two by two of the crop's grid.
    crop = np.kron(whole[4:14, 6:16], np.ones((2, 2, 1), np.float32))
    small, large = patches(crop, width=140, height=140), patches(whole)
    found = placed(small, large, rng())
    assert found is not None
    assert found.size == pytest.approx(1, abs=0.06)
    corner = found(np.array([0j]))[0]
    assert abs(corner - (6 * 14 + 4 * 14j)) < 14
    seen_of_crop, seen_of_whole = coverage(found, small, large)
    assert seen_of_crop > 0.95
    assert seen_of_whole == pytest.approx(0.25, abs=0.05)


def test_a_mirrored_picture_is_found_only_when_asked_for():
    whole = field(3)
    one, other = patches(whole), patches(whole[:, ::-1])
    found = placed(one, other, rng(), mirrored=True)
    assert found is not None
    assert found.mirrored
    assert found(np.array([0j]))[0] == pytest.approx(SIDE)
    straight = placed(one, other, rng())
    assert straight is None or straight.share < 0.15


def test_the_same_patches_in_another_order_are_another_picture():
    whole = field(4)
    shuffled = whole.reshape(400, -1)[np.random.default_rng(5).permutation(400)]
    found = placed(patches(whole), patches(shuffled.reshape(whole.shape)), rng())
    assert found is None or found.share < 0.1


def test_what_the_corpus_has_everywhere_counts_little():
    whole = field(6)
    sky = np.zeros(32, np.float32)
    sky[0] = 1
    tokens = whole.copy()
    tokens[:14] = sky
    grid = PatchGrid.of(SIDE, SIDE, size=SIDE, fit="squash")
    sample = np.tile(sky, (50, 1))
    one = Patches.of(tokens.reshape(400, -1), grid, sample)
    assert one.usual[0] == pytest.approx(1)
    assert abs(one.usual[-1]) < 0.7
    found = placed(one, one, rng())
    assert found is not None
    assert found.turn == pytest.approx(1, abs=0.02)
    assert found.share == pytest.approx(1, abs=0.05)


def test_a_finer_grid_asks_with_fewer_patches():
    tokens = np.random.default_rng(7).normal(size=(1600, 8)).astype(np.float32)
    grid = PatchGrid.of(560, 560, size=560)
    asking = Patches.of(tokens, grid, np.empty((0, 8), np.float32)).thinned()
    assert len(asking) == 400


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_inverse_leads_back(mirrored):
    there = Placement(0.5 + 0.3j, 20 - 7j, mirrored, 10, 1.0)
    points = np.array([0j, 3 + 4j, -5 + 1j])
    assert there.inverse()(there(points)) == pytest.approx(points)
