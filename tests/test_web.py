"""Guarded fetching against real servers on loopback that redirect, drip, lie and compress."""

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from strangers import LOOPBACK, Handler, Server, crowd, fast, page, running

from pluribus.web import MOST_FAILURES, Fetcher, is_transient


def test_fetch_and_what_is_sent(server: Server, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.pages["/a%20b.jpg?v=1"] = page(b"picture", Set_Cookie="id=1", ETag='"x"')
    for _ in range(2):
        fetched = fetcher.fetch(f"{server.url}/a b.jpg?v=1#part", accept="image/png")
        assert (fetched.status, fetched.body, fetched.reason) == ("new", b"picture", "")
    assert server.headers == [
        {
            "host": f"127.0.0.1:{server.server_port}",
            "user-agent": "pluribus-test (mail@example.com)",
            "accept": "image/png",
            "accept-encoding": "identity",
        }
    ] * 2  # fmt: skip


def test_large_bodies_go_into_a_file(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.pages["/feed"] = page(b"x" * 100_000)
    with (tmp_path / "feed").open("w+b") as file:
        file.write(b"y" * 200_000)
        assert fetcher.fetch(f"{server.url}/feed", into=file).body == b""
    assert (tmp_path / "feed").read_bytes() == b"x" * 100_000


@pytest.mark.parametrize(("name", "value"), [("ETag", 'W/"v1"'), ("Last-Modified", "Sun, 22 Nov 2026 08:00:00 GMT")])
def test_unchanged_bytes_are_not_fetched_again(server: Server, fetcher: Fetcher, name: str, value: str) -> None:
    def answer(handler: Handler) -> None:
        asked = handler.headers["If-None-Match"] or handler.headers["If-Modified-Since"]
        page(b"" if asked == value else b"picture", 304 if asked == value else 200, **{name: value})(handler)  # type: ignore[arg-type]

    server.pages["/a"] = answer
    first = fetcher.fetch(f"{server.url}/a")
    again = fetcher.fetch(f"{server.url}/a", validator=first.validator)
    assert (first.status, again.status, again.body, again.validator) == ("new", "same", b"", first.validator)
    assert fetcher.fetch(f"{server.url}/a", validator="Eother").status == "new"


def test_a_304_that_nobody_asked_for(server: Server, fetcher: Fetcher) -> None:
    server.pages["/a"] = page(status=304)
    assert fetcher.fetch(f"{server.url}/a").reason == "HTTP_304"


def test_a_validator_unfit_for_a_header_is_dropped(server: Server, fetcher: Fetcher) -> None:
    server.pages["/a"] = page(b"x", ETag='"é"')
    server.pages["/b"] = page(b"x", ETag='"' + "x" * 1000 + '"')
    assert [fetcher.fetch(f"{server.url}/{name}").validator for name in "ab"] == ["", ""]


def test_redirects_are_followed_to_a_limit(server: Server, fetcher: Fetcher) -> None:
    server.pages |= {f"/{n}": page(status=301 + n % 2, Location=f"/{n + 1}") for n in range(5)}
    server.pages["/5"] = page(b"there")
    server.pages["/loop"] = page(status=302, Location="/loop")
    assert fetcher.fetch(f"{server.url}/2").body == b"there"
    assert fetcher.fetch(f"{server.url}/1").reason == "REDIRECT"
    server.asked.clear()
    assert fetcher.fetch(f"{server.url}/loop").reason == "REDIRECT"
    assert server.asked == ["/loop"] * 4


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2:{port}/", "ADDRESS"), ("http://169.254.169.254/", "ADDRESS"), ("//[::1]/", "ADDRESS"),
        ("http://2130706434/", "ADDRESS"), ("file:///etc/passwd", "URL"), ("http://a@127.0.0.1/", "URL"),
        ("http://a:99999/", "URL"), ("gopher://127.0.0.1/", "URL"),
    ],
)  # fmt: skip
def test_redirects_are_checked_like_the_first_address(
    server: Server, fetcher: Fetcher, dialled: list[object], location: str, reason: str
) -> None:
    with running(Server("127.0.0.2")) as private:
        server.pages["/"] = page(status=302, Location=location.format(port=private.server_port))
        assert fetcher.fetch(f"{server.url}/").reason == reason
        assert private.asked == []
    assert dialled == [("127.0.0.1", server.server_port)]


def _drip(handler: Handler, head: bytes) -> None:
    handler.close_connection = True
    handler.wfile.write(head)
    for _ in range(2000):
        handler.wfile.write(b"x")
        threading.Event().wait(0.02)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"HTTP/1.1 200 OK\r\nName: "])
def test_a_server_that_drips_meets_the_deadline(server: Server, head: bytes) -> None:
    server.pages["/"] = lambda handler: _drip(handler, head)
    with fast(allow=LOOPBACK, total_s=0.4) as fetcher:
        assert fetcher.fetch(f"{server.url}/").reason == "TIMEOUT"
    assert server.asked == ["/"]


