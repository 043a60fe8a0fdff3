"""Bootstrap intervals: how much a mean would move had other queries been asked."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

DRAWS = 1_000
BLOCK = 4_000_000  # counts in memory at once


def interval(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of the mean of values [n] or of every column of [n, j]: low, high."""
    columns = values[:, None] if values.ndim == 1 else values
    means = np.concatenate([counts @ columns for counts in resampled(len(columns), draws, seed)]) / len(columns)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return (low[0], high[0]) if values.ndim == 1 else (low, high)


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
