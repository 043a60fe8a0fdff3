"""The cut-off: below which cosine is the best hit no match, so that a search for what a shop lacks stays empty?

Fitting queries are the shop's own titles and short ones ("dark red vases", "vases"): without those the cut-off would
suit nobody who types less than a title. Foreign ones name things of whose words the shop has none. Half of each sets
the cut-off: the highest that keeps the promised share of both fitting kinds. The other half says what it is worth.
"""

import re
from typing import Any

import numpy as np

from pluribus import metrics, probes, texts
from pluribus.evaluate.exam import Exam, Unmeasured

LEAST = 20
_WORD = re.compile(r"[^\W\d_]{3,}")


def calibrate(exam: Exam) -> dict[str, Any]:
    """The cut-off `cosine`, and what it keeps and empties on queries that did not set it. Raises Unmeasured."""
    fused = exam.release.fused
    exam.enough(np.ones(len(fused), bool))
    labels = sorted({label.lower() for label in texts.classes(exam.release.rows) if label})
    said = list(dict.fromkeys([*(words.query for words in probes.words(exam.release.rows)), *labels]))
    strange = foreign(exam)
    if min(len(exam.asked), len(said), len(strange)) < LEAST:
        raise Unmeasured(
            f"{len(exam.asked)} titles, {len(said)} short queries (colours, categories) and {len(strange)} foreign "
            f"ones, and {LEAST} of each are needed"
        )
    fitting = {"own titles": exam.queries, "short queries": exam.look_up(said)}
    best = {name: _best(queries, fused) for name, queries in fitting.items()}
    outside = _best(exam.look_up(strange), fused)
    cosine = min(float(np.quantile(scores[::2], 1 - exam.gate.keep)) for scores in best.values())
    kept = {name: _share(scores[1::2] >= cosine, exam.seed) for name, scores in best.items()}
    empty = _share(outside[1::2] < cosine, exam.seed)
    let_through = np.concatenate([np.concatenate([s[1::2] for s in best.values()]), outside[1::2]]) >= cosine
    n_fitting = sum(len(scores[1::2]) for scores in best.values())
    passed = int(let_through.sum())
    return {
        "cosine": round(cosine, 4),
        "kept": kept,
        "foreign empty": empty,
        "precision": float(let_through[:n_fitting].sum() / passed) if passed else None,
        "recall": float(let_through[:n_fitting].mean()),
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


def _share(held: np.ndarray, seed: int) -> dict[str, float]:
    low, high = metrics.interval(held.astype(float), seed=seed)
    return {"value": float(held.mean()), "low": float(low), "high": float(high), "n": len(held)}
