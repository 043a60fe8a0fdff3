"""The cut-off: below which cosine is the best hit no match, so that a search for what a shop lacks stays empty?

It is as low as empties the promised share of foreign queries, which name things of whose words the shop has none, and
never so high that more than a few of the shop's own titles would be lost. Low, because a shopper who says it in other
words than the shop ("couch") must not be sent away; whoever says the shop's words is kept by search whatever the
cosine. Half of the queries set the cut-off, the other half says what it is worth.
"""

import re
from typing import Any

import numpy as np

from pluribus import metrics, probes, texts
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.search.searcher import SAID

LEAST = 20
_WORD = re.compile(r"[^\W\d_]{3,}")


def calibrate(exam: Exam) -> dict[str, Any]:
    """The cut-off `cosine`, and what it keeps and empties on queries that did not set it. Raises Unmeasured."""
    fused = exam.release.fused
    exam.enough(np.ones(len(fused), bool))
    labels = texts.label_texts(sorted({*texts.classes(exam.release.rows)} - {""}), "{label}")
    said = list(dict.fromkeys([*(words.query for words in probes.words(exam.release.rows)), *labels]))
    strange = foreign(exam)
    if min(len(exam.asked), len(said), len(strange)) < LEAST:
        raise Unmeasured(
            f"{len(exam.asked)} titles, {len(said)} short queries (colours, categories) and {len(strange)} foreign "
            f"ones, and {LEAST} of each are needed"
        )
    titles, short = _best(exam.queries, fused), _best(exam.look_up(said), fused)
    outside = _best(exam.look_up(strange), fused)
    spoken = _spoken(exam, said)
    lowest = float(np.quantile(outside[::2], exam.gate.empty))
    cosine = min(lowest, float(np.quantile(titles[::2], 1 - exam.gate.keep)))
    through = {
        "own titles, by vector alone": titles[1::2] >= cosine,
        "short queries": (short[1::2] >= cosine) | spoken[1::2],
    }
    strangers = outside[1::2] >= cosine
    fitting = np.concatenate(list(through.values()))
    passed = int(fitting.sum() + strangers.sum())
    return {
        "cosine": round(cosine, 4),
        "kept": {name: _share(held, exam.seed) for name, held in through.items()},
        "foreign empty": _share(~strangers, exam.seed),
        "precision": float(fitting.sum() / passed) if passed else None,
        "recall": float(fitting.mean()),
        "foreign": [strange[i] for i in np.argsort(-outside, kind="stable")[:5]],  # the ones most like a match
    }


def foreign(exam: Exam) -> list[str]:
    """The queries of which no word stands in any title or category of the shop."""
    rows = exam.release.rows
    known = set()
    for name in ("title", "category"):
        for value in rows[name].unique().to_pylist():
            known.update(_WORD.findall((value or "").lower()))
    known |= {word.removesuffix("s") for word in known} | {f"{word}s" for word in known}
    return [query for query in probes.FOREIGN if not known & set(_WORD.findall(query))]


def _best(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """The cosine of each query's first hit [m]."""
    nobody = np.full(len(gallery), -1)
    return metrics.rank(queries, gallery, np.zeros(len(queries), int), nobody, depth=1).scores[:, 0]


def _spoken(exam: Exam, said: list[str]) -> np.ndarray:
    """Which queries some product says half the words of: search keeps those, however far the vectors [m]."""
    if exam.lexicon is None:
        return np.zeros(len(said), bool)
    return np.array([exam.lexicon.scores(query).max() >= SAID for query in said], dtype=bool)


def _share(held: np.ndarray, seed: int) -> dict[str, float]:
    low, high = metrics.interval(held.astype(float), seed=seed)
    return {"value": float(held.mean()), "low": float(low), "high": float(high), "n": len(held)}
