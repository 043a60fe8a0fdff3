"""Manners: how many at a time ask one place, how often, and how long a host that fails is left alone.

A place is a registrable domain or an address: ten thousand names of one server are one place, and so are the many
servers of one shop. Which names belong together is told by their last labels (`domain_of`); the public suffix list
would be a dependency that must be kept up to date, and its lack makes us more polite, not less.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

from pluribus.web.dial import Clock, Refused

MOST_FAILURES = 10
#: How long a host that failed MOST_FAILURES times in a row is left alone; a longer Retry-After counts as this.
REST_S = 60.0
#: Second-level names under which countries give out domains ("shop.co.uk").
SHARED = frozenset(("ac", "co", "com", "edu", "gov", "gob", "go", "ne", "net", "nom", "or", "org"))


@dataclass
class Host:
    """How a host is doing: whether it may be asked, and not before when."""

    pause_s: float
    failures: int = 0
    quiet_until: float = 0.0

    def resting(self, most_s: float) -> None:
        """Raises Refused BUSY when it is left alone for longer than a fetch may take: nobody need wait for a turn."""
        if self.quiet_until - time.monotonic() >= most_s:
            raise Refused("BUSY")

    def wait(self, clock: Clock) -> None:
        """Wait out the pause it needs. Raises Refused BUSY when that is longer than the fetch may take."""
        now = time.monotonic()
        if max(now, self.quiet_until) >= clock.until:
            raise Refused("BUSY")
        time.sleep(max(0.0, self.quiet_until - now))

    def note(self, failed: bool, retry_after_s: float) -> None:
        """After each failure a jittered, growing pause; after too many in a row, a long one."""
        self.failures = self.failures + 1 if failed else 0
        if failed:
            growing_s = self.pause_s * 2.0 ** min(self.failures, 3)
            pause_s = REST_S if self.failures >= MOST_FAILURES else random.uniform(growing_s / 2, growing_s)  # noqa: S311
            self.quiet_until = time.monotonic() + max(pause_s, min(retry_after_s, REST_S))


@dataclass
class Place:
    """Turns at one domain or address: so many at a time, one every so often."""

    turns: threading.Semaphore
    interval_s: float
    next_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def turn(self, clock: Clock) -> Iterator[None]:
        """Wait for a turn, however long when the fetch's clock has not started. Raises Refused BUSY."""
        until = clock.until
        if not self.turns.acquire(timeout=max(0.0, until - time.monotonic()) if until else None):
            raise Refused("BUSY")
        try:
            with self.lock:
                begin = max(time.monotonic(), self.next_at)
                if until and begin >= until:
                    raise Refused("BUSY")
                self.next_at = begin + self.interval_s
            time.sleep(max(0.0, begin - time.monotonic()))
            yield
        finally:
            self.turns.release()


class Manners:
    """The hosts and places of one fetcher."""

    def __init__(self, *, per_place: int, requests_per_s: float, pause_s: float) -> None:
        self._per_place, self._interval_s, self._pause_s = per_place, 1 / requests_per_s, pause_s
        self._hosts: dict[str, Host] = {}
        self._places: dict[str, Place] = {}
        self._lock = threading.Lock()

    def host(self, name: str) -> Host:
        with self._lock:
            return self._hosts.setdefault(name, Host(self._pause_s))

    def place(self, name: str) -> Place:
        """A domain's, or an address's under "@1.2.3.4". Who wants both takes the domain's first: no deadlock."""
        with self._lock:
            return self._places.setdefault(name, Place(threading.Semaphore(self._per_place), self._interval_s))


def domain_of(host: str) -> str:
    """The name that somebody registered: "cdn.shop.co.uk" -> "shop.co.uk"; an address is itself."""
    labels = host.rstrip(".").lower().split(".")
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        country = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in SHARED
        return ".".join(labels[-3 if country else -2 :])


def seconds(text: str) -> float:
    """What a Retry-After header asks for, in seconds or as a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
