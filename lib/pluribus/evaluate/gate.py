"""The gate: floors, chance, the tests that must pass, and above all the live release, on the same queries.

Both releases answer the same questions about the products that both have, so what differs is the release and not the
draw: the interval is of the paired difference. An unchanged release differs by exactly nothing, whatever the seed.
Two comparisons, since either alone can be fooled:

    yesterday's titles → product    asked of both: catches vectors, indexes and texts that no longer fit
    own title → own picture         each release by its own words: catches wrong captions and broken pixels
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pluribus import metrics, releases, vectors
from pluribus.evaluate import exam as exams
from pluribus.evaluate.exam import Exam
from pluribus.records import Gate, Reason, Score, Verdict
from pluribus.store import Store

PRODUCT_HITS, PICTURE_HITS = "title→product hits@5", "title→picture hits@5"
COMPARED = ("hits@5", "mrr")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of both releases on the same queries; `low` and `high` are of the difference, now − then."""

    name: str
    then: float
    now: float
    low: float
    high: float
    n: int
    n_gallery: int


@dataclass(frozen=True, eq=False)
class Live:
    """The live release as the gate sees it."""

    release: exams.Release
    shelf: vectors.Shelf
    model: str  # its name
    fingerprint: str
    scores: Mapping[str, Score]


def read_live(store: Store, opened: releases.Release) -> Live:
    """Every byte compared with its manifest. A release of an older pluribus may lack facts: those stay blank."""
    facts = opened.manifest.facts
    table = opened.path(vectors.space_file(opened.manifest.files))
    width = int(facts.get("width") or vectors.width_of(table))
    fingerprint = str(facts.get("fingerprint", ""))
    release = exams.read(opened.path("products.parquet"), table, width)
    return Live(release, vectors.Shelf(store, fingerprint, width), str(facts.get("model", "")), fingerprint,
                scores_of(opened))  # fmt: skip


def scores_of(release: releases.Release) -> dict[str, Score]:
    """What was measured of a release when it was built."""
    scores = json.loads(release.path("evaluation.json").read_bytes())["scores"]
    return {name: Score(**score) for name, score in scores.items()}


def compare(exam: Exam, live: Live) -> tuple[list[Comparison], dict[str, str]]:
    """Both releases on the same queries about the products that both have; and what could not be compared, and why."""
    now, then = exam.release, live.release
    mine, theirs = _common(now, then)
    found: list[Comparison] = []
    why: dict[str, str] = {}
    for name, compared in (("yesterday's titles → product", _products), ("own title → own picture", _pictures)):
        ranked = compared(exam, live, mine, theirs)
        if isinstance(ranked, str):
            why[name] = ranked
        else:
            found += [_comparison(f"{name} {metric}", metric, *ranked, exam.seed) for metric in COMPARED]
    return found, why


def _common(now: exams.Release, then: exams.Release) -> tuple[np.ndarray, np.ndarray]:
    """Where the products that both have stand in either, in the order of the first."""
    _, mine, theirs = np.intersect1d(exams.hashed(now.ids), exams.hashed(then.ids), return_indices=True)
    order = np.argsort(mine)
    return mine[order], theirs[order]


def lost_pictures(now: exams.Release, then: exams.Release) -> float:
    """Share of the products that both releases have whose picture is gone."""
    mine, theirs = _common(now, then)
    kept = now.has_image[mine[then.has_image[theirs]]]
    return float(1 - np.mean(kept)) if len(kept) else 0.0


def judge(
    scores: Mapping[str, Score],
    behaviours: list[dict[str, Any]],
    compared: list[Comparison],
    gate: Gate,
    *,
    not_measured: Mapping[str, str] = {},
    live: Live | None = None,
    release: exams.Release | None = None,
    model: tuple[str, str] = ("", ""),
) -> Verdict:
    """All reasons, not the first. `model` is name and fingerprint."""
    reasons = [*_floors(scores, gate), *_fallen(compared, gate), *_broken(behaviours, gate)]
    reasons += _unseen(behaviours, not_measured, gate)
    if live:
        reasons += _lost(scores, live.scores, compared, gate)
        gone = lost_pictures(release, live.release) if release else 0.0
        if gone > gate.drop:
            says = f"{gone:.1%} of the products that had a picture in the live release have none now"
            reasons.append(Reason(code="PICTURES", says=says, of="pictures", value=gone, limit=gate.drop))
    if reasons:
        return Verdict(outcome="fail", reasons=tuple(reasons))
    if live and live.model == model[0] and live.fingerprint and live.fingerprint != model[1]:
        says = (
            f"model {model[0]!r} is another one under the same name: {model[1][:12]} in place of "
            f"{live.fingerprint[:12]}; name it anew, or publish with --force"
        )
        return Verdict(outcome="hold", reasons=(Reason(code="MODEL", says=says, of="model"),))
    return Verdict(outcome="pass")


def _floors(scores: Mapping[str, Score], gate: Gate) -> list[Reason]:
    reasons = []
    product, picture = scores.get(PRODUCT_HITS), scores.get(PICTURE_HITS)
    if product and product.value < gate.product_hits_at_5:
        says = f"{product.name} is {product.value:.3f}, the floor is {gate.product_hits_at_5:.3f}"
        reasons.append(Reason(code="FLOOR", says=says, of=product.name, value=product.value,
                              limit=gate.product_hits_at_5))  # fmt: skip
    if picture and picture.high < gate.picture_lift_at_5 * picture.chance:
        limit = gate.picture_lift_at_5 * picture.chance
        says = f"{picture.name} is {picture.value:.3f}, and {gate.picture_lift_at_5:g}× chance is {limit:.3f}"
        reasons.append(Reason(code="CHANCE", says=says, of=picture.name, value=picture.value, limit=limit))
    return reasons