def _chunked(handler: Handler, size_bytes: int) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(size_bytes // 0x10000):
        handler.wfile.write(piece)
    handler.wfile.write(b"0\r\n\r\n")


def test_sizes_are_counted_whatever_the_server_says(server: Server, fetcher: Fetcher) -> None:
    eleven = 11 * 2**20
    server.pages["/told"] = page(b"x" * eleven)
    server.pages["/only-told"] = page(b"x", length=eleven)
    server.pages["/untold"] = lambda handler: _chunked(handler, eleven)
    server.pages["/small"] = lambda handler: _chunked(handler, 2**20)
    server.pages["/too-little"] = page(b"x" * 10, length=20)
    server.pages["/too-much"] = page(b"x" * 20, length=10)
    reasons = {path: fetcher.fetch(server.url + path).reason for path in server.pages}
    assert reasons == {
        "/told": "SIZE", "/only-told": "SIZE", "/untold": "SIZE", "/small": "",
        "/too-little": "PROTOCOL", "/too-much": "",
    }  # fmt: skip
    assert fetcher.fetch(f"{server.url}/too-much").body == b"x" * 10
    assert fetcher.fetch(f"{server.url}/small", most_bytes=2**20).status == "new"
    assert fetcher.fetch(f"{server.url}/small", most_bytes=2**20 - 1).reason == "SIZE"


def test_an_endless_body_is_cut_off(server: Server, fetcher: Fetcher) -> None:
    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        while True:  # until the fetcher hangs up
            handler.wfile.write(b"x" * 0x10000)

    server.pages["/"] = answer
    assert fetcher.fetch(f"{server.url}/").reason == "SIZE"


def test_compressed_bodies_are_refused(server: Server, fetcher: Fetcher) -> None:
    server.pages["/"] = page(gzip.compress(b"x" * 10**6), Content_Encoding="gzip")
    assert fetcher.fetch(f"{server.url}/").reason == "ENCODING"


@pytest.mark.parametrize("text", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"])
def test_what_is_no_http(server: Server, fetcher: Fetcher, text: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(text)
        handler.close_connection = True

    server.pages["/"] = answer
    reason = fetcher.fetch(f"{server.url}/").reason
    assert reason == "PROTOCOL" and is_transient(reason)


def test_nobody_listens(fetcher: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert fetcher.fetch(f"http://127.0.0.1:{free.getsockname()[1]}/").reason == "CONNECT"


def test_only_what_may_pass_is_tried_again(server: Server, fetcher: Fetcher) -> None:
    answers = [page(status=503), page(status=429), page(b"at last")]
    server.pages["/busy"] = lambda handler: answers.pop(0)(handler)  # noqa: PLW0108  another one each time
    server.pages["/gone"] = page(status=404)
    server.pages["/broken"] = page(status=500)
    assert fetcher.fetch(f"{server.url}/busy").body == b"at last"
    assert fetcher.fetch(f"{server.url}/gone").reason == "HTTP_404"
    assert fetcher.fetch(f"{server.url}/broken").reason == "HTTP_500"
    assert server.asked == ["/busy"] * 3 + ["/gone"] + ["/broken"] * 3


@pytest.mark.parametrize("later", ["50", f"{datetime.now(UTC) + timedelta(hours=1):%a, %d %b %Y %H:%M:%S GMT}"])
def test_a_host_that_asks_for_a_pause_gets_it(server: Server, fetcher: Fetcher, later: str) -> None:
    server.pages["/"] = page(status=503, Retry_After=later)
    assert [fetcher.fetch(f"{server.url}/").reason for _ in range(3)] == ["HTTP_503", "BUSY", "BUSY"]
    assert server.asked == ["/"]


def test_a_host_that_keeps_failing_is_left_alone(server: Server, fetcher: Fetcher) -> None:
    server.pages |= {"/": page(status=500), "/fine": page(b"x")}
    reasons = [fetcher.fetch(f"{server.url}/").reason for _ in range(6)]
    assert reasons == ["HTTP_500"] * 4 + ["BUSY"] * 2
    assert len(server.asked) == MOST_FAILURES
    assert fetcher.fetch(f"{server.url}/fine").reason == "BUSY"


def test_few_connections_per_host(server: Server, fetcher: Fetcher) -> None:
    most = crowd(server)
    with ThreadPoolExecutor(12) as threads:
        fetched = list(threads.map(fetcher.fetch, [f"{server.url}/"] * 24))
    assert {f.body for f in fetched} == {b"x"} and most == [2]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000, b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"\0" * 200_000,
    ],
)  # fmt: skip
def test_heads_of_ill_will(server: Server, fetcher: Fetcher, head: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)

    server.pages["/"] = answer
    assert fetcher.fetch(f"{server.url}/").reason in ("PROTOCOL", "CONNECT")
