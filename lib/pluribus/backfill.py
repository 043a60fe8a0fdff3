"""Backfill: the same DAG over catalogs that were read earlier, for a new model, a mended parser, changed expectations.

    backfills/<id>/plan.json            what is to be done: it never changes
    backfills/<id>/<wave>.json          which snapshot of each shop a run of the flow takes
    backfills/<id>/done/<wave>.json     how the shops of a finished wave came through
    backfills/<id>/flips/<shop>.json    from which release to which a swap is about to switch a shop
    backfills/OPEN                      the backfills under way: no shop is in two of them

A backfill is known by what it does: asked for again before it ended, it goes on where it stopped; afterwards it begins
anew, since code, expectations or limits may be others by now. It never takes a live release back:
`publish` refuses a catalog older than the live one's.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from pluribus import ingest, publish, releases, runs
from pluribus.errors import ConfigError, Conflict, Exists, Missing, PluribusError, ShopError
from pluribus.fleet import Rates
from pluribus.store import Store

OPEN = "backfills/OPEN"
KEPT = ("shop", "state", "reason", "release", "counts", "scores", "seconds", "size_bytes")  # of the job of a shop
TRIES = 10
GUESSED_PER_S = 200.0  # embeddings, where no run says it: mini on two cores gives some 700


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a backfill does."""

    id: str
    model: str
    stage: str
    beside: bool  # build and judge, publish nothing: a swap flips shop by shop afterwards
    waves: tuple[dict[str, str], ...]  # shop -> snapshot

    @property
    def shops(self) -> list[str]:
        """Every shop in it."""
        return sorted({shop for wave in self.waves for shop in wave})


def make(
    store: Store, shops: Sequence[str], *, since: datetime | None, until: datetime | None, every: bool, at_most: int,
    model: str = "", stage: str = "validate", beside: bool = False,
) -> Plan:  # fmt: skip
    """The plan of a backfill: of each shop its newest snapshot read in [since, until], or `every` one, oldest first.

    A wave holds `at_most` shops, and each shop once. Raises ConfigError when there is nothing to do.
    """
    if since and until and since > until:
        raise ConfigError(f"--since {since:%F} is after --until {until:%F}", do="exchange them")
    chosen = {shop: _snapshots(store.within(f"shops/{shop}"), since, until, every) for shop in shops}
    if not any(chosen.values()):
        raise ConfigError("no shop has a snapshot in this time", do="look at `pluribus runs`, or give other times")
    rounds = [{s: ids[n] for s, ids in chosen.items() if n < len(ids)} for n in range(max(map(len, chosen.values())))]
    waves = []
    for one in rounds:
        names = sorted(one)
        waves += [{s: one[s] for s in names[i : i + at_most]} for i in range(0, len(names), at_most)]
    said = json.dumps([model, stage, beside, waves], sort_keys=True)
    known = hashlib.sha256(said.encode()).hexdigest()[:12]
    made = Plan(id=known, model=model, stage=stage, beside=beside, waves=tuple(waves))
    return made if since or until or every else _cut_short(store, made) or made


def _cut_short(store: Store, made: Plan) -> Plan | None:
    """The plan under way that does the same to the same shops, with the snapshots that were the newest then."""
    try:
        there: dict[str, list[str]] = json.loads(store.get(OPEN))["open"]
    except Missing:
        return None
    for known, shops in there.items():
        if shops == made.shops:
            said = json.loads(store.get(f"backfills/{known}/plan.json"))
            begun = Plan(**said | {"waves": tuple(said["waves"])})
            if replace(begun, id=made.id, waves=made.waves) == made:
                return begun
    return None


def _snapshots(own: Store, since: datetime | None, until: datetime | None, every: bool) -> list[str]:
    """Ids in the order in which they were last taken."""
    taken = ((entry.id, datetime.fromisoformat(entry.asof)) for entry in ingest.history(own))
    last = {i: at for i, at in taken if not (since and at < since) and not (until and at > until)}
    ordered = sorted(last, key=lambda snapshot: last[snapshot])
    return ordered if every else ordered[-1:]


def begin(store: Store, made: Plan) -> None:
    """Write the plan and claim its shops. Raises ConfigError when one of them is in another backfill.

    Of a backfill like it that ended, what its waves came to is forgotten.
    """
    under_way = False
    store.create(f"backfills/{made.id}/plan.json", json.dumps(asdict(made)).encode())
    for n, wave in enumerate(made.waves):
        told = {"backfill": made.id, "snapshots": wave, "stage": made.stage, "beside": made.beside}
        store.create(_wave_key(made, n), json.dumps(told).encode())

    def claim(there: dict[str, list[str]]) -> dict[str, list[str]]:
        nonlocal under_way
        under_way = made.id in there
        for other, shops in there.items():
            both = sorted(set(shops) & set(made.shops))
            if other != made.id and both:
                raise ConfigError(
                    f"shop {both[0]!r} is in backfill {other}" + f", and {len(both) - 1} more" * (len(both) > 1),
                    expected="a shop in one backfill at a time",
                    do=f"let that one end, or give it up: pluribus backfill --give-up {other}",
                )
        return there | {made.id: made.shops}

    _change_open(store, claim)
    for item in () if under_way else list(store.items(f"backfills/{made.id}/done/")):
        store.delete(item.key)


def end(store: Store, known: str) -> None:
    """Let the shops of a backfill go. Raises ConfigError when there is none of this id under way."""

    def let_go(there: dict[str, list[str]]) -> dict[str, list[str]]:
        if known not in there:
            raise ConfigError(f"no backfill {known!r} is under way", expected=f"one of {', '.join(there) or '(none)'}")
        return {other: shops for other, shops in there.items() if other != known}

    _change_open(store, let_go)