def _fallen(compared: list[Comparison], gate: Gate) -> list[Reason]:
    """A loss larger than `drop` whose whole interval is a loss."""
    return [
        Reason(
            code="FELL",
            says=f"{one.name} fell from {one.then:.3f} to {one.now:.3f} on the same {one.n:,} queries "
            f"({one.low:+.3f} to {one.high:+.3f})",
            of=one.name,
            value=one.now - one.then,
            limit=-gate.drop,
        )
        for one in compared
        if one.then - one.now > gate.drop and one.high < 0
    ]


def _broken(behaviours: list[dict[str, Any]], gate: Gate) -> list[Reason]:
    return [
        Reason(code="BEHAVIOUR", says=f"{row['name']} is {row['value']:.3f}, the limit is {row['limit']:.3f}",
               of=row["name"], value=row["value"], limit=row["limit"])
        for row in behaviours
        if row["name"] in gate.must and not row["passed"]
    ]  # fmt: skip


def _unseen(behaviours: list[dict[str, Any]], not_measured: Mapping[str, str], gate: Gate) -> list[Reason]:
    """A missing measurement never passes as a good one."""
    seen = {row["name"] for row in behaviours}
    why = {name: not_measured.get(name) or not_measured.get("behaviours", "nobody asked") for name in gate.must}
    return [
        Reason(code="UNMEASURED", says=f"{name} must be met and could not be measured: {why[name]}",
               of=name, value=None, limit=getattr(gate.thresholds, name))
        for name in gate.must
        if name not in seen
    ]  # fmt: skip


def _lost(
    scores: Mapping[str, Score], live: Mapping[str, Score], compared: list[Comparison], gate: Gate
) -> list[Reason]:
    """What was measured of the live release and cannot be now; and, where no products are common, plain losses."""
    reasons = []
    for name in (PRODUCT_HITS, PICTURE_HITS):
        then, now = live.get(name), scores.get(name)
        if then and not now:
            says = f"{name} was measured for the live release and could not be now"
            reasons.append(Reason(code="LOST", says=says, of=name, value=None, limit=then.value))
        elif then and now and not compared and then.value - now.value > gate.drop and now.high < then.low:
            says = f"{name} fell from {then.value:.3f} to {now.value:.3f}, on other products"
            reasons.append(Reason(code="FELL", says=says, of=name, value=now.value - then.value, limit=-gate.drop))
    return reasons


def _products(
    exam: Exam, live: Live, mine: np.ndarray, theirs: np.ndarray
) -> tuple[metrics.Ranked, metrics.Ranked] | str:
    """The live release's titles, asked of both. Relevant sets are the live release's."""
    asked = exam.sample(_askable(live.release, (exam.shelf, live.shelf))[theirs])
    if len(asked) < exam.gate.products_least:
        return f"{len(asked)} titles can be asked of both releases, and {exam.gate.products_least} are needed"
    groups = live.release.groups[theirs]
    wanted = [vectors.text_key(live.release.titles[i]) for i in theirs[asked]]

    def ask(shelf: vectors.Shelf, gallery: metrics.Some) -> metrics.Ranked:
        return metrics.rank(shelf.get(wanted), gallery, groups[asked], groups)

    return ask(live.shelf, metrics.Some(live.release.fused, theirs)), ask(
        exam.shelf, metrics.Some(exam.release.fused, mine)
    )


def _askable(release: exams.Release, shelves: Iterable[vectors.Shelf]) -> np.ndarray:
    """Which products have a title whose vector is on all of these shelves [n]."""
    keys = vectors.mapped_keys(map(vectors.text_key, release.titles))
    found = release.titled.copy()
    for shelf in {shelf.prefix: shelf for shelf in shelves}.values():
        found &= shelf.holds(keys)
    return found


def _pictures(
    exam: Exam, live: Live, mine: np.ndarray, theirs: np.ndarray
) -> tuple[metrics.Ranked, metrics.Ranked] | str:
    """Each product's own title in each release; a right answer is of a set that is one in either release."""
    now, then = exam.release, live.release
    both = now.has_image[mine] & then.has_image[theirs]
    mine, theirs = mine[both], theirs[both]
    asked = exam.sample(now.titled[mine] & then.titled[theirs])
    if len(asked) < exam.gate.products_least:
        return f"{len(asked)} products have title and picture in both, and {exam.gate.products_least} are needed"
    found = []
    for shelf, release, place in ((live.shelf, then, theirs), (exam.shelf, now, mine)):
        queries = shelf.get([vectors.text_key(release.titles[i]) for i in place[asked]])
        groups = release.groups[place]
        found.append(metrics.rank(queries, metrics.Some(release.image, place), groups[asked], groups))
    return found[0], found[1]


def _comparison(name: str, metric: str, then: metrics.Ranked, now: metrics.Ranked, seed: int) -> Comparison:
    before, after = (metrics.METRICS[metric].of(ranked) for ranked in (then, now))
    low, high = metrics.interval(after - before, seed=seed)
    return Comparison(name=name, then=float(before.mean()), now=float(after.mean()), low=low, high=high,
                      n=len(before), n_gallery=now.n_gallery)  # fmt: skip


def rows(compared: list[Comparison]) -> list[dict[str, Any]]:
    """Comparisons as JSON."""
    return [asdict(one) for one in compared]
