"""Plan: which shops a run refreshes, in which tasks; and how one shop's failure stays its own.

Small shops share a task, so that one start-up and one model load serve many of them; all shops of a task share a model.
"""

import hashlib
import json
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

from pluribus.errors import (
    CatalogRejected,
    ConfigError,
    Missing,
    ModelError,
    PluribusError,
    RunError,
    ShopError,
    printable,
)
from pluribus.jobs import Job
from pluribus.records import Limits, Model, Shop
from pluribus.schedules import is_open
from pluribus.store import Store

STAGES = ("ingest", "validate", "embed", "build", "evaluate", "publish")
SAID = "» "  # begins every line that a step means for people; `launch` shows those and hides Metaflow's
GUESSED_PRODUCTS = 2_000  # of a shop never seen, whose feed cannot be measured from here
SHOP_WORK = 20  # of a shop in which nothing is new, in products: what it costs to find that out
WORTH_A_TASK = 5_000  # products: below, starting another task costs more than the idle worker would save
APART = 50  # times its own size that another shop of its batch may have
MOST_TAGGED = 30
READERS = 16
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
    last = {name: datetime.fromisoformat(job["started"]) for name, job in newest_jobs(of_feeds(reports)).items()}
    return [
        shop
        for shop in shops
        if is_open(shop.window, now)
        and (shop.name not in last or now - last[shop.name] >= timedelta(hours=shop.every_hours) - _about(shop))
    ]


def _about(shop: Shop) -> timedelta:
    return min(timedelta(minutes=30), timedelta(hours=shop.every_hours) / 4)


