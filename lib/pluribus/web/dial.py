"""Connections to public addresses only, and only for so long: the network under `web`, the module that knows httpcore.

A name is resolved once, the host is refused if any of its addresses is not public, and the checked address itself is
dialled: what was checked is what is reached, however the name resolves the next time. TLS and the Host header keep the
name. Every read and write ends with the deadline of the fetch it serves.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore

PORTS = (80, 443)
RESOLVE_S = 2.0
#: Python 3.11's `is_global` says yes to most of these (CVE-2024-4032), among them Azure's metadata service.
DENIED = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16", "3fff::/20")
)
#: The only IPv6 space given out so far: neither NAT64 (64:ff9b::) nor site-local, IPv4-compatible or 5f00:: lie in it.
GLOBAL_UNICAST = ip_network("2000::/3")
Address = IPv4Address | IPv6Address


class Refused(Exception):
    """Why nothing is fetched: ADDRESS, DNS, TIMEOUT, BUSY. Passes through httpcore; only `web` sees it."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, whatever it is wrapped in."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in GLOBAL_UNICAST:
            return False
    special = address.is_multicast or address.is_reserved or not address.is_global
    return not special and not any(address in network for network in DENIED)


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, by the system's resolver, odd spellings of IPv4 included."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Clock(threading.local):
    """When the fetch that this thread is busy with must be over, and whom it asks."""

    until: float = 0.0
    checked: tuple[str, int, list[Address]] | None = None  # the host that it asks next, already resolved

    def left_s(self, most_s: float | None = None) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise Refused("TIMEOUT")
        return left if most_s is None else min(left, most_s)


@dataclass
class Backend(httpcore.NetworkBackend):
    """What httpcore connects through; `allow` names networks that may be reached at any port."""

    clock: Clock
    resolve: Callable[[str, int], list[str]]
    allow: list[Any]
    resolvers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, "resolve"))

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = Refused("DNS")
        known = self.clock.checked
        for address in known[2] if known and known[:2] == (host, port) else self.check(host, port):
            try:
                literal, left_s = str(address), self.clock.left_s(timeout)
                return _Stream(httpcore.SyncBackend().connect_tcp(literal, port, left_s, local_address), self.clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def close(self) -> None:
        self.resolvers.shutdown(wait=False, cancel_futures=True)

    def check(self, host: str, port: int) -> list[Address]:
        """Every address of the host, dialled next by this thread; one bad address refuses them all."""
        asked = self.resolvers.submit(self.resolve, host, port)  # getaddrinfo knows no time limit
        try:
            texts = dict.fromkeys(asked.result(RESOLVE_S if not self.clock.until else self.clock.left_s(RESOLVE_S)))
        except TimeoutError:
            raise Refused("TIMEOUT") from None
        except (OSError, UnicodeError):
            raise Refused("DNS") from None
        addresses = [ip_address(text.partition("%")[0]) for text in texts]
        for address in addresses:
            allowed = any(address in network for network in self.allow)
            if not allowed and not (is_public(address) and port in PORTS):
                raise Refused("ADDRESS")
        if not addresses:
            raise Refused("DNS")
        self.clock.checked = (host, port, addresses)
        return addresses


@dataclass
class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends with the deadline of the fetch it serves.

    httpx's read timeout alone starts anew with each byte, so a server that drips never meets it.
    """

    inner: httpcore.NetworkStream
    clock: Clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.clock.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.clock.left_s(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.clock.left_s(timeout)), self.clock)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
