"""Copies among look-alikes: how many are found, how many are false, and how fast.

    env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \\
        .venv/bin/python benchmarks/duplicates.py attacks --work indexes/copies
    env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/duplicates.py time

`attacks` indexes photographs, a changed copy of each for every attack, and distractors that
are nobody's copy: cut-outs on white, and solar cells, which look alike. Two photographs that
were cut from one picture do not overlap. Half of the photographs, by their number, served to
choose the numbers in the code; the table is of the other half. The peers are the hashes of
imagededup on the same files.

`time` finds 5,000 planted pairs among 100,000 vectors.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

import dinosearch
from dinosearch.evaluation.metrics import bootstrap
from dinosearch.scoring import pairs_above
from dinosearch.storage.near_pairs import near_pairs

LONG_SIDE = 1024
SMALLEST = 450
SOLAR_CELLS = 1_460
SEED = 7

Attack = Callable[[Image.Image, np.random.Generator], Image.Image]


def _crop(share: float) -> Attack:
    def crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (max(1, round(side * share**0.5)) for side in picture.size)
        left = int(rng.integers(0, picture.width - width + 1))
        top = int(rng.integers(0, picture.height - height + 1))
        return picture.crop((left, top, left + width, top + height))

    return crop


def _resize(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.resize((max(1, picture.width // 4), max(1, picture.height // 4)))


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 160))


def _text(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    changed = picture.copy()
    draw = ImageDraw.Draw(changed)
    font = ImageFont.load_default(size=picture.height // 9)
    for row in (0.15, 0.7):
        place = (picture.width * float(rng.uniform(0.03, 0.2)), picture.height * row)
        draw.text(place, "when the deadline was", font=font, fill="white", stroke_width=4,
                  stroke_fill="black")  # fmt: skip
    return changed


def _rotate(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.rotate(15, resample=Image.Resampling.BICUBIC, fillcolor="white")


def _colour(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    changed = ImageEnhance.Color(picture).enhance(0.35)
    changed = ImageEnhance.Contrast(changed).enhance(1.35)
    red, green, blue = ImageEnhance.Brightness(changed).enhance(1.15).split()
    return Image.merge(
        "RGB", (red.point(lambda v: v * 1.12), green, blue.point(lambda v: v * 0.85))
    )


ATTACKS: dict[str, Attack] = {
    "crop to 50 % of the area": _crop(0.5),
    "crop to 25 % of the area": _crop(0.25),
    "JPEG quality 10": lambda picture, rng: picture,
    "resize to 25 % of the side": _resize,
    "blur": _blur,
    "text over it": _text,
    "rotation by 15 degrees": _rotate,
    "colour change": _colour,
    "mirror": lambda picture, rng: ImageOps.mirror(picture),
}
QUALITY = {"JPEG quality 10": 10}


def photographs(folders: list[Path]) -> Iterator[Image.Image]:
    """One picture for each wallpaper, wide ones as two halves, and those of scikit-image."""
    chosen: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in (".png", ".jpg", ".webp") or "screenshot" in path.name:
                continue
            # Dark and light editions of one picture are one picture.
            name = path.parts[-4] if path.parts[-3] == "contents" else path.stem[:-2]
            if name not in chosen or path.stat().st_size > chosen[name].stat().st_size:
                chosen[name] = path
    found = importlib.util.find_spec("skimage")
    assert found is not None
    assert found.submodule_search_locations
    data = Path(found.submodule_search_locations[0]) / "data"
    names = ["astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass",
             "gravel", "ihc", "moon", "motorcycle_left", "page", "retina", "rocket",
             "hubble_deep_field"]  # fmt: skip
    for path in [*sorted(chosen.values()), *sorted(p for p in data.iterdir() if p.stem in names)]:
        picture = Image.open(path).convert("RGB")
        parts = [picture]
        if picture.width >= 2 * SMALLEST and picture.width > 1.3 * picture.height:
            half = picture.width // 2
            parts = [
                picture.crop((0, 0, half, picture.height)),
                picture.crop((half, 0, picture.width, picture.height)),
            ]
        if len(parts) == 2 and _mirror_each_other(*parts):
            parts = parts[:1]
        for part in parts:
            part.thumbnail((LONG_SIDE, LONG_SIDE))
            if np.asarray(part.convert("L")).std() >= 12:  # else there is nothing to see
                yield part


def _mirror_each_other(left: Image.Image, right: Image.Image) -> bool:
    """Whether two halves are one picture and its mirror image."""
    small = [np.asarray(part.convert("L").resize((32, 32))).astype(float).ravel()
             for part in (left, ImageOps.mirror(right))]  # fmt: skip
    return bool(np.corrcoef(small)[0, 1] > 0.8)


def make_corpus(to: Path, folders: list[Path], stamps: Path) -> None:
    """Write photographs, their changed copies, and cut-outs on white."""
    rng = np.random.default_rng(SEED)
    for number, picture in enumerate(photographs(folders)):
        _save(picture, to / "original" / f"{number:03d}.jpg", 92)
        for name, attack in ATTACKS.items():
            _save(attack(picture, rng), to / name / f"{number:03d}.jpg", QUALITY.get(name, 90))
    for number, path in enumerate(sorted(stamps.rglob("*.png"))):
        if "symbols" in path.parts:  # letters in outline: an i is a part of another i
            continue
        cutout = Image.open(path).convert("RGBA")
        ground = Image.new("RGBA", cutout.size, "white")
        ground.alpha_composite(cutout)
        _save(ground.convert("RGB"), to / "distractor" / f"{number:04d}.jpg", 92)


def _save(picture: Image.Image, path: Path, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=quality)


class Family(NamedTuple):
    """What a file shows: the photograph's number, None for a distractor, and the attack."""

    number: int | None
    attack: str


