"""Tails: laws that are known are found again, head shares and divergences are exact, too little is said."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from pluribus import tails


def drawn(alpha: float, rate: float, *, x_min: int = 1, n: int = 50_000, seed: int = 1) -> np.ndarray:
    """Counts of a law that is known, by inverse transform of its exact sums."""
    k = np.arange(x_min, 2_000_000, dtype=float)
    reached = np.cumsum(k**-alpha * np.exp(-rate * k))
    return x_min + np.searchsorted(reached / reached[-1], np.random.default_rng(seed).random(n))


@pytest.mark.parametrize("alpha", [1.8, 2.32, 2.72, 3.2])
def test_a_power_law_is_found_again(alpha: float) -> None:
    found = tails.fit(drawn(alpha, 0))
    assert found.verdict == "power law"
    assert found.alpha == pytest.approx(alpha, abs=0.05)
    assert found.p is not None and found.p >= tails.SURE


@pytest.mark.parametrize(
    ("alpha", "rate"), [(0.8, 0.02), (1.2, 0.01), (1.5, 0.001), (1.5, 0.05), (2.0, 0.01), (2.5, 0.01)]
)
def test_a_truncated_power_law_is_found_again(alpha: float, rate: float) -> None:
    found = tails.fit(drawn(alpha, rate))
    assert found.verdict == "truncated power law"
    assert found.truncated_alpha == pytest.approx(alpha, abs=0.05)
    assert found.rate == pytest.approx(rate, rel=0.35)
    assert found.ratio is not None and found.ratio < 0
    assert found.p is not None and found.p < tails.SURE


def test_a_law_that_begins_later_is_found_where_it_begins() -> None:
    """Below 8 there is no law: as many of each."""
    body = np.random.default_rng(2).integers(1, 8, 30_000)
    found = tails.fit(np.concatenate([body, drawn(2.2, 0, x_min=8)]))
    assert found.x_min is not None and 8 <= found.x_min <= 12
    assert found.alpha == pytest.approx(2.2, abs=0.05)


def test_what_follows_neither_law_is_called_neither() -> None:
    found = tails.fit(np.random.default_rng(3).integers(500, 1_500, 20_000))
    assert found.verdict.startswith("cannot tell because neither law fits")


@pytest.mark.parametrize(
    ("counts", "why"),
    [([], "0 different items"), ([0] * 500, "0 different items"), ([3] * 99, "99 different items"),
     ([1] * 500, "1 different frequencies"), ([1, 2, 3] * 500, "3 different frequencies")],
)  # fmt: skip
def test_too_little_is_said_to_be_too_little(counts: list[int], why: str) -> None:
    found = tails.fit(counts)
    assert why in found.verdict
    assert found.alpha is None and found.x_min is None


def test_the_head_is_exact() -> None:
    counts = [1, 1, 50, 1, 1, 30, 1, 10, 3, 2, 0, 0]  # 10 items that occur, 100 events; zeros are none
    assert tails.head(counts, [0.1, 0.2, 0.25, 0.5, 1.0]) == [
        {"top": 0.1, "items": 1, "events": 0.5},
        {"top": 0.2, "items": 2, "events": 0.8},
        {"top": 0.3, "items": 3, "events": 0.9},
        {"top": 0.5, "items": 5, "events": 0.95},
        {"top": 1.0, "items": 10, "events": 1.0},
    ]
    assert tails.half(counts) == 0.1
    assert tails.half([1] * 10) == 0.5
    assert tails.head([]) == [] and tails.half([]) is None and tails.head_curve([0]) == []


def test_divergence_is_nothing_for_equals_and_one_bit_for_strangers() -> None:
    dresses = {"red dress": 40, "blue dress": 20}
    assert tails.divergence(dresses, {name: 10 * n for name, n in dresses.items()}).bits == pytest.approx(0, abs=1e-12)
    assert tails.divergence(dresses, {"sofa": 7}).bits == pytest.approx(1)
    half = tails.divergence({"a": 1}, {"a": 1, "b": 1}).bits
    assert half == pytest.approx(0.5 * math.log2(1 / 0.75) + 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(2)))


def test_divergence_says_what_chance_would_show() -> None:
    names = np.random.default_rng(4).integers(0, 1_000, (2, 500))
    own, pool = (Counter(map(str, side)) for side in names)
    found = tails.divergence(own, pool)
    assert found.bits is not None and found.chance is not None
    assert found.bits == pytest.approx(found.chance, abs=0.05) and found.bits > 0.3
    assert tails.divergence({}, pool).why_not == "the shop has none"
    assert tails.divergence(own, {"x": 0}).why_not == "the pool has none"


def test_numbers_of_any_size_cost_no_memory_and_no_nan() -> None:
    rng = np.random.default_rng(5)
    heavy = (rng.pareto(0.8, 3_000) * 1e6 + 1).clip(1, 1e12).astype(np.int64)
    found = tails.fit(heavy)
    json.dumps([found.__dict__, tails.head(heavy)], allow_nan=False)
    assert len(found.curve) <= tails.POINTS
