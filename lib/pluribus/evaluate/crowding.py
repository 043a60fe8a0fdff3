"""Crowding: do many products get seen, or do a few stand in every answer, or one product several times?"""

from collections.abc import Callable

import numpy as np

from pluribus import metrics
from pluribus.evaluate.exam import Exam
from pluribus.records import Observed

DRAWS = 200
FEW = 10  # products that may be hubs


def coverage(exam: Exam) -> Observed:
    """Distinct products among the first ten of all titles, over what evenly spread answers would show."""
    top, n = exam.answers.top, exam.answers.n_gallery
    even = n * (1 - (1 - 1 / n) ** top.size)
    value = len(np.unique(top)) / even
    rng = np.random.default_rng(exam.seed)
    # Resampling queries only loses products: the interval is of halves, against what is even for a half.
    half = len(top) // 2 or 1
    even_half = n * (1 - (1 - 1 / n) ** (half * top.shape[1]))
    spread = [len(np.unique(top[rng.permutation(len(top))[:half]])) / even_half for _ in range(20)]
    low, high = min(value, *spread), max(value, *spread)
    return Observed(value=value, n=len(top), low=low, high=high, note=f"{len(np.unique(top)):,} of {n:,} products seen")


def hubs(exam: Exam) -> Observed:
    """Share of answers in which the ten most frequent products stand without being meant, above an even share."""
    top = np.where(exam.answers.right, -1, exam.answers.top)
    n = exam.answers.n_gallery
    counts = np.bincount(top[top >= 0], minlength=n)
    most = np.argsort(-counts, kind="stable")[:FEW]
    even = top.shape[1] / n
    share = np.isin(top, most).sum(axis=1) / len(most) - even
    low, high = metrics.interval(share, DRAWS, exam.seed)
    release = exam.release
    worst = [
        {"product_id": release.ids[i], "asked": "", "got": release.ids[i],
         "says": f"in {counts[i]:,} of {len(top):,} answers without being meant"}
        for i in most[:5]
    ]  # fmt: skip
    return Observed(value=float(share.mean()), n=len(top), low=low, high=high, worst=tuple(worst),
                    note=f"an even share is {even:.3f}")  # fmt: skip


def duplicates(exam: Exam) -> Observed:
    """Share of the first ten that has the title or the first picture of one above it."""
    groups = exam.release.groups[exam.answers.top]
    repeated = (np.tril(groups[:, :, None] == groups[:, None, :], -1)).any(axis=2).mean(axis=1)
    low, high = metrics.interval(repeated, DRAWS, exam.seed)
    release = exam.release
    worst = [
        {"product_id": release.ids[exam.asked[i]], "asked": release.titles[exam.asked[i]],
         "got": release.ids[exam.answers.top[i, 0]], "says": f"{repeated[i]:.0%} of the first ten are repeated"}
        for i in np.argsort(-repeated, kind="stable")[:5]
        if repeated[i]
    ]  # fmt: skip
    return Observed(value=float(repeated.mean()), n=len(repeated), low=low, high=high,
                    worst=tuple(worst))  # fmt: skip


CROWDING: dict[str, Callable[[Exam], Observed]] = {"coverage": coverage, "hubs": hubs, "duplicates": duplicates}
