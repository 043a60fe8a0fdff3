"""Publication under faults by seed; and proof that the checker sees what it must: broken publications are caught."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
from faults import CALM, ROUGH, Faulty, Rates
from trial import Trial, fresh

from pluribus import publish, releases
from pluribus.errors import Conflict, StoreError
from pluribus.manifests import Current, Manifest, encode
from pluribus.store import Store
from pluribus.store.folder import Folder

SEEDS = int(os.environ.get("PLURIBUS_SEEDS", "6"))  # make kill plays 200


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is lost here, and nobody needs to wait for somebody else's turn."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(time, "sleep", lambda s: None)


@pytest.mark.parametrize(
    "rates", [CALM, ROUGH, Rates(lost=0.5), Rates(torn=0.3)], ids=["calm", "rough", "lost", "torn"]
)
def test_no_promise_is_broken_whatever_fails(tmp_path: Path, rates: Rates) -> None:
    published = reads = 0
    for seed in range(SEEDS):
        trial = Trial(fresh(tmp_path), seed, rates).run()
        assert not trial.wrong, f"seed {seed}: {trial.wrong}"
        published += sum(call.told == "published" for call in trial.calls)
        reads += trial.reads
    assert published >= SEEDS
    assert reads >= SEEDS


# ------------------------------------------------------------------------------------------------ broken on purpose


def unconditional(patch: pytest.MonkeyPatch) -> None:
    """CURRENT is put without looking at what is there."""
    honest = Folder.swap

    def swap(self: Folder, key: str, data: bytes, tag: str | None) -> str:
        path = self.root / key
        return honest(self, key, data, hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None)

    patch.setattr(Folder, "swap", swap)


def torn_pointer(patch: pytest.MonkeyPatch) -> None:
    """CURRENT is written in place, piece by piece: half of it is there when its writer pauses."""
    honest = Faulty.swap

    def swap(self: Faulty, key: str, data: bytes, tag: str | None) -> str:
        new = honest(self, key, data, tag)
        path = Path(self.url) / key
        path.write_bytes(data[: len(data) // 2])
        self.director.turn()
        path.write_bytes(data)
        return new

    patch.setattr(Faulty, "swap", swap)


def no_nonce(patch: pytest.MonkeyPatch) -> None:
    """A lost answer is taken for a failure: nobody looks for the change that landed."""

    def change(shop_store: Store, shop: str, decide: Callable[..., Current | str]) -> str | None:
        for _ in range(publish.TRIES):
            now, tag = releases.current_tagged(shop_store, shop=shop) or (None, None)
            choice = decide(now)
            if not isinstance(choice, Current):
                return choice
            nonce = uuid4().hex
            new = replace(choice, seq=now.seq + 1 if now else 1, nonce=nonce, recent=(nonce,))
            try:
                shop_store.swap("CURRENT", encode(new), tag)
            except Conflict:
                continue
            return None
        raise StoreError("not settled")

    patch.setattr(publish, "_change", change)


def one_nonce(patch: pytest.MonkeyPatch) -> None:
    """Everybody writes the same nonce."""

    class Same:
        hex = "0" * 32

    patch.setattr(publish, "uuid4", Same)


def no_second_look(patch: pytest.MonkeyPatch) -> None:
    """Whether a release is doomed, or still there, is not asked again right before the swap."""
    honest = publish._going_live

    def going_live(shop_store: Store, now: Current | None, opened: releases.Release, why: str) -> Current:
        unseen = replace(now, doomed=()) if now else None
        live = honest(Remembering(opened.manifest), unseen, opened, why)  # type: ignore[arg-type]
        return replace(live, doomed=tuple({*now.doomed} - {live.release}) if now else ())

    patch.setattr(publish, "_going_live", going_live)


@dataclass
class Remembering:
    """A store that answers for a manifest from memory, as a publisher does that trusts its first look."""

    made: Manifest
    url: str = "memory"

    def get(self, key: str) -> bytes:
        return encode(self.made)


def no_boundary(patch: pytest.MonkeyPatch) -> None:
    """The collector deletes what it found idle without having everybody agree that it is doomed."""

    def collect(shop_store: Store, *, shop: str, grace_s: float, keep: int) -> list[str]:
        found = list(releases.listing(shop_store))
        now = releases.current(shop_store, shop=shop)
        gone = [release for release in found if now and release != now.release]
        for release in gone:
            for item in list(shop_store.items(releases.key(release, ""))):
                shop_store.delete(item.key)
        return gone

    patch.setattr(publish, "collect", collect)


BREAKAGES = {
    unconditional: ROUGH,
    torn_pointer: CALM,
    no_nonce: ROUGH,
    one_nonce: CALM,
    no_second_look: CALM,
    no_boundary: CALM,
}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.__name__)
def test_a_broken_publication_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breakage: Callable[[pytest.MonkeyPatch], None]
) -> None:
    breakage(monkeypatch)
    for seed in range(60):
        if Trial(fresh(tmp_path), seed, BREAKAGES[breakage]).run().wrong:
            return
    pytest.fail(f"60 seeds did not see that {breakage.__doc__}")
