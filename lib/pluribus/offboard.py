"""Offboard: delete everything of a shop, and say what is out of reach from here.

CURRENT goes first, so that nobody opens a release whose files are going; then all the rest under the shop's prefix,
this machine's downloads of it, and its lines in the reports and figures of runs.
"""

import json
from dataclasses import dataclass

from pluribus.errors import Missing, StoreError
from pluribus.releases import CURRENT
from pluribus.store import Store

ROUNDS = 5  # of deleting what a refresh that is still at work goes on writing


@dataclass(frozen=True, kw_only=True)
class Offboarded:
    """What is gone, and what is not."""

    shop: str
    objects: int
    size_bytes: int
    downloads: int  # cached files of this machine
    runs: tuple[str, ...]  # whose reports had a line of this shop
    left: tuple[str, ...]  # one sentence each


def offboard(store: Store, *, shop: str) -> Offboarded:
    """Delete a shop from the whole `store`. Safe to repeat. Raises StoreError while somebody still writes to it."""
    own = store.within(f"shops/{shop}")
    live = [item.size_bytes for item in own.items(CURRENT) if item.key == CURRENT]
    own.delete(CURRENT)
    taught = any(own.items("finetunes/"))
    objects, size_bytes = len(live), sum(live)
    for _ in range(ROUNDS):
        found = list(own.items())
        for item in found:
            own.delete(item.key)
        objects += len(found)
        size_bytes += sum(item.size_bytes for item in found)
        if not found:
            break
    else:
        raise StoreError(f"somebody goes on writing to {own.url}", do="let its refresh end, then run this again")
    runs = _strike_out(store, shop)
    left = [*own.remains()]
    if taught:
        left.append("what models learned of it: those of every `pluribus finetune` that it was part of")
    if runs:
        left.append(f"Metaflow's artifacts, logs and cards of {len(runs)} runs: cards show products and pictures; "
                    f"delete them from Metaflow's datastore (the newest: {runs[-1]})")  # fmt: skip
    planned = _backfills(store, shop)
    if planned:
        left.append(f"the plans of {len(planned)} backfills name it: delete backfills/<id>/ of {', '.join(planned)}")
    left.append("its file in the configuration, and copies that servers, other machines and backups hold")
    return Offboarded(
        shop=shop, objects=objects, size_bytes=size_bytes, downloads=own.forget(), runs=runs, left=tuple(left)
    )


def _strike_out(store: Store, shop: str) -> tuple[str, ...]:
    """Take the shop's lines out of the reports of runs: reasons may quote its feed. Returns the runs."""
    struck = []
    for item in store.items("runs/"):
        data, tag = store.get_tagged(item.key)
        report = json.loads(data)
        kept = [job for job in report["jobs"] if job["shop"] != shop]
        if len(kept) < len(report["jobs"]):
            _strike_out_figures(store, item.key.replace("runs/", "metrics/").replace(".json", ".prom"), shop)
            store.swap(item.key, json.dumps(report | {"jobs": kept}).encode(), tag)
            struck.append(str(report["run"]))
    return tuple(struck)


def _strike_out_figures(store: Store, key: str, shop: str) -> None:
    try:
        data, tag = store.get_tagged(key)
    except Missing:
        return
    lines = data.decode().splitlines(keepends=True)
    kept = [line for line in lines if f'{{shop="{shop}"' not in line]
    if len(kept) < len(lines):
        store.swap(key, "".join(kept).encode(), tag)


def _backfills(store: Store, shop: str) -> list[str]:
    """The backfills that a shop was part of."""
    plans = [item.key for item in store.items("backfills/") if item.key.endswith("/plan.json")]
    return [key.split("/")[1] for key in plans if any(shop in wave for wave in json.loads(store.get(key))["waves"])]
