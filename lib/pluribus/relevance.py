"""Relevance: how well a shop's search ranks what people judged, against its vectors alone and its words alone.

`judged` ranks only what people rated for a query; `all` ranks the whole catalog and counts what nobody rated as
useless, which favours engines like the one that made the pool. A product gains 2^rating − 1; it is good from half of
the highest rating on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pluribus import metrics
from pluribus.errors import ConfigError
from pluribus.search import Searcher
from pluribus.search.searcher import HYBRID

K = 10
NAMES = ("nDCG@10 judged", "nDCG@10 all", "MRR@10 all")


@dataclass(frozen=True)
class Judged:
    """Queries, and the gains of the products (by row) that people rated for them; `good` and more is a good answer."""

    queries: list[str]
    gains: list[dict[int, float]]
    good: float
    unknown: int = 0  # ratings of products that are not there
    hopeless: int = 0  # queries for which nothing good is there


def known(judgements: Mapping[str, Mapping[str, float]], places: Mapping[str, int]) -> Judged:
    """Judgements of products by id, kept where the products are there and something good is among them.

    Raises ConfigError where no query is left.
    """
    best = max((rating for of in judgements.values() for rating in of.values()), default=0.0)
    good = 2.0 ** (best / 2) - 1
    queries, gains, unknown = [], [], 0
    for query, of in judgements.items():
        own = {places[product_id]: 2.0**rating - 1 for product_id, rating in of.items() if product_id in places}
        unknown += len(of) - len(own)
        if best and max(own.values(), default=0.0) > good:
            queries.append(query)
            gains.append(own)
    if not queries:
        raise ConfigError("no judged query has a good answer in the release", expected="ratings of products it holds")
    return Judged(queries, gains, good, unknown, len(judgements) - len(queries))


def measure(shop: Searcher, judged: Judged, *, seed: int = 0) -> list[dict[str, object]]:
    """A row for each way to rank: vectors, words (BM25), and both as search does; means with 95 % intervals."""
    asked, gallery = shop.encoder.texts(judged.queries), shop.space.fused.astype(np.float32)
    near: Callable[[int], np.ndarray] = lambda n: gallery @ asked[n]
    words: Callable[[int], np.ndarray] = lambda n: shop.lexicon.scores(shop.lexicon.read(judged.queries[n]))
    ways: dict[str, Callable[[int], np.ndarray]] = {
        "vectors": near,
        "words (BM25)": words,
        "both, as search ranks": lambda n: (1 - HYBRID) * near(n) + HYBRID * words(n),
    }
    rows = []
    for way, score in ways.items():
        found = np.array([one(score(n), gains, judged.good) for n, gains in enumerate(judged.gains)])
        low, high = metrics.intervals(found, seed=seed)
        row: dict[str, object] = {"way": way, "n": len(found), "gallery": len(gallery)}
        row |= {name: float(found[:, i].mean()) for i, name in enumerate(NAMES)}
        row["95 %"] = {name: (float(low[i]), float(high[i])) for i, name in enumerate(NAMES)}
        rows.append(row | {"unknown": judged.unknown, "hopeless": judged.hopeless})
    return rows


def one(scores: np.ndarray, gains: Mapping[int, float], good: float) -> tuple[float, float, float]:
    """Of one query: nDCG@10 of what was judged, nDCG@10 and MRR@10 of all. `gains` has one above `good`."""
    places, of_all = np.array(list(gains)), np.array(list(gains.values()))
    among = places[np.argsort(-scores[places], kind="stable")]
    said = np.array([gains.get(int(place), 0.0) for place in top(scores, K)])
    hit = np.flatnonzero(said > good)
    return ndcg([gains[int(p)] for p in among], of_all), ndcg(said, of_all), 1 / (hit[0] + 1) if len(hit) else 0.0


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k best, best first."""
    k = min(k, len(scores))
    found = np.argpartition(-scores, k - 1)[:k]
    return np.asarray(found[np.argsort(-scores[found], kind="stable")])


def ndcg(gains: Sequence[float] | np.ndarray, of_all: np.ndarray) -> float:
    """Of the first ten, against the best order of all that were judged."""
    return _dcg(np.asarray(gains)) / _dcg(np.sort(of_all)[::-1])


def _dcg(gains: np.ndarray) -> float:
    first = gains[:K]
    return float((first / np.log2(np.arange(2, len(first) + 2))).sum())
