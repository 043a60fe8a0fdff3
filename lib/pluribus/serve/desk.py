"""The desk: where a request gets its release, a thread and its time.

Quick uses (search, suggest) and slow ones (paths, heat maps) have threads of their own, so that a shop's heat maps
cannot keep another shop's searches waiting; and no more of them than there is room for: beyond that a request is
refused at once, which is kinder than a time-out.
"""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from starlette.responses import Response

from pluribus.errors import PluribusError
from pluribus.serve import troubles
from pluribus.serve.shelf import Opened, Shelf

QUICK, SLOW = 8, 2  # threads
WAITING = 32  # requests a thread may have waiting for it


class Desk:
    """Runs uses on releases, in threads, in time."""

    def __init__(self, shelf: Shelf, *, timeout_s: float) -> None:
        self.shelf, self._timeout_s = shelf, timeout_s
        self._pools = {name: ThreadPoolExecutor(n, f"serve-{name}") for name, n in (("quick", QUICK), ("slow", SLOW))}
        self._room = {name: BoundedSemaphore(n * WAITING) for name, n in (("quick", QUICK), ("slow", SLOW))}

    async def answer(self, shop: str, use: Callable[[Opened], dict[str, Any]], *, pool: str = "quick") -> Response:
        """What a use says of the shop's live release, as JSON; a failure where it has none, or no time."""
        if not self._room[pool].acquire(blocking=False):
            return troubles.of_error(troubles.Busy("too many requests are waiting", do="try again in a moment"))
        work = self._pools[pool].submit(self._said, shop, use)
        work.add_done_callback(lambda _: self._room[pool].release())
        try:
            said = await asyncio.wait_for(asyncio.wrap_future(work), self._timeout_s)
        except TimeoutError:
            return troubles.response(
                504, "the answer took too long", expected=f"within {self._timeout_s:g} s", do="ask for less"
            )
        except PluribusError as error:
            return troubles.of_error(error)
        return Response(said, media_type="application/json")

    def _said(self, shop: str, use: Callable[[Opened], dict[str, Any]]) -> bytes:
        searcher = self.shelf.take(shop)
        told = {"shop": shop, "release": searcher.release.manifest.release, **use(searcher)}
        return json.dumps(told, allow_nan=False, default=str).encode()

    def close(self) -> None:
        """Take no more work."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
