"""Plan: which shops a run refreshes, and in which tasks.

Small shops share a task, so that one start-up and one model load serve many of them; all shops of a task share a model.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

from pluribus import runs
from pluribus.errors import ConfigError
from pluribus.records import Model, Shop
from pluribus.schedules import is_open

GUESSED_PRODUCTS = 2_000  # of a shop never seen, whose feed cannot be measured from here
SHOP_WORK = 20  # of a shop in which nothing is new, in products: what it costs to find that out
WORTH_A_TASK = 5_000  # products: below, starting another task costs more than the idle worker would save
APART = 50  # times its own size that another shop of its batch may have
ROW_BYTES = 300  # of a feed, to guess the products of a file


@dataclass(frozen=True)
class Batch:
    """The shops of one task, with everything their stages need to know: a run reads its configuration once."""

    shops: tuple[Shop, ...]
    model: Model
    fingerprint: str
    suites: dict[str, list[dict[str, Any]]]  # by vertical

    def shop(self, name: str) -> Shop:
        """The shop of this name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Shop]:
        return {shop.name: shop for shop in self.shops}


def choose(shops: Mapping[str, Shop], wanted: str, *, past: Sequence[Mapping[str, Any]], now: datetime) -> list[Shop]:
    """The shops that "a,b", "all" or "due" mean. Raises ConfigError when a name is unknown or there is none."""
    if wanted == "all":
        chosen = list(shops.values())
    elif wanted == "due":
        return due(shops.values(), past, now)
    else:
        names = dict.fromkeys(filter(None, map(str.strip, wanted.split(","))))
        unknown = sorted(set(names) - set(shops))
        if unknown:
            raise ConfigError(
                f"no shop {', '.join(map(repr, unknown))}", expected=f"some of {', '.join(sorted(shops))}"
            )
        chosen = [shops[name] for name in names]
    if not chosen and shops:
        raise ConfigError(f"{wanted!r} names no shop", expected=f"all, due, or some of {', '.join(sorted(shops))}")
    if not chosen:
        raise ConfigError("there is no shop to refresh", do="add one: pluribus new-shop --feed FILE")
    return chosen


def batches(
    shops: Sequence[Shop], expected: Mapping[str, int], *, batch_products: int, most: int, workers: int = 1
) -> list[list[Shop]]:
    """Pack shops, first fit by decreasing expected products, one model per batch, in at most `most` batches.

    They are as many as there are workers, or a multiple, and about equal: none is idle while there is work for it.
    Shops share a batch with others of up to `APART` times their size only, and the small batches start first: a step of
    a batch ends with its largest shop, and nobody should wait for one of a hundred times its own size.
    """
    total, largest = sum(expected[shop.name] for shop in shops), max((expected[shop.name] for shop in shops), default=0)
    wanted = min(ceil(total / batch_products / workers) * workers, total // WORTH_A_TASK) or 1
    capacity = min(batch_products, ceil(total / wanted) + largest)  # with so much room first fit needs no batch more
    apart = True
    while True:
        groups = [group for model in _by_model(shops) for group in (_by_size(model, expected) if apart else [model])]
        packed = [batch for group in groups for batch in _first_fit(group, expected, capacity)]
        if len(packed) <= max(most, len({shop.model for shop in shops})):
            return sorted(packed, key=lambda batch: max(expected[shop.name] for shop in batch))
        if capacity > sum(expected.values()):
            apart = False
        capacity *= 2


def expected_products(shops: Iterable[Shop], reports: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How much work each shop will bring, in new products.

    A shop that was refreshed by its model before brings as much as the last time it brought anything, a tenth of its
    rows (they are read, judged and indexed again when one of them changes), and `SHOP_WORK` for itself. Of others
    every product is new: as many as their feed's size says.
    """
    known: dict[tuple[str, str], int] = {}
    rows: dict[str, int] = {}
    for report in reports:
        for job in report["jobs"]:
            counts = job["counts"]
            if counts.get("rows"):
                rows.setdefault(job["shop"], counts["rows"])
            if "reused" in counts:
                share = counts["embedded"] / max(1, counts["embedded"] + counts["reused"])
                known.setdefault((job["shop"], job.get("model", "")), round(share * counts.get("accepted", 0)))
    expected = {}
    for shop in shops:
        size = rows.get(shop.name) or _feed_rows(shop)
        new = known.get((shop.name, shop.model))
        expected[shop.name] = SHOP_WORK + (size if new is None else new + size // 10)
    return expected


def _feed_rows(shop: Shop) -> int:
    """A guess at a shop never seen: by the size of its feed, where that lies on this machine."""
    places = [Path(source) for feed in shop.feeds for source in feed.source if "://" not in source]
    try:
        size_bytes = sum(file.stat().st_size for place in places for file in place.parent.glob(place.name))
    except (OSError, ValueError):  # a link that leads nowhere, a pattern that is none: `ingest` will say so
        return GUESSED_PRODUCTS
    return size_bytes // ROW_BYTES or GUESSED_PRODUCTS


def due(shops: Iterable[Shop], reports: Iterable[Mapping[str, Any]], now: datetime) -> list[Shop]:
    """The shops that read their feeds at least about `every_hours` ago, and whose window is open.

    About: a run begins some seconds earlier or later than the one before, and an hourly schedule has no other tick.
    """
    newest = runs.newest_jobs(runs.of_feeds(reports, now))
    last = {name: datetime.fromisoformat(job["started"]) for name, job in newest.items()}
    return [
        shop
        for shop in shops
        if is_open(shop.window, now)
        and (shop.name not in last or now - last[shop.name] >= timedelta(hours=shop.every_hours) - _about(shop))
    ]


def _about(shop: Shop) -> timedelta:
    return min(timedelta(minutes=30), timedelta(hours=shop.every_hours) / 4)


def input_key(*parts: Any) -> str:
    """sha256 of everything a release is a function of: the same key means that the release is there already."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=asdict).encode()).hexdigest()


def _by_model(shops: Sequence[Shop]) -> list[list[Shop]]:
    return [[shop for shop in shops if shop.model == model] for model in dict.fromkeys(s.model for s in shops)]


def _by_size(shops: Sequence[Shop], expected: Mapping[str, int]) -> list[list[Shop]]:
    groups: list[list[Shop]] = []
    for shop in sorted(shops, key=lambda s: -expected[s.name]):
        if not groups or expected[shop.name] * APART < expected[groups[-1][0].name]:
            groups.append([])
        groups[-1].append(shop)
    return groups


def _first_fit(shops: Sequence[Shop], expected: Mapping[str, int], capacity: int) -> list[list[Shop]]:
    packed: list[list[Shop]] = []
    room: list[int] = []
    for shop in sorted(shops, key=lambda s: (-expected[s.name], s.name)):
        for i, left in enumerate(room):
            if expected[shop.name] <= left:
                packed[i].append(shop)
                room[i] -= expected[shop.name]
                break
        else:
            packed.append([shop])
            room.append(capacity - expected[shop.name])
    return packed
