"""Segmentation from patches: one object outlined wherever it occurs, from strokes or masks.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/segmentation.py --cutouts DIR --photographs DIR...

Real cut-outs pasted into real photographs as in `dinosearch evaluate scenes`, three in each
scene, so that the other two are there to be mistaken for the one that is looked for. The
scenes are indexed with `mini`; a segmenter of each object learns from training scenes and is
judged by IoU, pooled over held-out scenes on other photographs: those that hold the object,
and as many that do not. Cut-outs and photographs of the halves, `tune` and `held-out`, are
disjoint too: options were chosen on `tune`.

The peer is what people train on pictures by hand today: a random forest on intensity and
texture of pixels at several scales, as scikit-image's example of trainable segmentation has it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import dinosearch
from dinosearch.evaluation import scenes
from dinosearch.evaluation.metrics import bootstrap
from dinosearch.probes.segmentation.cells import mask_of, target_shares
from dinosearch.probes.segmentation.scores import LEVELS, best_threshold, histograms, overlaps
from dinosearch.probes.segmentation.segmenter import GROUND

OBJECTS = 16
PASTED = 3
TRAINING = 20
"""Training scenes of each object, and as many to be judged by."""

STROKES = 5
STEP = 8
"""The peer is judged on every eighth pixel of both directions: it is slow."""

HALVES = ("tune", "held-out")
WAYS = {
    "strokes": f"dinosearch, {STROKES} strokes",
    "5": "dinosearch, 5 masks",
    str(TRAINING): f"dinosearch, {TRAINING} masks",
}


def make_half(options: argparse.Namespace, half: str) -> Path:
    """Scenes `train/` and `test/` of one half with their label maps: value k is object k."""
    folder: Path = options.work / half
    if (folder / "done").exists():
        return folder
    rng = np.random.default_rng([options.seed, HALVES.index(half)])
    stamps = sorted(scenes._cutouts_in(options.cutouts, ["symbols"]))
    photos = sorted(p for one in options.photographs for p in scenes._photographs_in(one))
    families = sorted({scenes.family(stamp) for stamp in stamps})
    # One order for both halves, so that each takes its own part of it.
    order = np.random.default_rng(options.seed).permutation(len(families))
    mine = [families[i] for i in order[HALVES.index(half) :: 2][:OBJECTS]]
    chosen = [next(stamp for stamp in stamps if scenes.family(stamp) == one) for one in mine]
    order = np.random.default_rng(options.seed).permutation(len(photos))
    grounds = [photos[i] for i in order[HALVES.index(half) :: 2]]
    opened = scenes._Opened()
    for part, name in enumerate(("train", "test")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / f"{name}-labels").mkdir(exist_ok=True)
        turns = np.concatenate([rng.permutation(OBJECTS) for _ in range(TRAINING)])
        for number, start in enumerate(range(0, len(turns), PASTED)):
            photo = grounds[part::2][int(rng.integers(len(grounds[part::2])))]
            wanted = dict.fromkeys(turns[start : start + PASTED].tolist())
            picture, labels = scene(opened, photo, [(one + 1, chosen[one]) for one in wanted], rng)
            picture.save(folder / name / f"{number:04d}.jpg", quality=90)
            Image.fromarray(labels).save(folder / f"{name}-labels" / f"{number:04d}.png")
    (folder / "objects.txt").write_text("\n".join(chosen) + "\n")
    (folder / "done").touch()
    return folder


def scene(
    opened: scenes._Opened, photo: str, wanted: list[tuple[int, str]], rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """A photograph with cut-outs pasted apart from each other, and whose pixels are whose."""
    picture = scenes._background(opened, photo, rng)
    labels = np.zeros((picture.height, picture.width), dtype=np.uint8)
    for number, path in wanted:
        side = float(rng.uniform(*scenes.SHARE)) * min(scenes.SCENE)
        piece = scenes._varied(opened, path, side, rng, turn=scenes.TURN)
        solid = np.asarray(piece.getchannel("A")) > 127
        for _ in range(50):
            left = int(rng.integers(0, picture.width - piece.width + 1))
            top = int(rng.integers(0, picture.height - piece.height + 1))
            part = labels[top : top + piece.height, left : left + piece.width]
            if not part.any():
                picture.paste(piece, (left, top), piece)
                part[solid] = number
                break
    return picture, labels


def index_half(folder: Path, size: int) -> Path:
    """The index of both parts of a half."""
    root = folder / f"index-{size}"
    with (
        dinosearch.open(root)
        if (root / "manifest.json").exists()
        else dinosearch.create(root, encoder="mini", size=size)
    ) as index:
        index.add([folder / "train", folder / "test"], workers=1)
    return root


@dataclass(frozen=True)
class Half:
    """An index of scenes: items by part, their label maps, and the grid they all have."""

    index: dinosearch.ImageIndex
    labels: dict[int, NDArray[np.uint8]]
    train: list[int]
    test: list[int]

    @classmethod
    def read(cls, index: dinosearch.ImageIndex) -> Half:
        labels, parts = {}, {"train": [], "test": []}  # type: dict[int, Any], dict[str, list[int]]
        for item in sorted(index.items(limit=len(index)), key=lambda item: item.path):
            path = Path(item.path)
            place = path.parent.with_name(f"{path.parent.name}-labels") / f"{path.stem}.png"
            labels[item.id] = np.asarray(Image.open(place))
            parts[path.parent.name].append(item.id)
        return cls(index, labels, parts["train"], parts["test"])

    def mask(self, item: int, number: int) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = (self.labels[item] == number).astype(np.uint8)
        return mask

    def learning(self, number: int) -> list[int]:
        """Training scenes that hold an object."""
        return [one for one in self.train if (self.labels[one] == number).any()][:TRAINING]

    def judged(self, number: int) -> list[int]:
        """Held-out scenes that hold it, and as many that do not."""
        holding = [one for one in self.test if (self.labels[one] == number).any()][:TRAINING]
        others = [one for one in self.test if not (self.labels[one] == number).any()]
        return holding + others[: len(holding)]

    def strokes(self, number: int) -> dict[int, Any]:
        """One stroke along the object in each of the first five scenes that hold it."""
        return {
            one: {"object": [{"line": stroke_along(self.mask(one, number))}]}
            for one in self.learning(number)[:STROKES]
        }


def stroke_along(mask: NDArray[np.uint8]) -> list[list[float]]:
    """A line of four points along the longer axis of an object, off its edge where it can."""
    inner = mask > 0
    for width in (9, 5, 3):
        picture = Image.fromarray(mask * 255).filter(ImageFilter.MinFilter(width))
        if np.count_nonzero(np.asarray(picture)) > 20:
            inner = np.asarray(picture) > 0
            break
    points = np.argwhere(inner)[:, ::-1].astype(np.float64)
    middle = points - points.mean(axis=0)
    order = np.argsort(middle @ np.linalg.svd(middle, full_matrices=False)[2][0], kind="stable")
    picked = [order[int(share * (len(order) - 1))] for share in (0.05, 0.35, 0.65, 0.95)]
    return [[float(x) + 0.5, float(y) + 0.5] for x, y in points[picked]]


def ours(half: Half, number: int, judged: list[int], what: str) -> float:
    """IoU of a segmenter trained on strokes or on so many masks, with everything by default."""
    if what == "strokes":
        made = half.index.train_segmenter("bench", strokes=half.strokes(number))
    else:
        learned = half.learning(number)[: int(what)]
        masks = {one: half.mask(one, number) for one in learned}
        made = half.index.train_segmenter("bench", masks=masks)
    counts = np.zeros((1, 2), np.int64)
    for one, shown in made.maps(np.array(judged)):
        counts += overlaps(shown.mask, half.mask(one, number), 1)
    return float(counts[0, 0] / counts[0, 1])


def bound(half: Half, number: int, judged: list[int]) -> float:
    """IoU where every cell is given the very share of the object that it holds."""
    grid = half.index.grid(half.index.item(judged[0]))
    counts = np.zeros((1, 2), np.int64)
    for one in judged:
        mask = half.mask(one, number)
        shares, _ = target_shares(mask, grid, 1)
        found = mask_of(shares.T.reshape(2, grid.rows, grid.cols), grid, np.array([0.5]))
        counts += overlaps(found, mask, 1)
    return float(counts[0, 0] / counts[0, 1])


def pixel_features(half: Half, item: int) -> NDArray[np.float32]:
    """float32 [h, w, F]: those of scikit-image's example of trainable segmentation."""
    from skimage.feature import multiscale_basic_features

    pixels, _ = half.index.pixels(half.index.item(item).path)
    found: NDArray[np.float32] = multiscale_basic_features(  # type: ignore[no-untyped-call]
        pixels, intensity=True, edges=False, texture=True, sigma_min=1, sigma_max=16,
        channel_axis=-1,
    )  # fmt: skip
    return found


