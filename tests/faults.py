"""One fault layer over the Store interface: what fails, and who goes next, is decided by a seed.

A `Director` lets several actors share a store one call at a time, so that a seed is one exact interleaving and a
failure can be played again. `Faulty` is each actor's own way to the store: calls that fail before or after they
landed, answers that are lost, reads that come back torn.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pluribus.errors import Conflict, StoreError
from pluribus.store import Item, Store


@dataclass(frozen=True)
class Rates:
    """How often a call of each kind goes wrong."""

    refused: float = 0.0  # nothing landed: 409, 412, 5xx, throttled, timed out before it arrived
    lost: float = 0.0  # it landed, and the answer says that it failed
    torn: float = 0.0  # a read whose bytes are cut or changed


CALM = Rates()
ROUGH = Rates(refused=0.08, lost=0.15, torn=0.05)


class Director:
    """Lets one actor at a time make one call; the order, like every fault, follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._alive: set[str] = set()
        self._chosen = ""

    def turn(self) -> None:
        """Wait until it is this actor's turn."""
        me = threading.current_thread().name
        if me not in self._alive:  # whoever prepares or looks back is alone
            return
        with self._changed:
            self._waiting.add(me)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._chosen == me)
            self._waiting.discard(me)
            self._chosen = ""

    def play(self, actors: dict[str, Callable[[], None]]) -> None:
        """Run every actor to its end; raises the first error that one of them did not expect."""
        raised: list[BaseException] = []

        def act(name: str) -> None:
            try:
                self.turn()
                actors[name]()
            except BaseException as error:  # noqa: BLE001 - shown by the test
                raised.append(error)
            finally:
                with self._changed:
                    self._alive.discard(name)
                    self._changed.notify_all()

        self._alive = set(actors)
        threads = [threading.Thread(target=act, args=(name,), name=name, daemon=True) for name in actors]
        for thread in threads:
            thread.start()
        with self._changed:
            while True:
                self._changed.wait_for(lambda: not self._chosen and self._waiting == self._alive)
                if not self._alive:
                    break
                self._chosen = self.chance.choice(sorted(self._waiting))
                self._changed.notify_all()
        for thread in threads:
            thread.join()
        if raised:
            raise raised[0]


@dataclass
class Faulty:
    """One actor's way to a store. `harmed` counts the faults it met: a refusal after one of them is no alarm."""

    inner: Store
    director: Director
    rates: Rates = CALM
    landed: Callable[[str, bytes], None] = lambda key, data: None  # told of every swap that took place
    harmed: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def owner(self) -> str:
        return self.inner.owner

    def get(self, key: str) -> bytes:
        self._before(key, "get")
        return self._torn(key, self.inner.get(key))

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        self._before(key, "get")
        data, tag = self.inner.get_tagged(key)
        return self._torn(key, data), tag

    def read(self, key: str, start: int, size: int) -> bytes:
        self._before(key, "read")
        return self._torn(key, self.inner.read(key, start, size))

    def local(self, key: str) -> Path:
        self._before(key, "local")
        return self.inner.local(key)

    def items(self, prefix: str = "") -> Iterator[Item]:
        self._before(prefix, "items")
        yield from list(self.inner.items(prefix))

    def delete(self, key: str) -> None:
        self._before(key, "delete")
        self.inner.delete(key)
        self._after(key, StoreError(f"{key}: 503, was it deleted?"))

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        self._before(key, "create")
        self.inner.create(key, data, given=given)
        self._after(key, StoreError(f"{key}: neither taken nor there"))

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        self.director.turn()
        if self._hit(self.rates.refused):  # a swap never tells a refusal from a lost answer
            raise Conflict(f"{key}: 409, 412 or 503")
        new = self.inner.swap(key, data, tag)
        self.landed(key, data)
        self._after(key, Conflict(f"{key}: the answer was lost"))
        return new

    def forget(self) -> int:
        return self.inner.forget()

    def remains(self) -> tuple[str, ...]:
        return self.inner.remains()

    def within(self, prefix: str) -> "Faulty":
        return Faulty(self.inner.within(prefix), self.director, self.rates, self.landed, self.harmed)

    def _hit(self, rate: float) -> bool:
        return rate > 0 and self.director.chance.random() < rate

    def _before(self, key: str, verb: str) -> None:
        self.director.turn()
        if self._hit(self.rates.refused):
            self.harmed.append(key)
            raise StoreError(f"{key} cannot be {verb}: 503 SlowDown")

    def _after(self, key: str, error: StoreError) -> None:
        if self._hit(self.rates.lost):
            self.harmed.append(key)
            raise error

    def _torn(self, key: str, data: bytes) -> bytes:
        if not data or not self._hit(self.rates.torn):
            return data
        self.harmed.append(key)
        place = self.director.chance.randrange(len(data))
        if self.director.chance.random() < 0.5:
            return data[:place]
        return data[:place] + bytes([data[place] ^ 1 << self.director.chance.randrange(8)]) + data[place + 1 :]
