"""Ranking: which products come first, and what each score is made of.

A score is `(1 - weight) · cosine + weight · share of the words said`. The cosine comes apart into a picture's and a
text's part, because a product's vector is a weighted sum of both: so "why is this product here" has an exact answer.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pluribus import indexes, vectors

POOL = 100  # candidates of each kind to begin with
SMALL = 4_096  # a selection up to this size is scored whole


@dataclass(frozen=True)
class Asked:
    """A question as ranking sees it."""

    vector: np.ndarray  # [1, width], of length one
    words: np.ndarray | None  # [n]: what each product says of its words, 0 to 1
    weight: float  # of the words


@dataclass(frozen=True)
class Ranked:
    """Products, best first: where they stand, their scores, and the parts that sum to them."""

    places: np.ndarray
    scores: np.ndarray
    parts: dict[str, np.ndarray]


class Ranks(Protocol):
    """What is ranked: an opened release."""

    @property
    def index(self) -> Any: ...
    @property
    def space(self) -> vectors.Space: ...
    @property
    def groups(self) -> np.ndarray: ...
    def shares(self, places: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]: ...


def rank(shop: Ranks, asked: Asked, k: int, *, allowed: np.ndarray | None, diversity: float, collapse: bool) -> Ranked:
    """The k best of the products at the `allowed` positions (None: all); every one of them where there are fewer.

    Candidates are the best by vector and the best by words, more of them until k groups are found.
    """
    most = len(shop.groups) if allowed is None else len(allowed)
    wanted, pool = (4 * k if diversity else k), max(POOL, 4 * k)
    while True:
        places = _candidates(shop, asked, allowed, min(pool, most))
        parts = _parts(shop, asked, places)
        scores = np.sum(list(parts.values()), axis=0)
        order = np.argsort(-scores, kind="stable")
        if collapse:
            order = order[np.sort(np.unique(shop.groups[places[order]], return_index=True)[1])]
        if len(order) >= wanted or pool >= most:
            break
        pool *= 4
    order = _diverse(shop, places, scores, order[:wanted], k, diversity) if diversity else order[:k]
    return Ranked(places[order], scores[order], {name: part[order] for name, part in parts.items()})


def _candidates(shop: Ranks, asked: Asked, allowed: np.ndarray | None, pool: int) -> np.ndarray:
    """Positions worth scoring: the `pool` best by vector and by words, or all where few are allowed or all wanted.

    (Inverted lists, asked for everything, would answer only what lies in the lists they look at.)
    """
    if allowed is None and pool >= len(shop.groups):
        return np.arange(len(shop.groups))
    if allowed is not None and len(allowed) <= max(pool, SMALL):
        return allowed
    _, near = indexes.search(shop.index, asked.vector, pool, allowed)
    found = near[0][near[0] >= 0]
    if asked.words is not None and asked.weight:
        among = np.flatnonzero(asked.words > 0) if allowed is None else allowed[asked.words[allowed] > 0]
        if len(among) > pool:
            among = among[np.argpartition(-asked.words[among], pool)[:pool]]
        found = np.union1d(found, among)
    return np.sort(found)


def _parts(shop: Ranks, asked: Asked, places: np.ndarray) -> dict[str, np.ndarray]:
    """What each part adds to the score of each place."""
    (image, text), vector = shop.shares(places), (1 - asked.weight) * asked.vector[0]
    parts = {
        "image": image * (shop.space.image[places].astype(np.float32) @ vector),
        "text": text * (shop.space.text[places].astype(np.float32) @ vector),
    }
    if asked.words is not None and asked.weight:
        parts["lexical"] = np.float32(asked.weight) * asked.words[places]
    return parts


def _diverse(shop: Ranks, places: np.ndarray, scores: np.ndarray, order: np.ndarray, k: int, diversity: float) -> Any:
    """Maximal marginal relevance: k of `order`, each paying for its likeness to those already chosen."""
    of = shop.space.fused[places[order]].astype(np.float32)
    gain, likeness = scores[order].astype(np.float64), np.full(len(order), -1.0)
    chosen: list[int] = []
    for _ in range(min(k, len(order))):
        worth = (1 - diversity) * gain - diversity * likeness if chosen else gain.copy()
        worth[chosen] = -np.inf
        best = int(np.argmax(worth))
        chosen.append(best)
        likeness = np.maximum(likeness, of @ of[best])
    return order[chosen]
