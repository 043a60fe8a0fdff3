"""Servers of strangers on loopback, for tests of whoever fetches from them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pluribus.web import Fetcher

LOOPBACK = ("127.0.0.1/32",)
#: Without the pauses between requests, and without asking for robots.txt.
fast = partial(Fetcher, requests_per_s=1e6, own_domains=("*",))


class Server(ThreadingHTTPServer):
    """Answers each path with a function of the request; keeps what was asked."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), Handler)
        self.pages: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = f"http://{address}:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.pages.get(self.path, page(status=404))(self)

    def log_message(self, *_: object) -> None:
        pass


def page(body: bytes = b"", status: int = 200, length: int | None = None, **headers: str) -> Callable[[Any], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = length is not None

    return answer


def crowd(server: Server) -> list[int]:
    """Lets requests for "/" stay a while; [0] of what it returns is how many were there at once, at most."""
    lock, now, most = threading.Lock(), [0], [0]

    def answer(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.02)
        with lock:
            now[0] -= 1
        page(b"x")(handler)

    server.pages["/"] = answer
    return most


@contextmanager
def running(server: Server) -> Iterator[Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with fast(allow=LOOPBACK, pause_s=0.001, user_agent="pluribus-test (mail@example.com)") as fetcher:
        yield fetcher


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that any socket of this process tries to reach."""
    seen: list[object] = []
    connect = socket.socket.connect

    def note(self: socket.socket, address: object) -> None:
        seen.append(address)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", note)
    return seen
