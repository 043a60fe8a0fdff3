"""What a shop has published: the reading half of publication, for everybody who serves, compares or lists releases.

    releases/<release>/<file>            written once, by one attempt to build
    releases/<release>/_MANIFEST.json    written last: every file with its sha256, and what the release was made of
    CURRENT                              the one object that changes: which release is live

Nothing of a release reaches a parser before its bytes were compared with the manifest, and nothing at all before its
shop was compared with the shop that was asked for. `publish` is the writing half.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pluribus.errors import Missing, ReleaseError
from pluribus.manifests import RELEASE, Current, File, Manifest, decode_current, decode_manifest, moment
from pluribus.store import Item, Store

CURRENT = "CURRENT"
State = Literal["live", "retired", "never live", "doomed", "unfinished", "damaged"]


@dataclass(frozen=True)
class Release:
    """One release opened for reading."""

    store: Store = field(repr=False)
    manifest: Manifest
    manifest_sha256: str
    seq: int  # of the CURRENT that led here, 0 if none did
    _verified: dict[str, Path] = field(default_factory=dict, repr=False, compare=False)

    def path(self, name: str) -> Path:
        """A local file with the bytes the manifest promises, compared once per open. Raises ReleaseError."""
        if name not in self._verified:
            self._verified[name] = self._compared(name)
        return self._verified[name]

    def verify(self) -> None:
        """Compare every file. Raises ReleaseError."""
        for name in self.manifest.files:
            self.path(name)

    def _compared(self, name: str) -> Path:
        told = f"release {self.manifest.release} of shop {self.manifest.shop}"
        promised = self.manifest.files.get(name)
        if promised is None:
            raise ReleaseError(f"{told} has no {name}", expected=f"one of {', '.join(sorted(self.manifest.files))}")
        try:
            path = self.store.local(key(self.manifest.release, name))
            with path.open("rb") as file:
                found = File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=path.stat().st_size)
        except (Missing, OSError) as error:
            raise ReleaseError(f"{told} has lost its {name}", do="roll back, or refresh the shop anew") from error
        if found != promised:
            raise ReleaseError(
                f"{name} of {told} is damaged: {path} has {found.size_bytes:,} bytes, sha256 {found.sha256[:12]}…",
                expected=f"{promised.size_bytes:,} bytes, sha256 {promised.sha256[:12]}…",
                do="roll back, or refresh the shop anew (a damaged cached download: delete it)",
            )
        return path


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a shop's history."""

    release: str
    state: State
    asof: str = ""
    created: str = ""
    size_bytes: int = 0


def key(release: str, name: str) -> str:
    """Where a file of a release lies inside its shop's store."""
    return f"releases/{release}/{name}"


def add(shop_store: Store, *, release: str, name: str, data: bytes | Path, given: bool = False) -> File:
    """Write one file of a release being built, once and for all; the answer belongs into its manifest.

    `given`: nobody will write the file again (`Store.create`). Raises Exists when other bytes are there already: a
    release belongs to one attempt and is never reused.
    """
    shop_store.create(key(release, name), data, given=given)
    if isinstance(data, bytes):
        return File(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    with data.open("rb") as file:
        return File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=data.stat().st_size)


def current(shop_store: Store, *, shop: str) -> Current | None:
    """Which release is live; None when none ever was. Raises ReleaseError on damage or another shop's."""
    found = current_tagged(shop_store, shop=shop)
    return found[0] if found else None


def current_tagged(shop_store: Store, *, shop: str) -> tuple[Current, str] | None:
    """`current`, and the tag that a compare-and-swap of it wants."""
    try:
        data, tag = shop_store.get_tagged(CURRENT)
    except Missing:
        return None
    try:
        found = decode_current(data)
    except (ValueError, RecursionError) as error:
        raise ReleaseError(
            f"{shop_store.url}/{CURRENT} is damaged: {error}", do="restore an earlier version of this object"
        ) from error
    _same("shop", found.shop, shop, f"{shop_store.url}/{CURRENT}")
    return found, tag


