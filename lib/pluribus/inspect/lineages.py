"""Where a product came from and where it went: feed row, snapshot, judgement, vectors, release."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pluribus import ingest, releases, tables, texts, validate, vectors
from pluribus.errors import ConfigError, Missing
from pluribus.inspect.names import resolve
from pluribus.records import Snapshot
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store

BY_ID = "select * from rows where product_id = $product_id order by row"


@dataclass(frozen=True)
class Station:
    """One station of a product's way: what is known there, and the object that proves it."""

    station: str  # feed, snapshot, judgement, picture vector, text vector, release
    says: str
    key: str  # inside the shop's part of the store


def trace(store: Store, *, shop: str, product_id: str, release: str = "live") -> list[Station]:
    """Every station of a product. A product that a release does not hold is looked for in its quarantine.

    Raises ConfigError when neither has it.
    """
    own = store.within(f"shops/{shop}")
    opened = resolve(own, shop=shop, name=release)
    facts = opened.manifest.facts
    entry = ingest.latest(own, facts["snapshot"])
    path = opened.path("products.parquet")
    found = tables.query(BY_ID, {"product_id": product_id}, rows=path).to_pylist()
    if not found:
        return _refused(own, opened, entry, shop, product_id)
    row = found[0]
    place = tables.read(path, ["product_id"])["product_id"].to_pylist().index(product_id)
    judged = Station("judgement", "accepted", facts["validation"] + "products.parquet")
    return [
        *_origin(facts["snapshot"], entry, row),
        judged,
        *_vectors(store, own, facts, row),
        Station("release", _release(own, opened, shop, place), releases.key(opened.manifest.release, "_MANIFEST.json")),
    ]


def _origin(snapshot: str, entry: Snapshot | None, row: dict[str, Any]) -> list[Station]:
    """The delivery and the snapshot: the row number counts the rows of the delivery, headers and blank lines not."""
    feeds = entry.feeds if entry else ()
    read = f", read {entry.asof[:19]}" if entry else ", its diary entry was pruned"
    return [
        *(Station("feed", f"row {row['row']:,} of this delivery{' or one beside it' * (len(feeds) > 1)}", key)
          for key in feeds),
        Station("snapshot", f"{snapshot}, row {row['row']:,}{read}", ingest.rows_key(snapshot)),
    ]  # fmt: skip


def _vectors(store: Store, own: Store, facts: Mapping[str, Any], row: dict[str, Any]) -> list[Station]:
    """Each picture and the text, and the part of the shelf that holds its vector."""
    fingerprint = facts["fingerprint"]
    template = json.loads(store.get(f"models/{fingerprint}/model.json"))["text"]
    (said,) = texts.product_texts(SNAPSHOT.empty_table().from_pylist([row], SNAPSHOT), template)
    wanted = [("picture vector", f"picture {c[:16]}…", vectors.picture_key(c)) for c in row["pictures"]]
    wanted += [("text vector", f'"{said[:60]}{"…" * (len(said) > 60)}"', vectors.text_key(said))] if said else []
    parts = vectors.Shelf(own, fingerprint, facts["width"]).where([key for _, _, key in wanted])
    by = f" by {facts['model']} {fingerprint[:8]}"
    lost = "no vector on the shelf: it was pruned"
    return [Station(kind, f"{what}{by}" if key in parts else lost, parts.get(key, "")) for kind, what, key in wanted]


def _release(own: Store, opened: releases.Release, shop: str, place: int) -> str:
    made = opened.manifest
    now = releases.current(own, shop=shop)
    live = f", live since {now.at[:19]}" if now and now.release == made.release else ", not live"
    return f"{made.release}, position {place:,} of {made.facts['products']:,}, run {made.facts.get('run', '?')}{live}"


def _refused(own: Store, opened: releases.Release, entry: Snapshot | None, shop: str, product_id: str) -> list[Station]:
    """A product in the quarantine of the release's snapshot, or of a newer one."""
    for prefix in dict.fromkeys((opened.manifest.facts["validation"], _newest(own))):
        try:
            path = tables.local(own, prefix + "quarantine.parquet")
        except Missing:
            continue
        rows = tables.query(BY_ID, {"product_id": product_id}, rows=path).to_pylist()
        if rows:
            snapshot = prefix.split("/")[1]
            known = entry if entry and entry.id == snapshot else ingest.latest(own, snapshot)
            says = f"quarantined: {' '.join(rows[0]['reasons'])}; `pluribus quarantine {shop}` says more"
            return [*_origin(snapshot, known, rows[0]), Station("judgement", says, prefix + "quarantine.parquet")]
    raise ConfigError(
        f"no product {product_id!r} in release {opened.manifest.release[:12]} of {shop}, nor in its quarantine",
        do="look whether the feed still carries it",
    )


def _newest(own: Store) -> str:
    return str(validate.newest(own)[0]["key"])
