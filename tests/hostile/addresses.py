"""Picture addresses that point where a shop has no business; real servers on loopback, and a count of every packet.

A listener takes connections to this port on every address of the machine, and a hook sees every address that a
socket of the process asks to reach. The port is added to the allowed ones: only the check of addresses stands.
"""

import gzip
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from strangers import page

from hostile.case import Case
from pluribus import web
from pluribus.web import Fetcher, dial

Answer = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Answers every path with one function; counts who came."""

    daemon_threads = True

    def __init__(self, address: str, answer: Answer, port: int = 0) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), Handler)
        self.answer, self.came = answer, 0

    def get_request(self) -> Any:
        self.came += 1
        return super().get_request()

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "host", self.server_address[1]

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what these cases are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.answer(self)

    def log_message(self, *_: object) -> None:
        pass


def drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        threading.Event().wait(0.02)


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 0x10000)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield
    for server in servers:
        server.shutdown()
        server.server_close()


@contextmanager
def watched(port: int) -> Iterator[list[str]]:
    """Every address that a socket asks to reach, with this port among the allowed ones."""
    dialled: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            dialled.append(str(arguments[1][0]))

    sys.addaudithook(hook)  # for good: a case's process ends with it
    dial.PORTS = web.PORTS = (80, 443, port)  # type: ignore[attr-defined]
    yield dialled


def alone(url: str, folder: Path) -> str:
    """What comes of an address; how many packets went to this machine or to anywhere not public."""
    listeners = [Server("0.0.0.0", page(b"secret"))]
    port = listeners[0].server_port
    with suppress(OSError):  # a machine without IPv6
        listeners.append(Server("::", page(b"secret"), port))
    with running(*listeners), watched(port) as dialled, Fetcher(requests_per_s=1e6, total_s=5, pause_s=0.01) as fetcher:
        reason = fetcher.fetch(url.replace("PORT", str(port))).reason
    private = [address for address in dialled if not dial.is_public(dial.ip_address(address))]
    return f"{reason}, {sum(listener.came for listener in listeners)} came, {len(private)} dialled"


def sent_on(answer: Answer, folder: Path, *, names: list[list[str]] | None = None) -> str:
    """What comes of a server at 127.0.0.1, the one address that may be reached, with everything else listening."""
    rest = Server("127.0.0.2", page(b"secret"))
    server = Server("127.0.0.1", answer, rest.server_port)
    answers = iter(names or [])
    resolve = (lambda *_: next(answers)) if names else dial.resolve
    how: dict[str, Any] = {"requests_per_s": 1e6, "total_s": 2, "pause_s": 0.01, "own_domains": ["*"]}
    fetcher = Fetcher(allow=["127.0.0.1/32"], resolve=resolve, **how)
    with running(server, rest), watched(server.server_port) as dialled, fetcher:
        url = f"http://{'shop.example' if names else '127.0.0.1'}:{server.server_port}/a.jpg"
        reasons = [fetcher.fetch(url).reason for _ in names or [1]]
    private = set(dialled) - {"127.0.0.1"}
    return f"{' '.join(reason or 'taken' for reason in reasons)}, {rest.came} came, {len(private)} dialled"


def address(url: str, reason: str, name: str = "") -> Case:
    return Case(f"address: {name or url}", partial(alone, url), f"(?:{reason}), 0 came, 0 dialled")


def server(name: str, answer: Answer, outcome: str, **how: Any) -> Case:
    return Case(f"address: {name}", partial(sent_on, answer, **how), f"{outcome}, 0 came, 0 dialled")


def to(location: str) -> Answer:
    return lambda handler: page(status=302, Location=location.replace("PORT", str(handler.server.server_port)))(handler)


CASES = [
    *(address(f"http://{host}:PORT/", "ADDRESS") for host in (
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "127.9.9.9", "0",
        "0.0.0.0", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001::1]", "[fe80::1]",
        "[fec0::1]", "[fd00:ec2::254]", "169.254.169.254", "168.63.129.16", "192.0.0.192", "100.100.100.200",
        "10.0.0.1", "192.168.0.1", "224.0.0.1", "255.255.255.255", "127。0。0。1")),
    *(address(f"http://{host}:PORT/", "URL") for host in ("0177.0.0.1", "１２７.０.０.１", "①②⑦.0.0.1")),
    address("http://LOCALHOST.:PORT/", "ADDRESS|DNS"),
    address("http://127.0.0.1:6379/", "ADDRESS|URL", "a port of Redis"),
    address("http://shop.example:6379/", "URL", "a port of Redis elsewhere"),
    address("http://shop@127.0.0.1:PORT/", "URL", "user before the host"),
    address("http://shop.example:80@127.0.0.1:PORT/", "URL", "host before the host"),
    address("http://127.0.0.1:PORT\\@shop.example/", "URL", "backslash before the host"),
    *(address(url, "URL") for url in (
        "file:///etc/passwd", "ftp://127.0.0.1:PORT/a.jpg", "gopher://127.0.0.1:PORT/_FLUSHALL",
        "data:image/png;base64,AAAA", "javascript:alert(1)", "unix:///run/docker.sock", "http:///a.jpg",
        "http://[::1", "//127.0.0.1:PORT/a", "dict://127.0.0.1:PORT/")),
    address("http://127.0.0.1:PORT/\r\nHost: x", "URL|ADDRESS", "line break in the path"),
    address("http://x" + "x" * 3_000 + ".example:PORT/", "URL", "an address of 3,000 letters"),
    server("redirect to a private address", to("http://127.0.0.2:PORT/"), "ADDRESS"),
    server("redirect to the metadata service", to("http://169.254.169.254/latest/"), "ADDRESS"),
    server("redirect to a number", to("http://2130706434:PORT/"), "ADDRESS"),
    server("redirect to a file", to("file:///etc/passwd"), "URL"),
    server("redirect without a scheme", to("//127.0.0.2:PORT/"), "ADDRESS"),
    server("redirect loop", to("/a.jpg"), "REDIRECT"),
    server("redirect to nothing", to(""), "REDIRECT"),
    server("rebinding name", page(b"x"), "taken ADDRESS ADDRESS",
           names=[["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "10.0.0.1"]]),
    server("endless drip", drip, "TIMEOUT"),
    server("endless body", endless, "SIZE"),
    server("11 MiB", page(bytes(11 * 2**20)), "SIZE"),
    server("11 MiB only told", page(b"x", length=11 * 2**20), "SIZE"),
    server("gzip-encoded body", page(gzip.compress(bytes(10**6)), Content_Encoding="gzip"), "ENCODING"),
    server("brotli-encoded body", page(b"x", Content_Encoding="br"), "ENCODING"),
    server("no HTTP", lambda handler: handler.wfile.write(b"garbage\r\n\r\n"), "PROTOCOL"),
    server("404", page(status=404), "HTTP_404"),
    server("204", page(b"", status=204), "HTTP_204"),
]  # fmt: skip
