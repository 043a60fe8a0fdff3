"""Duplicates: products that a shop lists twice, and the same product in two shops.

Three witnesses: the pictures (the very same, or near), the words of the title (rare words weigh more), the vectors.
Candidates come from each of them, so that a pair with the same picture under another title is looked at as well as one
with the same title and no picture. What is sold in two colours or sizes, named by a column or by a number in the
title, is no duplicate, nor are variants of a group. Without pictures, two models under one title look like one.

Comparing two shops is for their operator only: no tenant may learn what another one sells.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import indexes, lexical
from pluribus.errors import ConfigError
from pluribus.search import Searcher

LEAST = 0.9
TELLING = ("colour", "size", "gender", "material")  # different values of one of these: different products
NEAREST = 6  # of each product by vector, itself included
NEAR = 0.9  # a smaller cosine makes no candidate
CROWD = 20  # a picture or a title that more products share is a placeholder, and tells nothing
BLOCK = 4_096


@dataclass(frozen=True)
class Twins:
    """Two products that look like one."""

    product_id: str
    title: str
    other_shop: str
    other_id: str
    other_title: str
    score: float
    picture: float | None  # 1 the very same, else the cosine; None where one of them has none
    words: float
    vector: float
    places: tuple[int, int]


def find(shop: Searcher, other: Searcher | None = None, *, least: float = LEAST, most: int = 1_000) -> list[Twins]:
    """At most `most` pairs within a shop, or of a shop and another one, surest first.

    A score is the mean of picture and words; where a picture is missing, of vector and words.
    Raises ConfigError when the shops' vectors are of different models.
    """
    that = other or shop
    models = [searcher.release.manifest.facts["fingerprint"] for searcher in (shop, that)]
    if models[0] != models[1]:
        raise ConfigError(f"{shop.shop} and {that.shop} are of different models, {models[0]} and {models[1]}",
                          do="refresh both with one model")  # fmt: skip
    pairs = _candidates(shop, that)
    if that is shop:
        pairs = pairs[(pairs[:, 0] < pairs[:, 1]) & (shop.groups[pairs[:, 0]] != shop.groups[pairs[:, 1]])]
    found = [
        twins for start in range(0, len(pairs), BLOCK) for twins in _judged(shop, that, pairs[start:][:BLOCK], least)
    ]
    return sorted(found, key=lambda twins: (-twins.score, twins.product_id, twins.other_id))[:most]


def _candidates(shop: Searcher, that: Searcher) -> np.ndarray:
    """Pairs of places [m, 2] worth a look, each once."""
    shared = [list(_shared(said(shop), said(that))) for said in (_pictures, _titles)]
    found = [_near(shop, that), *(np.array(pairs, dtype=np.int64).reshape(-1, 2) for pairs in shared)]
    if that is shop:
        found = [np.sort(pairs, axis=1) for pairs in found]
    pairs: np.ndarray = np.unique(np.concatenate(found), axis=0)
    return pairs


def _near(shop: Searcher, that: Searcher) -> np.ndarray:
    """By vector."""
    found = []
    for start in range(0, shop.products.num_rows, BLOCK):
        scores, places = indexes.search(that.index, shop.space.fused[start : start + BLOCK], NEAREST)
        rows, columns = np.nonzero((scores >= NEAR) & (places >= 0))
        found.append(np.stack([rows + start, places[rows, columns]], axis=1))
    return np.concatenate(found)


def _pictures(shop: Searcher) -> Iterator[Iterable[Hashable]]:
    for contents in shop.products["pictures"].to_pylist():
        yield set(contents or ())


def _titles(shop: Searcher) -> Iterator[Iterable[Hashable]]:
    for title in shop.products["title"].to_pylist():
        said = frozenset(lexical.words(title or ""))
        yield [said] if said else []


def _shared(ours: Iterable[Iterable[Hashable]], theirs: Iterable[Iterable[Hashable]]) -> Iterator[tuple[int, int]]:
    """Pairs that have something in common, but for what a crowd has."""
    left, right = _who(ours), _who(theirs)
    for what, places in left.items():
        if len(places) <= CROWD and len(right.get(what, ())) <= CROWD:
            yield from ((a, b) for a in places for b in right.get(what, ()))


def _who(said: Iterable[Iterable[Hashable]]) -> dict[Hashable, list[int]]:
    who: dict[Hashable, list[int]] = defaultdict(list)
    for place, things in enumerate(said):
        for thing in things:
            who[thing].append(place)
    return who


def _judged(shop: Searcher, that: Searcher, pairs: np.ndarray, least: float) -> Iterator[Twins]:
    a, b = pairs.T
    vector = _cosines(shop.space.fused[a], that.space.fused[b])
    image = np.clip(_cosines(shop.space.image[a], that.space.image[b]), 0, 1)
    seen = shop.space.has_image[a] & that.space.has_image[b]
    ours, theirs = (searcher.products.take(places) for searcher, places in ((shop, a), (that, b)))
    rows = zip(ours["pictures"].to_pylist(), theirs["pictures"].to_pylist(), strict=True)
    same = np.array([bool(set(x or ()) & set(y or ())) for x, y in rows], dtype=bool)
    picture = np.where(same, 1.0, image)
    titles = list(zip(ours["title"].to_pylist(), theirs["title"].to_pylist(), strict=True))
    words = np.array([alike(x or "", y or "", shop.lexicon.idf) for x, y in titles])
    score = (np.where(seen | same, picture, vector) + words) / 2
    for name in TELLING:
        score[_differ(ours[name], theirs[name])] = 0
    ids = ours["product_id"].to_pylist(), theirs["product_id"].to_pylist()
    for n in np.flatnonzero(score >= least).tolist():
        yield Twins(ids[0][n], titles[n][0] or "", that.shop, ids[1][n], titles[n][1] or "", float(score[n]),
                    float(picture[n]) if seen[n] or same[n] else None, float(words[n]), float(vector[n]),
                    (int(a[n]), int(b[n])))  # fmt: skip


def _differ(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> np.ndarray:
    told = pc.not_equal(pc.utf8_lower(ours), pc.utf8_lower(theirs))
    return np.asarray(pc.fill_null(told, False).to_numpy())


def alike(one: str, other: str, idf: Callable[[str], float]) -> float:
    """The share of two titles' words that both have, by weight; 0 when they name different numbers."""
    ours, theirs = set(lexical.words(one)), set(lexical.words(other))
    numbers = [{word for word in words if any(c.isdigit() for c in word)} for words in (ours, theirs)]
    if numbers[0] != numbers[1] or not ours | theirs:
        return 0.0
    return sum(map(idf, ours & theirs)) / sum(map(idf, ours | theirs))


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.einsum("nd,nd->n", a.astype(np.float32), b.astype(np.float32))
    return found


def clusters(pairs: Sequence[Twins]) -> list[list[int]]:
    """Places of products that pairs within one shop tie together, the largest first."""
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while parent.setdefault(place, place) != place:
            place = parent[place]
        return place

    for twins in pairs:
        parent[root(twins.places[1])] = root(twins.places[0])
    tied: dict[int, list[int]] = defaultdict(list)
    for place in sorted(parent):
        tied[root(place)].append(place)
    return sorted(tied.values(), key=lambda places: (-len(places), places))
