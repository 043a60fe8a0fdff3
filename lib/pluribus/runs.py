"""Runs: what each run did, as it is kept in the store and told to Metaflow.

runs/<started>-<run>.json
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from pluribus.jobs import Job
from pluribus.records import Shop
from pluribus.store import Store

MOST_TAGGED = 30
READERS = 16
CLOCKS_DIFFER = timedelta(minutes=10)


def of_feeds(reports: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Mapping[str, Any]]:
    """Those of the runs that read the shops' feeds; a backfill, a swap or `--snapshot` goes by earlier ones.

    Nor those of the future: a machine whose clock ran ahead would keep every shop from being due until then.
    """
    latest = now + CLOCKS_DIFFER
    return (r for r in reports if not r.get("replay") and datetime.fromisoformat(r["started"]) <= latest)


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


def of_shop(store: Store, shop: str, most: int) -> list[dict[str, Any]]:
    """The newest runs' jobs, newest first, of one shop or ("") all of the newest `most` runs: with run and start."""
    keys = [item.key for item in store.items("runs/")][::-1]
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(keys), max(READERS, most)):
            read = [json.loads(data) for data in pool.map(store.get, keys[start:][: max(READERS, most)])]
            found += [{"run": report["run"], "started": report["started"], **job}
                      for report in (read if shop else read[:most]) for job in report["jobs"]
                      if shop in ("", job["shop"])]  # fmt: skip
            if not shop or len(found) >= most:
                break
    return found[:most] if shop else found


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
