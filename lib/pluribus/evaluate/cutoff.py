"""The cut-off: below which evidence is the best hit no match, so that a search for what a shop lacks stays empty?

Evidence has two witnesses (`search.searcher.evidence`): the nearest cosine, and the share of the words that one product
says, slips of the pen forgiven. By cosines alone `mini` cannot tell "silk necktie" from "bookcase" in a shop of whose
goods it was taught nothing. The cut-off is as low as empties the promised share of foreign queries, which name things
of whose words the shop has none, and never so high that more than a few of its own titles would be lost: shoppers who
say it in other words ("couch") must not be sent away without need. Half of titles and foreign queries set the cut-off,
the other half says what it is worth; misspelt titles, titles in other words and short queries set nothing.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pluribus import metrics, probes, texts
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.search.searcher import MOST_EVIDENCE, SAID, evidence

LEAST = 20
WORK = 30_000_000  # scores by words at most for each kind of query: at a million products 30 of them
OTHERWISE = {"misspelt titles": "typo", "titles in other words": "synonym"}  # what they are -> a change of probes
_WORD = re.compile(r"[^\W\d_]{3,}")


def calibrate(exam: Exam) -> dict[str, Any]:
    """The cut-off `evidence`, and what it keeps and empties on queries that did not set it. Raises Unmeasured."""
    release = exam.release
    exam.enough(np.ones(len(release.fused), bool))
    labels = texts.label_texts(sorted({*texts.classes(release.rows)} - {""}), "{label}")
    said = list(dict.fromkeys([*(words.query for words in probes.words(release.rows)), *labels]))
    strange = foreign(exam)
    if min(len(exam.asked), len(said), len(strange)) < LEAST:
        raise Unmeasured(
            f"{len(exam.asked)} titles, {len(said)} short queries (colours, categories) and {len(strange)} foreign "
            f"ones, and {LEAST} of each are needed"
        )
    titles = _evidence(exam, [release.titles[i] for i in exam.asked])
    outside = _evidence(exam, strange)
    lowest = float(np.quantile(outside[::2], exam.gate.empty))
    cut = min(lowest, float(np.quantile(titles[::2], 1 - exam.gate.keep)))
    through = {"own titles": titles[1::2] >= cut, "short queries": _evidence(exam, said) >= cut}
    for name, change in OTHERWISE.items():
        if changed := [text for _, text in probes.changed_titles(release.rows, change)]:
            through[name] = _evidence(exam, changed) >= cut
    strangers = outside[1::2] >= cut
    fitting = np.concatenate(list(through.values()))
    passed = int(fitting.sum() + strangers.sum())
    return {
        "evidence": round(cut, 4),
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
        for part in rows[name].chunks:
            for value in part.unique().to_pylist():
                known.update(_WORD.findall((value or "").lower()))
    known |= {word.removesuffix("s") for word in known} | {f"{word}s" for word in known}
    return [query for query in probes.FOREIGN if not known & set(_WORD.findall(query))]


def _evidence(exam: Exam, said: Sequence[str]) -> np.ndarray:
    """Of each query, or of some spread evenly where the shop is very large; MOST_EVIDENCE where words suffice [m]."""
    fused, lexicon = exam.release.fused, exam.lexicon
    most = max(2 * LEAST, WORK // len(fused))
    asked = [said[i] for i in np.unique(np.linspace(0, len(said) - 1, min(len(said), most)).astype(int))]
    nobody = np.full(len(fused), -1)
    best = metrics.rank(exam.look_up(asked), fused, np.zeros(len(asked), int), nobody, depth=1).scores[:, 0]
    if lexicon is None:
        return np.asarray(evidence(best, np.zeros(len(asked))))
    words = np.array([lexicon.scores(lexicon.read(query)).max() for query in asked])
    return np.where(words >= SAID, MOST_EVIDENCE, evidence(best, words))


def _share(held: np.ndarray, seed: int) -> dict[str, float]:
    low, high = metrics.interval(held.astype(float), seed=seed)
    return {"value": float(held.mean()), "low": float(low), "high": float(high), "n": len(held)}
