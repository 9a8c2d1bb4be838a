"""The basis of the corpus: the same colours in every call, and a clear word where it is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dinosearch
from dinosearch.errors import InvalidInput
from dinosearch.pca import fit_basis
from dinosearch.pca.corpus import arrays_of, basis_of
from tests.cli.commands import run
from tests.painting import BLUE, RED, SIZE, noise, plain, planted, save

SPOT = np.tile(np.array(RED, dtype=np.uint8), (4, 3, 1))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(6):
        save(folder / "c" / f"{seed}.png", noise(seed))
    save(folder / "c" / "red.png", planted(BLUE, SPOT, 3, 4))
    save(folder / "q.png", planted((20, 200, 90), SPOT, 1, 1))
    with dinosearch.create(folder / "x", encoder="colour", size=SIZE) as index:
        index.add(folder / "c")
    return folder


@pytest.fixture
def index(place):
    with dinosearch.open(place / "x") as index:
        yield index


def test_a_basis_survives_being_taken_apart():
    basis = fit_basis(np.random.default_rng(0).normal(size=(50, 5)))
    again = basis_of(arrays_of(basis))
    assert again is not None
    for name, array in vars(basis).items():
        assert np.array_equal(getattr(again, name), array)
    arrays = arrays_of(basis)
    del arrays["pca_low"]
    assert basis_of(arrays) is None


def test_colours_are_the_same_in_every_call_whatever_is_asked_along(place, index):
    alone = index.pca(place / "q.png", basis="corpus")
    red = index.id_of(place / "c" / "red.png")
    beside = index.pca(place / "q.png", with_hits=[red], basis="corpus")
    assert np.array_equal(alone.rgb, beside.rgb)
    # The same red cell in two pictures, in calls that know nothing of each other.
    assert alone.rgb[1, 1].tolist() == index.pca(red, basis="corpus").rgb[3, 4].tolist()
    shared = index.pca(place / "q.png"), index.pca(place / "q.png", with_hits=[red])
    assert not np.array_equal(shared[0].rgb, shared[1].rgb)


def test_it_is_the_basis_of_the_stored_tokens(index):
    tokens = np.concatenate(
        index._reader.ask(
            lambda snapshot, catalog: [snapshot.tokens(p) for p in range(len(snapshot))]
        )
    )
    expected = fit_basis(tokens)
    one = index.pca(1, basis="corpus")
    assert np.array_equal(one.basis.components, expected.components)
    colours = expected.colours(expected.project(tokens[:100]))
    assert one.rgb.reshape(-1, 3).tolist() == colours.tolist()
    assert one.explained_variance_ratio == pytest.approx(expected.explained_variance_ratio)


def test_where_there_is_none_the_remedy_is_named_and_works(tmp_path):
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as index:
        index.add(save(tmp_path / "c" / "a.png", noise(1)))
        with pytest.raises(InvalidInput, match=r"no basis of its corpus.*dinosearch compact"):
            index.pca(1, basis="corpus")
        with pytest.raises(InvalidInput, match="use shared or corpus"):
            index.pca(1, basis="poetry")
        index.add(save(tmp_path / "c" / "b.png", noise(2)))
        for path in (tmp_path / "x").glob("derived/*.safetensors"):
            path.unlink()
        with dinosearch.open(tmp_path / "x") as other:
            with pytest.raises(InvalidInput, match="no basis"):
                other.pca(1, basis="corpus")
            other.compact()
            assert other.pca(1, basis="corpus").rgb.any()


def test_the_command(place, tmp_path, index):
    done = run("pca", place / "q.png", "--in", place / "x", "--basis", "corpus", "--json")
    expected = index.pca(place / "q.png", basis="corpus")
    assert json.loads(done.stdout)["maps"][0]["rgb"] == expected.rgb.tolist()
    done = run("pca", place / "q.png", "--encoder", "colour", "--basis", "corpus", "--json", code=2)
    assert "--in DIR" in done.stderr
    save(tmp_path / "c" / "a.png", plain(RED))
    with dinosearch.create(tmp_path / "x", encoder="colour", size=SIZE) as small:
        small.add(tmp_path / "c")
    done = run("pca", place / "q.png", "--in", tmp_path / "x", "--basis", "corpus", "--json",
               code=2)  # fmt: skip
    assert "dinosearch compact --in" in done.stderr
