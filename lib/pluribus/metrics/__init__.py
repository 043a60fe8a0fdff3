"""Metrics of rankings and labels, in numpy. A metric of a ranking is one entry in METRICS.

    rankings    queries and a gallery -> Ranked: where the right items stand
    intervals   bootstrap intervals, plain and paired
    labels      F1 and accuracy of a classification
    slices      MRED, and being less wrong

Relevance is a set: products with the same caption, or the same picture, are equally right.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pluribus.metrics.intervals import interval, intervals, resampled
from pluribus.metrics.labels import F1, accuracy, f1, f1_scores
from pluribus.metrics.rankings import DEPTH, Ranked, Some, cosine_rows, cosines, rank, rank_rows
from pluribus.metrics.slices import less_wrong, mred
from pluribus.records import Score

__all__ = ["DEPTH", "F1", "METRICS", "Metric", "Ranked", "Some", "accuracy", "cosine_rows", "cosines", "f1",
           "f1_scores", "interval", "intervals", "less_wrong", "mred", "rank", "rank_rows", "ranking_scores",
           "resampled"]  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """`of(ranked)` scores each query -> [m]; `chance(n_gallery, n_relevant)` is its mean under random order, [m].

    `drawn(wrong_above, n_wrong, left)` is its expectation when only `left` of the wrong items stay in the gallery.
    """

    means: str
    of: Callable[[Ranked], np.ndarray]
    chance: Callable[[int, np.ndarray], np.ndarray]
    drawn: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None


def hits(k: int) -> Metric:
    """Share of queries with a relevant item among the first k."""
    return Metric(
        f"a right product is among the first {k}",
        lambda ranked: (ranked.first <= k).astype(float),
        lambda n_gallery, n_relevant: 1 - _none_in_first(n_gallery, n_relevant, k)[:, -1],
        lambda above, n_wrong, left: _at_most(k - 1, above, n_wrong, left),
    )


def recall(k: int) -> Metric:
    """Share of the relevant items that are among the first k."""
    return Metric(
        f"share of the right products that are among the first {k}",
        lambda ranked: ranked.right[:, :k].sum(axis=1) / np.maximum(ranked.n_relevant, 1),
        lambda n_gallery, n_relevant: np.full(len(n_relevant), min(k, n_gallery) / n_gallery),
    )


def precision(k: int) -> Metric:
    """Share of the first k that are relevant."""
    return Metric(
        f"share of the first {k} that are right",
        lambda ranked: ranked.right[:, :k].sum(axis=1) / k,
        lambda n_gallery, n_relevant: n_relevant / n_gallery * min(k, n_gallery) / k,
    )


def ndcg(k: int) -> Metric:
    """Discounted gain of the first k over the best there could be."""
    weight = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[1.0], np.cumsum(weight)])  # 1 in place of 0: no relevant item gains 0 of it

    def chance(n_gallery: int, n_relevant: np.ndarray) -> np.ndarray:
        gain = n_relevant / n_gallery * weight[: min(k, n_gallery)].sum()
        return np.asarray(gain / best[np.minimum(n_relevant, k)])

    return Metric(
        f"right products count less the further down they stand, first {k}",
        lambda ranked: ranked.right[:, :k] @ weight[: ranked.right.shape[1]] / best[np.minimum(ranked.n_relevant, k)],
        chance,
    )


def _none_in_first(n_gallery: int, n_relevant: np.ndarray, depth: int) -> np.ndarray:
    """P(no relevant item in the first r) for r = 0..depth, [n, depth + 1], drawing without replacement."""
    left = n_gallery - np.arange(min(depth, n_gallery))
    miss = np.clip(1 - n_relevant[:, None] / left[None, :], 0, 1)
    return np.concatenate([np.ones((len(n_relevant), 1)), np.cumprod(miss, axis=1)], axis=1)


def _chance_mrr(n_gallery: int, n_relevant: np.ndarray) -> np.ndarray:
    kinds, which = np.unique(n_relevant, return_inverse=True)
    return np.array([_mrr_by_chance(n_gallery, kind) for kind in kinds])[which]


def _mrr_by_chance(n_gallery: int, n_relevant: int) -> float:
    survive = _none_in_first(n_gallery, np.array([n_relevant]), n_gallery)[0]
    return float(((survive[:-1] - survive[1:]) / np.arange(1, len(survive))).sum())


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """log of n over k, -inf where k > n or k < 0; by a table of log factorials."""
    table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, max(2, int(np.max(n)) + 2))))])
    inside = (k >= 0) & (k <= n)
    n, k = np.where(inside, n, 0), np.where(inside, k, 0)
    return np.where(inside, table[n] - table[k] - table[n - k], -np.inf)


def _at_most(most: int, above: np.ndarray, n_wrong: np.ndarray, left: np.ndarray) -> np.ndarray:
    """P(at most `most` of the `above` wrong items stay) when `left` of `n_wrong` are drawn: hypergeometric."""
    total = np.zeros(len(above))
    for i in range(most + 1):
        ways = _log_choose(above, np.full_like(above, i)) + _log_choose(n_wrong - above, left - i)
        total += np.exp(ways - _log_choose(n_wrong, left))
    return np.minimum(total, 1.0)


def _drawn_mrr(above: np.ndarray, n_wrong: np.ndarray, left: np.ndarray) -> np.ndarray:
    """E[1 / (1 + how many of `above` stay)]: Vandermonde's identity gives the sum in closed form."""
    rest = np.exp(_log_choose(n_wrong - above, left + 1) - _log_choose(n_wrong, left))
    return np.asarray(((n_wrong + 1) / (left + 1) - rest) / (above + 1))


METRICS: dict[str, Metric] = {
    "hits@1": hits(1),
    "hits@5": hits(5),
    "hits@10": hits(10),
    "mrr": Metric("one over the rank of the first right product", lambda ranked: 1 / ranked.first, _chance_mrr,
                  _drawn_mrr),
    "ndcg@10": ndcg(10),
    "recall@1": recall(1),
    "recall@10": recall(10),
    "precision@1": precision(1),
    "precision@10": precision(10),
}  # fmt: skip


def ranking_scores(
    name: str, ranked: Ranked, *, only: Iterable[str] = METRICS, n_gallery: int = 0, seed: int = 0
) -> list[Score]:
    """Metrics of one task's rankings, with 95 % bootstrap intervals and chance.

    With `n_gallery` the gallery is cut to so many items, every right one among them: the exact mean over all draws,
    for metrics that know theirs.
    """
    chosen = {metric: METRICS[metric] for metric in only if not n_gallery or METRICS[metric].drawn}
    size = n_gallery or ranked.n_gallery
    values = np.stack([_drawn(m, ranked, n_gallery) if n_gallery else m.of(ranked) for m in chosen.values()], axis=1)
    low, high = intervals(values, seed=seed)
    return [
        Score(
            name=f"{name} {metric}",
            value=float(values[:, i].mean()),
            n=len(values),
            low=float(low[i]),
            high=float(high[i]),
            chance=float(chosen[metric].chance(size, np.minimum(ranked.n_relevant, size)).mean()),
            note=f"gallery of {size:,}",
        )
        for i, metric in enumerate(chosen)
    ]


def _drawn(metric: Metric, ranked: Ranked, n_gallery: int) -> np.ndarray:
    assert metric.drawn
    n_wrong = ranked.n_gallery - ranked.n_relevant
    return metric.drawn(ranked.first.astype(np.int64) - 1, n_wrong, np.clip(n_gallery - ranked.n_relevant, 0, n_wrong))
