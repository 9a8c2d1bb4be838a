"""Artefact patches: planted long tokens are left out, and nothing ordinary is."""

from __future__ import annotations

import numpy as np
import pytest

import dinosearch
from dinosearch.encoders.colour import Colour
from dinosearch.geometry import View
from dinosearch.pca import fit_basis, foreground_of, pca_maps
from dinosearch.pca.artefacts import artefacts_of
from tests.painting import CELLS, SIZE, noise, pixels, save

ALL = np.ones(400, dtype=bool)


def ordinary(seed: int, spread: float = 0.3) -> np.ndarray:
    """Lengths that vary as those of a network do: skewed, the longest some three medians."""
    return np.exp(np.random.default_rng(seed).normal(np.log(40), spread, 400))


@pytest.mark.parametrize("seed", range(10))
def test_ordinary_patches_are_never_left_out(seed):
    assert not artefacts_of(ordinary(seed), ALL).any()
    assert not artefacts_of(np.full(400, 3.0), ALL).any(), "all alike"


def test_planted_ones_are_found_and_no_others():
    norms = ordinary(0)
    planted = np.random.default_rng(1).choice(400, 12, replace=False)
    norms[planted] = np.linspace(200, 500, 12)
    assert np.flatnonzero(artefacts_of(norms, ALL)).tolist() == sorted(planted.tolist())


def test_long_means_four_medians_and_five_deviations():
    norms = np.full(400, 10.0)
    norms[:2] = 39.9, 40.1
    assert np.flatnonzero(artefacts_of(norms, ALL)).tolist() == [1]
    # Half of them at 4 and half at 16: median 10, deviation 1.4826 * 6, limit 54.48.
    wide = np.where(np.arange(400) % 2, 4.0, 16.0)
    wide[[10, 12, 14, 16]] = 54.0, 54.0, 55.0, 55.0
    assert np.flatnonzero(artefacts_of(wide, ALL)).tolist() == [14, 16]


def test_what_is_common_is_no_exception():
    norms = np.full(400, 10.0)
    norms[:40] = 100
    assert artefacts_of(norms, ALL).sum() == 40
    norms[40] = 100
    assert not artefacts_of(norms, ALL).any()


def test_padding_does_not_count():
    norms = np.full(400, 10.0)
    shown = np.arange(400) < 150
    norms[~shown] = 0  # more than half of all
    norms[3] = 100
    norms[399] = 1000
    assert np.flatnonzero(artefacts_of(norms, shown)).tolist() == [3]
    assert not artefacts_of(norms, np.zeros(400, bool)).any()


def test_artefacts_take_no_part_in_a_map():
    grid = View(SIZE).grid(SIZE, SIZE)
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(CELLS * CELLS, 8)) * 0.1
    tokens[:, 0] += np.where(np.arange(100) % 10 < 5, 1.0, -1.0)
    odd = [17, 55, 93]
    tokens[odd] = 0
    tokens[odd, 7] = 30  # a direction of their own
    norms = np.full(100, 5.0, np.float32)
    norms[odd] = 60
    (one,) = pca_maps([(tokens, grid)], norms=[norms])
    assert np.flatnonzero(one.artefacts).tolist() == odd
    kept = np.delete(np.arange(100), odd)
    expected = fit_basis(tokens[kept])
    assert np.array_equal(one.basis.components, expected.components)
    assert abs(one.basis.components[0, 0]) > 0.99
    flat = one.rgb.reshape(-1, 3)
    assert not flat[odd].any()
    assert np.isnan(one.xyz.reshape(-1, 3)[odd]).all()
    assert np.array_equal(flat[kept], expected.colours(expected.project(tokens[kept])))
    assert not (one.foreground & one.artefacts).any()
    # Without them the map would be of what is odd.
    (other,) = pca_maps([(tokens, grid)])
    assert not other.artefacts.any()
    assert abs(other.basis.components[0, 7]) > 0.99
    (same,) = pca_maps([(tokens, grid)], norms=[None])
    assert np.array_equal(same.rgb, other.rgb)


def test_holes_in_the_subject_are_no_edge_of_the_picture():
    subject = np.zeros((20, 20), bool)
    subject[1:-1, 1:-1] = True
    row, col = np.indices(subject.shape)
    # So many that their neighbours outnumber the cells along the edge.
    holes = ((row + 2 * col) % 5 == 0) & (abs(row - 9.5) < 8) & (abs(col - 9.5) < 8)
    assert 4 * holes.sum() > 76
    first = np.where(holes, np.nan, np.where(subject, 1.0, -1.0))
    found = foreground_of(first, np.ones_like(subject))
    assert np.array_equal(found, subject & ~holes)


class Noting(Colour):
    """The colour encoder, whose patch in the corner is as long as an artefact."""

    def encode_views(self, views):
        features = super().encode_views(views)
        features.patch_norms[:, 0] *= 30
        return features


def test_a_query_and_stored_pictures_have_their_artefacts_left_out(tmp_path):
    for seed in range(3):
        save(tmp_path / "p" / f"{seed}.png", noise(seed))
    with dinosearch.create(
        tmp_path / "x", encoder=Noting(size=SIZE, fit="crop"), size=SIZE
    ) as index:
        index.add(tmp_path / "p")
        seen = index.pca(pixels(noise(9)), with_hits=[1, 2])
        sample = index._reader.ask(lambda snapshot, catalog: snapshot.token_sample)
        assert sample is not None
        assert len(sample) == 3 * (CELLS * CELLS - 1), "all that a corpus of three has, but these"
    for one in (seen, *seen.others):
        assert np.flatnonzero(one.artefacts).tolist() == [0]
