"""Releases opened for requests: each shop's live one, loaded when first asked for, swapped when another goes live.

A swap is one reference: requests that hold the old release finish with it, and it leaves memory with the last of
them. The new one is opened beside it, verified byte by byte and asked one query before anybody sees it; when that
fails the old one keeps serving, and the trouble is told. Releases asked for least recently are put away when all
together exceed the memory they may take.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from threading import Condition, Lock, Thread

import numpy as np

from pluribus import releases, search, suggest, vectors
from pluribus.errors import Missing, PluribusError, ReleaseError, StoreError
from pluribus.models.encoders import Encoder
from pluribus.serve.batching import shared
from pluribus.serve.counters import Counters
from pluribus.store import Store

LOG = logging.getLogger(__name__)
FILES_HELD = ("index.faiss", vectors.SPACE, "vectors.parquet")  # of their own size once every page was touched
OPENINGS = 2  # at a time: each may need a whole release's memory
REMEMBERED_S = 3.0  # a shop that cannot be opened is not tried again at every request


@dataclass(frozen=True)
class Opened(search.Searcher):
    """A release opened for serving."""

    @cached_property
    def completions(self) -> suggest.Suggester:
        """The shop's completions, learned when first asked for."""
        return suggest.learn(self)


@dataclass
class Place:
    """What is known of one shop."""

    searcher: Opened | None = None
    size_bytes: int = 0
    seq: int = 0  # the highest seen: CURRENT never goes back
    tag: str = ""  # of the CURRENT looked at last, whether its release could be opened or not
    asked: float = 0.0  # when CURRENT was looked at last
    trouble: str = ""
    looking: bool = False
    lock: Lock = field(default_factory=Lock)


