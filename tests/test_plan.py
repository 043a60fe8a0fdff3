"""Which shops run together, and that one shop's failure stays its own."""

from datetime import UTC, datetime, timedelta

import pytest

from pluribus import plan
from pluribus.errors import ConfigError, FeedError, StoreError
from pluribus.records import Job, Shop

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def shops(*names: str, model: str = "mini") -> list[Shop]:
    return [Shop(name=name, model=model) for name in names]


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


def test_due_is_by_each_shops_own_cadence() -> None:
    hourly, daily, new = Shop(name="h", every_hours=1), Shop(name="d", every_hours=24), Shop(name="n")
    past = [{"started": (NOW - timedelta(hours=2)).isoformat(), "jobs": [{"shop": "h"}, {"shop": "d"}]}]
    assert [s.name for s in plan.due([hourly, daily, new], past, NOW)] == ["h", "n"]


def test_choose_refuses_unknown_names_and_keeps_order() -> None:
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
    done = {job.shop: job for job in plan.advance(jobs, "stage", work)}
    assert done["good"].state == "running"
    assert done["good"].counts == {"rows": 1}
    assert (done["feedless"].state, done["feedless"].reason) == ("set aside", "stage: no feed; send one")
    assert done["buggy"].state == "set aside"
    assert "ZeroDivisionError" in done["buggy"].reason
    assert "\x1b" not in done["buggy"].reason
    again = plan.advance(list(done.values()), "next", lambda job: job.after("next", 0, {}))
    assert [job.shop for job in again if "next" in job.seconds] == ["good"]


def test_a_broken_store_stops_everybody() -> None:
    def work(job: Job) -> Job:
        raise StoreError("unreachable")

    with pytest.raises(StoreError):
        plan.advance([Job(shop="a")], "stage", work)


def test_the_same_inputs_make_the_same_key_and_any_other_another() -> None:
    base = ("shop", "snapshot", Shop(name="a").fusion)
    assert plan.input_key(*base) == plan.input_key(*base)
    assert plan.input_key(*base) != plan.input_key("shop", "snapshot2", Shop(name="a").fusion)
