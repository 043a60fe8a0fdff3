"""Fetching for addresses that strangers wrote: guarded, polite, never an exception on account of a server.

A feed's picture address may point at our own cloud's metadata service, at a name that resolves to something else the
second time, or at a server that sends a byte a second. `dial` connects to checked addresses only and keeps the
deadline; here redirects are followed by hand and checked alike, and bytes are counted raw. `manners` keeps turns and
pauses, `robots` reads what a host asks of robots; a domain that the shop's configuration calls its own is not asked.

The policy follows OWASP's SSRF prevention cheat sheet, case 2.
"""

import io
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import IO, Literal

import httpcore
import httpx

from pluribus.web import robots
from pluribus.web.dial import PORTS, Backend, Clock, Refused, resolve
from pluribus.web.manners import MOST_FAILURES, REST_S, Manners, domain_of, seconds

__all__ = ["MOST_FAILURES", "REST_S", "Fetched", "Fetcher", "is_transient"]

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS, MOST_RETRIES = 3, 2
MOST_URL_CHARS, MOST_VALIDATOR_CHARS = 2048, 512
CONNECT_S, READ_S = 3.0, 5.0


@dataclass(frozen=True)
class Fetched:
    """What came of one fetch: new bytes, "the same as what you have", or the reason of a refusal.

    Reasons: URL ADDRESS REDIRECT ROBOTS SIZE ENCODING HTTP_404 ..., and the transient DNS CONNECT TIMEOUT PROTOCOL
    BUSY HTTP_429 HTTP_5xx, which say nothing about the bytes themselves.
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
        per_place: int = 2,
        requests_per_s: float = 1.0,
        most_connections: int = 64,
        pause_s: float = 0.25,
        own_domains: Iterable[str] = (),
        allow: Iterable[str] = (),
        resolve: Callable[[str, int], list[str]] = resolve,
    ) -> None:
        """Opens no connection yet.

        total_s         for one `fetch` with its redirects, retries and pauses, from its first turn on
        per_place       connections at a time to one registrable domain, and to one address
        requests_per_s  to either
        pause_s         after a host's first failure; doubles twice
        own_domains     whose robots.txt and X-Robots-Tag do not concern us, with their subdomains; "*": all
        allow           networks ("127.0.0.0/8") that may be reached although they are not public, at any port: for
                        operators and tests, never from a shop's configuration
        """
        self._user_agent, self._total_s = user_agent, total_s
        self._agent = robots.token(user_agent)
        self._manners = Manners(per_place=per_place, requests_per_s=requests_per_s, pause_s=pause_s)
        self._own = {domain.lower().strip(".") for domain in own_domains}
        self._rules: dict[str, robots.Rules] = {}
        self._rules_locks: dict[str, threading.Lock] = {}
        self._allows = bool(allow)
        self._clock = Clock()
        self._backend = Backend(self._clock, resolve, [ip_network(network) for network in allow])
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=most_connections,
            network_backend=self._backend,
        )
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
            refusal = self._robots(target)
            answer = Fetched("refused", reason=refusal) if refusal else self._request(target, headers, body, most_bytes)
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

    def _robots(self, url: httpx.URL) -> str:
        """Why this address is not for us, by its host's robots.txt, asked for once; blank where it is."""
        if self._is_own(url.raw_host.decode("ascii")):
            return ""
        where = f"{url.scheme}://{url.netloc.decode('ascii')}"
        with self._lock:
            lock = self._rules_locks.setdefault(where, threading.Lock())
        with lock:
            if where not in self._rules:
                reason = self._learn(where)
                if reason:
                    return reason
        return "" if self._rules[where].allows(url.raw_path.decode("ascii")) else "ROBOTS"

    def _learn(self, where: str) -> str:
        """Read a host's robots.txt; a reason when it cannot be had now, which forbids (RFC 9309, 2.3.1.4)."""
        until, began = self._clock.until, time.monotonic()
        self._clock.until = 0.0  # its time is not that of the picture
        body, target = io.BytesIO(), self._target(f"{where}/robots.txt", None)
        reason = "URL"
        for _ in range(MOST_REDIRECTS + 1):
            if target is None:
                break
            answer = self._request(target, {"User-Agent": self._user_agent}, body, robots.MOST_BYTES)
            if isinstance(answer, Fetched):
                reason = answer.reason
                break
            target, reason = self._target(answer, target), "REDIRECT"
        self._clock.until = until and until + time.monotonic() - began
        if is_transient(reason):
            return reason
        if reason in ("SIZE", "ENCODING"):  # there are rules, and we cannot read them
            return "ROBOTS"
        text = "" if reason else body.getvalue().decode("utf-8", "replace")
        self._rules[where] = robots.parse(text, self._agent)
        return ""

    def _is_own(self, host: str) -> bool:
        labels = host.lower().strip(".").split(".")
        return "*" in self._own or any(".".join(labels[place:]) in self._own for place in range(len(labels)))

    def _request(self, url: httpx.URL, headers: dict[str, str], body: IO[bytes], most_bytes: int) -> Fetched | str:
        """One exchange with one host, when its turn has come: what came, or where it sends us."""
        clock, host = self._clock, url.raw_host.decode("ascii")
        try:
            self._manners.host(host).resting(self._total_s)
            with self._manners.place(domain_of(host)).turn(clock):
                port = url.port or (443 if url.scheme == "https" else 80)
                address, *_ = self._backend.check(host, port)
                with self._manners.place(f"@{address}").turn(clock):
                    clock.until = clock.until or time.monotonic() + self._total_s
                    self._manners.host(host).wait(clock)
                    return self._exchange(url, headers, body, most_bytes)
        except Refused as refusal:
            return Fetched("refused", reason=str(refusal))

    def _exchange(self, url: httpx.URL, headers: dict[str, str], body: IO[bytes], most_bytes: int) -> Fetched | str:
        retry_after = ""
        try:
            with self._opened(url, headers) as response:
                told = _headers(response)
                retry_after = told.get("retry-after", "")
                forbidden = not self._is_own(url.raw_host.decode("ascii")) and robots.forbids(
                    told.get("x-robots-tag", ""), self._agent
                )
                answer = _read(response, told, body, most_bytes)
                if forbidden and isinstance(answer, Fetched) and answer.status == "new":
                    answer = Fetched("refused", reason="ROBOTS")
        except tuple(REASONS) as error:
            reason = next(reason for kind, reason in REASONS.items() if isinstance(error, kind))
            answer = Fetched("refused", reason=reason or str(error))
        failed = isinstance(answer, Fetched) and is_transient(answer.reason)
        self._manners.host(url.raw_host.decode("ascii")).note(failed, seconds(retry_after))
        return answer

    def _opened(self, url: httpx.URL, headers: dict[str, str]) -> AbstractContextManager[httpcore.Response]:
        timeouts = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": self._total_s}
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        named = [(b"Host", url.netloc), *((name.encode(), value.encode()) for name, value in headers.items())]
        return self._pool.stream("GET", target, headers=named, extensions={"timeout": timeouts})


def _read(response: httpcore.Response, told: dict[str, str], body: IO[bytes], most_bytes: int) -> Fetched | str:
    """The answer's body into `body`, or why not, or where a redirect leads."""
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


def _headers(response: httpcore.Response) -> dict[str, str]:
    """Names in lower case; several headers of one name are one, between commas."""
    told: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        told[name] = f"{told[name]}, {value}" if name in told else value
    return told