class Shelf:
    """The opened releases of many shops. Every method may be called from any thread."""

    def __init__(
        self, store: Store, counters: Counters, *, memory_bytes: int, poll_s: float = 2.0, stale_s: float = 60.0
    ) -> None:
        """`poll_s`: CURRENT is looked at again after this long, behind an answer's back; before it, after `stale_s`."""
        self._store, self._counters, self._memory_bytes = store, counters, memory_bytes
        self._poll_s, self._stale_s = poll_s, stale_s
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._encoders: dict[str, Encoder] = {}
        self._guard, self._openings = Condition(), 0

    def take(self, shop: str) -> Opened:
        """The shop's live release, for one request from beginning to end. Raises ReleaseError when there is none."""
        with self._guard:
            place = self._places.setdefault(shop, Place())
            self._places.move_to_end(shop)
            age_s, found = time.monotonic() - place.asked, place.searcher
            behind = found is not None and age_s < self._stale_s
            if behind and age_s > self._poll_s and not place.looking:
                place.looking = True
                Thread(target=self._look, args=(shop, place), daemon=True).start()
        if not behind:
            found = self._look(shop, place)
        if found is None:
            raise ReleaseError(place.trouble or f"shop {shop} has no live release", do="refresh the shop")
        return found

    def troubles(self) -> dict[str, str]:
        """What is wrong with each shop that is open or was asked for: the newest release that could not be taken."""
        with self._guard:
            return {shop: place.trouble for shop, place in self._places.items() if place.trouble}

    def open_releases(self) -> dict[str, str]:
        """Which release each open shop serves."""
        with self._guard:
            return {
                shop: place.searcher.release.manifest.release
                for shop, place in self._places.items()
                if place.searcher is not None
            }

    def _look(self, shop: str, place: Place) -> Opened | None:
        """Compare CURRENT with what is open; open what is new. Never raises on account of the store or a release."""
        with place.lock:  # one look at a time: whoever waited finds it done
            found, again_s = place.searcher, self._poll_s if place.searcher else REMEMBERED_S
            known = found or place.trouble  # neither: it was put away while it was looked after
            if known and place.asked and time.monotonic() - place.asked < again_s:
                place.looking = False
                return found
            try:
                found = self._follow(shop, place, found)
            except PluribusError as error:
                if isinstance(error, StoreError) and not isinstance(error, Missing):
                    place.tag = ""  # the store's trouble says nothing of the release: it is tried again
                self._tell(shop, place, str(error))
            finally:
                place.asked, place.looking = time.monotonic(), False
            return found

    def _follow(self, shop: str, place: Place, held: Opened | None) -> Opened | None:
        """What CURRENT names, opened; what is held where that is the same, or is known to be damaged."""
        own = self._store.within(f"shops/{shop}")
        found = releases.current_tagged(own, shop=shop)
        if found is None:
            raise ReleaseError(f"shop {shop} has no live release", do="refresh the shop first")
        now, tag = found
        if now.seq < place.seq:
            raise ReleaseError(
                f"CURRENT of shop {shop} went back to change {now.seq}", expected=f"at least {place.seq}"
            )
        place.seq = now.seq
        if held and now.release == held.release.manifest.release:
            place.tag, place.trouble = tag, ""
        elif tag != place.tag or held is None:  # a damaged release is not read again every time
            place.tag = tag
            held = self._swap(shop, place)
        self._counters.trouble(shop, bool(place.trouble))
        return held

    def _swap(self, shop: str, place: Place) -> Opened:
        with self._opening():
            opened = self._opened(shop)
        was = "swapped" if place.searcher else "opened"
        with self._guard:
            place.searcher, place.size_bytes, place.trouble = opened, held_bytes(opened), ""
            self._put_away(but=shop)
        self._counters.release(shop, was)
        LOG.info("shop %s serves release %s", shop, opened.release.manifest.release)
        return opened

    def _opened(self, shop: str) -> Opened:
        """The live release, verified, with the shared encoder, and proven by one query."""
        searcher = search.open(self._store, shop)
        encoder = searcher.encoder
        assert isinstance(encoder, Encoder)
        with self._guard:
            encoder = self._encoders.setdefault(encoder.fingerprint, shared(encoder, self._counters.encoded))
        opened = Opened(**{f.name: getattr(searcher, f.name) for f in fields(searcher)} | {"encoder": encoder})
        opened.query("a product", 1)  # reads what is read on demand
        if not opened.near(opened.space.fused[:1].astype(np.float32), 1):
            raise ReleaseError(f"release {opened.release.manifest.release} of shop {shop} answers nothing")
        return opened

    def _tell(self, shop: str, place: Place, trouble: str) -> None:
        if trouble != place.trouble:
            LOG.warning("shop %s: %s", shop, trouble)
            self._counters.release(shop, "refused")
        place.trouble = trouble
        self._counters.trouble(shop, True)

    def _put_away(self, but: str) -> None:
        """Forget the releases asked for least recently until the others fit, and shops that have nothing open."""
        held = sum(place.size_bytes for place in self._places.values())
        for shop, place in list(self._places.items()):
            if held <= self._memory_bytes:
                break
            if shop != but and place.searcher is not None and not place.looking:
                held -= place.size_bytes
                place.searcher, place.size_bytes, place.tag, place.asked = None, 0, "", 0.0  # asked again, opened again
                self._counters.release(shop, "put away")
        self._counters.held(held, sum(place.searcher is not None for place in self._places.values()))

    @contextmanager
    def _opening(self) -> Iterator[None]:
        with self._guard:
            self._guard.wait_for(lambda: self._openings < OPENINGS)
            self._openings += 1
        try:
            yield
        finally:
            with self._guard:
                self._openings -= 1
                self._guard.notify()


def held_bytes(searcher: search.Searcher) -> int:
    """About what an opened release takes, once every use has read what it needs; words lie in a second index."""
    files = searcher.release.manifest.files
    return 2 * int(searcher.products.nbytes) + sum(files[name].size_bytes for name in FILES_HELD if name in files)
