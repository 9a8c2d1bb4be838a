"""Scenes: the object lies where the ground truth says, and the halves have nothing in common."""

from __future__ import annotations

import colorsys
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dinosearch.errors import InvalidInput
from dinosearch.evaluation import GroundTruth
from dinosearch.evaluation.scenes import (
    LARGER,
    SCENE,
    SHARE,
    _cutouts_in,
    family,
    make_scenes,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Cut-outs of one strong hue each, and grey photographs: whose is whose can be seen."""
    folder: Path = tmp_path_factory.mktemp("sources")
    for number in range(12):
        picture = Image.new("RGBA", (120, 90), (0, 0, 0, 0))
        red, green, blue = colorsys.hsv_to_rgb(number / 12, 1, 0.75)
        colour = (round(255 * red), round(255 * green), round(255 * blue), 255)
        ImageDraw.Draw(picture).rectangle((20, 10, 100, 70), fill=colour)
        path = folder / "cutouts" / "kind" / f"thing{chr(97 + number)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(20):
        grey = np.tile(rng.integers(90, 160, (20, 26, 1), dtype=np.uint8), (1, 1, 3))
        large = Image.fromarray(grey).resize((1400, 1050), Image.Resampling.BICUBIC)
        large.save(folder / "photos" / f"{number}.jpg")
    Image.new("RGB", (300, 300)).save(folder / "photos" / "small.jpg")
    Image.new("RGB", (200, 200), (9, 9, 9)).save(folder / "cutouts" / "opaque.png")
    return folder


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    to = tmp_path_factory.mktemp("made")
    truths = make_scenes(sources / "cutouts", [sources / "photos"], to, count=24, queries=6, seed=5)
    return {half: GroundTruth.read(path) for half, path in truths.items()}


def coloured(path: str) -> np.ndarray:
    """bool [h, w]: where a picture is not grey."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=int)
    found: np.ndarray = np.ptp(pixels, axis=2) > 60
    return found


def hues(path: str | Path) -> set[int]:
    """The cut-outs, 0 to 11, that a picture shows: by hue, which light hardly changes."""
    hue, saturation, _ = np.moveaxis(np.asarray(Image.open(path).convert("HSV"), dtype=int), 2, 0)
    steps = np.rint(hue[saturation > 150] * 12 / 256).astype(int) % 12
    return set(np.flatnonzero(np.bincount(steps, minlength=12) > 150).tolist())


def test_the_object_fills_the_box_that_the_truth_gives_it(made):
    for truth in made.values():
        assert len(truth.queries) == 6
        for query in truth.queries:
            assert query.region is not None
            x0, y0, x1, y1 = map(int, query.region)
            assert coloured(query.image)[y0:y1, x0:x1].mean() > 0.75
            for one in query.positives:
                assert one.box is not None
                x0, y0, x1, y1 = map(int, one.box)
                assert coloured(one.image)[y0:y1, x0:x1].mean() > 0.5, "turned, so less"


def test_sizes_are_those_that_are_promised(made):
    for truth in made.values():
        for query in truth.queries:
            assert query.region is not None
            sides = []
            for one in query.positives:
                assert one.box is not None
                sides.append(max(one.box.width, one.box.height))
                assert SHARE[0] * SCENE[1] - 1 <= sides[-1] <= SHARE[1] * SCENE[1] + 1
                assert Image.open(one.image).size == SCENE
            ratio = max(query.region.width, query.region.height) / float(np.median(sides))
            assert LARGER[0] - 0.1 <= ratio <= LARGER[1] + 0.1


def test_every_scene_with_the_object_is_a_positive_and_no_other(made):
    for truth in made.values():
        scenes = sorted(Path(truth.queries[0].positives[0].image).parent.glob("*.jpg"))
        assert len(scenes) == 24
        shown = {str(scene): hues(scene) for scene in scenes}
        for query in truth.queries:
            (own,) = hues(query.image)
            holding = {scene for scene, found in shown.items() if own in found}
            assert holding == {one.image for one in query.positives}


def test_the_halves_share_no_cutout(made):
    tune, held_out = (
        {hue for query in truth.queries for one in query.positives for hue in hues(one.image)}
        for truth in made.values()
    )
    assert len(tune) == len(held_out) == 6
    assert not tune & held_out


def test_the_same_seed_makes_the_same_pictures(sources, made, tmp_path):
    again = make_scenes(
        sources / "cutouts", [sources / "photos"], tmp_path, count=24, queries=6, seed=5
    )
    for half, path in again.items():
        first = Path(made[half].queries[0].image).parent.parent
        for name in ("scenes/00003.jpg", "queries/00001.png"):
            assert (path.parent / name).read_bytes() == (first / name).read_bytes()


def test_one_half_alone_and_more_scenes_begin_with_the_same(sources, made, tmp_path):
    (path,) = make_scenes(
        sources / "cutouts", [sources / "photos"], tmp_path, count=30, queries=6,
        halves=["held-out"], seed=5,
    ).values()  # fmt: skip
    first = Path(made["held-out"].queries[0].image).parent.parent
    for name in ("scenes/00000.jpg", "scenes/00023.jpg"):
        assert (path.parent / name).read_bytes() == (first / name).read_bytes()
    assert not (tmp_path / "tune").exists()


def test_what_the_ground_shows_through_is_no_cutout(sources, tmp_path):
    """An outline, glass, and a folder that is left out: each would be a seventh kind."""
    folder = tmp_path / "cutouts"
    shutil.copytree(sources / "cutouts", folder)
    hollow = Image.new("RGBA", (120, 90), (0, 0, 0, 0))
    ImageDraw.Draw(hollow).rectangle((20, 10, 100, 70), outline=(255, 0, 0, 255), width=8)
    hollow.save(folder / "kind" / "hollow.png")
    glass = Image.new("RGBA", (120, 90), (0, 0, 0, 0))
    ImageDraw.Draw(glass).rectangle((20, 10, 100, 70), fill=(255, 0, 0, 160))
    glass.save(folder / "kind" / "glass.png")
    shutil.copytree(folder / "kind", folder / "letters")
    assert len(_cutouts_in(folder, ["letters"])) == 12
    assert len(_cutouts_in(folder, [])) == 24


def test_look_alikes_are_one_family():
    assert family("a/birds/frog-1.png") == family("b/birds/Frog.png") == "birds/frog"
    assert family("a/birds/frog_green.png") == "birds/frog"
    assert family("a/birds/frog.png") != family("a/toys/frog.png")


def test_too_few_sources_are_refused(sources, tmp_path):
    with pytest.raises(InvalidInput, match="0 cut-outs"):
        make_scenes(sources / "photos", [sources / "photos"], tmp_path, count=1, queries=1)
    with pytest.raises(InvalidInput, match="no folder"):
        make_scenes(sources / "nowhere", [sources / "photos"], tmp_path, count=1, queries=1)
