"""How the fleet is doing, on one screen: few numbers, and the shops that need somebody."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pluribus import releases, runs
from pluribus.errors import ShopError
from pluribus.manifests import Current, moment
from pluribus.records import Shop
from pluribus.store import Store

READERS = 16  # CURRENTs read at a time: in a bucket each costs a round trip
TROUBLE = ("set aside", "failed gate")


@dataclass(frozen=True, kw_only=True)
class Status:
    """The fleet at one moment."""

    shops: int
    live: int
    never_published: int
    held: int
    damaged: int  # their CURRENT cannot be read
    in_trouble: int  # set aside or refused by the gate, the last time they were refreshed
    overdue: int  # not refreshed for twice their cadence
    products: int  # of the live releases
    oldest_hours: float  # since the oldest live catalog was read
    last_run: dict[str, Any]
    trouble: list[dict[str, str]]  # shop, what, since, why


def look(store: Store, shops: Mapping[str, Shop], *, now: datetime, most_trouble: int = 20) -> Status:
    """The status of these shops: two reads each, and the newest run reports."""
    reports = runs.reports(store, since=runs.horizon(shops.values(), now, cadences=2))
    jobs, refreshed = runs.newest_jobs(reports), runs.newest_jobs(runs.of_feeds(reports, now))
    with ThreadPoolExecutor(READERS) as pool:
        found = dict(zip(shops, pool.map(lambda name: _current(store, name), shops), strict=True))
        products = sum(pool.map(lambda name: _products(store, name, found[name]), shops))
    currents = {name: one for name, one in found.items() if isinstance(one, Current)}
    damaged = {name: one for name, one in found.items() if isinstance(one, str)}
    ages = [(now - moment(one.asof)).total_seconds() / 3600 for one in currents.values()]
    late = [name for name, shop in shops.items() if _late(shop, refreshed.get(name), now)]
    bad = {name: job for name, job in jobs.items() if name in shops and job["state"] in TROUBLE}
    held = [name for name, one in currents.items() if one.hold]
    return Status(
        shops=len(shops),
        live=len(currents),
        never_published=sum(one is None for one in found.values()),
        held=len(held),
        damaged=len(damaged),
        in_trouble=len(bad),
        overdue=len(late),
        products=products,
        oldest_hours=round(max(ages, default=0.0), 1),
        last_run=_run(reports[0]) if reports else {},
        trouble=[
            *(_line(name, "damaged", "", why) for name, why in damaged.items()),
            *(_line(name, job["state"], job["started"], job["reason"]) for name, job in bad.items()),
            *(_line(name, "overdue", refreshed[name]["started"], "no run since") for name in late if name not in bad),
            *(_line(name, "held", currents[name].at, currents[name].why) for name in held),
        ][:most_trouble],
    )


def _current(store: Store, shop: str) -> Current | str | None:
    try:
        return releases.current(store.within(f"shops/{shop}"), shop=shop)
    except ShopError as error:
        return str(error)


def _products(store: Store, shop: str, live: Current | str | None) -> int:
    """How many products the live release has; 0 of one that cannot be read."""
    if not isinstance(live, Current):
        return 0
    try:
        made, _ = releases.open_manifest(store.within(f"shops/{shop}"), shop=shop, release=live.release)
    except ShopError:
        return 0
    return int(made.facts.get("products", 0))


def _late(shop: Shop, job: Mapping[str, Any] | None, now: datetime) -> bool:
    if job is None:
        return False
    return (now - datetime.fromisoformat(job["started"])).total_seconds() > 2 * 3600 * shop.every_hours


def _run(report: Mapping[str, Any]) -> dict[str, Any]:
    started, finished = (datetime.fromisoformat(report[name]) for name in ("started", "finished"))
    states = _tally(job["state"] for job in report["jobs"])
    seconds = round((finished - started).total_seconds(), 1)
    return {"run": report["run"], "started": report["started"], "seconds": seconds, "states": states}


def _tally(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def _line(shop: str, what: str, since: str, why: str) -> dict[str, str]:
    return {"shop": shop, "what": what, "since": since[:19], "why": why}