def of_feeds(reports: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those of the runs that read the shops' feeds; a backfill, a swap or `--snapshot` goes by earlier ones."""
    return (report for report in reports if not report.get("replay"))


def horizon(shops: Iterable[Shop], now: datetime, *, cadences: int = 1) -> datetime:
    """How far back a run can lie and still be a shop's newest, so many of its cadences ago."""
    return now - cadences * timedelta(hours=max((shop.every_hours for shop in shops), default=0.0))


def reports(store: Store, most: int = 200, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """The newest run reports of a store, newest first; and all since a moment, however many."""
    keys = [item.key for item in store.items("runs/")]
    recent = len(keys) - bisect_left(keys, f"runs/{since:%Y%m%dT%H%M%SZ}") if since else 0
    chosen = keys[-max(most, recent) :]
    with ThreadPoolExecutor(READERS) as pool:  # in a bucket each costs a round trip
        return [json.loads(data) for data in pool.map(store.get, reversed(chosen))]


def newest_jobs(reports: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How each shop came through the newest run it was in, with that run and its start; one pass over the reports."""
    newest: dict[str, dict[str, Any]] = {}
    for report in reports:
        for job in report["jobs"]:
            newest.setdefault(job["shop"], {"run": report["run"], "started": report["started"], **job})
    return newest


def write_report(
    store: Store, *, run: str, started: datetime, finished: datetime, jobs: Sequence[Job],
    loads: Sequence[float] = (), replay: bool = False,
) -> str:  # fmt: skip
    """Keep what a run did, of the shops' feeds or (`replay`) of snapshots taken earlier; returns the key."""
    key = f"runs/{started:%Y%m%dT%H%M%SZ}-{run}.json"
    report = {
        "run": run,
        "started": started.isoformat(),
        "finished": finished.isoformat(),
        "replay": replay,
        "loads": list(loads),  # seconds until the model was ready, of each task that wanted it
        "jobs": list(map(asdict, jobs)),
    }
    store.create(key, json.dumps(report, ensure_ascii=True).encode())
    return key


def tags(jobs: Sequence[Job]) -> list[str]:
    """What a run can be found by in Metaflow: its models, how shops came through, and which shops when they are few.

    Of many shops only those in trouble are named: Metaflow takes some dozen tags a run.
    """
    named = jobs if len(jobs) <= MOST_TAGGED else [job for job in jobs if job.state in ("set aside", "failed gate")]
    models = {f"model:{job.model}" for job in jobs if job.model}
    return sorted({job.state for job in jobs} | models) + [f"shop:{job.shop}" for job in named[:MOST_TAGGED]]


def tag(current: Any, jobs: Sequence[Job]) -> str:
    """Give Metaflow's current run its tags; returns what came of it. A cluster without metadata service has none."""
    try:
        current.run.add_tags(tags(jobs))
    except Exception as error:  # noqa: BLE001 - a tag must not fail a run that is done
        return f"no tags: {type(error).__name__}: {error}"
    return "tagged"


def input_key(*parts: Any) -> str:
    """sha256 of everything a release is a function of: the same key means that the release is there already."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=asdict).encode()).hexdigest()


def advance(
    jobs: Sequence[Job],
    stage: str,
    work: Callable[[Job], Job],
    *,
    look: Callable[[Job], Job] | None = None,
    together: Callable[[], None] | None = None,
    run: str = "",
    as_json: bool = False,
) -> list[Job]:
    """Run one stage for every job still running. The only place where a shop's failure is caught.

    A stage that serves all its shops at once first looks at each (`look`) and then does its work (`together`).
    A model that does not serve is that of all these jobs, and of no other batch: they are set aside. Another RunError
    (the store) is everybody's and goes on up; anything else is this shop's alone: it is set aside with its reason,
    keeps its current release, and the others go on.
    """
    if look:
        jobs = [_one(job, stage, look) if job.state == "running" else job for job in jobs]
    if together and any(job.state == "running" for job in jobs):
        try:
            together()
        except ModelError as error:
            why = f"{stage}: {error}"
            jobs = [replace(job, state="set aside", reason=why) if job.state == "running" else job for job in jobs]
    done = []
    for job in jobs:
        was_running = job.state == "running"
        done.append(_one(job, stage, work) if was_running else job)
        if was_running or (look and stage in job.seconds):
            line = _json_line(done[-1], stage, run) if as_json else _line(done[-1], stage)
            print(line, flush=True)  # noqa: T201 - the run's log: one line per shop and stage
    return done


def afford(job: Job, limits: Limits, hour_price: float) -> None:
    """Raises CatalogRejected when what a shop used so far in this run is beyond its share of the fleet."""
    used_s = sum(job.seconds.values())
    spent = used_s / 3600 * hour_price
    if used_s > limits.seconds:
        most = f"at most {limits.seconds:,.0f} s a run"
        raise CatalogRejected(f"the shop took {used_s:,.0f} s so far", expected=most, do="raise limits.seconds")
    if spent > limits.spend:
        raise CatalogRejected(f"the shop cost {spent:,.2f} so far", expected=f"at most {limits.spend:,.2f} a run",
                              do="raise limits.spend, or correct run.hour_price")  # fmt: skip


def _one(job: Job, stage: str, work: Callable[[Job], Job]) -> Job:
    began = time.perf_counter()
    try:
        done = work(job)
    except Missing as error:  # only a shop's own objects are asked for in here
        reason = f"{stage}: {error}; if the shop was removed during the run, nothing is lost"
        done = replace(job, state="set aside", reason=reason)
    except RunError:
        raise
    except ShopError as error:
        done = replace(job, state="set aside", reason=f"{stage}: {error}")
    except PluribusError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug met by one shop must not cost the others their refresh
        traceback.print_exc()
        reason = f"{stage}: internal error {type(error).__name__}: {printable(str(error), 300)}; please report it"
        done = replace(job, state="set aside", reason=reason)
    seconds = done.seconds.get(stage, 0.0) + time.perf_counter() - began
    return replace(done, seconds=done.seconds | {stage: round(seconds, 3)})


def _line(job: Job, stage: str) -> str:
    counts = " ".join(f"{name}={n:,}" for name, n in job.counts.items())
    tail = f"{job.state}: {job.reason}" if job.reason else counts if job.state == "running" else job.state
    return f"{SAID}{stage:<9}{job.shop:<24}{job.seconds[stage]:>8.1f} s  {tail}"


def _json_line(job: Job, stage: str, run: str) -> str:
    """For machines that read logs: one object a line, with run, shop and stage on each."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    said: dict[str, Any] = {
        "at": at,
        "run": run,
        "shop": job.shop,
        "stage": stage,
        "state": job.state,
        "reason": job.reason,
    }
    said |= {"seconds": job.seconds[stage], "counts": job.counts}
    return SAID + json.dumps(said, ensure_ascii=True)


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
