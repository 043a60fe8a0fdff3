"""Bootstrap intervals: how much a mean would move had other queries been asked."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

DRAWS = 1_000
BLOCK = 4_000_000  # counts in memory at once


def interval(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of values [n]."""
    low, high = intervals(values[:, None], draws, seed)
    return float(low[0]), float(high[0])


def intervals(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same of every column of values [n, j], all with the same draws: low and high, [j] each."""
    means = np.concatenate([counts @ values for counts in resampled(len(values), draws, seed)]) / len(values)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def resampled(n: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each of n cases is in each draw, [some draws, n], block after block."""
    if draws * n <= BLOCK:
        yield _counts(n, draws, seed)
        return
    step = max(1, BLOCK // n)
    for block in range(0, draws, step):
        yield _draw(n, min(step, draws - block), [seed, block])


@lru_cache(maxsize=8)
def _counts(n: int, draws: int, seed: int) -> np.ndarray:
    """All metrics of a task ask for the same draws."""
    return _draw(n, draws, seed)


def _draw(n: int, draws: int, seed: int | list[int]) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float32)
