"""Stability: a typo, another case, a mirrored picture mean the same; the answer should stay."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pluribus import metrics, probes
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.records import Observed

LEAST = 20


def title_change(exam: Exam, change: str) -> Observed:
    """Share of the first ten that is the same when the title is asked in other words."""
    release = exam.release
    exam.enough(np.ones(len(release.fused), bool))
    changed = probes.changed_titles(release.rows, change)
    if len(changed) < LEAST:
        raise Unmeasured(f"{len(changed)} of the sampled titles can be changed so, and {LEAST} are needed")
    before = _first_ten(exam, [release.titles[i] for i, _ in changed])
    after = _first_ten(exam, [text for _, text in changed])
    kept = (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)
    worst = [
        {"product_id": release.ids[changed[n][0]], "asked": changed[n][1], "got": release.ids[after[n, 0]],
         "says": f"{kept[n]:.0%} of the first ten stay"}
        for n in np.argsort(kept, kind="stable")[:5]
    ]  # fmt: skip
    return _mean(exam, kept, tuple(worst))


def picture_change(exam: Exam, change: str) -> Observed:
    """Share of changed pictures that find their own product among the first five pictures."""
    release = exam.release
    exam.enough(release.has_image)
    changed = [one for one in probes.changed_pictures(release.rows) if one.change == change]
    if len(changed) < LEAST:
        raise Unmeasured(f"{len(changed)} pictures, and {LEAST} are needed")
    at = {content: i for i, content in reversed(list(enumerate(release.first_pictures)))}
    place = np.flatnonzero(release.has_image)
    asked = np.array([at[one.content] for one in changed])
    queries = exam.shelf.get([one.key for one in changed])
    ranked = metrics.rank(queries, metrics.Some(release.image, place), release.groups[asked], release.groups[place])
    hit = (ranked.first <= 5).astype(float)
    worst = [
        {"product_id": release.ids[asked[n]], "asked": f"its picture: {change}",
         "got": release.ids[place[ranked.top[n, 0]]], "says": f"found at place {ranked.first[n]:,.0f}"}
        for n in np.argsort(-ranked.first, kind="stable")[:5]
        if not hit[n]
    ]  # fmt: skip
    return _mean(exam, hit, tuple(worst))


STABILITY: dict[str, Callable[[Exam], Observed]] = {
    **{change.replace(" ", "_"): partial(title_change, change=change) for change in probes.TITLE_CHANGES},
    **{change: partial(picture_change, change=change) for change in probes.PICTURE_CHANGES},
}


def _first_ten(exam: Exam, said: list[str]) -> np.ndarray:
    nobody = np.full(len(exam.release.fused), -1)
    return metrics.rank(exam.look_up(said), exam.release.fused, np.zeros(len(said), int), nobody).top


def _mean(exam: Exam, values: np.ndarray, worst: tuple[dict[str, str], ...]) -> Observed:
    low, high = metrics.interval(values, seed=exam.seed)
    return Observed(value=float(values.mean()), n=len(values), low=low, high=high, worst=worst)
