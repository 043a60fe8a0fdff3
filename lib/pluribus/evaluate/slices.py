"""Slices: is anybody served worse? Means hide it: equal averages can have very different tails (RecList, EvalRS)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pluribus import metrics
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.records import Observed

LEAST = 20  # queries a slice needs
DRAWS = 200
BANDS = ("low", "middle", "high")


def hits(exam: Exam) -> np.ndarray:
    """Whether each title found its product among the first five [m]."""
    return np.asarray(exam.answers.first <= 5)


def slicings(exam: Exam) -> dict[str, np.ndarray]:
    """Ways to divide the asked products: a label each [m], "" where there is none."""
    rows, asked = exam.release.rows, exam.asked.tolist()
    of = {name: [rows[name][i].as_py() or "" for i in asked] for name in ("category", "brand", "locale")}
    prices = np.array([rows["price"][i].as_py() for i in asked], dtype=float)  # None becomes NaN
    lengths = np.array([len(exam.release.titles[i].split()) for i in asked], dtype=float)
    return {
        "category": np.array([path.split(" > ")[0] for path in of["category"]]),
        "brand": np.array(of["brand"]),
        "locale": np.array(of["locale"]),
        "price band": _bands(prices),
        "title length": _bands(lengths),
        "picture": np.where(exam.release.has_image[asked], "with picture", "without picture"),
    }


def table(exam: Exam) -> list[dict[str, Any]]:
    """hits@5 of every slice that is large enough, worst first: slicing, slice, value, low, high, n."""
    hit = hits(exam).astype(float)
    rows: list[dict[str, Any]] = []
    for name, labels in slicings(exam).items():
        for label in _large(labels):
            of = hit[labels == label]
            low, high = metrics.interval(of, DRAWS, exam.seed)
            rows.append({"slicing": name, "slice": str(label), "value": float(of.mean()), "low": low,
                         "high": high, "n": len(of)})  # fmt: skip
    return sorted(rows, key=lambda row: row["high"])


def slice_gap(exam: Exam) -> Observed:
    """How much worse the worst slice is than all."""
    hit = hits(exam)
    found = table(exam)
    if not found:
        raise Unmeasured(f"no slice has {LEAST} queries")
    worst, overall = found[0], float(hit.mean())
    labels = slicings(exam)[worst["slicing"]]
    value, low, high = (overall - worst[name] for name in ("value", "high", "low"))
    note = f"{worst['slicing']} {worst['slice']}: {worst['value']:.3f}, all: {overall:.3f}"
    return Observed(value=value, n=worst["n"], low=low, high=high, note=note,
                    worst=cases(exam, (labels == worst["slice"]) & ~hit))  # fmt: skip


def mred(exam: Exam) -> Observed:
    """EvalRS's evenness over the slicing that is least even."""
    missed = ~hits(exam)
    found = [(name, labels, _large(labels)) for name, labels in slicings(exam).items()]
    found = [entry for entry in found if len(entry[2]) > 1]
    if not found:
        raise Unmeasured(f"no slicing has two slices of {LEAST} queries")
    values = {name: _mred(missed, labels, large, exam.seed) for name, labels, large in found}
    name, (value, low, high) = min(values.items(), key=lambda item: item[1][0])
    return Observed(value=value, n=len(missed), low=low, high=high, note=f"over {name}", worst=cases(exam, missed))


def cold_start(exam: Exam) -> Observed:
    """How much worse products are found that the live release does not have."""
    if exam.live_ids is None:
        raise Unmeasured("nothing is live to tell old products from new ones")
    _ = exam.answers  # first of all, whether anything was asked
    ids = [exam.release.ids[i] for i in exam.asked]
    known = set(ids).intersection(exam.live_ids)
    new = np.array([product_id not in known for product_id in ids], dtype=bool)
    return gap(exam, new, "new products among the titles asked")


def tail_gap(exam: Exam) -> Observed:
    """How much worse the rarely seen half of all views' tail is found."""
    if not exam.views:
        raise Unmeasured("there is no log of what shoppers look at")
    _ = exam.answers  # first of all, whether anything was asked
    seen = np.array([exam.views.get(exam.release.ids[i], 0) for i in exam.asked])
    return gap(exam, seen <= np.quantile(seen, 0.5), "products of the tail among the titles asked")


def gap(exam: Exam, member: np.ndarray, what: str) -> Observed:
    """hits@5 of the others less that of the members."""
    hit = hits(exam)
    n = int(member.sum())
    if min(n, len(member) - n) < LEAST:
        raise Unmeasured(f"{n} {what}, {len(member) - n} others, and {LEAST} of each are needed")
    draws = np.concatenate(list(metrics.resampled(len(hit), DRAWS, exam.seed)))
    spread = draws @ (hit & ~member) / (draws @ ~member) - draws @ (hit & member) / (draws @ member)
    low, high = map(float, np.quantile(spread, [0.025, 0.975]))
    value = float(hit[~member].mean() - hit[member].mean())
    return Observed(value=value, n=n, low=low, high=high, worst=cases(exam, member & ~hit))


def cases(exam: Exam, chosen: np.ndarray, says: Mapping[int, str] = {}, most: int = 5) -> tuple[dict[str, str], ...]:
    """The first few chosen queries: what was asked, and what came first in place of the product."""
    release = exam.release
    found = []
    for i in np.flatnonzero(chosen)[:most]:
        at, got = int(exam.asked[i]), int(exam.answers.top[i, 0])
        says_ = says.get(int(i), f"found at place {exam.answers.first[i]:,.0f}")
        found.append({"product_id": release.ids[at], "asked": release.titles[at], "got": release.ids[got],
                      "says": says_})  # fmt: skip
    return tuple(found)


SLICES: dict[str, Callable[[Exam], Observed]] = {
    "slice_gap": slice_gap,
    "mred": mred,
    "tail_gap": tail_gap,
    "cold_start": cold_start,
}


def _large(labels: np.ndarray) -> list[str]:
    names, counts = np.unique(labels, return_counts=True)
    return [str(name) for name, n in zip(names, counts, strict=True) if name and n >= LEAST]


def _mred(missed: np.ndarray, labels: np.ndarray, large: list[str], seed: int) -> tuple[float, float, float]:
    """MRED over the large slices, with its interval."""
    inside = np.isin(labels, large)
    member = labels[inside, None] == np.array(large)[None, :]
    value = metrics.mred(missed[inside], labels[inside])
    draws = np.concatenate(list(metrics.resampled(int(inside.sum()), DRAWS, seed)))
    of = draws @ (member * missed[inside, None]) / np.maximum(draws @ member, 1)
    overall = draws @ missed[inside] / len(member)
    low, high = np.quantile(-np.abs(of - overall[:, None]).mean(axis=1), [0.025, 0.975])
    return value, float(low), float(high)


def _bands(values: np.ndarray) -> np.ndarray:
    """Thirds of the values there are."""
    there = np.isfinite(values)
    if not there.any():
        return np.full(len(values), "")
    edges = np.quantile(values[there], [1 / 3, 2 / 3])
    band = np.array(BANDS)[np.searchsorted(edges, np.nan_to_num(values), side="left")]
    return np.where(there, band, "")
