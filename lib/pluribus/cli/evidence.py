"""What an evaluation is read beside: judgements and logs that a shop supplies, the other shops, what it cost.

Each part is what was measured, or raises PluribusError with the reason why it was not.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from pluribus.errors import ConfigError, PluribusError, ReleaseError

FIELDS = ("category", "brand")
Catalog = Mapping[str, Counter[str]]  # field -> value -> products


class Beside:
    """The parts, for several shops: what was read of one is kept for the others."""

    def __init__(self, context: typer.Context) -> None:
        self.context, self.settings = context, context.obj.settings()
        self.store = context.obj.open_store()
        self._catalogs: dict[str, Catalog] = {}

    def of(self, shop: str, release: str) -> dict[str, Any]:
        """Every part by name, and as "not_measured" why the others could not be measured."""
        parts: dict[str, Callable[[str, str], Any]] = {
            "graded relevance": self.relevance, "demand": self.demand, "apart": self.apart, "cost": self.cost,
        }  # fmt: skip
        found: dict[str, Any] = {"release": self.release(shop, release)}
        why_not: dict[str, str] = {}
        past = "" if found["release"]["live"] else release
        for name, measure in parts.items():
            try:
                found[name] = measure(shop, past)
            except PluribusError as error:
                why_not[name] = str(error)
        return found | {"not_measured": why_not}

    def release(self, shop: str, release: str) -> dict[str, Any]:
        """What was measured: its products, its index, and what picture and text weigh in a product's one vector."""
        from pluribus import releases

        own = self.store.within(f"shops/{shop}")
        found: dict[str, Any] = json.loads(own.get(releases.key(release, "build.json")))
        now = releases.current(own, shop=shop)
        return found | {"live": bool(now and now.release == release)}

    def relevance(self, shop: str, past: str = "") -> list[dict[str, object]]:
        """How well search ranks what people judged: the shop's own file."""
        from pluribus import relevance, search
        from pluribus.feeds import logs

        rated = logs.judgements(_local(self._evidence(shop, "judgements")), limits=self.settings.shop(shop).limits)
        opened = search.open(self.store, shop, past or None)
        return relevance.measure(opened, relevance.known(rated, opened.places))

    def demand(self, shop: str, _past: str = "") -> dict[str, Any]:
        """The law and the head of a shop's log."""
        from pluribus import tails
        from pluribus.feeds import logs

        found = logs.read(_local(self._evidence(shop, "log")), limits=self.settings.shop(shop).limits)
        counts = found.counts.values()
        law = {name: value for name, value in asdict(tails.fit(counts)).items() if name != "curve"}
        return {"column": found.column, "events": found.counts.total(), "items": len(found.counts),
                "half": tails.half(counts), "head": tails.head(counts), "fit": law}  # fmt: skip

    def apart(self, shop: str, past: str = "") -> list[dict[str, Any]]:
        """How far a shop's categories and brands are from all other shops'. Raises ReleaseError."""
        from pluribus import tails

        own = self._catalog(shop, past) if past else self.catalog(shop)
        if own is None:
            raise ReleaseError(f"nothing is live of {shop}")
        pools = {name: Counter[str]() for name in FIELDS}
        shops = 0
        for other in sorted(set(self.settings.shops) - {shop}):
            try:
                found = self.catalog(other)
            except ReleaseError:
                continue  # a neighbour's damage is not this shop's trouble: `pluribus status` tells of it
            if found is not None:
                shops += 1
                for name, counts in found.items():
                    pools[name].update(counts)
        return [{"of": name, "shops": shops, **asdict(tails.divergence(own[name], pools[name]))} for name in FIELDS]

    def cost(self, shop: str, past: str = "") -> dict[str, Any]:
        """Seconds, bytes and USD of the newest run that measured the shop (a release of the `past`), by stage."""
        from pluribus import ledger, runs

        for report in runs.reports(self.store):
            for job in report["jobs"]:
                if job["shop"] == shop and "evaluate" in job["seconds"] and past in ("", job.get("release")):
                    usd = ledger.of_job(job, self.settings.rates)
                    counts = {name: job["counts"].get(name, 0) for name in ("accepted", "embedded")}
                    return {"run": report["run"], "seconds": job["seconds"], "bytes": job["size_bytes"], "usd": usd,
                            **counts}  # fmt: skip
        raise ConfigError(f"no run in {self.store.url} measured {shop}")

    def catalog(self, shop: str) -> Catalog | None:
        """The products of each category and brand of a live release; None where nothing is live."""
        from pluribus import releases

        if shop not in self._catalogs:
            if releases.current(self.store.within(f"shops/{shop}"), shop=shop) is None:
                return None
            self._catalogs[shop] = self._catalog(shop)
        return self._catalogs[shop]

    def _catalog(self, shop: str, release: str = "") -> Catalog:
        from pluribus import releases, tables

        opened = releases.open_release(self.store.within(f"shops/{shop}"), shop=shop, release=release or None)
        rows = tables.read(opened.path("products.parquet"), columns=list(FIELDS))
        return {name: Counter(_plain(value) for value in rows[name].to_pylist() if value) for name in FIELDS}

    def _evidence(self, shop: str, name: str) -> str:
        place: str = getattr(self.settings.shop(shop).evidence, name)
        if not place:
            raise ConfigError(f"the shop's file names no {name}", do=f'[evidence] {name} = "…"')
        return place


def _local(place: str) -> Path:
    """A file, or a copy of what lies at s3://…"""
    from pluribus.store import open_store

    parent, _, name = place.rpartition("/")
    return open_store(parent).local(name) if place.startswith("s3://") else Path(place)


def _plain(path: str) -> str:
    """The last level of a category, as it is compared between shops."""
    return " ".join(path.rsplit(" > ", maxsplit=1)[-1].casefold().split())
