"""Fetching for addresses that strangers wrote: guarded, polite, never an exception on account of a server.

A feed's picture address may point at our own cloud's metadata service, at a name that resolves to something else the
second time, or at a server that sends a byte a second. `dial` connects to checked addresses only and keeps the
deadline; here redirects are followed by hand and checked alike, bytes are counted raw, and hosts get their pauses.

The policy follows OWASP's SSRF prevention cheat sheet, case 2. Left out: robots.txt and X-Robots-Tag, for the pictures
are the shop's own.
"""

import io
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from typing import IO, Literal

import httpcore
import httpx

from pluribus.web.dial import PORTS, Backend, Clock, Refused, resolve

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS, MOST_RETRIES, MOST_FAILURES = 3, 2, 10
MOST_URL_CHARS, MOST_VALIDATOR_CHARS = 2048, 512
CONNECT_S, READ_S = 3.0, 5.0
#: How long a host that failed MOST_FAILURES times in a row is left alone; a longer Retry-After counts as this.
REST_S = 60.0


@dataclass(frozen=True)
class Fetched:
    """What came of one fetch: new bytes, "the same as what you have", or the reason of a refusal.

    Reasons: URL ADDRESS REDIRECT SIZE ENCODING HTTP_404 ..., and the transient DNS CONNECT TIMEOUT PROTOCOL BUSY
    HTTP_429 HTTP_5xx, which say nothing about the bytes themselves.
    """

    status: Literal["new", "same", "refused"]
    body: bytes = b""
    validator: str = ""
    reason: str = ""


def is_transient(reason: str) -> bool:
    """Whether the same fetch may well succeed later."""
    return reason in ("DNS", "CONNECT", "TIMEOUT", "PROTOCOL", "BUSY", "HTTP_429") or reason.startswith("HTTP_5")


class Fetcher:
    """Fetches addresses of strangers, politely: few connections per host, for many threads at once."""

    def __init__(
        self,
        *,
        user_agent: str = "pluribus",
        total_s: float = 20.0,
        per_host: int = 2,
        most_connections: int = 64,
        pause_s: float = 0.25,
        allow: Iterable[str] = (),
        resolve: Callable[[str, int], list[str]] = resolve,
    ) -> None:
        """Opens no connection yet.

        total_s  for one `fetch` with its redirects, retries and pauses
        pause_s  after a host's first failure; doubles twice
        allow    networks ("127.0.0.0/8") that may be reached although they are not public, at any port: for
                 operators and tests, never from a shop's configuration
        """
        self._user_agent, self._total_s, self._per_host = user_agent, total_s, per_host
        self._pause_s = pause_s
        self._allows = bool(allow)
        self._clock = Clock()
        self._backend = Backend(self._clock, resolve, [ip_network(network) for network in allow])
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=most_connections,
            network_backend=self._backend,
        )
        self._hosts: dict[bytes, _Host] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()
        self._backend.close()

    def fetch(
        self,
        url: str,
        *,
        validator: str = "",
        most_bytes: int = 10 * 2**20,
        accept: str = "*/*",
        into: IO[bytes] | None = None,
    ) -> Fetched:
        """The bytes at `url`, at most `most_bytes`; never raises on account of the URL or the server.

        validator  of an earlier Fetched: "same" is the answer when nothing changed since
        into       a seekable file that takes the body, which is then left empty, for bytes that exceed memory
        """
        headers = {"User-Agent": self._user_agent, "Accept": accept, "Accept-Encoding": "identity"}
        if validator:
            headers["If-None-Match" if validator[0] == "E" else "If-Modified-Since"] = validator[1:]
        memory = io.BytesIO()
        body: IO[bytes] = memory if into is None else into
        self._clock.until = 0.0  # starts with the first turn at the host, however long the queue
        fetched = self._follow(url, headers, body, most_bytes)
        for _ in range(MOST_RETRIES):
            if not re.match("TIMEOUT|HTTP_429|HTTP_5", fetched.reason):
                break
            again = self._follow(url, headers, body, most_bytes)
            if again.reason == "BUSY":  # no time left
                break
            fetched = again
        if fetched.status == "same":
            return Fetched("same", validator=validator) if validator else Fetched("refused", reason="HTTP_304")
        return replace(fetched, body=memory.getvalue()) if fetched.status == "new" else fetched

    def _follow(self, url: str, headers: dict[str, str], body: IO[bytes], most_bytes: int) -> Fetched:
        """One attempt, from the first address through its redirects."""
        target = self._target(url, None)
        for _ in range(MOST_REDIRECTS + 1):
            if target is None:
                return Fetched("refused", reason="URL")
            answer = self._request(target, headers, body, most_bytes)
            if isinstance(answer, Fetched):
                return answer
            previous, target = target, self._target(answer, target)
            if target is not None and (previous.scheme, target.scheme) == ("https", "http"):
                break
        return Fetched("refused", reason="REDIRECT")

    def _target(self, url: str, base: httpx.URL | None) -> httpx.URL | None:
        """The address to ask next, None when it is none that we ask."""
        try:
            target = base.join(url) if base else httpx.URL(url.strip())
            port = target.port or (443 if target.scheme == "https" else 80)
        except (httpx.InvalidURL, ValueError, TypeError):
            return None
        known_port = port in PORTS or (self._allows and 0 < port < 2**16)
        good = target.scheme in ("http", "https") and target.raw_host and not target.userinfo and known_port
        return target if good and len(str(target)) <= MOST_URL_CHARS else None

    def _request(self, url: httpx.URL, headers: dict[str, str], body: IO[bytes], most_bytes: int) -> Fetched | str:
        """One exchange with one host: what came, or where it sends us."""
        with self._lock:
            host = self._hosts.setdefault(url.raw_host, _Host(threading.Semaphore(self._per_host), self._pause_s))
        try:
            with host.turn(self._clock, self._total_s):
                retry_after = ""
                try:
                    with self._opened(url, headers) as response:
                        answer = _read(response, body, most_bytes)
                        retry_after = _headers(response).get("retry-after", "")
                except tuple(REASONS) as error:
                    reason = next(reason for kind, reason in REASONS.items() if isinstance(error, kind))
                    answer = Fetched("refused", reason=reason or str(error))
                host.note(isinstance(answer, Fetched) and is_transient(answer.reason), _seconds(retry_after))
                return answer
        except Refused as refusal:
            return Fetched("refused", reason=str(refusal))

    def _opened(self, url: httpx.URL, headers: dict[str, str]) -> AbstractContextManager[httpcore.Response]:
        timeouts = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": self._total_s}
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        named = [(b"Host", url.netloc), *((name.encode(), value.encode()) for name, value in headers.items())]
        return self._pool.stream("GET", target, headers=named, extensions={"timeout": timeouts})


