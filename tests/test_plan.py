"""Which shops run together, and that one shop's failure stays its own."""

import errno
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pluribus import plan, runs
from pluribus.errors import ConfigError, FeedError, Missing, StoreError
from pluribus.jobs import Job, advance, afford
from pluribus.records import Feed, Limits, Shop
from pluribus.store import open_store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def shops(*names: str, model: str = "mini") -> list[Shop]:
    return [Shop(name=name, model=model) for name in names]


def test_a_full_disk_is_said_to_be_one() -> None:
    def work(_job: Job) -> Job:
        raise OSError(errno.ENOSPC, "No space left on device")

    (done,) = advance([Job(shop="a")], "ingest", work)
    assert (done.state, tempfile.gettempdir() in done.reason) == ("set aside", True)
    assert "please report" not in done.reason


def test_small_shops_share_a_batch_and_large_ones_do_not() -> None:
    expected = {"big": 90, "a": 10, "b": 10, "c": 40, "d": 55}
    packed = plan.batches(shops(*expected), expected, batch_products=100, most=10)
    assert len(packed) == 3
    assert sorted(s.name for batch in packed for s in batch) == sorted(expected)
    assert all(sum(expected[s.name] for s in batch) <= 100 for batch in packed)


def test_a_batch_has_one_model() -> None:
    mixed = [*shops("a", "b"), *shops("c", model="other")]
    packed = plan.batches(mixed, dict.fromkeys("abc", 1), batch_products=100, most=10)
    assert [[s.name for s in batch] for batch in packed] == [["a", "b"], ["c"]]


def test_never_more_batches_than_metaflow_takes() -> None:
    many = shops(*(f"s{i}" for i in range(500)))
    packed = plan.batches(many, {s.name: 60 for s in many}, batch_products=100, most=90)
    assert len(packed) <= 90
    assert sum(map(len, packed)) == 500


@pytest.mark.parametrize(("products", "tasks"), [(40, 2), (190, 4), (3, 1)])
def test_no_worker_is_idle_while_there_is_work_for_it(products: int, tasks: int) -> None:
    expected = {f"s{n:03}": products - n % 3 for n in range(1_000)}
    packed = plan.batches(shops(*expected), expected, batch_products=50_000, most=90, workers=2)
    assert len(packed) == tasks
    work = [sum(expected[shop.name] for shop in batch) for batch in packed]
    assert sum(map(len, packed)) == 1_000 and max(work) - min(work) <= max(work) / 10


def test_expected_work_is_what_is_new_not_what_is_there() -> None:
    """A large shop that changes little shares a task with small ones; under another model all of it is new again."""
    job = {"shop": "a", "model": "mini", "counts": {"rows": 1_000, "accepted": 1_000, "embedded": 30, "reused": 2_970}}
    idle = {"shop": "a", "model": "mini", "counts": {"rows": 1_000}}
    past = [{"started": "", "jobs": [idle]}, {"started": "", "jobs": [job]}]
    assert plan.expected_products(shops("a"), past) == {"a": plan.SHOP_WORK + 10 + 100}
    assert plan.expected_products(shops("a", model="other"), past) == {"a": plan.SHOP_WORK + 1_000}
    assert plan.expected_products(shops("new"), past) == {"new": plan.SHOP_WORK + plan.GUESSED_PRODUCTS}


def test_a_stage_that_serves_all_shops_looks_at_each_first_and_keeps_failures_apart() -> None:
    seen: list[str] = []

    def look(job: Job) -> Job:
        if job.shop == "bad":
            raise FeedError("broken")
        seen.append(job.shop)
        return job

    jobs = [Job(shop=name) for name in ("a", "bad", "b")]
    done = advance(jobs, "s", lambda job: job.spent("s", 2.0), look=look, together=lambda: seen.append("all"))
    assert seen == ["a", "b", "all"]
    assert [job.state for job in done] == ["running", "set aside", "running"]
    assert done[0].seconds["s"] >= 2.0


