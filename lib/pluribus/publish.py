"""Making a release live: one compare-and-swap of CURRENT, so that no reader ever sees half of a change.

Everything else of a release is written once under a name of its own. Whoever dies, stalls or loses an answer at any
point leaves either the old release live or the new one. An answer that never came is not an answer: the writer looks
for its own nonce in CURRENT, and nothing is ever deleted on a guess. A release is deleted only after CURRENT says
that it is doomed, and a doomed release cannot go live; both changes go through the same swap, so one of them loses.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from random import SystemRandom
from typing import Any, Literal
from uuid import uuid4

from pluribus.errors import Conflict, Exists, ReleaseError, StoreError, printable
from pluribus.manifests import Current, File, Manifest, Retired, encode, moment
from pluribus.releases import (
    CURRENT,
    Release,
    current,
    current_tagged,
    history,
    key,
    listing,
    open_manifest,
    open_release,
)
from pluribus.store import Store

TRIES = 30
RECENT = 64  # nonces kept: more changes than this cannot happen while one swap is in doubt
RETIRED = 300  # remembered releases; with everything else they keep CURRENT below its 64 KiB
DOOMED = 100  # at once
GRACE_S = 7 * 24 * 3600.0  # at least three times the longest build, and longer than any reader keeps a release open

Outcome = Literal["published", "already", "superseded", "held"]


def seal(
    shop_store: Store,
    *,
    shop: str,
    release: str,
    asof: str,
    input_key: str,
    files: Mapping[str, File],
    facts: Mapping[str, Any],
) -> Manifest:
    """Write the manifest, after every file: from now on the release is whole and never changes.

    Sealing again with the same content is fine. Raises ReleaseError when the release was sealed with another.
    """
    made = Manifest(
        shop=shop,
        release=release,
        asof=asof,
        input_key=input_key,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        files=dict(files),
        facts=dict(facts),
    )
    try:
        shop_store.create(key(release, "_MANIFEST.json"), encode(made))
    except Exists as error:
        there, _ = open_manifest(shop_store, shop=shop, release=release)
        if encode(replace(made, created=there.created)) != encode(there):
            raise ReleaseError(
                f"release {release} of shop {shop} is sealed with other content", do="build it under a new id"
            ) from error
        return there
    return made


def publish(shop_store: Store, *, shop: str, release: str, why: str, anew: bool = False) -> Outcome:
    """Make a sealed release live, after reading all of it back.

    "already": the live release has the same input_key (`anew` publishes all the same, over a damaged one).
    "superseded": the live one is of a newer feed. "held": somebody rolled back or held the shop, and `unhold` has not
    been asked for. Raises ReleaseError when the release is damaged, absent, or doomed because its publisher slept
    longer than the collector's grace.
    """
    opened = _opened(shop_store, shop, release)
    made = opened.manifest

    def decide(now: Current | None) -> Current | Outcome:
        if now and now.input_key == made.input_key and not anew:
            return "already"
        if now and now.hold:
            return "held"
        if now and moment(made.asof) < moment(now.asof):
            return "superseded"
        return _going_live(shop_store, now, opened, why)

    return _change(shop_store, shop, decide) or "published"


def rollback(shop_store: Store, *, shop: str, to: str | None = None, why: str, holding: bool = True) -> str:
    """Make an earlier release live, by default the one made before the live one; returns its id.

    `holding`: and let nothing take its place until `unhold`.

    Every file is compared with its manifest first. Raises ReleaseError when there is nothing whole to go back to.
    """
    opened = _opened(shop_store, shop, to) if to else _previous(shop_store, shop)

    def decide(now: Current | None) -> Current:
        return replace(_going_live(shop_store, now, opened, why), hold=holding)

    _change(shop_store, shop, decide)
    return opened.manifest.release


def hold(shop_store: Store, *, shop: str, why: str) -> None:
    """Keep the live release until `unhold`, whatever is built meanwhile. Raises ReleaseError if nothing is live."""
    _change(shop_store, shop, lambda now: replace(_needed(now, shop), hold=True, why=printable(why, 500)))


def unhold(shop_store: Store, *, shop: str, why: str) -> None:
    """Let the next refresh publish again. Raises ReleaseError if nothing is live."""
    _change(shop_store, shop, lambda now: replace(_needed(now, shop), hold=False, why=printable(why, 500)))


def collect(
    shop_store: Store, *, shop: str, grace_s: float = GRACE_S, keep: int = 3, pins: Iterable[str] = ()
) -> list[str]:
    """Delete releases that nobody can need, finished or not; returns their ids.

    Needed are: the live one, the last `keep` retired, those retired less than `grace_s` ago, `pins`, and whatever
    was written to less than `grace_s` ago. Whoever dies in here leaves doomed releases that the next call deletes.
    Of a shop that never went live nothing goes: without a CURRENT, a publisher could not be told that it is too late.
    """
    cutoff = datetime.now(UTC) - timedelta(seconds=grace_s)
    found = listing(shop_store)  # before CURRENT is read: what goes live later is not in here
    idle = {release for release, items in found.items() if max(item.modified for item in items) < cutoff}
    doomed: tuple[str, ...] = ()

    def doom(now: Current | None) -> Current | Outcome:
        nonlocal doomed
        if now is None:  # nothing was ever live: there is no CURRENT to agree upon
            return "already"
        doomed = (*now.doomed, *sorted(idle - _needed_by(now, keep, cutoff) - {*pins, *now.doomed}))[:DOOMED]
        return "already" if doomed == now.doomed else replace(now, doomed=doomed)

    def forget(now: Current | None) -> Current:
        known = _needed(now, shop)
        retired = tuple(entry for entry in known.retired if entry.release not in doomed)
        return replace(known, retired=retired, doomed=tuple(sorted({*known.doomed} - {*doomed})))

    _change(shop_store, shop, doom)
    for release in doomed:
        shop_store.delete(key(release, "_MANIFEST.json"))  # first: without it nothing here can go live again
        for item in list(shop_store.items(key(release, ""))):
            shop_store.delete(item.key)
    if doomed:
        _change(shop_store, shop, forget)
    return sorted(doomed)


def _change(shop_store: Store, shop: str, decide: Callable[[Current | None], Current | Outcome]) -> Outcome | None:
    """Swap CURRENT for what `decide` makes of it: None once that has landed, or decide's reason not to.

    `decide` is asked again whenever somebody else was first. Raises StoreError when it cannot be settled.
    """
    nonce = uuid4().hex
    for attempt in range(TRIES):
        now, tag = current_tagged(shop_store, shop=shop) or (None, None)
        if now and nonce in now.recent:  # an earlier try of ours landed and its answer was lost
            return None
        choice = decide(now)
        if not isinstance(choice, Current):
            return choice
        seq, recent = (now.seq + 1, now.recent) if now else (1, ())
        new = replace(choice, seq=seq, nonce=nonce, recent=(*recent, nonce)[-RECENT:])
        try:
            shop_store.swap(CURRENT, encode(new), tag)
        except Conflict:
            time.sleep(SystemRandom().uniform(0, min(2.0, 0.02 * 2**attempt)))
        else:
            return None
    raise StoreError(
        f"{shop_store.url}/{CURRENT} could not be settled in {TRIES} tries, and may or may not have changed",
        do="look at `pluribus releases` and run this again; nothing was deleted",
    )


def _going_live(shop_store: Store, now: Current | None, opened: Release, why: str) -> Current:
    """CURRENT with this release live. Checked here, between reading CURRENT and swapping it, and not only before.

    A manifest must read the same twice: one byte changed on its way to us would otherwise name a manifest that is
    nowhere, and no reader could open the live release (found by test_faults, seed 0 of torn reads).
    """
    made = opened.manifest
    _, digest = open_manifest(shop_store, shop=made.shop, release=made.release)
    if digest != opened.manifest_sha256:
        raise ReleaseError(f"the manifest of release {made.release} of shop {made.shop} read differently twice",
                           do="publish again; if it stays, look at the store's disk or network")  # fmt: skip
    if now and made.release in now.doomed:
        raise ReleaseError(
            f"release {made.release} of shop {made.shop} is being deleted: it waited too long", do="refresh the shop"
        )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    retired = () if now is None else (*now.retired, Retired(release=now.release, at=at))
    return Current(
        shop=made.shop,
        seq=0,
        nonce="",
        release=made.release,
        manifest_sha256=digest,
        asof=made.asof,
        input_key=made.input_key,
        why=printable(why, 500),
        at=at,
        hold=False,
        retired=tuple(entry for entry in retired if entry.release != made.release)[-RETIRED:],
        doomed=now.doomed if now else (),
    )


def _opened(shop_store: Store, shop: str, release: str) -> Release:
    """A release, every byte compared, and never of the future.

    A feed was read before its release was sealed, by the store's clock: a machine whose clock is ahead would else
    keep every other's releases out, as older ones, until its time has come.
    """
    opened = open_release(shop_store, shop=shop, release=release)
    opened.verify()
    name = key(release, "_MANIFEST.json")
    for item in shop_store.items(name):
        latest = item.modified + timedelta(seconds=1)  # S3 knows seconds only
        if item.key == name and moment(opened.manifest.asof) > latest:
            return replace(opened, manifest=replace(opened.manifest, asof=latest.isoformat()))
    return opened


def _previous(shop_store: Store, shop: str) -> Release:
    """The newest whole release made before the live one: going back twice goes back two steps."""
    live = _needed(current(shop_store, shop=shop), shop).release
    entries = history(shop_store, shop=shop)
    newest = ""
    for entry in list(dropwhile(lambda entry: entry.release != live, entries)) or entries:
        if entry.state == "retired":
            try:
                return _opened(shop_store, shop, entry.release)
            except ReleaseError as error:
                newest = newest or f" ({error.came})"
    raise ReleaseError(f"shop {shop} has no whole release before {live}{newest}", do="refresh the shop")


def _needed(now: Current | None, shop: str) -> Current:
    if now is None:
        raise ReleaseError(f"shop {shop} has no live release", do="refresh the shop first")
    return now


def _needed_by(now: Current, keep: int, cutoff: datetime) -> set[str]:
    """The live release and those retired lately: a reader may still have them open, an operator may go back."""
    retired = [entry for entry in now.retired if entry.release not in now.doomed]
    kept = retired[-keep:] if keep else []
    return {now.release, *(entry.release for entry in (*kept, *(e for e in retired if moment(e.at) >= cutoff)))}