def family_of(path: str) -> Family:
    file = Path(path)
    if file.parent.name in (*ATTACKS, "original"):
        return Family(int(file.stem), file.parent.name)
    return Family(None, "cut-out" if file.parent.name == "distractor" else "solar cell")


Pairs = set[frozenset[str]]


def ours(index: dinosearch.ImageIndex) -> tuple[Pairs, dinosearch.Duplicates, float]:
    """The pairs that `duplicates` finds, all of it, and the CPU seconds it took."""
    started = time.process_time()
    found = index.duplicates(progress=_told())
    took = time.process_time() - started
    path = {item.id: item.path for item in _items(index)}
    return {frozenset((path[one], path[two])) for one, two, *_ in found.links}, found, took


def peers(paths: list[str]) -> dict[str, Pairs]:
    """The pairs that imagededup's hashes find within 10 bits, which is its default."""
    try:
        from imagededup.handlers.search.retrieval import HashEval
        from imagededup.methods import AHash, DHash, PHash, WHash
    except ImportError:
        print("imagededup is not installed: pip install imagededup; its columns are left out")
        return {}
    found: dict[str, Pairs] = {}
    for method in (PHash(verbose=False), DHash(verbose=False), AHash(verbose=False),
                   WHash(verbose=False)):  # fmt: skip
        codes = {path: method.encode_image(image_file=path) for path in paths}
        kept = HashEval(
            test=codes,
            queries=codes,
            distance_function=method.hamming_distance,
            verbose=False,
            threshold=10,
            search_method="brute_force_cython",
        ).retrieve_results()
        found[type(method).__name__] = {
            frozenset((one, other)) for one, others in kept.items() for other in others
        }
    return found


def judged(pairs: Pairs, half: set[int], corpus: Path) -> dict[str, tuple[list[float], int]]:
    """For each attack: 1 or 0 for each photograph of the half, and the false pairs of its copies.

    A pair is false when its two files show different photographs, or one is a distractor. A
    false pair of two attacks counts for both; pairs within the distractors are `distractors`.
    """
    result: dict[str, tuple[list[float], int]] = {}
    false = dict.fromkeys([*ATTACKS, "original", "distractors"], 0)
    for pair in pairs:
        one, other = (family_of(path) for path in pair)
        if one.number is None and other.number is None:
            false["distractors"] += 1
        elif one.number != other.number:
            for family in {one, other}:
                if family.number in half:
                    false[family.attack] += 1
    for attack in ATTACKS:
        hits = [
            float(
                frozenset(
                    (str(corpus / attack / f"{n:03d}.jpg"),
                     str(corpus / "original" / f"{n:03d}.jpg"))
                ) in pairs
            )
            for n in sorted(half)
        ]  # fmt: skip
        result[attack] = hits, false[attack]
    result["original"] = [], false["original"]
    result["distractors"] = [], false["distractors"]
    return result


def run_attacks(work: Path, folders: list[Path], stamps: Path, size: int) -> None:
    corpus = work / "corpus"
    if not (corpus / "original").is_dir():
        make_corpus(corpus, folders, stamps)
    sources: list[Path] = [corpus]
    if importlib.util.find_spec("elpv_dataset"):
        import elpv_dataset

        solar = Path(elpv_dataset.__file__).parent / "data" / "images"
        sources += sorted(solar.glob("*.png"))[:SOLAR_CELLS]
    root = work / "index"
    if not (root / "manifest.json").exists():
        dinosearch.create(root, encoder="mini", size=size).close()
    with dinosearch.open(root) as index:
        index.add(sources)
        paths = [item.path for item in _items(index)]
        numbers = sorted({f.number for f in map(family_of, paths) if f.number is not None})
        half = {number for number in numbers if number % 2}  # even ones served for tuning
        found, report, took = ours(index)
        ways = {"dinosearch": found, **peers(paths)}
    tables = {name: judged(pairs, half, corpus) for name, pairs in ways.items()}
    kinds = Counter(family_of(path).attack for path in paths)
    print(
        f"{len(paths)} files: {len(numbers)} photographs, of which {len(half)} are judged,"
        f" {kinds['cut-out']} cut-outs, {kinds['solar cell']} solar cells; threshold"
        f" {report.threshold}, {report.compared} pairs looked at, {took:.0f} s of CPU\n"
    )
    print("| attack | " + " | ".join(f"{name}: recall / false" for name in tables) + " |")
    print("|---|" + "---|" * len(tables))
    for attack in ATTACKS:
        cells = [f"{show(table[attack][0])} / {table[attack][1]}" for table in tables.values()]
        print(f"| {attack} | " + " | ".join(cells) + " |")
    for name, text in (("original", "unchanged"), ("distractors", "among distractors")):
        cells = [f"/ {table[name][1]}" for table in tables.values()]
        print(f"| {text} | " + " | ".join(cells) + " |")
    cells = []
    for table in tables.values():
        right = sum(sum(table[attack][0]) for attack in ATTACKS)
        wrong = sum(table[attack][1] for attack in [*ATTACKS, "original"])
        cells.append(f"{right / max(1, right + wrong):.3f}")
    print("| precision, pairs with a photograph | " + " | ".join(cells) + " |")


