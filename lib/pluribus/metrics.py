"""Metrics of rankings and labels, in numpy. A metric of a ranking is one entry in METRICS.

A ranking is judged by the 1-based rank of its first relevant item. Relevance is a set: products with the same caption,
or the same picture, are equally right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pluribus.records import Score


@dataclass(frozen=True)
class Metric:
    """`of(ranks)` scores each query [n] -> [n]; `chance(n_gallery, n_relevant)` is its mean under random order."""

    means: str
    of: Callable[[np.ndarray], np.ndarray]
    chance: Callable[[int, np.ndarray], np.ndarray]


def hits(k: int) -> Metric:
    """Share of queries with a relevant item among the first k."""
    return Metric(
        f"a right product is among the first {k}",
        lambda ranks: (ranks <= k).astype(float),
        lambda n_gallery, n_relevant: 1 - _none_in_first(n_gallery, n_relevant, k)[:, -1],
    )


def _none_in_first(n_gallery: int, n_relevant: np.ndarray, depth: int) -> np.ndarray:
    """P(no relevant item in the first r) for r = 0..depth, [n, depth + 1], drawing without replacement."""
    left = n_gallery - np.arange(min(depth, n_gallery))
    miss = np.clip(1 - n_relevant[:, None] / left[None, :], 0, 1)
    return np.concatenate([np.ones((len(n_relevant), 1)), np.cumprod(miss, axis=1)], axis=1)


def _chance_mrr(n_gallery: int, n_relevant: np.ndarray) -> np.ndarray:
    kinds, which = np.unique(n_relevant, return_inverse=True)
    survive = _none_in_first(n_gallery, kinds, n_gallery)
    return np.asarray(((survive[:, :-1] - survive[:, 1:]) / np.arange(1, survive.shape[1])).sum(axis=1)[which])


METRICS: dict[str, Metric] = {
    "hits@1": hits(1),
    "hits@5": hits(5),
    "hits@10": hits(10),
    "mrr": Metric("one over the rank of the first right product", lambda ranks: 1 / ranks, _chance_mrr),
}


def first_ranks(
    queries: np.ndarray, gallery: np.ndarray, wanted: np.ndarray, of: np.ndarray, block: int = 256
) -> np.ndarray:
    """Rank of the best relevant item for each query, [m], 1-based.

    `queries` [m, width], `gallery` [n, width] unit vectors; item j is relevant to query i when `of[j] == wanted[i]`
    (group numbers). Ties count against us: an equal score of a wrong item ranks before the right one.
    """
    ranks = np.empty(len(queries))
    for start in range(0, len(queries), block):
        scores = queries[start : start + block].astype(np.float32) @ gallery.astype(np.float32).T
        relevant = of[None, :] == wanted[start : start + block, None]
        best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
        ranks[start : start + block] = 1 + ((scores >= best) & ~relevant).sum(axis=1)
    return ranks


def ranking_scores(name: str, ranks: np.ndarray, n_gallery: int, n_relevant: np.ndarray) -> list[Score]:
    """Every metric of METRICS over one task's ranks, with 95 % bootstrap intervals and chance."""
    scores = []
    for metric_name, metric in METRICS.items():
        values = metric.of(ranks)
        low, high = interval(values)
        scores.append(
            Score(
                name=f"{name} {metric_name}",
                value=float(values.mean()),
                n=len(values),
                low=low,
                high=high,
                chance=float(metric.chance(n_gallery, n_relevant).mean()),
                note=f"gallery of {n_gallery:,}",
            )
        )
    return scores


def interval(values: np.ndarray, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean."""
    rng = np.random.default_rng(seed)
    means = np.sort([values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)])
    return float(means[int(0.025 * draws)]), float(means[int(0.975 * draws)])


def weighted_f1(truth: np.ndarray, said: np.ndarray, n_classes: int) -> float:
    """Σ_c (n_c / N) · F1_c over class numbers [n]; the F1 the FashionCLIP paper reports."""
    total = 0.0
    for c in range(n_classes):
        right = int(((truth == c) & (said == c)).sum())
        of_class, called = int((truth == c).sum()), int((said == c).sum())
        total += of_class / len(truth) * (2 * right / (of_class + called) if of_class + called else 0.0)
    return total