def _read(response: httpcore.Response, body: IO[bytes], most_bytes: int) -> Fetched | str:
    """The answer's body into `body`, or why not, or where a redirect leads."""
    told = _headers(response)
    if response.status in REDIRECTS and "location" in told:
        return told["location"]
    if response.status == 304:
        return Fetched("same")
    if response.status != 200:
        return Fetched("refused", reason=f"HTTP_{response.status}")
    if told.get("content-encoding", "").strip().lower() not in ("", "identity"):
        return Fetched("refused", reason="ENCODING")
    body.seek(0)
    body.truncate()
    size_bytes = int(told.get("content-length", "0"))  # h11 has seen to it that this is a number
    for piece in response.iter_stream() if size_bytes <= most_bytes else ():
        body.write(piece)
        size_bytes = max(size_bytes, body.tell())
        if size_bytes > most_bytes:
            break
    if size_bytes > most_bytes:
        return Fetched("refused", reason="SIZE")
    return Fetched("new", validator=_validator(told))


def _validator(told: dict[str, str]) -> str:
    """What to send next time; only what can safely stand in a header again."""
    for mark, text in (("E", told.get("etag", "")), ("M", told.get("last-modified", ""))):
        if text and text.isascii() and text.isprintable() and len(text) <= MOST_VALIDATOR_CHARS:
            return mark + text
    return ""


#: What httpcore may raise -> reason; blank: the exception's own text. The first that fits counts.
REASONS: dict[type[Exception], str] = {
    Refused: "",
    httpcore.TimeoutException: "TIMEOUT",
    httpcore.NetworkError: "CONNECT",
    httpcore.ProtocolError: "PROTOCOL",
}


@dataclass
class _Host:
    """How a host is doing: who may ask it, and not before when."""

    turns: threading.Semaphore
    pause_s: float
    failures: int = 0
    quiet_until: float = 0.0

    @contextmanager
    def turn(self, clock: Clock, total_s: float) -> Iterator[None]:
        """Wait for a turn at this host. The first turn of a fetch starts its clock; raises Refused BUSY."""
        if not self.turns.acquire(timeout=max(0.0, clock.until - time.monotonic()) if clock.until else None):
            raise Refused("BUSY")
        try:
            now = time.monotonic()
            clock.until = clock.until or now + total_s
            if max(now, self.quiet_until) >= clock.until:
                raise Refused("BUSY")
            time.sleep(max(0.0, self.quiet_until - now))
            yield
        finally:
            self.turns.release()

    def note(self, failed: bool, retry_after_s: float) -> None:
        """After each failure a jittered, growing pause; after too many in a row, a long one."""
        self.failures = self.failures + 1 if failed else 0
        if failed:
            growing_s = self.pause_s * 2.0 ** min(self.failures, 3)
            pause_s = REST_S if self.failures >= MOST_FAILURES else random.uniform(growing_s / 2, growing_s)  # noqa: S311
            self.quiet_until = time.monotonic() + max(pause_s, min(retry_after_s, REST_S))


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _seconds(text: str) -> float:
    """What a Retry-After header asks for, in seconds or as a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
