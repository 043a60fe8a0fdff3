"""A trial of publication: publishers, an operator, a collector and readers at one shop, and what must never happen.

Each promise is checked against what truly landed, in order, and not against what anybody was told.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from faults import CALM, Director, Faulty, Rates

from pluribus import publish, releases
from pluribus.errors import ReleaseError, StoreError
from pluribus.manifests import Current, decode_current
from pluribus.store import Store, open_store

SHOP = "one"
FILES = ("index.faiss", "products.parquet", "evaluation.json")
AT_ONCE = -5.0  # a grace that is over before it began: whatever is not live may be collected while it is built
DAY = "2025-11-22T"


def content(release: str, file: str) -> bytes:
    """What a file of a release holds: nobody can take it for another's."""
    return f"{release} {file}\n".encode() * 50


def build(shop: Store, asof: str) -> str:
    """A sealed release, not yet live."""
    release = uuid4().hex
    add = lambda name: releases.add(shop, release=release, name=name, data=content(release, name))
    files = {name: again(partial(add, name)) for name in FILES}
    about = {"asof": asof, "input_key": release, "files": files, "facts": {"products": 3}}
    again(lambda: publish.seal(shop, shop=SHOP, release=release, **about))
    return release


def again(work: Callable[[], Any]) -> Any:
    """What Metaflow's @retry does: writing once is safe to repeat."""
    for _ in range(5):
        with suppress(StoreError):
            return work()
    return work()


def read_whole(shop: Store, least_seq: int = 0) -> releases.Release:
    """The live release as a server takes it: every byte compared, and all of one release. Raises AssertionError."""
    opened = releases.open_release(shop, shop=SHOP, least_seq=least_seq)
    opened.verify()
    for name in FILES:
        found = opened.path(name).read_bytes()
        assert found == content(opened.manifest.release, name), f"{name} of {opened.manifest.release} is mixed"
    return opened


@dataclass
class Call:
    """One thing that somebody asked for, what they were told, and how often CURRENT changed by it."""

    verb: str
    release: str = ""
    told: str = ""
    landings: int = 0


#: Verb or answer -> how often CURRENT may have changed by such a call
ALLOWED = {"published": {1}, "done": {1}, "unknown": {0, 1}, "collected": {0, 1, 2}}


@dataclass
class Trial:
    """One seed's story."""

    location: str
    seed: int
    rates: Rates = CALM
    states: list[Current] = field(default_factory=list)  # every CURRENT there ever was, in order
    calls: list[Call] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    reads: int = 0

    def run(self) -> "Trial":
        """Play it and judge it: `wrong` says every promise that was broken."""
        director = Director(self.seed)
        actors: dict[str, Callable[[], None]] = {
            f"publisher {n}": lambda n=n: self._publisher(self._way(director), n) for n in range(3)
        }
        actors["operator"] = lambda: self._operator(self._way(director))
        actors["collector"] = lambda: self._collector(self._way(director))
        actors |= {f"reader {n}": lambda: self._reader(self._way(director)) for n in range(2)}
        director.play(actors)
        self._judge()
        return self

    def _way(self, director: Director) -> tuple[Faulty, list[Call]]:
        asking: list[Call] = []

        def landed(key: str, data: bytes) -> None:
            self.states.append(decode_current(data))
            asking[-1].landings += 1

        ground = open_store(self.location).within(f"shops/{SHOP}")
        return Faulty(ground, director, self.rates, landed), asking

    def _ask(self, way: tuple[Faulty, list[Call]], verb: str, work: Callable[[Faulty], object]) -> None:
        store, asking = way
        call = Call(verb)
        asking.append(call)
        self.calls.append(call)
        try:
            call.told = str(work(store) or "done")
        except ReleaseError as error:
            call.told = "unknown" if "CURRENT is damaged" in str(error) else f"refused: {error}"
        except StoreError:
            call.told = "unknown"
        if verb == "collect":
            call.told = "collected"

    def _publisher(self, way: tuple[Faulty, list[Call]], number: int) -> None:
        for turn in range(3):

            def work(store: Faulty, turn: int = turn) -> str:
                release = build(store, f"{DAY}{10 + turn:02}:{number:02}:00+00:00")
                self.calls[-1].release = release
                return publish.publish(store, shop=SHOP, release=release, why="trial")

            self._ask(way, "publish", work)

    def _operator(self, way: tuple[Faulty, list[Call]]) -> None:
        for _ in range(2):
            self._ask(way, "rollback", lambda store: publish.rollback(store, shop=SHOP, why="trial") and "done")
            self._ask(way, "unhold", lambda store: publish.unhold(store, shop=SHOP, why="trial"))

    def _collector(self, way: tuple[Faulty, list[Call]]) -> None:
        for _ in range(4):
            self._ask(way, "collect", lambda store: publish.collect(store, shop=SHOP, grace_s=AT_ONCE, keep=1))

    def _reader(self, way: tuple[Faulty, list[Call]]) -> None:
        store, _ = way
        seen = 0
        for _ in range(12):
            store.harmed.clear()
            before = len(self.states)
            try:
                seen = self._accept(read_whole(store, seen), seen)
            except AssertionError as error:
                self.wrong.append(f"a reader saw {error}")
            except (ReleaseError, FileNotFoundError) as error:
                if not store.harmed and len(self.states) == before and before:
                    self.wrong.append(f"a reader was refused: {error}")
            except StoreError:
                pass

    def _accept(self, opened: releases.Release, seen: int) -> int:
        self.reads += 1
        truth = {(state.seq, state.release) for state in self.states}
        if (opened.seq, opened.manifest.release) not in truth:
            self.wrong.append(f"a reader took {opened.manifest.release} at change {opened.seq}, which never was")
        if opened.seq < seen:
            self.wrong.append(f"a reader went back from {seen} to {opened.seq}")
        return max(seen, opened.seq)

    def _judge(self) -> None:
        if [state.seq for state in self.states] != list(range(1, len(self.states) + 1)):
            self.wrong.append(f"the chain forked: {[state.seq for state in self.states]}")
        if max(Counter(state.nonce for state in self.states).values(), default=1) > 1:
            self.wrong.append("two states of CURRENT have one nonce")
        for call in self.calls:
            if call.landings not in ALLOWED.get(call.told, {0}):
                self.wrong.append(f"{call.verb} was told {call.told!r} and CURRENT changed {call.landings} times")
        if self.states:
            try:
                live = read_whole(open_store(self.location).within(f"shops/{SHOP}"))
                assert live.manifest.release == self.states[-1].release, "the last change was overwritten"
            except (ReleaseError, AssertionError) as error:
                self.wrong.append(f"in the end: {error}")


def fresh(folder: Path) -> str:
    """A new place for a trial."""
    return str(folder / uuid4().hex)
