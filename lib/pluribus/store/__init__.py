"""Where everything lies: one small interface over a plain folder and over an S3 bucket.

The rest of the library knows only this: objects are written once (`create`), the one object that changes is changed
by compare-and-swap (`swap`), and a shop's store (`store.within("shops/<shop>")`) cannot name an object of another
shop. Keys are checked and prefixes joined here and nowhere else; `folder` and `s3` are the two grounds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from pluribus.errors import ConfigError, Conflict, StoreError
from pluribus.store.folder import Folder
from pluribus.store.s3 import S3


@dataclass(frozen=True)
class Item:
    """What a listing says of one object; `modified` is aware UTC, by the store's clock."""

    key: str
    size_bytes: int
    modified: datetime


class Store(Protocol):
    """Objects by key. Keys are relative POSIX paths; no segment is empty or starts with a dot.

    Every method raises StoreError when the store cannot be reached or refuses us.
    """

    @property
    def url(self) -> str:
        """The location as shown to people; holds no secret."""

    @property
    def owner(self) -> str:
        """The shop whose part this is ("" outside of shops/<shop>): what is kept here says so, and is asked."""

    def get(self, key: str) -> bytes:
        """The whole object. Raises Missing."""

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """The whole object and the tag that `swap` wants. Raises Missing."""

    def read(self, key: str, start: int, size: int) -> bytes:
        """At most `size` bytes from byte `start`; fewer, or none, at the end of the object. Raises Missing."""

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        """Put if absent. The same bytes already there are success, other bytes raise Exists. Durable on return.

        A file that is `given` is never written again by who gives it: on the same disk it becomes the object uncopied.
        """

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        """Compare and swap; tag None: the object must be absent. Returns the new tag.

        Raises Conflict when somebody was first AND when the answer was lost: then nobody knows whether these bytes
        landed, so read again and look for them. Bytes must differ from every earlier state: tags are of content.
        """

    def items(self, prefix: str = "") -> Iterator[Item]:
        """Every object whose key starts with `prefix`, sorted by key."""

    def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""

    def local(self, key: str) -> Path:
        """A local file with the object's bytes, never to be written: the file itself or a cached download."""

    def forget(self) -> int:
        """Delete this machine's downloads of the shop whose part this is; returns how many."""

    def remains(self) -> tuple[str, ...]:
        """What deleting the objects in here leaves behind, one sentence each."""

    def within(self, prefix: str) -> "Store":
        """The same store seen from inside a prefix, which its keys cannot leave."""


def open_store(location: str) -> Store:
    """The store at "s3://bucket/prefix" or in a folder. Nothing is read or written yet. Raises ConfigError."""
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").rstrip("/").partition("/")
        if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) and (not prefix or _is_key(prefix)):
            return View(S3(bucket), f"{prefix}/" if prefix else "")
    elif location.strip() and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location):
        folder = Path(location).expanduser().absolute()
        if folder.is_dir() or not folder.exists():
            return View(Folder(folder), "")
    raise ConfigError(
        f"store {location!r} is no place for objects",
        expected="a folder, or s3://bucket or s3://bucket/prefix",
        do="correct the store's location",
    )


@dataclass(frozen=True)
class View:
    """A ground seen from inside a prefix ("" or ending in "/"): the one place where keys are checked and joined."""

    ground: Folder | S3
    prefix: str
    owner: str = ""

    @property
    def url(self) -> str:
        return f"{self.ground.url}/{self.prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        return self.ground.get_tagged(self._full(key))[0]

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        return self.ground.get_tagged(self._full(key))

    def read(self, key: str, start: int, size: int) -> bytes:
        if start < 0 or size < 0:
            raise ValueError(f"start {start} and size {size} must not be negative")
        return self.ground.read(self._full(key), start, size)

    def create(self, key: str, data: bytes | Path, *, given: bool = False) -> None:
        self.ground.create(self._full(key), data, given=given)

    def swap(self, key: str, data: bytes, tag: str | None) -> str:
        return self.ground.swap(self._full(key), data, tag)

    def items(self, prefix: str = "") -> Iterator[Item]:
        if prefix:
            self._full(prefix.removesuffix("/"))
        for key, size_bytes, modified in self.ground.items(self.prefix + prefix):
            inside = key[len(self.prefix) :]
            if _is_key(inside):  # a browser's "folder/" marker, a stranger's dot file: not ours
                yield Item(inside, size_bytes, modified)

    def delete(self, key: str) -> None:
        self.ground.delete(self._full(key))

    def local(self, key: str) -> Path:
        return self.ground.local(self._full(key), self.owner)

    def forget(self) -> int:
        return self.ground.forget(self.owner) if self.owner else 0

    def remains(self) -> tuple[str, ...]:
        return self.ground.remains(self.prefix)

    def within(self, prefix: str) -> "View":
        shops, _, inside = prefix.partition("/")
        owner = self.owner or (inside.partition("/")[0] if shops == "shops" else "")
        return View(self.ground, self._full(prefix) + "/", owner)

    def _full(self, key: str) -> str:
        if not _is_key(key):
            raise StoreError(
                f"{key!r} cannot be a key in {self.url}",
                expected="a relative path of printable characters, at most 1,024 bytes, no segment starting with a dot",
            )
        return self.prefix + key


def _is_key(text: str) -> bool:
    segments = text.split("/")
    return (
        text.isprintable()  # neither control characters nor lone surrogates
        and "\\" not in text
        and len(text.encode()) <= 1024  # S3's limit
        and all(part and not part.startswith(".") and len(part.encode()) <= 255 for part in segments)
    )


def probe(store: Store) -> tuple[str, ...]:
    """What is wrong with the store's conditional writes, one sentence each; empty: publishing is safe here.

    Some S3 servers ignore the conditions and overwrite (rclone, tried), others may refuse a good one.
    Writes and deletes one small object. Raises StoreError when the store cannot be reached or refuses us.
    """
    key, problems = f"probe/{uuid4().hex}", []
    try:
        first = store.swap(key, b"first", None)
        if not _refuses(store, key, None):
            problems.append("it overwrites an object that must be absent (If-None-Match is ignored)")
            first = store.get_tagged(key)[1]
        try:
            store.swap(key, b"second", first)
        except Conflict as error:
            problems.append(f"it refuses a swap with the right tag (a good If-Match fails: {error})")
        if not _refuses(store, key, '"00000000000000000000000000000000"') or not _refuses(store, key, first):
            problems.append("it overwrites an object that has changed (If-Match is ignored)")
    finally:
        store.delete(key)
    return tuple(problems)


def _refuses(store: Store, key: str, tag: str | None) -> bool:
    """Whether a swap that must lose does lose, and leaves the object as it was."""
    before = store.get(key)
    try:
        store.swap(key, uuid4().bytes, tag)
    except Conflict:
        return store.get(key) == before
    return False
