"""The chapter of a verdict: from which an engineer knows whether to trust a release, and why."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pluribus import evaluate as judged
from pluribus import findings, plots, releases, tables
from pluribus.cards import glimpses, layout
from pluribus.cards.chapters import live, trouble
from pluribus.cards.thumbnails import thumbnails
from pluribus.jobs import Job
from pluribus.records import Score
from pluribus.store import Store

CASES = 12  # worst cases in a table
DETAILS = ("Slices served worst", "No good match", "Retrieval", "Labels", "Concepts")  # tables after the worst cases


def evaluate(store: Store, job: Job) -> list[Any]:
    """Whether to trust the release and why: the verdict, every table of `findings`, and the worst cases in pictures."""
    key = releases.key(job.release, "evaluation.json") if job.release else ""
    if not any(item.key == key for item in store.items(key)):
        return [trouble(store, job)]
    told = json.loads(store.get(key))
    scores = {name: Score(**score) for name, score in told["scores"].items()}
    now = releases.current(store, shop=job.shop)
    if now is None or now.release == job.release:  # a resumed run may find its own release live
        before = {}
    else:
        before = judged.scores_of(releases.open_release(store, shop=job.shop))
    headline = judged.headline(scores)
    found = findings.tables(told)
    reasons = "\n".join(row["because"] for row in found["Verdict"])
    said = {"pass": "", "fail": "refused because", "hold": "held because"}[told["verdict"]["outcome"]]
    return [
        layout.boxes(_verdict(told, scores)),
        layout.facts({said: reasons, "release": job.release} | live(store, job)),
        layout.table(found.get("Against the live release", [])),
        layout.table(plots.score_rows(headline, before)),
        layout.chart(plots.scores(headline, before)) if headline else None,
        layout.prose("Lines are 95 % bootstrap intervals; chance is a random order of the gallery."),
        *(layout.table(found[title]) for title in ("Behaviour", "Not measured") if title in found),
        _cases(store, job, findings.cases(told, CASES)),
        *(layout.table(rows) for title, rows in found.items() if title in DETAILS),
        layout.commands({f"pluribus evaluate {job.shop}": "all of this in a terminal; --json for machines"}),
    ]


def _verdict(told: Mapping[str, Any], scores: Mapping[str, Score]) -> dict[str, tuple[str, str]]:
    """The verdict and what it rests on, at a glance."""
    looks = {"pass": ("passed", "success"), "fail": ("failed", "danger"), "hold": ("held", "warning")}
    boxes = {"verdict": looks[told["verdict"]["outcome"]]}
    for name in (judged.PRODUCT_HITS, judged.PICTURE_HITS):
        score = scores.get(name)
        boxes[name] = (f"{score.value:.3f}" if score else "not measured", "default")
        if score and score.chance > 0:
            boxes[name] = (f"{score.value:.3f}, {score.value / score.chance:,.1f} × chance", "default")
    behaviours = told["behaviours"]
    passed = sum(row["passed"] for row in behaviours)
    if behaviours:
        look = "success" if passed == len(behaviours) else "warning"
        boxes["behaviour"] = (f"{passed} of {len(behaviours)} tests passed", look)
    return boxes


def _cases(store: Store, job: Job, cases: Sequence[Mapping[str, str]]) -> Any:
    """The worst cases: the product meant and what came first in its place, with their pictures."""
    ids = sorted({one[name] for one in cases for name in ("product_id", "got")})
    pictures = glimpses.first_pictures(tables.local(store, releases.key(job.release, "products.parquet")), ids)
    seen = thumbnails(store, [picture for picture in pictures.values() if picture], packs=2)

    def shown(product_id: str) -> Any:
        return layout.thumbnail(seen.get(pictures.get(product_id) or ""))

    return layout.table(
        [
            {"worst cases of": one["behaviour"], "meant": shown(one["product_id"]), "product": one["product_id"],
             "asked": one["asked"], "first": shown(one["got"]), "found": one["got"], "says": one["says"]}
            for one in cases
        ]
    )  # fmt: skip
