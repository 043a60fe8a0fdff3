"""Publication as its users know it: whole releases or none, whoever races, dies, sleeps or loses an answer."""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest
from kills import child

from pluribus import publish, releases
from pluribus.errors import Conflict, ReleaseError, StoreError
from pluribus.manifests import Current, Retired, decode_current, encode
from pluribus.store import Item, Store, open_store

FILES = ("index.faiss", "products.parquet", "evaluation.json")
NOW = "2025-11-22T08:00:00+00:00"


@pytest.fixture
def shop(store: Store) -> Store:
    return store.within("shops/one")


def build(shop: Store, asof: str = NOW, input_key: str = "", seal: bool = True, name: str = "one") -> str:
    """A release of three files, each of which names its release."""
    release = uuid4().hex
    files = {file: releases.add(shop, release=release, name=file, data=content(release, file)) for file in FILES}
    if seal:
        key = input_key or release
        publish.seal(shop, shop=name, release=release, asof=asof, input_key=key, files=files, facts={"products": 3})
    return release


def content(release: str, file: str) -> bytes:
    return f"{release} {file}\n".encode() * 50


def go_live(shop: Store, asof: str = NOW, input_key: str = "") -> str:
    release = build(shop, asof, input_key)
    assert publish.publish(shop, shop="one", release=release, why="test") == "published"
    return release


def live(shop: Store) -> str:
    """The live release, read as a server reads it: every byte compared, and all of one release."""
    opened = releases.open_release(shop, shop="one")
    opened.verify()
    release = opened.manifest.release
    assert [opened.path(file).read_bytes() for file in FILES] == [content(release, file) for file in FILES]
    return release


def now(shop: Store) -> Current:
    found = releases.current(shop, shop="one")
    assert found
    return found


def overwrite(store: Store, key: str, data: bytes) -> None:
    """What a failing disk or a stranger would do."""
    store.swap(key, data, store.get_tagged(key)[1])


@dataclass
class Troubled:
    """A store with something happening around its calls; anything else is passed on."""

    inner: Store
    before_swap: list[Callable[[], object]] = field(default_factory=list)  # each happens once
    before_get: list[Callable[[], object]] = field(default_factory=list)
    before_delete: list[Callable[[], object]] = field(default_factory=list)
    lose: Callable[[], Exception | None] = lambda: None  # asked after a swap has landed

    @property
    def url(self) -> str:
        return self.inner.url

    def get(self, key: str) -> bytes:
        if key != releases.CURRENT and self.before_get:
            self.before_get.pop(0)()
        return self.inner.get(key)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        return self.inner.get_tagged(key)

    def read(self, key: str, start: int, size: int) -> bytes:
        return self.inner.read(key, start, size)

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        self.inner.create(key, data, given=given)

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        if self.before_swap:
            self.before_swap.pop(0)()
        new = self.inner.swap(key, data, tag)
        if error := self.lose():
            raise error
        return new

    def items(self, prefix: str = "") -> Iterator[Item]:
        return self.inner.items(prefix)

    def delete(self, key: str) -> None:
        if self.before_delete:
            self.before_delete.pop(0)()
        self.inner.delete(key)

    def local(self, key: str) -> Path:
        return self.inner.local(key)

    def within(self, prefix: str) -> "Troubled":
        return replace(self, inner=self.inner.within(prefix))


# ----------------------------------------------------------------------------------------------------------- publish


def test_a_release_goes_live_and_is_read_back(shop: Store) -> None:
    assert releases.current(shop, shop="one") is None
    with pytest.raises(ReleaseError, match="shop one has no live release"):
        releases.open_release(shop, shop="one")
    release = go_live(shop)
    assert live(shop) == release
    assert now(shop).why == "test"
    assert releases.open_release(shop, shop="one").manifest.facts == {"products": 3}
    assert releases.open_release(shop, shop="one", release=release).manifest.release == release


def test_what_is_live_already_is_not_published_again(shop: Store) -> None:
    first = go_live(shop, input_key="same")
    second = build(shop, "2025-11-23T08:00:00+00:00", "same")
    assert publish.publish(shop, shop="one", release=second, why="test") == "already"
    assert live(shop) == first
    assert publish.publish(shop, shop="one", release=second, why="test", anew=True) == "published"
    assert live(shop) == second


