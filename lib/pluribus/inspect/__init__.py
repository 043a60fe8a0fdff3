"""Inspect: what happened to a shop and why, for notebooks and for the command line.

    from pluribus import inspect

    fleet = inspect.open(".pluribus")
    fleet.status()                                  how all shops are doing
    fleet.runs(shop="atelier")                      how it came through the last runs
    fleet.diff("atelier", "previous", "live")       what one release changed
    fleet.lineage("atelier", "AT-1158")             where a product's vectors came from
    fleet.metaflow(run)["embed"].task.data.jobs     Metaflow's own client, for every artifact

Everything is read: from the store, and from Metaflow's datastore where that lies on this machine or its metadata
service can be reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pluribus import runs
from pluribus.errors import ConfigError
from pluribus.inspect.diffs import Difference, compare
from pluribus.inspect.lineages import Station, trace
from pluribus.inspect.names import resolve
from pluribus.inspect.statuses import Status, look
from pluribus.records import Shop
from pluribus.store import Store, open_store

__all__ = ["Difference", "Fleet", "Station", "Status", "compare", "look", "open", "resolve", "trace"]


@dataclass(frozen=True)
class Fleet:
    """A store, looked at by people."""

    store: Store

    def runs(self, shop: str = "", most: int = 20) -> list[dict[str, Any]]:
        """The newest runs' jobs, newest first: one dict each, with its run and when that started."""
        return runs.of_shop(self.store, shop, most)

    def diff(self, shop: str, before: str = "previous", after: str = "live") -> Difference:
        """What changed between two releases of a shop: ids, their beginnings, run ids, "live" or "previous"."""
        return compare(self._shop(shop), shop=shop, before=before, after=after)

    def lineage(self, shop: str, product_id: str, release: str = "live") -> list[Station]:
        """The stations of a product from the feed to the release, or to the quarantine."""
        return trace(self.store, shop=shop, product_id=product_id, release=release)

    def status(self, shops: Mapping[str, Shop] | Sequence[str] = ()) -> Status:
        """How the fleet is doing; without a configuration, of the shops that the store knows."""
        names = list(shops) or sorted({job["shop"] for report in runs.reports(self.store) for job in report["jobs"]})
        configured = shops if isinstance(shops, Mapping) else {}
        known = {name: configured.get(name) or Shop(name=name) for name in names}
        return look(self.store, known, now=datetime.now(UTC))

    def metaflow(self, run: str) -> Any:
        """A run in Metaflow's Client API, whoever started it. Raises ConfigError when Metaflow does not know it."""
        import metaflow

        metaflow.namespace(None)
        try:
            return metaflow.Run(f"RefreshFlow/{run}")
        except metaflow.exception.MetaflowNotFound:
            place = metaflow.get_metadata()
            raise ConfigError(
                f"Metaflow knows no run {run!r} in {place}",
                do="set METAFLOW_DATASTORE_SYSROOT_LOCAL, or call metaflow.metadata(…)",
            ) from None

    def _shop(self, shop: str) -> Store:
        return self.store.within(f"shops/{shop}")


def open(store: Store | str | Path) -> Fleet:  # noqa: A001 - reads as inspect.open
    """The fleet of a store, or of a store's location."""
    return Fleet(open_store(str(store)) if isinstance(store, str | Path) else store)
