"""Trial: does a path go where it was asked to go? Every way of METHODS on the same seeds, against what is known.

Drawn products are known exactly: their length, the lightness (CIELAB L*) of the base colour, and the mean lightness of
all that the product covers (a striped one is lighter than its ground). Of a real shop's picture the lightness is
measured on the foreground. A seed counts where as many products of its kind as there are steps truly lie further that
way; a path that stops at once scores 0. The seed itself is no step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pluribus import demo, metrics, pictures, pixels, render
from pluribus.compare.prompts import kind_of, prompts
from pluribus.compare.routes import METHODS, Question
from pluribus.render.colours import lightness
from pluribus.search import Searcher
from pluribus.search.terms import Encodes

SEEDS = 100  # of each gallery
STEPS = 4
#: Attribute -> what it must raise (1) or lower (-1), and by how much a product must differ to lie further.
TRUTHS = {
    "darker": ("lightness", -1, 10.0),
    "lighter": ("lightness", 1, 10.0),
    "longer": ("length", 1, 0.1),
    "shorter": ("length", -1, 0.1),
}
SIDE_PX = 128


@dataclass(frozen=True, eq=False)
class Gallery:
    """Products whose truth is known: picture vectors [n, width], what each is called, and numbers by name [n]."""

    name: str
    array: np.ndarray
    kinds: Sequence[str]
    truths: Mapping[str, np.ndarray]  # nan where a product has no such thing


@dataclass(frozen=True)
class Outcome:
    """How one way did over all seeds: means, rho with its 95 % bootstrap interval."""

    attribute: str
    truth: str
    method: str
    within: str  # "shop" or "kind": where the path may go
    rho: float
    low: float
    high: float
    kept: float  # share of steps of the seed's kind
    distinct: float  # different products among all that were shown
    likeness: float  # mean cosine to the seed
    seeds: int


@dataclass(frozen=True)
class _Walked:
    """What became of one seed."""

    shown: list[tuple[str, int]]
    rho: float
    kept: float
    likeness: float


def drawn(encoder: Encodes, n_products: int = demo.PRODUCTS, seed: int = 1) -> Iterator[Gallery]:
    """The three demo shops, by their first pictures."""
    for name in demo.DEMOS:
        products = [product for product in demo.catalog(name, seed, n_products) if not product.fault]
        items = [next(iter(product.shots.values())) for product in products]
        shots = [np.asarray(render.draw(item, SIDE_PX)) for item in items]
        covers = [np.asarray(render.silhouette(item, SIDE_PX)) > 127 for item in items]
        truths = {
            "lightness": np.array([lightness(shot[cover]).mean() for shot, cover in zip(shots, covers, strict=True)]),
            "base lightness": np.array([item.lightness for item in items]),
            "length": np.array([np.nan if item.length is None else item.length for item in items]),
        }
        yield Gallery(
            name, encoder.images(shots), [kind_of({"category": p.row.category, "title": ""}) for p in products], truths
        )


def photographed(shop: Searcher, most: int = 3_000) -> Gallery:
    """A shop's products with pictures, their lightness measured on the foreground of the first."""
    rows = np.flatnonzero(shop.space.has_image)[:most].tolist()
    found = shop.products.take(rows).select(["category", "title", "pictures"]).to_pylist()
    seen: dict[str, float] = {}
    for names, jpegs in pictures.load(shop.release.store, [row["pictures"][0] for row in found]):
        measured = [foreground_lightness(np.asarray(pixels.decode_picture(jpeg))) for jpeg in jpegs]
        seen |= dict(zip(names, measured, strict=True))
    truths = {"lightness": np.array([seen[row["pictures"][0]] for row in found])}
    return Gallery(shop.shop, shop.space.image[rows].astype(np.float32), [kind_of(row) for row in found], truths)


def foreground_lightness(picture: np.ndarray) -> float:
    """Mean L* of what differs from the picture's border; of all of it where nearly nothing does."""
    small = picture[:: max(1, len(picture) // 96), :: max(1, picture.shape[1] // 96)]
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    backdrop = np.median(edge, axis=0)
    apart = np.abs(small.astype(np.float32) - backdrop).max(axis=-1) > 24
    return float(lightness(small[apart] if apart.mean() > 0.02 else small).mean())


def measure(
    encoder: Encodes, galleries: Iterable[Gallery], attribute: str, *, truth: str = "", within: str = "shop",
    methods: Sequence[str] = tuple(METHODS), seeds: int = SEEDS, steps: int = STEPS,
) -> list[Outcome]:  # fmt: skip
    """Every method over the same seeds of all galleries."""
    name, sign, gap = TRUTHS[attribute]
    name = truth or name
    sides = _sides(encoder, attribute)
    told: dict[str, list[_Walked]] = {method: [] for method in methods}
    for gallery in galleries:
        kinds, known = np.array(gallery.kinds), gallery.truths[name] * sign
        for seed in _seeds(kinds, known, gap, seeds, steps):
            members = np.flatnonzero(kinds == kinds[seed]) if within == "kind" else np.arange(len(kinds))
            start, end = sides(gallery.kinds[seed])
            asked = Question(array=gallery.array[members], seed=int(np.searchsorted(members, seed)), start=start,
                             end=end, steps=steps)  # fmt: skip
            for method in methods:
                path = [int(members[i]) for stop in METHODS[method].of(asked) for i in stop]
                told[method].append(_judged(gallery, path, seed, known))
    return [_outcome(attribute, name, method, within, rows) for method, rows in told.items() if rows]


def spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Rank correlation, ties shared; 0 where either never changes."""
    first, second = _ranks(np.asarray(a)), _ranks(np.asarray(b))
    if len(first) < 2 or not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])


def _sides(encoder: Encodes, attribute: str) -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
    @cache
    def sides(kind: str) -> tuple[np.ndarray, np.ndarray]:
        _, start, end = prompts({"category": kind, "title": kind}, more=attribute)
        texts = encoder.texts([*start, *end])
        return texts[: len(start)], texts[len(start) :]

    return sides


def _seeds(kinds: np.ndarray, known: np.ndarray, gap: float, most: int, steps: int) -> list[int]:
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.isfinite(known)))
    further = (kinds[:, None] == kinds[None, order]) & (known[:, None] > known[None, order] + gap)
    return [int(i) for i in order[further.sum(axis=0) >= steps][:most]]


def _judged(gallery: Gallery, path: list[int], seed: int, known: np.ndarray) -> "_Walked":
    there = [i for i in path if np.isfinite(known[i])]  # a sandal has no length
    kinds, array = gallery.kinds, gallery.array
    return _Walked(
        shown=[(gallery.name, i) for i in path],
        rho=spearman([path.index(i) for i in there], known[there]),
        kept=float(np.mean([kinds[i] == kinds[seed] for i in path])) if path else np.nan,
        likeness=float((array[path] @ array[seed]).mean()) if path else np.nan,
    )


def _outcome(attribute: str, truth: str, method: str, within: str, walked: "list[_Walked]") -> Outcome:
    rhos = np.array([one.rho for one in walked])
    low, high = metrics.interval(rhos)
    shown = [item for one in walked for item in one.shown]
    return Outcome(
        attribute=attribute,
        truth=truth,
        method=method,
        within=within,
        rho=float(rhos.mean()),
        low=low,
        high=high,
        kept=float(np.nanmean([one.kept for one in walked])),
        distinct=len(set(shown)) / max(1, len(shown)),
        likeness=float(np.nanmean([one.likeness for one in walked])),
        seeds=len(walked),
    )
