"""Mistakes: a boot for a shoe is less wrong than a lamp for a shoe, and a shopper forgives it more readily."""

from collections.abc import Callable

import numpy as np

from pluribus import metrics
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.evaluate.slices import cases
from pluribus.records import Observed

LEAST = 20
NEAREST = 5
PAIRS = 2_000  # random pairs, to know what chance gives


def wrong_category(exam: Exam) -> Observed:
    """Steps through the category tree from the product meant to the one put first, over those of a random pair."""
    meant, got = _mistakes(exam)
    paths = exam.release.categories
    known = np.array([bool(paths[a]) and bool(paths[b]) for a, b in zip(exam.asked[meant], got, strict=True)])
    if known.sum() < LEAST:
        raise Unmeasured(f"{int(known.sum())} mistakes with a category, and {LEAST} are needed")
    meant, got = meant[known], got[known]
    steps = np.array([distance(paths[a], paths[b]) for a, b in zip(exam.asked[meant], got, strict=True)])
    with_path = np.flatnonzero([bool(path) for path in paths])
    left, right = with_path[_pairs(len(with_path), exam.seed)]
    by_chance = float(np.mean([distance(paths[a], paths[b]) for a, b in zip(left, right, strict=True)]))
    if not by_chance:
        raise Unmeasured("all products are of one category")
    return _observed(exam, meant, steps, steps / by_chance, "steps in the category tree, as a share of the longest way")


def wrong_vector(exam: Exam) -> Observed:
    """EvalRS's "being less wrong": cosine of the product meant and the one put first, above that of a random pair."""
    meant, got = _mistakes(exam)
    fused = exam.release.fused
    mine, theirs = fused[exam.asked[meant]].astype(np.float32), fused[got].astype(np.float32)
    left, right = _pairs(len(fused), exam.seed)
    everybody = np.ones(len(left), bool)
    by_chance = metrics.less_wrong(fused[left], fused[right], everybody)
    near = np.einsum("mw,mw->m", mine, theirs)
    return _observed(exam, meant, -near, near - by_chance, f"a random pair has cosine {by_chance:.3f}")


def price_spread(exam: Exam) -> Observed:
    """|log10 of price over the asked product's price| among the first five, over that of a random pair."""
    of = (price for part in exam.release.rows["price"].chunks for price in part.to_pylist())
    prices = np.fromiter((p if p and p > 0 else np.nan for p in of), float, exam.release.rows.num_rows)
    top = exam.answers.top[:, : NEAREST + 1]
    logs = np.log10(prices)
    spread = np.where(top == exam.asked[:, None], np.nan, np.abs(logs[top] - logs[exam.asked][:, None]))
    known = np.flatnonzero(np.isfinite(spread).any(axis=1))
    if len(known) < LEAST:
        raise Unmeasured(f"{len(known)} products with a price were asked, and {LEAST} are needed")
    priced = np.flatnonzero(np.isfinite(logs))
    left, right = priced[_pairs(len(priced), exam.seed)]
    by_chance = float(np.abs(logs[left] - logs[right]).mean())
    if by_chance < 0.01:
        raise Unmeasured("all prices are nearly the same")
    apart = np.nanmean(spread[known], axis=1)
    return _observed(exam, known, apart, apart / by_chance, f"a random pair is {10**by_chance:.1f} times apart")


MISTAKES: dict[str, Callable[[Exam], Observed]] = {
    "wrong_category": wrong_category,
    "wrong_vector": wrong_vector,
    "price_spread": price_spread,
}


def distance(one: str, other: str) -> float:
    """The way from one category up to the common one and down to the other, as a share of the longest way."""
    a, b = one.split(" > "), other.split(" > ")
    same = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        same += 1
    return (len(a) + len(b) - 2 * same) / (len(a) + len(b))


def _mistakes(exam: Exam) -> tuple[np.ndarray, np.ndarray]:
    """Queries whose first answer is wrong, and the product that came first."""
    missed = np.flatnonzero(~exam.answers.right[:, 0])
    if len(missed) < LEAST:
        raise Unmeasured(f"{len(missed)} of {len(exam.asked)} titles were answered wrongly, and {LEAST} are needed")
    return missed, exam.answers.top[missed, 0]


def _pairs(n: int, seed: int) -> np.ndarray:
    """Positions [2, PAIRS] of random pairs of different items."""
    rng = np.random.default_rng([seed, n])
    left = rng.integers(0, n, PAIRS)
    return np.stack([left, (left + rng.integers(1, max(2, n), PAIRS)) % n])


def _observed(exam: Exam, of: np.ndarray, badness: np.ndarray, values: np.ndarray, note: str) -> Observed:
    low, high = metrics.interval(values, seed=exam.seed)
    worst = [int(i) for i in np.argsort(-badness, kind="stable")[:5]]
    shown = [cases(exam, np.arange(len(exam.asked)) == of[i])[0] for i in worst]
    return Observed(value=float(values.mean()), n=len(values), low=low, high=high, note=note,
                    worst=tuple(shown))  # fmt: skip
