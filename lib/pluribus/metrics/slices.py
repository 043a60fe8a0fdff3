"""Metrics of who is served worse, and of how wrong a mistake is (EvalRS 2022)."""

import numpy as np


def mred(missed: np.ndarray, slices: np.ndarray) -> float:
    """−mean over slices of |miss rate of the slice − miss rate of all|: 0 is even, lower is worse."""
    rates = [float(np.mean(missed[slices == one])) for one in np.unique(slices)]
    return -float(np.mean([abs(rate - float(np.mean(missed))) for rate in rates]))


def less_wrong(gold: np.ndarray, predicted: np.ndarray, missed: np.ndarray) -> float:
    """Mean cosine of the right item and the one put first, over misses; unit vectors [m, width]."""
    pairs = np.einsum("mw,mw->m", gold[missed].astype(np.float32), predicted[missed].astype(np.float32))
    return float(pairs.mean())