def _change_open(store: Store, change: Any) -> None:
    for _ in range(TRIES):
        try:
            data, tag = store.get_tagged(OPEN)
        except Missing:
            data, tag = b'{"n": 0, "open": {}}', None
        there = json.loads(data)
        new = {"n": there["n"] + 1, "open": change(there["open"])}  # n: no state is ever written twice
        try:
            store.swap(OPEN, json.dumps(new).encode(), tag)
        except Conflict:
            continue
        return
    raise ConfigError("other backfills begin and end all the time", do="run this again")


def wave_key(made: Plan, n: int) -> str:
    """What a run of the flow is told (`--replay`)."""
    return _wave_key(made, n)


def _wave_key(made: Plan, n: int) -> str:
    return f"backfills/{made.id}/{n:06}.json"


def finished(store: Store, made: Plan) -> dict[int, list[dict[str, Any]]]:
    """The waves that are done, with their jobs."""
    prefix = f"backfills/{made.id}/done/"
    return {int(i.key[len(prefix) :].removesuffix(".json")): json.loads(store.get(i.key)) for i in store.items(prefix)}


def finish(store: Store, made: Plan, n: int, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Note how a wave came through."""
    kept = [{name: job[name] for name in KEPT if name in job} for job in jobs]
    store.create(f"backfills/{made.id}/done/{n:06}.json", json.dumps(kept).encode())


def estimate(store: Store, made: Plan, *, fingerprints: Mapping[str, str], rates: Rates) -> dict[str, Any]:
    """What a backfill will take, by what the newest runs took: products, embeddings, hours, USD.

    `fingerprints` are of each shop's model.
    """
    reports = runs.reports(store)
    jobs = [job for report in reports for job in report["jobs"] if "embedded" in job["counts"]]
    embed_s = sum(job["seconds"].get("embed", 0.0) for job in jobs if job["counts"]["embedded"])
    embedded = sum(job["counts"]["embedded"] for job in jobs)
    rows = max(1, sum(job["counts"]["rows"] for job in jobs))
    other_s = sum(sum(job["seconds"].values()) for job in jobs) - embed_s
    products = new = 0
    for wave in made.waves:
        for shop, snapshot in wave.items():
            own = store.within(f"shops/{shop}")
            entry = ingest.recall(own, snapshot)
            products += entry.rows
            if not any(True for _ in own.items(f"vectors/{fingerprints[shop]}/")):
                new += entry.pictures + 2 * entry.rows  # each product's text, and its title
    per_s = embedded / embed_s if embed_s and embedded else GUESSED_PER_S
    gpu_hours, cpu_hours = new / per_s / 3600, products * other_s / rows / 3600
    return {
        "shops": len(made.shops),
        "waves": len(made.waves),
        "products": products,
        "embeddings": new,
        "hours": round(gpu_hours + cpu_hours, 3),
        "USD": round(gpu_hours * rates.gpu_hour + cpu_hours * rates.cpu_hour * 2, 4),
        "by": f"{len(jobs)} refreshes of the newest runs" if jobs else "guesses: no run is known yet",
    }


@dataclass(frozen=True)
class Flip:
    """How one shop's switch ended."""

    shop: str
    state: str
    reason: str
    release: str


def flip(store: Store, made: Plan, jobs: Iterable[Mapping[str, Any]], *, failures: int) -> list[Flip]:
    """Publish what a swap built beside, shop by shop; stops once `failures` shops could not be switched."""
    ends: list[Flip] = []
    lost = 0
    for job in jobs:
        done = _flip(store, made, job)
        ends.append(done)
        lost += done.state not in ("published", "already", "unchanged")
        if lost >= failures:
            break
    return ends


def _flip(store: Store, made: Plan, job: Mapping[str, Any]) -> Flip:
    shop, release = job["shop"], job["release"]
    if job["state"] != "beside":
        return Flip(shop, job["state"], job["reason"], release)
    own = store.within(f"shops/{shop}")
    try:
        now = releases.current(own, shop=shop)
        if now is None or now.release != release:
            note = json.dumps({"shop": shop, "from": now.release if now else "", "to": release}).encode()
            key = f"backfills/{made.id}/flips/{shop}-{release}.json"
            try:
                store.create(key, note)
            except Exists:  # of an earlier try, when another release was live
                store.swap(key, note, store.get_tagged(key)[1])
        state = publish.publish(own, shop=shop, release=release, why=f"swap {made.id}")
        return Flip(shop, state, "", release)
    except ShopError as error:
        return Flip(shop, "set aside", str(error), release)


def flip_back(store: Store, known: str) -> list[Flip]:
    """Put every shop that a swap switched back to the release it had. A shop that has moved on since is left alone."""
    notes = [json.loads(store.get(item.key)) for item in store.items(f"backfills/{known}/flips/")]
    if not notes:
        raise ConfigError(f"swap {known!r} switched no shop", expected="the id that `pluribus swap` printed")
    ends = []
    for note in notes:
        shop, own = note["shop"], store.within(f"shops/{note['shop']}")
        try:
            now = releases.current(own, shop=shop)
            if now is None or now.release != note["to"]:
                ends.append(Flip(shop, "left alone", "it has another release by now", now.release if now else ""))
            elif now.hold:
                ends.append(Flip(shop, "left alone", "it is held", now.release))
            elif not note["from"]:
                ends.append(Flip(shop, "left alone", "it had no release before", now.release))
            else:
                publish.rollback(own, shop=shop, to=note["from"], why=f"swap {known} taken back", holding=False)
                ends.append(Flip(shop, "back", "", note["from"]))
        except PluribusError as error:
            ends.append(Flip(shop, "set aside", str(error), note["to"]))
    return ends
