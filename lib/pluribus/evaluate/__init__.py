"""Evaluate: measure a built release before anybody sees it, and say whether it may go live.

    retrieval · labels       scores, each with its n, gallery, interval and chance
    behaviours               RecList's tests, each with a verdict and its worst cases
    cutoff                   below which cosine a search finds "no good match"
    gate                     the verdict: floors, and the live release on the same queries

Everything asked was encoded in the embed step; nothing here needs the model. What cannot be measured says why, and is
never zero.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pluribus import releases
from pluribus.evaluate import cutoff
from pluribus.evaluate import gate as judging
from pluribus.evaluate.behaviours import BEHAVIOURS, observe
from pluribus.evaluate.exam import Exam, Unmeasured, read, relevant_sets, shelf
from pluribus.evaluate.gate import PICTURE_HITS, PRODUCT_HITS, scores_of
from pluribus.evaluate.labels import LABELS
from pluribus.evaluate.retrieval import TASKS
from pluribus.evaluate.slices import table as slices_of
from pluribus.manifests import File
from pluribus.records import Gate, Model, Score, Verdict
from pluribus.store import Store

__all__ = ["BEHAVIOURS", "PICTURE_HITS", "PRODUCT_HITS", "VERSION", "Evaluation", "evaluate", "measure",
           "relevant_sets", "scores_of"]  # fmt: skip

VERSION = 2  # raise when the same release would now be scored otherwise


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
    rows, table = (store.local(releases.key(release, name)) for name in ("products.parquet", "vectors.parquet"))
    before = judging.read_live(store, live) if live else None
    ids = frozenset(before.release.ids) if before else None
    known = shelf(store, fingerprint, model.width)
    exam = Exam(read(rows, table, model.width), known, model, gate, seed, live_ids=ids, views=views)
    clock = _Clock()
    not_measured: dict[str, str] = {}
    scores: dict[str, Score] = {}
    for task, of in {**TASKS, **LABELS}.items():
        found = clock.run(task, lambda of=of: of(exam), not_measured) or []
        scores |= {score.name: score for score in found}
    behaviours, unseen = clock.timed("behaviours", lambda: observe(exam))
    not_measured |= unseen
    slices = clock.run("slices", lambda: slices_of(exam), not_measured) or []
    cut = clock.run("cutoff", lambda: cutoff.calibrate(exam), not_measured)
    compared: list[judging.Comparison] = []
    if before:
        compared, why = clock.timed("comparison", lambda: judging.compare(exam, before))
        not_measured |= why
    return Evaluation(
        scores=scores,
        not_measured=not_measured,
        behaviours=behaviours,
        slices=slices,
        cutoff=cut,
        comparison=judging.rows(compared),
        verdict=judging.judge(scores, behaviours, compared, gate, live=before, release=exam.release,
                              model=(model.name, fingerprint)),
        concepts=concepts,
        seconds=clock.seconds,
    )  # fmt: skip


class _Clock:
    """How long each family took, and what could not be measured."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Any) -> Any:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[name] = round(time.perf_counter() - began, 3)

    def run(self, name: str, work: Any, not_measured: dict[str, str]) -> Any:
        try:
            return self.timed(name, work)
        except Unmeasured as why:
            not_measured[name] = str(why)
            return None
