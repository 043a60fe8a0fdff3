"""Requests while releases go live: none is lost, none is answered from two releases, a damaged release is not served.

`make swaps` asks 10,000 times during 20 swaps; the suite does the same smaller.
"""

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from uuid import uuid4

import pyarrow as pa
import pytest
from services import Service

from pluribus import publish, releases, tables
from pluribus.store import Store, open_store

SWAPS = int(os.environ.get("PLURIBUS_SWAPS", "4"))
REQUESTS = int(os.environ.get("PLURIBUS_REQUESTS", "400"))
CALLERS = 8
SHOP = "atelier"


def go_live(store: Store, *, damaged: bool = False) -> str:
    """A release like the live one, but that every title ends in its own id, published; damaged afterwards if so."""
    own, made = store.within(f"shops/{SHOP}"), uuid4().hex
    live = releases.open_release(own, shop=SHOP)
    with tempfile.TemporaryDirectory() as folder:
        rows = tables.read(live.path("products.parquet"))
        titles = pa.array([f"{str(title).split(' @')[0]} @{made}" for title in rows["title"].to_pylist()], pa.string())
        rows = rows.set_column(rows.schema.get_field_index("title"), "title", titles)
        written = Path(folder) / "products.parquet"
        tables.write(written, rows.to_batches(), rows.schema.remove_metadata(), owner=SHOP)
        files = {
            name: releases.add(own, release=made, name=name, data=written if name == written.name else live.path(name))
            for name in live.manifest.files
        }
    about = {"asof": datetime.now(UTC).isoformat(), "input_key": (made * 2), "facts": live.manifest.facts}
    publish.seal(own, shop=SHOP, release=made, files=files, **about)
    assert publish.publish(own, shop=SHOP, release=made, why="swap") == "published"
    if damaged:
        path = own.local(releases.key(made, "index.faiss"))
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    return made


@dataclass
class Tally:
    """What callers met."""

    statuses: Counter[int] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


def call(service: Service, tickets: Iterator[int], tally: Tally) -> None:
    """Search, and ask for products, until no ticket is left."""
    queries = itertools.cycle(["red dress", "blue scarf", "boots", "a green shirt with stripes"])
    for ticket in tickets:
        if ticket % 4:
            answer = service.ask(SHOP, "/search", query=next(queries), k=8, cutoff=False)
            told = answer.json()
            titles = [hit["title"] for hit in told.get("hits", ())]
        else:
            answer = service.ask(SHOP, "/products/AT-1005")
            told = answer.json()
            titles = [told.get("product", {}).get("title", "")]
        with tally.lock:
            tally.statuses[answer.status_code] += 1
            tally.seen.add(told.get("release", ""))
            if not titles or any(title.rpartition("@")[2] != told.get("release") for title in titles):
                tally.mixed.append(answer.text[:300])


@pytest.fixture(scope="module")
def service(demo_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("swaps") / "store"
    shutil.copytree(demo_store, folder)
    store = open_store(str(folder))
    go_live(store)
    running = Service(store, "--rate", "100000", "--timeout-s", "60", "--poll-s", "0.05")
    yield running
    running.close()


class Tickets:
    """Numbers for many threads, each once; and how many were drawn."""

    def __init__(self, n: int) -> None:
        self._left, self._lock, self.drawn = iter(range(n)), Lock(), 0

    def __iter__(self) -> "Tickets":
        return self

    def __next__(self) -> int:
        with self._lock:
            self.drawn += 1
            return next(self._left)


def test_no_request_is_lost_and_no_answer_is_of_two_releases(service: Service) -> None:
    tally, tickets, made, over = Tally(), Tickets(REQUESTS), [], Event()
    callers = [Thread(target=call, args=(service, tickets, tally)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    while len(made) < SWAPS and any(caller.is_alive() for caller in callers):
        if tickets.drawn >= len(made) * REQUESTS / SWAPS:
            made.append(go_live(service.store))
        over.wait(0.01)
    for caller in callers:
        caller.join()
    print(f"{sum(tally.statuses.values())} requests, {len(made)} swaps, {len(tally.seen)} releases seen, "
          f"{dict(tally.statuses)}, {len(tally.mixed)} mixed")  # fmt: skip
    assert len(made) == SWAPS
    assert tally.statuses == {200: REQUESTS}
    assert tally.mixed == []
    assert len(tally.seen) > SWAPS // 2  # swaps were met under way, not afterwards


def newest(service: Service, wanted: str) -> bool:
    """Whether the service comes to serve this release."""
    for _ in range(600):
        if service.ask(SHOP).json()["release"] == wanted:
            return True
        Event().wait(0.1)
    return False


def test_a_damaged_release_is_not_served_and_the_next_sound_one_is(service: Service) -> None:
    before = go_live(service.store)
    assert newest(service, before)
    damaged = go_live(service.store, damaged=True)
    for _ in range(600):
        told = service.ask(SHOP).json()
        assert told["release"] == before
        if told["trouble"]:
            break
        Event().wait(0.1)
    assert told["trouble"]
    assert damaged not in service.ask(SHOP, "/search", query="red dress").text
    assert service.client.get("/healthz").json() == {"status": "degraded", "open_shops": 1, "shops_in_trouble": 1}
    metrics = service.client.get("/metrics", headers={"Authorization": f"Bearer {service.operator}"}).text
    assert f'pluribus_release_trouble{{shop="{SHOP}"}} 1.0' in metrics
    publish.rollback(service.store.within(f"shops/{SHOP}"), shop=SHOP, to=before, why="damaged")
    publish.unhold(service.store.within(f"shops/{SHOP}"), shop=SHOP, why="mended")
    mended = go_live(service.store)
    assert newest(service, mended)
    assert service.client.get("/healthz").json()["status"] == "ok"