def run_time(count: int, planted: int, slices: int) -> None:
    """CPU seconds to find planted pairs at cosine .94 to .995 among unit vectors of 384."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(SEED)
    vectors = rng.normal(size=(count, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = rng.uniform(0.94, 0.995, planted).astype(np.float32)[:, None]
    away = rng.normal(size=(planted, 384)).astype(np.float32)
    base = vectors[:planted]
    away -= (away * base).sum(axis=1, keepdims=True) * base
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    vectors[-planted:] = cosines * base + np.sqrt(1 - cosines**2) * away
    wanted = {(n, count - planted + n) for n in range(planted)}
    rows: list[tuple[str, float, float | None]] = []

    def timed(name: str, work: Callable[[], Any], times: float = 1.0) -> Any:
        started = time.process_time()
        found = work()
        took = (time.process_time() - started) * times
        pairs = None
        if isinstance(found, tuple) and len(found) == 3:
            pairs = set(zip(found[0].tolist(), found[1].tolist(), strict=True))
        rows.append((name, took, None if pairs is None else len(pairs & wanted) / planted))
        print(rows[-1], flush=True)

    part = vectors[: count // slices]
    brute = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(vectors)
    timed(f"sklearn brute kneighbors (1/{slices} of the queries, times {slices})",
          lambda: brute.kneighbors(part), slices)  # fmt: skip
    flat = faiss.IndexFlatIP(384)
    flat.add(vectors)
    timed(f"faiss Flat kNN (1/{slices} of the queries, times {slices})",
          lambda: flat.search(part, 10), slices)  # fmt: skip
    rows = [(name, took, None) for name, took, _ in rows]
    timed("dinosearch exact, single precision", lambda: pairs_above(vectors, 0.93, half=False))
    timed("dinosearch exact, half precision", lambda: pairs_above(vectors, 0.93, half=True))
    timed("dinosearch inverted lists, training and all", lambda: near_pairs(vectors, 0.93))
    print("\n| way | CPU s | pair recall | times sklearn | times Flat |\n|---|---|---|---|---|")
    for name, took, share in rows:
        recall = "-" if share is None else f"{share:.4f}"
        print(f"| {name} | {took:.1f} | {recall} | {rows[0][1] / took:.1f} |"
              f" {rows[1][1] / took:.1f} |")  # fmt: skip


def show(hits: list[float]) -> str:
    found = bootstrap(hits, rng=np.random.default_rng(0))
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def _items(index: dinosearch.ImageIndex) -> list[dinosearch.Item]:
    return index.items(limit=1_000_000)


def _told() -> Callable[[str, int, int], None]:
    last = [time.monotonic()]

    def told(step: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] > 20:
            last[0] = time.monotonic()
            print(f"{step}: {done} of {total}", file=sys.stderr, flush=True)

    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("attacks", "time"))
    parser.add_argument("--work", default="indexes/copies", type=Path)
    parser.add_argument("--size", default=308, type=int)
    parser.add_argument(
        "--photographs",
        nargs="+",
        default=[Path("/usr/share/wallpapers"), Path("/usr/share/backgrounds")],
        type=Path,
    )
    parser.add_argument("--cutouts", default=Path("/usr/share/tuxpaint/stamps"), type=Path)
    parser.add_argument("--count", default=100_000, type=int)
    parser.add_argument("--planted", default=5_000, type=int)
    parser.add_argument("--slices", default=20, type=int)
    options = parser.parse_args()
    if options.what == "time":
        run_time(options.count, options.planted, options.slices)
        return
    missing = [path for path in (*options.photographs, options.cutouts) if not path.is_dir()]
    if missing:
        print(
            f"left out: there is no {missing[0]}; install tuxpaint-stamps-default,"
            " plasma-workspace-wallpapers and gnome-backgrounds, or name other folders"
        )
        return
    run_attacks(options.work.absolute(), options.photographs, options.cutouts, options.size)


if __name__ == "__main__":
    main()
