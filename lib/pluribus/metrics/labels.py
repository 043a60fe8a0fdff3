"""Metrics of a classification, over class numbers."""

from dataclasses import dataclass

import numpy as np

from pluribus.metrics.intervals import resampled
from pluribus.records import Score

DRAWS = 200


@dataclass(frozen=True)
class F1:
    """One classification: weighted F1 (FashionCLIP's), the plain mean over classes, and the share that is right."""

    weighted: float
    macro: float
    accuracy: float


def f1(truth: np.ndarray, said: np.ndarray, n_classes: int) -> F1:
    """Σ_c (n_c / N) · F1_c and the mean over classes that occur in either, as scikit-learn counts them."""
    weighted, macro, right = _f1s(np.ones((1, len(truth))), truth, said, n_classes)
    return F1(float(weighted[0]), float(macro[0]), float(right[0]))


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share that is right."""
    return float(np.mean(truth == said))


def f1_scores(name: str, truth: np.ndarray, said: np.ndarray, n_classes: int, seed: int = 0) -> list[Score]:
    """Weighted F1, macro F1 and accuracy with bootstrap intervals.

    Chance guesses every class alike: F1_c = 2 p q / (p + q) with p the share of the class and q = 1 / classes.
    """
    spread = [np.stack(_f1s(w, truth, said, n_classes)) for w in resampled(len(truth), DRAWS, seed)]
    low, high = np.quantile(np.concatenate(spread, axis=1), [0.025, 0.975], axis=1)
    found = f1(truth, said, n_classes)
    share = np.bincount(truth, minlength=n_classes) / len(truth)
    guessed = 2 * share / n_classes / (share + 1 / n_classes)
    chances = {"F1": (share * guessed).sum(), "macro F1": guessed[share > 0].mean(), "accuracy": 1 / n_classes}
    values = (found.weighted, found.macro, found.accuracy)
    return [
        Score(name=f"{name} {metric}", value=value, n=len(truth), low=float(low[i]), high=float(high[i]),
              chance=float(chance), note=f"{n_classes} classes")
        for i, (value, (metric, chance)) in enumerate(zip(values, chances.items(), strict=True))
    ]  # fmt: skip


def _f1s(counts: np.ndarray, truth: np.ndarray, said: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted F1, macro F1 and accuracy of each draw; `counts` [draws, cases] says how often a case is in it."""
    one = np.eye(n)
    of_class, called = counts @ one[truth], counts @ one[said]
    hit = (counts * (truth == said)) @ one[truth]
    scores = 2 * hit / np.maximum(of_class + called, 1e-12)
    total = counts.sum(axis=1)
    there = (of_class + called) > 0
    weighted = (of_class * scores).sum(axis=1) / total
    return weighted, scores.sum(axis=1) / there.sum(axis=1), hit.sum(axis=1) / total