def forests(half: Half, objects: list[int], seed: int) -> dict[tuple[int, str], float]:
    """IoU of the peer: a random forest on pixels, from the same strokes and the same masks.

    For its strokes it gets as many other scenes as ours for what the object is not; its
    threshold is the best one for the judged scenes themselves, which flatters it.
    """
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(seed)
    ground = set(rng.permutation(half.train)[:GROUND].tolist())
    learning = {number: half.learning(number) for number in objects}
    judged = {number: set(half.judged(number)) for number in objects}
    seen: dict[tuple[int, str, int], list[NDArray[np.float32]]] = {}
    for one in half.train:
        features = pixel_features(half, one)
        flat = features.reshape(-1, features.shape[-1])
        for number in objects:
            if one in learning[number]:
                mask = half.mask(one, number).ravel()
                for value, most in ((1, 2_000), (0, 4_000)):
                    place = rng.permutation(np.flatnonzero(mask == value))[:most]
                    seen.setdefault((number, "masks", value), []).append(flat[place])
            if one in learning[number][:STROKES]:
                drawn = Image.new("1", features.shape[1::-1])
                line = [tuple(point) for point in stroke_along(half.mask(one, number))]
                ImageDraw.Draw(drawn).line(line, fill=1, width=5)
                marked = np.asarray(drawn).ravel()
                seen.setdefault((number, "strokes", 1), []).append(flat[marked])
            elif one in ground:
                place = rng.permutation(len(flat))[:1_000]
                seen.setdefault((number, "strokes", 0), []).append(flat[place])
    models = {}
    for number in objects:
        for what in ("strokes", "masks"):
            no, yes = (np.concatenate(seen[number, what, value]) for value in (0, 1))
            model = RandomForestClassifier(
                n_estimators=50, max_depth=10, max_samples=0.05, random_state=seed, n_jobs=1
            )
            models[number, what] = model.fit(
                np.concatenate([no, yes]), np.repeat([0, 1], [len(no), len(yes)])
            )
    counts = {key: np.zeros((2, LEVELS + 1), np.int64) for key in models}
    for one in half.test:
        wanted = [number for number in objects if one in judged[number]]
        part = pixel_features(half, one)[::STEP, ::STEP]
        flat = part.reshape(-1, part.shape[-1])
        for number in wanted:
            truth = half.mask(one, number)[::STEP, ::STEP]
            for what in ("strokes", "masks"):
                found = models[number, what].predict_proba(flat)[:, 1].reshape(truth.shape)
                counts[number, what] += histograms(found, truth, 1)
    result = {}
    for key, levels in counts.items():
        level = round(best_threshold(levels) * LEVELS)
        wrong, right = levels
        result[key] = float(right[level:].sum() / (right.sum() + wrong[level:].sum()))
    return result