def open_manifest(shop_store: Store, *, shop: str, release: str) -> tuple[Manifest, str]:
    """A release's manifest and its sha256. Raises ReleaseError when absent, damaged or another shop's."""
    place = f"{shop_store.url}/{key(release, '_MANIFEST.json')}"
    if not RELEASE.fullmatch(release):
        raise ReleaseError(f"{release!r} is no release", expected="an id as `pluribus releases` prints it")
    try:
        data = shop_store.get(key(release, "_MANIFEST.json"))
        found = decode_manifest(data)
    except Missing as error:
        raise ReleaseError(f"there is no {place}", do="`pluribus releases` lists what there is") from error
    except (ValueError, RecursionError) as error:
        raise ReleaseError(f"{place} is damaged: {error}", do="roll back, or refresh the shop") from error
    _same("shop", found.shop, shop, place)
    _same("release", found.release, release, place)
    return found, hashlib.sha256(data).hexdigest()


def open_release(shop_store: Store, *, shop: str, release: str | None = None, least_seq: int = 0) -> Release:
    """The live release, or the one named. Its files are compared as they are asked for.

    A reader that stays open passes the highest `seq` it has seen as `least_seq`: a CURRENT behind it is refused.
    Raises ReleaseError when nothing is live, and on any damage.
    """
    if release is not None:
        manifest, digest = open_manifest(shop_store, shop=shop, release=release)
        return Release(shop_store, manifest, digest, 0)
    before = 0
    while True:
        now = current(shop_store, shop=shop)
        if now is None:
            raise ReleaseError(f"shop {shop} has no live release in {shop_store.url}", do="refresh the shop first")
        if now.seq < least_seq:
            raise ReleaseError(
                f"{CURRENT} of shop {shop} went back to change {now.seq}", expected=f"{least_seq} or more"
            )
        try:
            manifest, digest = open_manifest(shop_store, shop=shop, release=now.release)
            _same("manifest sha256", digest, now.manifest_sha256, f"release {now.release}")
        except ReleaseError:
            if now.seq == before:  # not replaced while we looked: real damage
                raise
            before = now.seq
            continue
        return Release(shop_store, manifest, digest, now.seq)


def unsealed(shop_store: Store, *, shop: str, release: str, files: Mapping[str, File]) -> Release:
    """A release that is still being built, for the stages after its build: its files are compared like any other's."""
    made = Manifest(shop=shop, release=release, asof="", input_key="", created="", files=files, facts={})
    return Release(shop_store, made, "", 0)


def history(shop_store: Store, *, shop: str) -> list[Entry]:
    """Every release there is, finished or not, the newest first. Raises ReleaseError when CURRENT is damaged."""
    now = current(shop_store, shop=shop)
    states: dict[str, State] = {}
    if now:
        states |= {entry.release: "retired" for entry in now.retired}
        states |= dict.fromkeys(now.doomed, "doomed")
        states[now.release] = "live"
    found = listing(shop_store)
    entries = [_entry(shop_store, shop, release, found[release], states.get(release)) for release in found]
    return sorted(entries, key=lambda entry: moment(entry.created), reverse=True)


def listing(shop_store: Store) -> dict[str, list[Item]]:
    """What lies in the store of each release."""
    found: dict[str, list[Item]] = {}
    for item in shop_store.items("releases/"):
        _, release, *name = item.key.split("/")
        if name and RELEASE.fullmatch(release):
            found.setdefault(release, []).append(item)
    return found


def _entry(shop_store: Store, shop: str, release: str, items: list[Item], state: State | None) -> Entry:
    size_bytes = sum(item.size_bytes for item in items)
    try:
        made, _ = open_manifest(shop_store, shop=shop, release=release)
    except ReleaseError as error:
        if state != "doomed":
            state = "unfinished" if state is None and isinstance(error.__cause__, Missing) else "damaged"
        newest = max(item.modified for item in items).isoformat()
        return Entry(release=release, state=state, created=newest, size_bytes=size_bytes)
    state = state or "never live"
    return Entry(release=release, state=state, asof=made.asof, created=made.created, size_bytes=size_bytes)


def _same(what: str, found: str, expected: str, place: str) -> None:
    if found != expected:
        raise ReleaseError(f"{place} is of {what} {found!r:.80}", expected=repr(expected), do="find out who wrote it")