def test_a_release_never_gives_way_to_an_older_feed(shop: Store) -> None:
    first = go_live(shop, "2025-11-22T08:00:00+00:00")
    older = build(shop, "2025-11-22T08:30:00+01:00")
    assert publish.publish(shop, shop="one", release=older, why="backfill") == "superseded"
    assert live(shop) == first
    same_feed_new_model = go_live(shop, "2025-11-22T09:00:00+01:00")
    assert live(shop) == same_feed_new_model


def test_sealing_twice_is_fine_and_sealing_anew_is_not(shop: Store) -> None:
    release = build(shop)
    made, digest = releases.open_manifest(shop, shop="one", release=release)
    told = {"shop": "one", "release": release, "asof": made.asof, "input_key": made.input_key, "files": made.files}
    assert publish.seal(shop, **told, facts=made.facts) == made
    assert releases.open_manifest(shop, shop="one", release=release)[1] == digest
    with pytest.raises(ReleaseError, match="sealed with other content"):
        publish.seal(shop, **told, facts={"products": 4})


def test_an_unsealed_release_cannot_go_live(shop: Store) -> None:
    with pytest.raises(ReleaseError, match="there is no"):
        publish.publish(shop, shop="one", release=build(shop, seal=False), why="test")
    assert releases.current(shop, shop="one") is None


def test_a_damaged_release_cannot_go_live(shop: Store) -> None:
    first, second = go_live(shop), build(shop)
    overwrite(shop, releases.key(second, "index.faiss"), content(second, "index.faiss")[:-1])
    with pytest.raises(ReleaseError, match=r"index.faiss of release .* of shop one is damaged"):
        publish.publish(shop, shop="one", release=second, why="test")
    shop.delete(releases.key(second, "products.parquet"))
    with pytest.raises(ReleaseError):
        publish.publish(shop, shop="one", release=second, why="test")
    assert live(shop) == first


def test_racing_publishers_leave_one_unbroken_chain(shop: Store) -> None:
    asofs = [f"2025-11-22T08:{minute:02}:00+00:00" for minute in range(12)]
    built = {asof: build(shop, asof) for asof in asofs}
    random.Random(0).shuffle(asofs)

    def race(asof: str) -> str:
        return publish.publish(shop, shop="one", release=built[asof], why="race")

    with ThreadPoolExecutor(6) as pool:
        outcomes = dict(zip(asofs, pool.map(race, asofs), strict=True))
    assert set(outcomes.values()) <= {"published", "superseded"}
    published = {built[asof] for asof, outcome in outcomes.items() if outcome == "published"}
    found = now(shop)
    assert live(shop) == built[max(asofs)]
    assert {found.release, *(entry.release for entry in found.retired)} == published
    assert found.seq == len(published) == len(found.recent)


# ------------------------------------------------------------------------------------------------------ lost answers


def test_a_lost_answer_is_looked_up_not_guessed(shop: Store) -> None:
    answers = iter([Conflict("lost")])
    troubled = Troubled(shop, lose=lambda: next(answers, None))
    release = build(shop)
    assert publish.publish(troubled, shop="one", release=release, why="test") == "published"
    assert now(shop).seq == 1
    assert live(shop) == release


def test_a_lost_answer_is_found_behind_later_changes(shop: Store) -> None:
    """Another publisher goes live before the first can look: both were published, and both are told so."""
    later: list[str] = []

    def lose() -> Exception | None:
        if later:
            return None
        later.append(go_live(shop, "2025-11-23T08:00:00+00:00"))
        return Conflict("lost")

    first = build(shop)
    assert publish.publish(Troubled(shop, lose=lose), shop="one", release=first, why="test") == "published"
    assert [entry.release for entry in now(shop).retired] == [first]
    assert live(shop) == later[0]