def test_a_shop_removed_during_the_run_is_set_aside_and_the_others_go_on() -> None:
    def work(job: Job) -> Job:
        if job.shop == "gone":
            raise Missing("there is no store/shops/gone/snapshots/x")
        return job

    done = advance([Job(shop="gone"), Job(shop="here")], "validate", work)
    assert [job.state for job in done] == ["set aside", "running"]
    assert done[0].reason.startswith("validate: there is no store/shops/gone")
    assert "removed during the run" in done[0].reason


def test_due_is_by_each_shops_own_cadence() -> None:
    hourly, daily, new = Shop(name="h", every_hours=1), Shop(name="d", every_hours=24), Shop(name="n")
    past = [{"run": "1", "started": (NOW - timedelta(hours=2)).isoformat(), "jobs": [{"shop": "h"}, {"shop": "d"}]}]
    assert [s.name for s in plan.due([hourly, daily, new], past, NOW)] == ["h", "n"]


@pytest.mark.parametrize(("every_hours", "window", "ticks"), [(1, "", 48), (24, "01:00-02:00", 2), (6, "", 8)])
def test_an_hourly_schedule_misses_no_shop_for_some_seconds(every_hours: float, window: str, ticks: int) -> None:
    """A run begins 5 to 40 seconds after its tick, now more, now less."""
    shop, taken, past = Shop(name="a", every_hours=every_hours, window=window), 0, list[dict[str, Any]]()
    for tick in range(48):
        started = NOW.replace(hour=0, minute=17) + timedelta(hours=tick, seconds=40 - 35 * (tick % 3) / 2)
        if plan.due([shop], past, started):
            past.insert(0, {"run": str(tick), "started": started.isoformat(), "jobs": [{"shop": "a"}]})
            taken += 1
    assert taken == ticks


def test_a_clock_that_ran_ahead_keeps_no_shop_from_being_due() -> None:
    ahead = {"run": "1", "started": (NOW + timedelta(days=365)).isoformat(), "jobs": [{"shop": "a"}]}
    assert plan.due([Shop(name="a")], [ahead], NOW)


def test_a_run_over_earlier_snapshots_is_no_refresh() -> None:
    read = {"run": "1", "started": (NOW - timedelta(hours=30)).isoformat(), "jobs": [{"shop": "a"}]}
    swap = {"run": "2", "started": (NOW - timedelta(hours=1)).isoformat(), "jobs": [{"shop": "a"}], "replay": True}
    assert plan.due([Shop(name="a")], [swap, read], NOW)
    assert not plan.due([Shop(name="a")], [swap | {"replay": False}, read], NOW)


def test_a_feed_that_cannot_be_looked_at_is_guessed_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to(tmp_path / "nowhere.csv")
    for source in (f"{tmp_path}/*.csv", f"{tmp_path}/feed**.csv"):
        shop = Shop(name="odd", feeds=(Feed(source=(source,)),))
        assert plan.expected_products([shop], [])["odd"] == plan.SHOP_WORK + plan.GUESSED_PRODUCTS


def test_many_runs_of_single_shops_do_not_make_the_others_due_again(tmp_path: Path) -> None:
    """Events start a run for each shop: the last run of all may lie behind hundreds of these."""
    store = open_store(str(tmp_path))
    for n, shop in enumerate(["quiet", *["busy"] * 12]):
        started = NOW + timedelta(minutes=n)
        runs.write_report(store, run=str(n), started=started, finished=started, jobs=[Job(shop=shop)])
    now, there = NOW + timedelta(hours=2), [Shop(name="quiet"), Shop(name="busy")]
    assert len(runs.reports(store, 5)) == 5
    past = runs.reports(store, 5, since=runs.horizon(there, now))
    assert [report["run"] for report in past] == [str(n) for n in reversed(range(13))]
    assert plan.due(there, past, now) == []


def test_choose_refuses_unknown_names_and_keeps_order() -> None:
    with pytest.raises(ConfigError, match=r"',' names no shop; expected all, due, or some of a"):
        plan.choose({"a": Shop(name="a")}, ",", past=[], now=NOW)
    there = {s.name: s for s in shops("a", "b")}
    assert [s.name for s in plan.choose(there, "b, a,b", past=[], now=NOW)] == ["b", "a"]
    with pytest.raises(ConfigError, match=r"no shop 'z'.*a, b"):
        plan.choose(there, "a,z", past=[], now=NOW)


