"""Evaluate: measure a built release before anybody sees it, and say whether it may go live.

Everything asked was encoded in the embed step; nothing here needs the model. Scores carry their n, their gallery, their
interval and what chance would give; what cannot be measured says why, and is never zero.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from pluribus import metrics, releases, tables, texts, vectors
from pluribus.manifests import File
from pluribus.records import Gate, Model, Score, Verdict
from pluribus.store import Store

VERSION = 1  # raise when the same release would now be scored otherwise
PRODUCT_HITS, PICTURE_HITS = "title→product hits@5", "title→picture hits@5"


@dataclass(frozen=True)
class Evaluation:
    """A release's scores, what could not be measured and why, and the verdict of the gate."""

    scores: dict[str, Score]
    not_measured: dict[str, str]
    verdict: Verdict


def evaluate(
    store: Store, *, release: str, model: Model, fingerprint: str, gate: Gate, live: releases.Release | None
) -> tuple[Evaluation, File]:
    """Score the release's files, compare with the live release, add evaluation.json to the release."""
    rows = tables.read(store.local(releases.key(release, "products.parquet")), [*texts.COLUMNS, "pictures"])
    table = tables.read(store.local(releases.key(release, "vectors.parquet")))
    fused = vectors.fp16(table["fused"], model.width)
    image = vectors.fp16(table["image"], model.width)
    has_image = table["image"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    shelf = vectors.Shelf(store, fingerprint, model.width)
    scores: list[Score] = []
    not_measured: dict[str, str] = {}
    for task, gallery, members in (
        ("title→product", fused, np.ones(len(fused), bool)),
        ("title→picture", image, has_image),
    ):
        found, why = title_retrieval(task, shelf, rows, gallery, members, gate)
        scores += found
        not_measured |= {task: why} if why else {}
    found, why = zero_shot(shelf, rows, image, has_image, model)
    scores += found
    not_measured |= {"zero-shot category": why} if why else {}
    by_name = {score.name: score for score in scores}
    evaluation = Evaluation(by_name, not_measured, judge(by_name, scores_of(live) if live else {}, gate))
    content = json.dumps(asdict(evaluation), ensure_ascii=False).encode()
    return evaluation, releases.add(store, release=release, name="evaluation.json", data=content)


def title_retrieval(
    task: str, shelf: vectors.Shelf, rows: pa.Table, gallery: np.ndarray, members: np.ndarray, gate: Gate
) -> tuple[list[Score], str]:
    """FashionCLIP's HITS@k: the title asks, its own product must answer among all `members` [n] of the gallery.

    Products with equal titles, or the same first picture, are one relevant set.
    """
    said = texts.titles(rows)
    place = np.flatnonzero(members)
    if len(place) < gate.products_least:
        return [], f"only {len(place)} products could answer, and {gate.products_least} are needed"
    first_pictures = [contents[0] if contents else "" for contents in rows["pictures"].take(place).to_pylist()]
    group = relevant_sets([said[i] for i in place], first_pictures)
    asked = np.flatnonzero([bool(said[i]) for i in place])
    if not len(asked):
        return [], "no product has a title"
    asked = np.sort(np.random.default_rng(0).permutation(asked)[: gate.queries])
    queries = shelf.get([vectors.text_key(said[i]) for i in place[asked]])
    ranks = metrics.first_ranks(queries, gallery[place], group[asked], group)
    n_relevant = np.bincount(group)[group[asked]]
    return metrics.ranking_scores(task, ranks, len(place), n_relevant), ""


def relevant_sets(*labels: list[str]) -> np.ndarray:
    """Group numbers [n]: items that share any non-blank label, directly or through others, are in one group."""
    parent = list(range(len(labels[0])))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for of in labels:
        first: dict[str, int] = {}
        for i, label in enumerate(of):
            if label:
                parent[root(i)] = root(first.setdefault(label, i))
    return np.unique([root(i) for i in range(len(parent))], return_inverse=True)[1]


def zero_shot(
    shelf: vectors.Shelf, rows: pa.Table, image: np.ndarray, has_image: np.ndarray, model: Model
) -> tuple[list[Score], str]:
    """Weighted F1 of the nearest category label to each picture; label vectors are unit vectors like all others."""
    leaves = texts.classes(rows)
    asked = np.flatnonzero(has_image & np.array([bool(leaf) for leaf in leaves], dtype=bool))
    labels = sorted({leaves[i] for i in asked})
    if len(labels) < 2:
        return [], f"{len(labels)} categories with pictures, and 2 are needed"
    sentences = texts.label_texts(labels, model.label)
    label_vectors = shelf.get([vectors.text_key(sentence) for sentence in sentences]).astype(np.float32)
    said = np.argmax(image[asked].astype(np.float32) @ label_vectors.T, axis=1)
    truth = np.array([labels.index(leaves[i]) for i in asked])
    draws = np.random.default_rng(0).integers(0, len(truth), (200, len(truth)))
    spread = np.sort([metrics.weighted_f1(truth[d], said[d], len(labels)) for d in draws])
    share = np.bincount(truth) / len(truth)
    score = Score(
        name="zero-shot category F1",
        value=metrics.weighted_f1(truth, said, len(labels)),
        n=len(truth),
        low=float(spread[5]),
        high=float(spread[194]),
        chance=float((share * 2 * share / (share + 1 / len(labels)) / len(labels)).sum()),
        note=f"{len(labels)} classes",
    )
    return [score], ""


def judge(scores: Mapping[str, Score], live: Mapping[str, Score], gate: Gate) -> Verdict:
    """The gate: floors, and no real loss against the live release. All reasons, not the first."""
    reasons = []
    product, picture = scores.get(PRODUCT_HITS), scores.get(PICTURE_HITS)
    if product and product.value < gate.product_hits_at_5:
        reasons.append(f"{product.name} is {product.value:.3f}, the floor is {gate.product_hits_at_5:.3f}")
    if picture and picture.high < gate.picture_lift_at_5 * picture.chance:
        reasons.append(
            f"{picture.name} is {picture.value:.3f}, and {gate.picture_lift_at_5:g}× chance is "
            f"{gate.picture_lift_at_5 * picture.chance:.3f}"
        )
    for name in (PRODUCT_HITS, PICTURE_HITS):
        then, now = live.get(name), scores.get(name)
        if then and not now:
            reasons.append(f"{name} was measured for the live release and could not be now")
        elif then and now and then.value - now.value > gate.drop and now.high < then.low:
            reasons.append(f"{name} fell from {then.value:.3f} to {now.value:.3f}")
    return Verdict(passed=not reasons, reasons=tuple(reasons))


def scores_of(release: releases.Release) -> dict[str, Score]:
    """What was measured of a release when it was built."""
    scores = json.loads(release.path("evaluation.json").read_bytes())["scores"]
    return {name: Score(**score) for name, score in scores.items()}
