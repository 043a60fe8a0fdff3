"""Earlier catalogs through the DAG again, and another model under live shops: nothing goes back, nobody notices."""

import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleets import ROOT, Fleet, fleet
from trial import SHOP, build

from pluribus import backfill, ingest, publish, releases, search
from pluribus.errors import ConfigError
from pluribus.fleet import Rates
from pluribus.records import Snapshot
from pluribus.store import Store, open_store

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def diary(store: Store, shop: str, *days: int) -> None:
    """A shop that took a snapshot on each of these days of January."""
    for day in days:
        at = NOW.replace(day=day).isoformat()
        taken = Snapshot(shop=shop, id=f"{shop}-{day}", asof=at, feed_key="", feeds=(), rows=10, pictures=5)
        store.create(f"shops/{shop}/snapshots/log/{at}.json", json.dumps(vars(taken)).encode())


def made(store: Store, shops: str = "ab", **changed: object) -> backfill.Plan:
    asked = {"since": None, "until": None, "every": False, "at_most": 10} | changed
    return backfill.make(store, list(shops), **asked)  # type: ignore[arg-type]


def test_a_plan_takes_the_newest_snapshot_in_its_time_or_every_one_oldest_first(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    diary(store, "a", 1, 3, 5)
    diary(store, "b", 2)
    assert made(store).waves == ({"a": "a-5", "b": "b-2"},)
    assert made(store, until=NOW.replace(day=4), since=NOW.replace(day=2)).waves == ({"a": "a-3", "b": "b-2"},)
    diary(store, "c", 1, 3)
    again = Snapshot(shop="c", id="c-1", asof=NOW.replace(day=5).isoformat(), feed_key="", feeds=(), rows=10)
    store.create(f"shops/c/snapshots/log/{again.asof}.json", json.dumps(vars(again)).encode())  # as it was before
    assert made(store, "c", until=NOW.replace(day=2)).waves == ({"c": "c-1"},)
    assert made(store, "c", every=True, until=NOW.replace(day=4)).waves == ({"c": "c-1"}, {"c": "c-3"})
    assert made(store, every=True, at_most=1).waves == ({"a": "a-1"}, {"b": "b-2"}, {"a": "a-3"}, {"a": "a-5"})
    with pytest.raises(ConfigError, match="no shop has a snapshot in this time"):
        made(store, since=NOW)
    with pytest.raises(ConfigError, match=r"--since .* is after --until"):
        made(store, since=NOW, until=NOW - timedelta(days=1))


def test_the_same_backfill_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    diary(store, "a", 1)
    diary(store, "b", 2)
    plan = made(store, at_most=1)
    backfill.begin(store, plan)
    backfill.finish(store, plan, 0, [{"shop": "a", "state": "published", "reason": "", "release": "r", "counts": {}}])
    again = made(store, at_most=1)
    backfill.begin(store, again)
    assert again == plan
    assert list(backfill.finished(store, again)) == [0]


def test_a_swap_goes_on_with_the_catalogs_it_began_with(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    diary(store, "a", 1)
    diary(store, "b", 2)
    plan = made(store, beside=True, model="m")
    backfill.begin(store, plan)
    diary(store, "a", 3)  # a feed brought news meanwhile
    assert made(store, beside=True, model="m") == plan
    assert made(store, beside=True, model="other").waves == ({"a": "a-3", "b": "b-2"},)
    backfill.end(store, plan.id)
    assert made(store, beside=True, model="m").waves == ({"a": "a-3", "b": "b-2"},)


def test_a_swap_tried_again_notes_what_is_live_by_then(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    own = store.within(f"shops/{SHOP}")
    first, second, third = (build(own, f"2026-01-0{day}T00:00:00+00:00") for day in (1, 2, 3))
    for release in (first, second):
        assert publish.publish(own, shop=SHOP, release=release, why="") == "published"
    plan = backfill.Plan(id="x", model="m", stage="validate", beside=True, waves=({SHOP: "s"},))
    job = {"shop": SHOP, "state": "beside", "reason": "", "release": third}
    publish.hold(own, shop=SHOP, why="")
    assert backfill.flip(store, plan, [job], failures=1)[0].state == "held"
    publish.rollback(own, shop=SHOP, to=first, why="", holding=False)
    assert backfill.flip(store, plan, [job], failures=1)[0].state == "published"
    assert [flip.release for flip in backfill.flip_back(store, "x")] == [first]
    current = releases.current(own, shop=SHOP)
    assert current
    assert not current.hold, "and nothing keeps the next refresh out"


def test_a_shop_that_is_held_stays_where_a_swap_put_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    own = store.within(f"shops/{SHOP}")
    before, after = build(own, "2026-01-01T00:00:00+00:00"), build(own, "2026-01-02T00:00:00+00:00")
    for release in (before, after):
        assert publish.publish(own, shop=SHOP, release=release, why="") == "published"
    note = {"shop": SHOP, "from": before, "to": after}
    store.create(f"backfills/x/flips/{SHOP}-{after}.json", json.dumps(note).encode())
    publish.hold(own, shop=SHOP, why="black friday")
    assert [(f.state, f.reason) for f in backfill.flip_back(store, "x")] == [("left alone", "it is held")]
    current = releases.current(own, shop=SHOP)
    assert current
    assert (current.release, current.hold) == (after, True)
    publish.unhold(own, shop=SHOP, why="")
    assert [f.state for f in backfill.flip_back(store, "x")] == ["back"]


def test_a_backfill_that_ended_begins_anew(tmp_path: Path) -> None:
    """Expectations or limits may be others by now: what came of it then says nothing."""
    store = open_store(str(tmp_path))
    diary(store, "a", 1)
    plan = made(store, "a")
    backfill.begin(store, plan)
    backfill.finish(store, plan, 0, [{"shop": "a", "state": "set aside", "reason": "", "release": "", "counts": {}}])
    backfill.end(store, plan.id)
    backfill.begin(store, plan)
    assert backfill.finished(store, plan) == {}


def test_overlapping_backfills_are_one_clear_line(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for shop in "abc":
        diary(store, shop, 1)
    first, second, third = made(store, "ab"), made(store, "bc"), made(store, "c")
    backfill.begin(store, first)
    with pytest.raises(ConfigError) as refused:
        backfill.begin(store, second)
    said = str(refused.value)
    assert said.startswith(f"shop 'b' is in backfill {first.id}; expected a shop in one backfill at a time; let that")
    assert f"--give-up {first.id}" in said
    backfill.begin(store, third)
    backfill.end(store, first.id)
    backfill.end(store, third.id)
    backfill.begin(store, second)
    with pytest.raises(ConfigError, match="no backfill 'zzz' is under way; expected one of"):
        backfill.end(store, "zzz")


def test_an_estimate_counts_what_has_no_vector_yet(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    diary(store, "a", 1)
    diary(store, "b", 1)
    store.create("shops/b/vectors/f/x.parquet", b"")
    told = backfill.estimate(
        store, made(store), fingerprints={"a": "f", "b": "f"}, rates=Rates(gpu_hour=3600.0, cpu_hour=0)
    )
    assert (told["shops"], told["products"], told["embeddings"]) == (2, 20, 25)
    assert told["USD"] == pytest.approx(25 / backfill.GUESSED_PER_S)


def test_an_older_catalog_never_takes_the_live_release_back(operated: Fleet) -> None:
    """The first snapshot of atelier, judged and built again by the real flow: it was live once, and is not any more."""
    own = open_store(operated.store).within("shops/atelier")
    before = operated.live("atelier")
    first = next(iter(ingest.history(own)))
    until = (datetime.fromisoformat(first.asof) + timedelta(milliseconds=1)).isoformat()
    dry = json.loads(operated.run("backfill", "--shops", "atelier", "--until", until, "--dry-run", "--json").stdout)
    assert dry[0]["products"] == first.rows
    (job,) = json.loads(operated.run("backfill", "--shops", "atelier", "--until", until, "--json").stdout)
    assert (job["shop"], job["state"]) == ("atelier", "superseded")
    assert operated.live("atelier") == before


class Reader(threading.Thread):
    """A shopper who searches all the time, and looks whether all that answers is of one release and one model."""

    def __init__(self, store: str, shops: list[str]) -> None:
        super().__init__()
        self.store, self.shops = store, shops
        self.over = threading.Event()
        self.failed: list[str] = []
        self.seen: dict[str, set[str]] = {shop: set() for shop in shops}
        self.queries = 0

    def run(self) -> None:
        while not self.over.is_set():
            for shop in self.shops:
                try:
                    found = search.open(self.store, shop)
                    facts = found.release.manifest.facts
                    hits = found.query("red", k=3)
                    assert len(hits) == 3
                    assert found.encoder.fingerprint == facts["fingerprint"]
                    self.seen[shop].add(facts["fingerprint"])
                except Exception as error:  # noqa: BLE001 - every failure counts
                    self.failed.append(f"{shop}: {type(error).__name__}: {error}")
                self.queries += 1


def test_a_model_is_swapped_under_all_shops_and_back_while_somebody_searches(operated: Fleet) -> None:
    swapped_and_back(operated, ["atelier", "outpost"])


def test_a_model_is_swapped_under_demo_and_real_shops(data: Path, tmp_path: Path) -> None:
    """What `make real` published, in a copy whose files are shared, and the demo shops beside it."""
    made = os.environ.get("PLURIBUS_REAL")
    if not made:
        pytest.skip("`make bluegreen` asks the real shops: it names their store in PLURIBUS_REAL")
    shutil.copytree(made, tmp_path / "store", copy_function=os.link)
    shops = fleet(tmp_path, str(tmp_path / "store"))
    settings = tmp_path / "config" / "pluribus.toml"
    settings.write_text(settings.read_text().replace("../data", str(data)))
    demos = [file.stem for file in (tmp_path / "config" / "shops").iterdir()]
    for name in demos:
        file = tmp_path / "config" / "shops" / f"{name}.toml"
        file.write_text(file.read_text().replace(f'"{name}', f'"{tmp_path}/data/{name}'))
    for file in (ROOT / "config" / "real" / "shops").iterdir():
        if shops.live(file.stem):
            shutil.copy(file, tmp_path / "config" / "shops")
    states = {shop: job["state"] for shop, job in shops.refresh().items()}
    assert {shop for shop, state in states.items() if state == "published"} == set(demos)
    assert "unchanged" in states.values()
    swapped_and_back(shops, sorted(states))


def swapped_and_back(made: Fleet, shops: list[str]) -> None:
    """The second model is mini by another recipe: the same weights, another text template, another space by name."""
    text = (ROOT / "config" / "models" / "mini.toml").read_text()
    text = text.replace('weights = "mini.safetensors"', f'weights = "{ROOT}/config/models/mini.safetensors"')
    models = made.folder / "models"
    models.mkdir(exist_ok=True)
    (models / "mini.toml").write_text(text)
    (models / "mini2.toml").write_text(text.replace('text = "{title}. {description}"', 'text = "{title}"'))
    settings = made.folder / "config" / "pluribus.toml"
    settings.write_text(settings.read_text().replace(f"{ROOT}/config/models", str(models)))
    before = {shop: made.live(shop) for shop in shops}
    reader = Reader(made.store, shops)
    reader.start()
    try:
        ends = json.loads(made.run("swap", "--model", "mini2", "--json").stdout)
        assert [(one["shop"], one["state"]) for one in ends] == [(shop, "published") for shop in shops]
        swapped = {shop: made.live(shop) for shop in shops}
        plans = open_store(made.store).items("backfills/")
        known = next(item.key.split("/")[1] for item in plans if "/flips/" in item.key)
        back = json.loads(made.run("swap", "--back", known, "--json").stdout)
    finally:
        reader.over.set()
        reader.join()
    print(f"{len(shops)} shops, {reader.queries} queries, {len(reader.failed)} failed or mixed")
    assert {one["state"] for one in back} == {"back"}
    assert all(swapped[shop] != before[shop] for shop in shops)
    assert {shop: made.live(shop) for shop in shops} == before
    assert reader.failed == []
    assert reader.queries > 10
    assert all(len(seen) == 2 for seen in reader.seen.values()), "the reader saw both models"
    assert not any(releases.current(open_store(made.store).within(f"shops/{s}"), shop=s).hold for s in shops)  # type: ignore[union-attr]


def test_a_swap_stops_at_its_first_failures_and_leaves_the_rest(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    plan = backfill.Plan(id="x", model="m", stage="validate", beside=True, waves=())
    sealed = {"asof": NOW.isoformat(), "input_key": "0" * 64, "facts": {}}
    for shop in "abcd":
        own = store.within(f"shops/{shop}")
        file = releases.add(own, release="new", name="index.faiss", data=b"x")
        publish.seal(own, shop=shop, release="new", files={"index.faiss": file}, **sealed)
    for shop in "bc":
        store.within(f"shops/{shop}").delete("releases/new/index.faiss")
    jobs = [{"shop": shop, "state": "beside", "reason": "", "release": "new"} for shop in "abcd"]
    ends = backfill.flip(store, plan, jobs, failures=2)
    assert [(one.shop, one.state) for one in ends] == [("a", "published"), ("b", "set aside"), ("c", "set aside")]
    assert releases.current(store.within("shops/d"), shop="d") is None
    assert next(one.state for one in backfill.flip_back(store, "x")) == "left alone"
    with pytest.raises(ConfigError, match="swap 'y' switched no shop"):
        backfill.flip_back(store, "y")
