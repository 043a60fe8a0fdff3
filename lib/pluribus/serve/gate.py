"""The gate of the service: key, rate, size and time, before anything is read, parsed or worked out.

A plain ASGI layer around the whole application. FastAPI would read and parse a body before it looks at a key; here a
stranger's body is never read at all.
"""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from pluribus.errors import StoreError
from pluribus.serve import troubles
from pluribus.serve.counters import Counters
from pluribus.serve.keys import Keys

LOG = logging.getLogger(__name__)
OF_A_SHOP = re.compile(r"/v1/shops/([^/]*)(?:/([^/]*))?")
BUCKETS = 10_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, one shop and all together may take."""

    body_bytes: int = 8 * 2**20
    timeout_s: float = 10.0
    rate: float = 500.0  # requests a second of one shop, on average
    burst: float = 1000.0  # and at once
    at_once: int = 256  # requests in the house
    guesses: float = 20.0  # keys a second of one address that the store has to be asked about; three times that at once


class Buckets:
    """Token buckets by name: `rate` a second, at most `burst` saved up."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, name: str, cost: float = 1.0) -> float:
        """0 and the cost is taken, or how long until there is enough."""
        now = time.monotonic()
        level, then = self._levels.pop(name, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        short = cost - level
        self._levels[name] = (level if short > 0 else level - cost, now)
        if len(self._levels) > BUCKETS:
            self._levels.popitem(last=False)
        return max(0.0, short / self._rate)


class Gate:
    """Lets in who may, as often as he may, with what he may bring; and turns what goes wrong inside into one answer."""

    def __init__(self, app: Any, *, keys: Keys, limits: Limits, counters: Counters) -> None:
        self._app, self._keys, self._limits, self._counters = app, keys, limits, counters
        self._shops, self._guesses = Buckets(limits.rate, limits.burst), Buckets(limits.guesses, 3 * limits.guesses)
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        scope.setdefault("state", {})["shop"] = ""

        async def telling(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self._inside += 1
        try:
            refused = await self._refusal(scope)
            if refused is None:
                receive = await self._whole(scope, receive)
                await self._app(scope, receive, telling)
            else:
                if _has_body(scope):
                    refused.headers["connection"] = "close"
                await refused(scope, receive, telling)
        except _Refused as error:
            await error.response(scope, receive, telling)
        except Exception:
            LOG.exception("a request failed")
            await troubles.response(500, "the request failed", do="tell the operator")(scope, receive, telling)
        finally:
            self._inside -= 1
            route = scope.get("route")
            use = getattr(route, "name", "none")
            self._counters.answered(scope["state"]["shop"], use, status, time.monotonic() - began)

    async def _refusal(self, scope: Scope) -> Any:
        """Why this request does not come in, as a response; None when it may."""
        if self._inside > self._limits.at_once:
            return troubles.response(503, "too many requests are waiting", do="try again in a moment", retry_s=1)
        path = scope["path"]
        inside = OF_A_SHOP.match(path)
        if not inside and path != "/metrics":
            return None
        shop = inside[1] if inside else ""
        if inside and not shop:
            return _unknown()
        refused = await self._unopened(scope, shop)
        if refused is not None or not inside:
            return refused
        scope["state"]["shop"] = shop
        wait_s = self._shops.wait_s(shop)
        if wait_s > 0:
            expected = f"at most {self._limits.rate:g} a second"
            return troubles.response(429, "too many requests", expected=expected, retry_s=1 + int(wait_s))
        return None

    async def _unopened(self, scope: Scope, shop: str) -> Any:
        """The refusal of a key that does not open the shop; the same for a shop that does not exist."""
        key = _bearer(scope)
        opens = self._keys.remembered(shop, key)
        if opens is None:
            caller = str((scope.get("client") or ("",))[0])
            wait_s = self._guesses.wait_s(caller)
            if wait_s > 0:
                return troubles.response(429, "too many unknown keys", retry_s=1 + int(wait_s))
            try:
                opens = await asyncio.get_running_loop().run_in_executor(None, self._keys.opens, shop, key)
            except StoreError as error:
                LOG.warning("keys cannot be read: %s", error)
                return troubles.of_error(error)
        return None if opens else _unknown()

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """The body, all of it, within its size and time; then a `receive` that gives it."""
        most = self._limits.body_bytes
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            raise _Refused(413, f"a body of {int(declared):,} bytes", expected=f"at most {most:,}")
        if not _has_body(scope):
            return receive
        parts = bytearray()
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, "the caller went away")
                    parts += message.get("body", b"")
                    if len(parts) > most:
                        raise _Refused(413, f"a body of more than {most:,} bytes", expected=f"at most {most:,}")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise _Refused(408, "the body came too slowly", expected=f"within {self._limits.timeout_s:g} s") from None
        whole = [{"type": "http.request", "body": bytes(parts), "more_body": False}]

        async def given() -> Message:
            return whole.pop() if whole else await receive()

        return given


class _Refused(Exception):
    def __init__(self, status: int, message: str, *, expected: str = "") -> None:
        super().__init__(message)
        self.response = troubles.response(status, message, expected=expected, close=True)


def _bearer(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, key = value.decode("latin-1").partition(" ")
            return key.strip() if kind.lower() == "bearer" else ""
    return ""


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _unknown() -> Any:
    return troubles.response(
        401, "this key opens no such shop", expected="Authorization: Bearer KEY, a key of the shop that is asked"
    )
