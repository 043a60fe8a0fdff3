"""Evaluate: measure a built release before anybody sees it, and say whether it may go live.

    retrieval · labels       scores, each with its n, gallery, interval and chance
    behaviours               RecList's tests, each with a verdict and its worst cases
    cutoff                   below which evidence a search finds "no good match"
    gate                     the verdict: floors, and the live release on the same queries

Everything asked was encoded in the embed step; nothing here needs the model. What cannot be measured says why, and is
never zero.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pluribus import releases, tables, vectors
from pluribus.evaluate import cutoff
from pluribus.evaluate import gate as judging
from pluribus.evaluate.behaviours import BEHAVIOURS, observe
from pluribus.evaluate.exam import Exam, Unmeasured, read, relevant_sets, shelf, words_of
from pluribus.evaluate.gate import PICTURE_HITS, PRODUCT_HITS, scores_of
from pluribus.evaluate.labels import LABELS
from pluribus.evaluate.retrieval import TASKS
from pluribus.evaluate.slices import table as slices_of
from pluribus.manifests import File
from pluribus.records import Gate, Model, Score, Verdict
from pluribus.store import Store

__all__ = ["BEHAVIOURS", "PICTURE_HITS", "PRODUCT_HITS", "Evaluation", "evaluate", "examine",
           "headline", "measure", "relevant_sets", "scores_of"]  # fmt: skip

HEADLINE = ("→product hits@1", "→product hits@5", "→picture hits@5", "→product mrr", "→picture mrr", "category F1",
            "colour F1")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured of a release, what could not be and why, and the verdict of the gate."""

    scores: dict[str, Score]
    not_measured: dict[str, str]
    behaviours: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    cutoff: dict[str, Any] | None
    comparison: list[dict[str, Any]]
    verdict: Verdict
    concepts: Mapping[str, Any] | None = None  # of the model, not of the shop: `concepts`
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def headline(self) -> dict[str, Score]:
        """The scores that people look at first: no baselines, no other galleries, no second metrics."""
        return headline(self.scores)


def headline(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Those of `scores` that people look at first."""
    return {name: score for name, score in scores.items() if name.endswith(HEADLINE) and "," not in name}


def evaluate(
    store: Store,
    *,
    release: str,
    model: Model,
    fingerprint: str,
    gate: Gate,
    live: releases.Release | None,
    concepts: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> tuple[Evaluation, File]:
    """Score the release's files, compare with the live release, add evaluation.json to the release."""
    of: dict[str, Any] = {"model": model, "fingerprint": fingerprint, "gate": gate, "live": live, "concepts": concepts}
    evaluation = measure(store, release=release, seed=seed, **of)
    content = json.dumps(asdict(evaluation), ensure_ascii=False, allow_nan=False).encode()
    store.delete(releases.key(release, "evaluation.json"))  # of an attempt that was killed; its seconds were others
    return evaluation, releases.add(store, release=release, name="evaluation.json", data=content)


def measure(
    store: Store,
    *,
    release: str,
    model: Model,
    fingerprint: str,
    gate: Gate,
    live: releases.Release | None,
    concepts: Mapping[str, Any] | None = None,
    views: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Evaluation:
    """The same, without writing anything."""
    there = {item.key.rpartition("/")[2] for item in store.items(releases.key(release, ""))}
    names = ("products.parquet", vectors.space_file(there))
    rows, table = (tables.local(store, releases.key(release, name)) for name in names)
    before = judging.read_live(store, live) if live else None
    ids = before.release.ids if before else None
    known = shelf(store, fingerprint, model.width)
    of = read(rows, table, model.width)
    words = words_of(store.local(releases.key(release, "words.npz")), len(of.fused))
    exam = Exam(of, known, model, gate, seed, live_ids=ids, lexicon=words, views=views)
    return examine(exam, fingerprint=fingerprint, before=before, concepts=concepts)


def examine(
    exam: Exam, *, fingerprint: str, before: judging.Live | None = None, concepts: Mapping[str, Any] | None = None
) -> Evaluation:
    """Everything there is to ask of a release, and the verdict."""
    clock = _Clock()
    for family, of in {**TASKS, **LABELS}.items():
        clock.run(family, lambda of=of: {score.name: score for score in of(exam)})
    scores = {name: score for family in (*TASKS, *LABELS) for name, score in (clock.found[family] or {}).items()}
    behaviours, unseen = clock.run("behaviours", lambda: observe(exam))
    compared, why = clock.run("comparison", lambda: judging.compare(exam, before)) if before else ([], {})
    slices = clock.run("slices", lambda: slices_of(exam)) or []
    cut = clock.run("cutoff", lambda: cutoff.calibrate(exam))
    not_measured = clock.not_measured | unseen | why
    named: dict[str, Any] = {"live": before, "release": exam.release, "model": (exam.model.name, fingerprint)}
    named["not_measured"] = not_measured
    return Evaluation(
        scores=scores,
        not_measured=not_measured,
        behaviours=behaviours,
        slices=slices,
        cutoff=cut,
        comparison=judging.rows(compared),
        verdict=judging.judge(scores, behaviours, compared, exam.gate, **named),
        concepts=concepts,
        seconds=clock.seconds,
    )


class _Clock:
    """What each family found, how long it took, and what could not be measured."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.found: dict[str, Any] = {}
        self.not_measured: dict[str, str] = {}

    def run(self, name: str, work: Any) -> Any:
        began = time.perf_counter()
        try:
            self.found[name] = work()
        except Unmeasured as why:
            self.found[name] = None
            self.not_measured[name] = str(why)
        self.seconds[name] = round(time.perf_counter() - began, 3)
        return self.found[name]