def test_a_poisoned_shop_leaves_the_others() -> None:
    def work(job: Job) -> Job:
        if job.shop == "feedless":
            raise FeedError("no feed", do="send one")
        if job.shop == "buggy":
            raise ZeroDivisionError("boom\x1b[2J")
        return job.after("stage", 5, {"rows": 1})

    jobs = [Job(shop=name) for name in ("good", "feedless", "buggy")]
    done = {job.shop: job for job in advance(jobs, "stage", work)}
    assert done["good"].state == "running"
    assert done["good"].counts == {"rows": 1}
    assert (done["feedless"].state, done["feedless"].reason) == ("set aside", "stage: no feed; send one")
    assert done["buggy"].state == "set aside"
    assert "ZeroDivisionError" in done["buggy"].reason
    assert "\x1b" not in done["buggy"].reason
    again = advance(list(done.values()), "next", lambda job: job.after("next", 0, {}))
    assert [job.shop for job in again if "next" in job.seconds] == ["good"]


def test_a_broken_store_stops_everybody() -> None:
    def work(job: Job) -> Job:
        raise StoreError("unreachable")

    with pytest.raises(StoreError):
        advance([Job(shop="a")], "stage", work)


def test_the_same_inputs_make_the_same_key_and_any_other_another() -> None:
    base = ("shop", "snapshot", Shop(name="a").fusion)
    assert plan.input_key(*base) == plan.input_key(*base)
    assert plan.input_key(*base) != plan.input_key("shop", "snapshot2", Shop(name="a").fusion)


def test_a_shop_a_hundred_times_the_others_delays_nobody() -> None:
    """By the products that must be done before each small shop's step ends, whoever shares its task or its worker."""

    def done(expected: dict[str, int], workers: int) -> dict[str, int]:
        free, ends = [0] * workers, {}
        for batch in plan.batches(shops(*expected), expected, batch_products=50_000, most=90):
            free[0] += sum(expected[shop.name] for shop in batch)
            ends |= {shop.name: free[0] for shop in batch}
            free.sort()
        return ends

    small = {f"s{n:02}": 300 + n for n in range(19)}
    for workers in (1, 2, 4):
        alone, beside = done(small, workers), done({**small, "big": 30_000}, workers)
        assert all(beside[shop] <= 1.2 * alone[shop] for shop in small)
        assert len(plan.batches(shops(*small), small, batch_products=50_000, most=90)) == 1


def test_sizes_stay_apart_only_while_there_are_batches_for_it() -> None:
    expected = {"s": 5, "m": 500, "l": 50_000, "xl": 5_000_000}
    assert len(plan.batches(shops(*expected), expected, batch_products=10_000_000, most=4)) == 4
    assert len(plan.batches(shops(*expected), expected, batch_products=10_000_000, most=2)) <= 2


def test_shops_of_about_a_size_share_a_task_whatever_their_digits() -> None:
    expected = {"a": 95, "b": 105, "c": 1_020}
    assert len(plan.batches(shops(*expected), expected, batch_products=50_000, most=90)) == 1


@pytest.mark.parametrize(
    ("seconds", "limits", "said"),
    [
        (100, Limits(seconds=99), r"took 100 s so far; expected at most 99 s a run; raise limits.seconds"),
        (7200, Limits(spend=3.5), r"cost 4.00 so far; expected at most 3.50 a run; raise limits.spend"),
    ],
)
def test_a_shop_that_used_up_its_share_is_set_aside_and_told(seconds: int, limits: Limits, said: str) -> None:
    def work(job: Job) -> Job:
        afford(job, limits if job.shop == "greedy" else Limits(), hour_price=2.0)
        return job

    jobs = [Job(shop=name, seconds={"ingest": seconds}) for name in ("greedy", "modest")]
    greedy, modest = advance(jobs, "validate", work)
    assert greedy.state == "set aside"
    assert re.search(said, greedy.reason)
    assert modest.state == "running"
