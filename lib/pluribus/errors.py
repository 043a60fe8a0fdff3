"""Every error pluribus raises on purpose, and who is expected to act on it.

    PluribusError
    ├── ConfigError            the operator mends a file; nothing has been done yet
    ├── ShopError              this shop is set aside with its reason; the run goes on
    │   ├── FeedError          the feed cannot be read at all
    │   ├── CatalogRejected    the feed was read, and is not fit to go live
    │   └── ReleaseError       a release is missing, damaged, cannot be made, or is not this shop's
    └── RunError               nothing sensible can go on: the run stops
        ├── ModelError         the shared model cannot be loaded or trusted
        └── StoreError         the store cannot be reached or broke its promise
            ├── Missing        no object at this key
            ├── Exists         an object with other bytes is already at this key
            └── Conflict       a compare-and-swap lost: somebody else was first

`ShopError` is caught in one place only (`jobs.advance`). Foreign exceptions (boto3, pyarrow, httpx ...) are
translated by the module that owns the library.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PluribusError(Exception):
    """One line that says what came, what was expected, and what to do about it."""

    def __init__(self, came: str, *, expected: str = "", do: str = "") -> None:
        self.came, self.expected, self.do = came, expected, do
        super().__init__(came, expected, do)

    def __str__(self) -> str:
        parts = [self.came, f"expected {self.expected}" if self.expected else "", self.do]
        return printable("; ".join(part for part in parts if part))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders (Metaflow, worker pools) and keep their three parts."""
        return _rebuild, (type(self), self.came, self.expected, self.do)


class ConfigError(PluribusError):
    """A configuration file, or an argument, is wrong."""


class ShopError(PluribusError):
    """One shop cannot go on in this run."""


class FeedError(ShopError):
    """The shop's feed is absent or unreadable."""


class CatalogRejected(ShopError):
    """The shop's catalog was read and refused; its current release stays."""


class ReleaseError(ShopError):
    """A release is absent, damaged, cannot be made, or belongs to another shop."""


class RunError(PluribusError):
    """The whole run must stop."""


class ModelError(RunError):
    """The shared model cannot be loaded, or is not the model it claims to be."""


class StoreError(RunError):
    """The store is unreachable, refuses us, or does not keep its promises."""


class Missing(StoreError):
    """There is no object at this key."""


class Exists(StoreError):
    """Another object is already at this key."""


class Conflict(StoreError):
    """The object changed since it was read."""


@contextmanager
def plainly() -> Iterator[None]:
    """In a step: say what went wrong in one line; a traceback is for bugs, and for PLURIBUS_DEBUG=1."""
    try:
        yield
    except PluribusError as error:
        if os.environ.get("PLURIBUS_DEBUG"):
            raise
        raise SystemExit(f"error: {error}") from None


def check_owner(place: str, found: Any, owner: str) -> None:
    """What lies in a shop's part of the store must name that shop. Raises ReleaseError.

    A file in the wrong place, by a mistaken copy or on purpose, must not become another shop's products.
    """
    if not found and owner:
        raise ReleaseError(f"{place} names no shop: an early pluribus wrote it", expected=repr(owner),
                           do="begin with an empty store, or `pluribus offboard` the shop first")  # fmt: skip
    if found != owner:
        raise ReleaseError(f"{place} is of shop {found!r:.80}", expected=repr(owner), do="find out who wrote it")


def printable(text: str, limit: int = 2000) -> str:
    """Text of strangers as one line that can neither forge a log line nor drive a terminal."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:limit])
    return safe if len(text) <= limit else safe + "…"


def _rebuild(kind: type[PluribusError], came: str, expected: str, do: str) -> PluribusError:
    return kind(came, expected=expected, do=do)