def test_a_publisher_that_breaks_after_landing_is_settled_by_its_next_run(shop: Store) -> None:
    broken = Troubled(shop, lose=lambda: StoreError("the network is gone"))
    release = build(shop, input_key="k")
    with pytest.raises(StoreError, match="network"):
        publish.publish(broken, shop="one", release=release, why="test")
    assert publish.publish(shop, shop="one", release=build(shop, input_key="k"), why="retry") == "already"
    assert live(shop) == release


def test_what_cannot_be_settled_is_said_to_be_open(shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Conflict("again")

    monkeypatch.setattr(publish, "TRIES", 3)
    release = build(shop)
    with pytest.raises(StoreError, match=r"3 tries, and may or may not have changed.*nothing was deleted"):
        publish.publish(Troubled(shop, before_swap=[refuse] * 3), shop="one", release=release, why="test")
    assert publish.publish(shop, shop="one", release=release, why="again") == "published"


def test_no_answer_is_false_when_many_publish_and_many_answers_are_lost(tmp_path: Path) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    chance = random.Random(7)

    def lose() -> Exception | None:
        return Conflict("lost") if chance.random() < 0.25 else None

    def work(writer: int) -> list[tuple[str, str]]:
        troubled = Troubled(shop, lose=lose)
        told = []
        for n in range(8):
            release = build(shop, f"2025-11-22T{8 + n:02}:{writer:02}:00+00:00")
            told.append((release, publish.publish(troubled, shop="one", release=release, why="many")))
            publish.collect(troubled, shop="one", grace_s=3600)
        return told

    with ThreadPoolExecutor(4) as pool:
        told = [answer for answers in pool.map(work, range(4)) for answer in answers]
    published = {release for release, outcome in told if outcome == "published"}
    found = now(shop)
    assert {found.release, *(entry.release for entry in found.retired)} == published
    assert found.seq == len(published)
    live(shop)


# ---------------------------------------------------------------------------------------------------- hold, rollback


def test_a_rollback_holds_until_it_is_lifted(shop: Store) -> None:
    first, second = go_live(shop), go_live(shop, "2025-11-23T08:00:00+00:00")
    assert publish.rollback(shop, shop="one", why="bad pictures") == first
    assert live(shop) == first
    assert (now(shop).hold, now(shop).why, now(shop).asof) == (True, "bad pictures", NOW)
    newer = build(shop, "2025-11-24T08:00:00+00:00")
    assert publish.publish(shop, shop="one", release=newer, why="schedule") == "held"
    assert live(shop) == first
    publish.unhold(shop, shop="one", why="fixed")
    assert publish.publish(shop, shop="one", release=newer, why="schedule") == "published"
    assert live(shop) == newer
    assert [entry.release for entry in now(shop).retired] == [second, first]


def test_going_back_twice_goes_back_two_steps_and_no_further(shop: Store) -> None:
    first, second, third = (go_live(shop, f"2025-11-2{day}T08:00:00+00:00") for day in (2, 3, 4))
    assert publish.rollback(shop, shop="one", why="") == second
    assert publish.rollback(shop, shop="one", why="") == first
    with pytest.raises(ReleaseError, match="no whole release before"):
        publish.rollback(shop, shop="one", why="")
    assert publish.rollback(shop, shop="one", to=third, why="was fine after all") == third
    assert live(shop) == third


def test_a_rollback_verifies_where_it_goes(shop: Store) -> None:
    first, second = go_live(shop), go_live(shop)
    overwrite(shop, releases.key(first, "evaluation.json"), b"{}")
    with pytest.raises(ReleaseError, match="evaluation"):
        publish.rollback(shop, shop="one", why="")
    with pytest.raises(ReleaseError, match="there is no"):
        publish.rollback(shop, shop="one", to=uuid4().hex, why="")
    with pytest.raises(ReleaseError, match="is no release"):
        publish.rollback(shop, shop="one", to="../../two/releases/x", why="")
    assert live(shop) == second
    assert not now(shop).hold


def test_a_rollback_goes_on_to_the_newest_whole_release(shop: Store) -> None:
    first, second, _ = go_live(shop), go_live(shop), go_live(shop)
    shop.delete(releases.key(second, "evaluation.json"))
    assert publish.rollback(shop, shop="one", why="") == first
    assert live(shop) == first


def test_one_can_go_back_from_a_release_that_is_lost(shop: Store) -> None:
    first = go_live(shop)
    time.sleep(1.1)  # without its manifest a release is as old as its files, and S3 knows those to the second
    second = go_live(shop)
    shop.delete(releases.key(second, "_MANIFEST.json"))
    with pytest.raises(ReleaseError):
        live(shop)
    assert publish.rollback(shop, shop="one", why="") == first
    assert live(shop) == first


def test_a_shop_can_be_held_where_it_is(shop: Store) -> None:
    for ask in (publish.hold, publish.unhold, publish.rollback):
        with pytest.raises(ReleaseError, match="no live release"):
            ask(shop, shop="one", why="")
    first = go_live(shop)
    publish.hold(shop, shop="one", why="sale week\n\x1b[2J")
    assert now(shop).why == "sale week\\n\\x1b[2J"
    assert publish.publish(shop, shop="one", release=build(shop), why="") == "held"
    publish.unhold(shop, shop="one", why="over")
    assert live(shop) == first


# --------------------------------------------------------------------------------------------------------- collection


def test_collection_leaves_all_that_somebody_may_need(shop: Store) -> None:
    pinned, *old = [go_live(shop, f"2025-11-22T08:0{n}:00+00:00") for n in range(6)]
    unfinished, never_live = build(shop, seal=False), build(shop)
    assert publish.collect(shop, shop="one", grace_s=3600) == []
    removed = publish.collect(shop, shop="one", grace_s=-5, keep=2, pins=[pinned])
    assert removed == sorted([unfinished, never_live, *old[:2]])
    assert {entry.release: entry.state for entry in releases.history(shop, shop="one")} == {
        pinned: "retired", old[2]: "retired", old[3]: "retired", old[4]: "live"
    }  # fmt: skip
    assert live(shop) == old[4]
    assert now(shop).doomed == ()
    assert publish.collect(shop, shop="one", grace_s=-5, keep=2, pins=[pinned]) == []


def test_a_release_that_was_live_a_moment_ago_stays_however_old_it_is(tmp_path: Path) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    old, newer = go_live(shop), build(shop)
    an_hour_ago = time.time() - 3600
    for path in tmp_path.rglob("releases/*/*"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    publish.publish(shop, shop="one", release=newer, why="")
    assert publish.collect(shop, shop="one", grace_s=60, keep=0) == []
    assert publish.collect(shop, shop="one", grace_s=-5, keep=0) == [old]


def test_nothing_is_collected_where_nothing_is_live(shop: Store) -> None:
    build(shop)
    assert publish.collect(shop, shop="one", grace_s=-5) == []
    assert len(releases.history(shop, shop="one")) == 1


def test_strangers_among_the_releases_stay(shop: Store) -> None:
    go_live(shop)
    shop.create("releases/README", b"")
    shop.create("releases/Not_Ours/file", b"")
    assert publish.collect(shop, shop="one", grace_s=-5, keep=0) == []
    assert {"releases/README", "releases/Not_Ours/file"} < {item.key for item in shop.items("releases/")}


def test_a_collector_that_dies_is_finished_by_the_next(shop: Store) -> None:
    def die() -> None:
        raise StoreError("killed")

    doomed, _ = go_live(shop), go_live(shop)
    shop.create(releases.key(doomed, "A"), b"sorts before everything else")
    troubled = Troubled(shop, before_delete=[lambda: None, die])
    with pytest.raises(StoreError, match="killed"):
        publish.collect(troubled, shop="one", grace_s=-5, keep=0)
    assert not list(shop.items(releases.key(doomed, "_MANIFEST.json")))  # what a reader would ask for goes first
    assert shop.get(releases.key(doomed, "A"))
    assert now(shop).doomed == (doomed,)
    assert {entry.release: entry.state for entry in releases.history(shop, shop="one")}[doomed] == "doomed"
    with pytest.raises(ReleaseError):
        publish.rollback(shop, shop="one", to=doomed, why="")
    assert publish.collect(shop, shop="one", grace_s=3600) == [doomed]
    assert now(shop).doomed == now(shop).retired == ()
    assert list(shop.items(f"releases/{doomed}/")) == []


def test_a_publisher_that_slept_through_a_collection_is_refused(shop: Store) -> None:
    first, stalled = go_live(shop), build(shop)

    def sleep() -> None:
        assert publish.collect(shop, shop="one", grace_s=-5) == [stalled]

    with pytest.raises(ReleaseError):
        publish.publish(Troubled(shop, before_swap=[sleep]), shop="one", release=stalled, why="late")
    assert live(shop) == first


def test_a_publisher_meets_a_collector_that_has_only_doomed_its_release(shop: Store) -> None:
    first, stalled = go_live(shop), build(shop)

    def doom() -> None:
        def die() -> None:
            raise StoreError("killed")

        with pytest.raises(StoreError, match="killed"):
            publish.collect(Troubled(shop, before_delete=[die]), shop="one", grace_s=-5)

    with pytest.raises(ReleaseError, match="is being deleted"):
        publish.publish(Troubled(shop, before_swap=[doom]), shop="one", release=stalled, why="late")
    assert live(shop) == first


def test_a_rollback_that_beats_the_collector_keeps_its_release(shop: Store) -> None:
    first, _, third = go_live(shop), go_live(shop), go_live(shop)

    def rescue() -> None:
        publish.rollback(shop, shop="one", to=first, why="")

    removed = publish.collect(Troubled(shop, before_swap=[rescue]), shop="one", grace_s=-5, keep=1)
    assert first not in removed and third not in removed
    assert live(shop) == first


# ------------------------------------------------------------------------------------------------------------ reading


def test_damaged_bytes_are_refused_before_anybody_parses_them(shop: Store) -> None:
    release = go_live(shop)
    whole = content(release, "index.faiss")
    for bad in (bytes([whole[0] ^ 1]) + whole[1:], whole[:-1], whole + b"\0", b""):
        overwrite(shop, releases.key(release, "index.faiss"), bad)
        opened = releases.open_release(shop, shop="one")
        assert opened.path("products.parquet").read_bytes() == content(release, "products.parquet")
        with pytest.raises(ReleaseError, match=r"index.faiss of release .* is damaged.*expected"):
            opened.path("index.faiss")
    shop.delete(releases.key(release, "index.faiss"))
    with pytest.raises(ReleaseError, match="has lost its index"):
        releases.open_release(shop, shop="one").path("index.faiss")
    with pytest.raises(ReleaseError, match=r"has no nonsense; expected one of evaluation.json, index.faiss"):
        releases.open_release(shop, shop="one").path("nonsense")


def test_another_shops_release_is_refused(store: Store) -> None:
    mine, other = store.within("shops/one"), store.within("shops/two")
    release = build(other, name="two")
    assert publish.publish(other, shop="two", release=release, why="") == "published"
    with pytest.raises(ReleaseError, match="is of shop 'two'; expected 'one'"):
        releases.open_release(other, shop="one")
    for item in other.items(f"releases/{release}/"):
        mine.create(item.key, other.get(item.key))
    with pytest.raises(ReleaseError, match="is of shop 'two'; expected 'one'"):
        publish.publish(mine, shop="one", release=release, why="")
    mine.create("CURRENT", other.get("CURRENT"))
    for read in (releases.current, releases.open_release, releases.history):
        with pytest.raises(ReleaseError, match="is of shop 'two'; expected 'one'"):
            read(mine, shop="one")


def test_a_manifest_that_was_exchanged_is_refused(shop: Store) -> None:
    release = go_live(shop)
    made, _ = releases.open_manifest(shop, shop="one", release=release)
    overwrite(shop, releases.key(release, "_MANIFEST.json"), encode(replace(made, facts={"products": 4})))
    with pytest.raises(ReleaseError, match="manifest sha256"):
        releases.open_release(shop, shop="one")
    second = build(shop)
    overwrite(shop, releases.key(second, "_MANIFEST.json"), shop.get(releases.key(release, "_MANIFEST.json")))
    with pytest.raises(ReleaseError, match=f"is of release '{release}'"):
        publish.publish(shop, shop="one", release=second, why="")


def test_a_reader_whose_release_is_replaced_under_its_eyes_takes_the_new_one(shop: Store) -> None:
    first = go_live(shop)

    def replaced() -> None:
        go_live(shop)
        assert publish.collect(shop, shop="one", grace_s=-5, keep=0) == [first]

    opened = releases.open_release(Troubled(shop, before_get=[replaced]), shop="one")
    assert opened.manifest.release == live(shop) != first
    assert opened.seq == now(shop).seq


def test_a_current_that_went_back_is_refused(shop: Store) -> None:
    go_live(shop)
    before = shop.get("CURRENT")
    go_live(shop)
    seen = releases.open_release(shop, shop="one").seq
    overwrite(shop, "CURRENT", before)
    with pytest.raises(ReleaseError, match="went back to change 1; expected 2 or more"):
        releases.open_release(shop, shop="one", least_seq=seen)


def broken_currents() -> dict[str, Callable[[dict[str, object]], bytes]]:
    def told(**members: object) -> Callable[[dict[str, object]], bytes]:
        return lambda good: json.dumps({k: v for k, v in good.items() if k != "sha256"} | members).encode()

    return {
        "empty": lambda good: b"",
        "cut": lambda good: json.dumps(good).encode()[:-1],
        "no object": lambda good: b"[]",
        "deep": lambda good: b"[" * 60_000,
        "no text": lambda good: b"\xff\xfe\x00",
        "large": lambda good: json.dumps(good).encode() + b" " * 70_000,
        "one digit changed": lambda good: json.dumps(good | {"seq": 7}).encode(),
        "newer format": told(format=2),
        "no format": lambda good: json.dumps({k: v for k, v in good.items() if k != "format"}).encode(),
        "unknown member": told(extra=1),
        "seq true": told(seq=True),
        "seq NaN": told(seq=float("nan")),
        "release path": told(release="../other"),
        "release null": told(release=None),
        "no offset": told(asof="2025-11-22T08:00:00"),
        "no time": told(at="yesterday"),
        "doomed live": told(doomed=["00"], release="00"),
        "doomed number": told(doomed=[1]),
        "retired strange": told(retired=[{"release": "00"}]),
        "recent strange": told(recent=[""]),
    }


def test_a_current_without_a_digest_is_one_of_before_there_were_any(tmp_path: Path) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    release = go_live(shop)
    written = json.loads(shop.get("CURRENT"))
    del written["sha256"]
    overwrite(shop, "CURRENT", json.dumps(written).encode())
    assert live(shop) == release


@pytest.mark.parametrize("broken", broken_currents())
def test_a_current_that_is_not_exactly_ours_is_refused(tmp_path: Path, broken: str) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    go_live(shop)
    overwrite(shop, "CURRENT", broken_currents()[broken](json.loads(shop.get("CURRENT"))))
    for ask in (releases.open_release, publish.collect):
        with pytest.raises(ReleaseError, match="CURRENT is damaged"):
            ask(shop, shop="one")


@pytest.mark.parametrize("name", ["_MANIFEST.json", "../x", "a//b", ".hidden", "a\\b", "é"])
def test_a_manifest_lists_only_names_that_stay_inside(tmp_path: Path, name: str) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    release = build(shop)
    made = json.loads(shop.get(releases.key(release, "_MANIFEST.json")))
    made["files"][name] = made["files"]["index.faiss"]
    overwrite(shop, releases.key(release, "_MANIFEST.json"), json.dumps(made).encode())
    with pytest.raises(ReleaseError, match="is damaged"):
        releases.open_release(shop, shop="one", release=release)


def test_the_history_tells_what_each_release_is(shop: Store) -> None:
    assert releases.history(shop, shop="one") == []
    retired, damaged, current = go_live(shop), go_live(shop), go_live(shop)
    never_live, unfinished = build(shop), build(shop, seal=False)
    overwrite(shop, releases.key(damaged, "_MANIFEST.json"), b"{")
    told = {entry.release: entry for entry in releases.history(shop, shop="one")}
    assert {release: entry.state for release, entry in told.items()} == {
        current: "live", retired: "retired", damaged: "damaged", never_live: "never live", unfinished: "unfinished"
    }  # fmt: skip
    assert list(told).index(current) < list(told).index(retired)
    assert told[current].asof == NOW
    assert told[current].size_bytes > 3 * 50 * 40


def test_the_pointer_stays_small_however_long_its_history(tmp_path: Path) -> None:
    shop = open_store(str(tmp_path)).within("shops/one")
    go_live(shop)
    data, tag = shop.get_tagged("CURRENT")
    known = decode_current(data)
    retired = tuple(Retired(release=str(uuid4()), at=known.at) for _ in range(publish.RETIRED))
    doomed = tuple(str(uuid4()) for _ in range(publish.DOOMED))
    full = replace(known, retired=retired, doomed=doomed, recent=tuple(uuid4().hex for _ in range(publish.RECENT)))
    shop.swap("CURRENT", encode(replace(full, why="\u2028" * 500)), tag)
    release = go_live(shop)
    assert live(shop) == release
    assert len(now(shop).retired) == publish.RETIRED


# --------------------------------------------------------------------------------------------------------------- kills

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


def die_before(change: int) -> None:
    """SIGKILL this process right before its n-th change of the file system."""
    left = [change]

    def watch(event: str, args: tuple[object, ...]) -> None:
        writing = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if writing or event in CHANGES:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def read_forever(shop: Store, reads: int) -> None:
    """A server that polls: it may find a newer release, never a broken one. Tells of each read through a pipe."""
    while True:
        seq = now(shop).seq
        try:
            live(shop)
            with suppress(BlockingIOError):  # the pipe is full: enough was told
                os.write(reads, b".")
        except ReleaseError:
            if now(shop).seq == seq:
                raise


def publish_one(shop: Store) -> None:
    go_live(shop, input_key=uuid4().hex)


def roll_back(shop: Store) -> None:
    publish.rollback(shop, shop="one", to=now(shop).retired[-1].release, why="killed")


def collect_all(shop: Store) -> None:
    publish.collect(shop, shop="one", grace_s=-5, keep=1)


def kill_at_every_point(location: str, verb: Callable[[Store], None], least_points: int) -> None:
    """Each change in turn is the last of a child that does `verb`, while a reader reads all the time."""
    shop = open_store(location).within("shops/one")
    for _ in range(3):
        go_live(shop)
    seen, reads = os.pipe()
    os.set_blocking(reads, False)
    reader = child(lambda: read_forever(shop, reads))
    try:
        point = 1
        while killed_before(point, shop, verb):
            publish.unhold(shop, shop="one", why="the operator saw it")
            publish_one(shop)
            point += 1
        assert point > least_points
        assert len(os.read(seen, 10_000)) > point
        assert os.waitpid(reader, os.WNOHANG) == (0, 0), "the reader saw something broken"
    finally:
        os.kill(reader, signal.SIGKILL)


def killed_before(point: int, shop: Store, verb: Callable[[Store], None]) -> bool:
    """Whether the child died there, rather than finish; either way all is whole afterwards."""
    before = now(shop)
    _, status = os.waitpid(child(lambda: (die_before(point), verb(shop))), 0)
    after = now(shop)
    assert live(shop) == after.release
    assert after.release == before.release or verb is not collect_all
    if verb is collect_all:  # the next collector finishes what the dead one began
        collect_all(shop)
        assert now(shop).doomed == ()
        assert {entry.state for entry in releases.history(shop, shop="one")} <= {"live", "retired"}
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


@pytest.mark.parametrize(("verb", "least_points"), [(publish_one, 15), (roll_back, 2), (collect_all, 10)])
def test_a_kill_at_any_point_leaves_a_whole_release_live(
    tmp_path: Path, verb: Callable[[Store], None], least_points: int
) -> None:
    work = multiprocessing.get_context("spawn").Process(
        target=kill_at_every_point, args=(str(tmp_path), verb, least_points)
    )
    work.start()
    work.join()
    assert work.exitcode == 0