def show(values: list[float]) -> str:
    found = bootstrap(values, rng=np.random.default_rng(0))
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cutouts", default="/usr/share/tuxpaint/stamps")
    parser.add_argument(
        "--photographs", nargs="+", default=["/usr/share/wallpapers", "/usr/share/backgrounds"]
    )
    parser.add_argument("--work", default="indexes/segmentation", type=Path)
    parser.add_argument("--half", default="held-out", choices=HALVES)
    parser.add_argument("--size", default=560, type=int)
    parser.add_argument("--seed", default=5, type=int)
    parser.add_argument("--objects", default=OBJECTS, type=int)
    parser.add_argument("--without-peer", action="store_true", help="It takes most of the time.")
    options = parser.parse_args()
    missing = [name for name in (options.cutouts, *options.photographs) if not Path(name).is_dir()]
    if missing:
        print(
            f"left out: there is no {missing[0]}; install tuxpaint-stamps-default,"
            " plasma-workspace-wallpapers and gnome-backgrounds, or name other folders"
        )
        return
    folder = make_half(options, options.half)
    objects = list(range(1, options.objects + 1))
    rows: dict[str, list[float]] = {}
    with dinosearch.open(index_half(folder, options.size)) as index:
        half = Half.read(index)
        scenes_judged = []
        for number in objects:
            judged = half.judged(number)
            scenes_judged.append(len(judged))
            rows.setdefault("perfect cells", []).append(bound(half, number, judged))
            for what, name in WAYS.items():
                rows.setdefault(name, []).append(ours(half, number, judged, what))
            print(number, {name: round(values[-1], 3) for name, values in rows.items()}, flush=True)
        index._corpus.named("probes").delete("bench")
        if not options.without_peer:
            found = forests(half, objects, options.seed)
            for what, name in (
                ("strokes", "random forest on pixels, 5 strokes"),
                ("masks", f"random forest on pixels, {TRAINING} masks"),
            ):
                rows[name] = [found[number, what] for number in objects]
    print(f"\n{len(objects)} objects, {min(scenes_judged)} to {max(scenes_judged)} scenes each\n")
    print("| method | IoU, mean over objects (95 %) | worst | best |")
    print("|---|---|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {show(values)} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
