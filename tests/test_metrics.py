"""Metrics against their definitions: perfect beats shuffled, chance is what chance gives, ties never flatter."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pluribus import metrics


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_a_perfect_ranking_beats_a_shuffled_one(name: str) -> None:
    metric = metrics.METRICS[name]
    assert metric.of(np.ones(100)).mean() == 1.0 > metric.of(np.random.default_rng(0).integers(1, 100, 100)).mean()


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_chance_is_what_random_order_gives(name: str) -> None:
    metric, rng, n_gallery = metrics.METRICS[name], np.random.default_rng(0), 40
    relevant = np.array([1, 3])
    said = metric.chance(n_gallery, relevant)
    for m, expected in zip(relevant, said, strict=True):
        ranks = 1 + np.array([rng.permutation(n_gallery)[:m].min() for _ in range(20_000)])
        assert metric.of(ranks).mean() == pytest.approx(expected, abs=0.012)


def test_ranks_against_a_plain_sort() -> None:
    rng = np.random.default_rng(0)
    gallery, queries = unit(rng.normal(size=(60, 8))), unit(rng.normal(size=(30, 8)))
    of = rng.integers(0, 20, 60)
    wanted = rng.choice(of, 30)
    ranks = metrics.first_ranks(queries, gallery, wanted, of, block=7)
    for i in range(30):
        order = np.argsort(-(gallery @ queries[i]))
        assert ranks[i] == 1 + next(r for r, j in enumerate(order) if of[j] == wanted[i])


def test_ties_count_against_us() -> None:
    """A model that gives every product the same vector must not look perfect."""
    same = np.repeat(unit(np.ones((1, 4))), 10, axis=0)
    assert list(metrics.first_ranks(same[:1], same, np.array([0]), np.arange(10))) == [10]


def test_weighted_f1_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, said = rng.integers(0, 6, 200), rng.integers(0, 7, 200)
        ours = metrics.weighted_f1(truth, said, 7)
        assert ours == pytest.approx(f1_score(truth, said, average="weighted", zero_division=0), abs=1e-9)


def test_interval_holds_the_mean() -> None:
    values = np.random.default_rng(0).random(500)
    low, high = metrics.interval(values)
    assert low < values.mean() < high
    assert high - low < 0.1
