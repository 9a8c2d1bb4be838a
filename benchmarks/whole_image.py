"""Whole-picture search: does anything beside the CLS vector pay?

    .venv/bin/python benchmarks/whole_image.py --stamps /usr/share/tuxpaint/stamps

Real cut-outs (Debian's `tuxpaint-stamps-default`), encoded by `mini`. What is right is a
picture of the same family (one name but for a number, one folder) or of the same folder.
Families are cut into two halves: what is tuned on one is shown on the other, with 95 %
bootstrap intervals over queries, and of differences query by query.

  pooled patches    the cosine of the mean, or of the generalised mean (p = 3, Radenovic et
                    al., 2018), of the patch tokens, mixed with that of CLS at some weight.
                    Vectors joined end to end give the mean of both cosines: weight 0.5.
  query expansion   alpha-QE (the same): the query plus its k best, weighted by score^3
  normalisation     a query's scores less the mean of its three best among pictures that are
                    no match. One number for all its scores, so its own ranking stays what it
                    was; only what queries of different kind have to say to one threshold
                    changes. So it is measured on copies, by micro-AP.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import dinosearch
from dinosearch.evaluation.copies import Pairs
from dinosearch.evaluation.metrics import Estimate, average_precision, bootstrap, recall_at
from dinosearch.evaluation.scenes import family

Vectors = NDArray[np.float32]
Scores = NDArray[np.float32]

POOLS = ("mean", "GeM")
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
NEIGHBOURS = (3, 5)
ALPHA = 3.0
SIDE = 560
CHUNK = 128


def unit(rows: Vectors) -> Vectors:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / length, np.float32)


def pooled(patches: Vectors) -> dict[str, Vectors]:
    """float32 [n, Dp] of unit tokens [n, P, Dp]: their mean, and their generalised mean."""
    gem = np.maximum(patches, 1e-6) ** 3
    return {
        "mean": unit(patches.mean(axis=1)),
        "GeM": unit(gem.mean(axis=1) ** np.float32(1 / 3)),
    }


def encode(
    encoder: dinosearch.Encoder, pictures: Sequence[str | Image.Image], cache: Path | None
) -> dict[str, Vectors]:
    """CLS and pooled patches of pictures; `cache` keeps them from one run to the next."""
    if cache is not None and cache.exists():
        with np.load(cache) as kept:
            found = {name: kept[name] for name in kept.files}
        if len(found["CLS"]) == len(pictures):
            return found
    parts: list[dict[str, Vectors]] = []
    for start in range(0, len(pictures), CHUNK):
        features = encoder.encode(pictures[start : start + CHUNK])
        parts.append({"CLS": features.cls, **pooled(features.patches)})
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if cache is not None:
        np.savez(cache, **found)
    return found


def halves(names: Sequence[str], seed: int) -> list[NDArray[np.int64]]:
    """Which pictures are in either half; a family is never split."""
    families = sorted({family(name) for name in names})
    order = np.random.default_rng(seed).permutation(len(families))
    first = {families[i] for i in order[: len(order) // 2]}
    inside = np.array([family(name) in first for name in names])
    return [np.flatnonzero(inside), np.flatnonzero(~inside)]


def beside(pool: str, weight: float) -> str:
    return f"{weight:g} {pool} of patches" + (f" + {1 - weight:g} CLS" if weight < 1 else "")


def expanded(queries: Vectors, stored: Vectors, own: Scores, neighbours: int) -> Scores:
    """Cosines of queries to which their nearest stored vectors were added.

    `own` [n, n] are the cosines before, -inf for a picture with itself.
    """
    nearest = np.argsort(-own, axis=1, kind="stable")[:, :neighbours]
    weight = np.maximum(np.take_along_axis(own, nearest, 1), 0) ** ALPHA
    return unit(queries + (weight[..., None] * stored[nearest]).sum(axis=1)) @ stored.T


def ways(features: dict[str, Vectors]) -> Iterator[tuple[str, Scores]]:
    """(what it is, scores [n, n]) of every way to compare all pictures with all."""
    cosines = {name: rows @ rows.T for name, rows in features.items()}
    own = cosines["CLS"].copy()
    np.fill_diagonal(own, -np.inf)
    yield "CLS", cosines["CLS"]
    for pool in POOLS:
        for weight in WEIGHTS:
            mixed = (1 - weight) * cosines["CLS"] + weight * cosines[pool]
            yield beside(pool, weight), mixed
    for neighbours in NEIGHBOURS:
        name = f"CLS, alpha-QE of {neighbours}"
        yield name, expanded(features["CLS"], features["CLS"], own, neighbours)


def judged(scores: Scores, groups: NDArray[np.str_]) -> tuple[NDArray[np.float64], ...]:
    """(average precision, recall@1) [n]: each picture asks for the others of its group."""
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    found = []
    for number, row in enumerate(np.argsort(-scores, axis=1, kind="stable")[:, :-1]):
        positives = set(np.flatnonzero(groups == groups[number]).tolist()) - {number}
        ranked = row.tolist()
        found.append((average_precision(ranked, positives), recall_at(ranked, positives, 1)))
    precision, recall = np.array(found).T
    return precision, recall


def told(one: Estimate) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "-"
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def retrieval(
    features: dict[str, Vectors], groups: dict[str, NDArray[np.str_]], seed: int
) -> dict[str, float]:
    """Print the table of one half; the mAP of each way by family."""
    found = dict(ways(features))
    best: dict[str, float] = {}
    for kind, group in groups.items():
        base = judged(found["CLS"], group)
        asked = int(np.isfinite(base[0]).sum())
        print(f"\n| same {kind} ({asked} queries) | mAP | above CLS alone | recall@1 |")
        print("|---|---|---|---|")
        for name, scores in found.items():
            precision, recall = judged(scores, group)
            figures = [
                told(bootstrap(values, rng=np.random.default_rng(seed)))
                for values in (precision, precision - base[0], recall)
            ]
            print(f"| {name} | {' | '.join(figures)} |")
            if kind == "family":
                best[name] = float(np.nanmean(precision))
    return best


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


def overlaid(picture: Image.Image) -> Image.Image:
    changed = picture.copy()
    draw = ImageDraw.Draw(changed)
    place = (picture.width * 0.08, picture.height * 0.85)
    draw.text(place, "seen on the web", fill=(200, 0, 0), font_size=max(10, picture.width // 14))
    return changed


def cropped(picture: Image.Image, share: float) -> Image.Image:
    wide, high = picture.size
    left, top = wide * (1 - share) / 2, high * (1 - share) / 2
    return picture.crop((int(left), int(top), int(wide - left), int(high - top)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 10": lambda picture: as_jpeg(picture, 10),
    "JPEG 25": lambda picture: as_jpeg(picture, 25),
    "JPEG 40": lambda picture: as_jpeg(picture, 40),
    "blur": lambda p: p.filter(ImageFilter.GaussianBlur(max(p.size) / 80)),
    "crop 70 %": lambda picture: cropped(picture, 0.7),
    "a quarter as large": lambda p: p.resize((max(1, p.width // 4), max(1, p.height // 4))),
    "text over it": overlaid,
}


def copied(names: Sequence[str], change: Callable[[Image.Image], Image.Image]) -> list[Image.Image]:
    """Pictures upright on white, no side longer than the encoder looks at, and changed."""
    found = []
    for name in names:
        with Image.open(name) as file:
            picture = file.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture).convert("RGB")
        picture.thumbnail((SIDE, SIDE))
        found.append(change(picture))
    return found


def copies(
    features: dict[str, Vectors],
    changed: dict[str, dict[str, Vectors]],
    originals: NDArray[np.int64],
    strangers: dict[str, Vectors],
    background: dict[str, Vectors],
    way: tuple[str, float],
    seed: int,
) -> None:
    """Print how well copies are found, by CLS alone and beside the pooled patches of `way`.

    `features` are those that are looked through, `originals` the places in them of what was
    changed; `strangers` ask too, and are copies of nothing.
    """
    pool, weight = way
    root = (float(np.sqrt(1 - weight)), float(np.sqrt(weight)))

    def joined(rows: dict[str, Vectors], with_pool: bool) -> Vectors:
        # Joined at the roots of their weights the cosine is the weighted sum of both.
        if not with_pool:
            return rows["CLS"]
        return np.concatenate([root[0] * rows["CLS"], root[1] * rows[pool]], axis=1)

    wide = beside(pool, weight)
    print("\n| copies | CLS: recall@1 | " + wide + ": recall@1 |\n|---|---|---|")
    for kind, rows in changed.items():
        cells = []
        for with_pool in (False, True):
            scores = joined(rows, with_pool) @ joined(features, with_pool).T
            right = (scores.argmax(axis=1) == originals).astype(float)
            cells.append(told(bootstrap(right, rng=np.random.default_rng(seed))))
        print(f"| {kind} | {' | '.join(cells)} |")
    print(
        "\n| all copies and as many strangers | micro-AP | normalised | gain |\n|---|---|---|---|"
    )
    for with_pool, name in ((False, "CLS"), (True, wide)):
        pairs = Pairs(joined(background, with_pool))
        stored = joined(features, with_pool)
        asked = [(row, place) for rows in changed.values() for row, place in zip(
            joined(rows, with_pool), originals.tolist(), strict=True)]  # fmt: skip
        asked += [(row, -1) for row in joined(strangers, with_pool)]
        for row, place in asked:
            scores = stored @ row
            first = np.argsort(-scores, kind="stable")[:100]
            pairs.add(row, scores[first].astype(np.float64), first == place, int(place >= 0))
        figures = pairs.figures(np.random.default_rng(seed))
        print(f"| {name} | {' | '.join(told(one) for one in figures.values())} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--stamps", type=Path, default=Path("/usr/share/tuxpaint/stamps"))
    parser.add_argument("--encoder", default="mini")
    parser.add_argument("--cache", type=Path, help="a folder that keeps features")
    parser.add_argument("--copies", type=int, default=60, help="pictures that are copied")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.stamps.is_dir():
        print(f"left out: there is no {options.stamps}; install tuxpaint-stamps-default")
        return
    if options.cache:
        options.cache.mkdir(parents=True, exist_ok=True)

    def kept(name: str) -> Path | None:
        return options.cache / f"{name}.npz" if options.cache else None

    encoder = dinosearch.load_encoder(options.encoder)
    names = sorted(str(path) for path in options.stamps.rglob("*.png"))
    features = encode(encoder, names, kept("stamps"))
    groups = {
        "family": np.array([family(name) for name in names]),
        "folder": np.array([str(Path(name).parent) for name in names]),
    }
    tune, shown = halves(names, options.seed)
    best: dict[str, float] = {}
    for title, half in (("tuning half", tune), ("half that is shown", shown)):
        print(f"\n### {title}: {len(half)} pictures, {options.encoder}")
        found = retrieval(
            {name: rows[half] for name, rows in features.items()},
            {name: rows[half] for name, rows in groups.items()},
            options.seed,
        )
        best = best or found
    mixed = {(p, w): best[beside(p, w)] for p in POOLS for w in WEIGHTS if w < 1}
    way = max(mixed, key=lambda one: mixed[one])
    print(f"\nBest on the tuning half: {max(best, key=lambda name: best[name])}.")

    rng = np.random.default_rng(options.seed)
    originals = np.sort(rng.choice(len(shown), options.copies, replace=False))
    order = rng.permutation(len(tune))
    asking, usual = order[: options.copies], order[options.copies :]
    changed, strangers = {}, []
    for kind, change in CHANGES.items():
        mine = [names[shown[place]] for place in originals]
        theirs = [names[tune[place]] for place in asking]
        file = kind.replace(" ", "-").replace("%", "")
        changed[kind] = encode(encoder, copied(mine, change), kept(f"copies-{file}"))
        strangers.append(encode(encoder, copied(theirs, change), kept(f"strangers-{file}")))
    copies(
        {name: rows[shown] for name, rows in features.items()},
        changed,
        originals,
        {name: np.concatenate([one[name] for one in strangers]) for name in features},
        {name: rows[tune[usual]] for name, rows in features.items()},
        way,
        options.seed,
    )


if __name__ == "__main__":
    main()
