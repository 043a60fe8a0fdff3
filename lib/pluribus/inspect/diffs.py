"""What one release changed against another: products, neighbours, scores, quarantine."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pluribus import indexes, releases, tables, vectors
from pluribus.errors import Missing
from pluribus.inspect.names import resolve
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store

NEAREST = 10
SEEDS = 500  # products whose neighbours are compared: a share of 0.1 is then known to 0.03
COMPARED = [name for name in SNAPSHOT.names if name not in ("row", "product_id", "deleted", "picture_faults", "extra")]

CHANGES = """
    select product_id, {columns} from before join after using (product_id)
    where {any} order by product_id"""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two releases of a shop, compared."""

    shop: str
    before: str
    after: str
    added: list[str] = field(repr=False)  # product ids
    removed: list[str] = field(repr=False)
    changed: dict[str, list[str]] = field(repr=False)  # product id -> its columns that changed
    kept: int  # products in both
    columns: dict[str, int]  # column -> products it changed in
    model: tuple[str, str]
    churn: float | None  # share of the ten nearest that are others now, over products in both; None: cannot be said
    seeds: int  # over how many products
    moved: float | None  # mean cosine between a product's vector then and now; None where the models differ
    scores: dict[str, tuple[float | None, float | None]]
    quarantine: dict[str, tuple[int, int]]  # reason -> rows then and now
    into_quarantine: list[str] = field(repr=False)
    out_of_quarantine: list[str] = field(repr=False)


def compare(shop_store: Store, *, shop: str, before: str, after: str) -> Difference:
    """The difference between two releases, by any of their names. Raises ReleaseError when one is not there."""
    old, new = (resolve(shop_store, shop=shop, name=name) for name in (before, after))
    ids = [tables.read(r.path("products.parquet"), ["product_id"])["product_id"].to_pylist() for r in (old, new)]
    there = [set(names) for names in ids]
    changed = _changed(old, new)
    columns: dict[str, int] = {}
    for names in changed.values():
        for name in names:
            columns[name] = columns.get(name, 0) + 1
    churn, seeds, moved = _neighbours(old, new, ids)
    held = [_quarantine(shop_store, release) for release in (old, new)]
    reasons = sorted({*held[0][0], *held[1][0]})
    return Difference(
        shop=shop,
        before=old.manifest.release,
        after=new.manifest.release,
        added=sorted(there[1] - there[0]),
        removed=sorted(there[0] - there[1]),
        changed=changed,
        kept=len(there[0] & there[1]),
        columns=dict(sorted(columns.items(), key=lambda item: -item[1])),
        model=(old.manifest.facts["model"], new.manifest.facts["model"]),
        churn=churn,
        seeds=seeds,
        moved=moved,
        scores=_pairs(old.manifest.facts["scores"], new.manifest.facts["scores"]),
        quarantine={reason: (held[0][0].get(reason, 0), held[1][0].get(reason, 0)) for reason in reasons},
        into_quarantine=sorted(held[1][1] & there[0]),
        out_of_quarantine=sorted(held[0][1] & there[1]),
    )


def _changed(old: releases.Release, new: releases.Release) -> dict[str, list[str]]:
    """Which columns of each product in both releases differ."""
    tests = {name: f"before.{name} is distinct from after.{name}" for name in COMPARED}
    columns = ", ".join(f"{test} as {name}" for name, test in tests.items())
    sql = CHANGES.format(columns=columns, any=" or ".join(tests.values()))
    rows = tables.query(sql, before=old.path("products.parquet"), after=new.path("products.parquet"))
    return {row.pop("product_id"): [name for name, differs in row.items() if differs] for row in rows.to_pylist()}


def _neighbours(
    old: releases.Release, new: releases.Release, ids: list[list[str]]
) -> tuple[float | None, int, float | None]:
    """How many of the nearest products are others now, over a fixed sample; and how far the vectors themselves went."""
    place = [{product_id: i for i, product_id in enumerate(names)} for names in ids]
    both = sorted(place[0].keys() & place[1].keys())
    if len(both) < 2:
        return None, 0, None
    chosen = np.sort(np.random.default_rng(0).permutation(len(both))[:SEEDS])
    seeds = [both[i] for i in chosen]
    near, own = [], []
    for release, where, names in zip((old, new), place, ids, strict=True):
        table = release.path(vectors.space_file(release.manifest.files))
        fused = vectors.read_space(table, release.manifest.facts["width"]).fused
        asked = fused[[where[seed] for seed in seeds]].astype(np.float32)
        _, positions = indexes.exact_scores(asked, fused, NEAREST + 1)
        pairs = zip(seeds, positions, strict=True)
        near.append([[names[p] for p in found if names[p] != seed][:NEAREST] for seed, found in pairs])
        own.append(asked)
    lost = [1 - len({*a} & {*b}) / max(len(a), len(b)) for a, b in zip(*near, strict=True)]
    same_space = old.manifest.facts["fingerprint"] == new.manifest.facts["fingerprint"]
    moved = float(np.mean(np.sum(own[0] * own[1], axis=1))) if same_space else None
    return float(np.mean(lost)), len(seeds), moved


def _quarantine(shop_store: Store, release: releases.Release) -> tuple[dict[str, int], set[str]]:
    """The reasons of a release's quarantine with their counts, and the product ids in it."""
    prefix = release.manifest.facts["validation"]
    try:
        report = json.loads(shop_store.get(prefix + "report.json"))
        rows = tables.read(tables.local(shop_store, prefix + "quarantine.parquet"), ["product_id"])
    except Missing:  # its snapshot was pruned
        return {}, set()
    return report["reasons"], set(rows["product_id"].to_pylist()) - {None}


def _pairs(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    return {name: (old.get(name), new.get(name)) for name in [*old, *(n for n in new if n not in old)]}
