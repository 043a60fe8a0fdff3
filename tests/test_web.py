"""Guarded fetching against real servers on loopback that redirect, drip, lie, compress and rebind."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluribus.web import MOST_FAILURES, Fetcher, is_transient, robots
from pluribus.web.dial import is_public, resolve
from pluribus.web.manners import domain_of, seconds

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


def page(body: bytes = b"", status: int = 200, length: int | None = None, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = length is not None

    return answer


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


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "168.63.129.16", "169.254.169.254", "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:7f00:1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "::ffff:8.8.8.8", "2606:4700::1111"])
def test_addresses_that_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.jpg", "http://127.1/", "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.1/",
        "http://0x7f000001/", "http://0/", "http://0.0.0.0/", "http://localhost/", "http://LOCALHOST./", "http://[::1]/",
        "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/", "http://[fe80::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/", "http://１２７.０.０.１/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://127.0.0.1:443/",
        "http://shop@127.0.0.1/", "http://example.com@127.0.0.1/", "http://127.0.0.1\\@example.com/",
        "http://127.0.0.1#@example.com/", "http://127.0.0.1%2f@example.com/", "http://example.com:6379/",
        "http://example.com:0/", "http://example.com:99999/", "file:///etc/passwd", "ftp://example.com/a.jpg",
        "gopher://127.0.0.1:6379/_FLUSHALL", "data:image/png;base64,AAAA", "javascript:alert(1)", "unix:///run/x.sock",
        "http://", "http:///a.jpg", "http://[::1", "http://[fe80::1%25lo]/", "http://a b/", "http://xn--\x00/", "",
        "http://\n127.0.0.1/", "http://127.0.0.1\r\nHost: x/", "http://x" + "x" * 3000 + ".example/", "//127.0.0.1/a",
        "http://xn--a/", "http://" + "a" * 300 + "/", "\ud800", "http://\ud800/",
    ],
)  # fmt: skip
def test_a_url_of_a_stranger_reaches_nothing_of_ours(url: str, dialled: list[object]) -> None:
    with fast() as fetcher:
        assert fetcher.fetch(url).reason in ("URL", "ADDRESS", "DNS")
    assert dialled == []


def test_addresses_are_checked_at_every_port(server: Server, dialled: list[object]) -> None:
    with fast(allow=["192.0.2.0/24"]) as fetcher:
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:7f00:1]"):
            assert fetcher.fetch(f"http://{host}:{server.server_port}/").reason == "ADDRESS"
    assert dialled == [] and server.asked == []


def test_an_allowed_network_allows_no_other_ports_elsewhere(dialled: list[object]) -> None:
    with fast(allow=LOOPBACK, resolve=lambda *_: ["93.184.216.34"]) as fetcher:
        assert fetcher.fetch("http://shop.example:6379/").reason == "ADDRESS"
    assert dialled == []


@pytest.fixture(scope="module")
def nameless() -> Iterator[Fetcher]:
    """A fetcher in a world without names."""

    def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with fast(resolve=resolve, pause_s=0.0) as fetcher:
        yield fetcher


@given(st.text() | st.from_regex(r"https?://[^/]{0,20}(/.*)?") | st.from_regex(r"http://\[[0-9a-f:.%]*\]:?[0-9]*"))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_fetch_raise(nameless: Fetcher, text: str) -> None:
    assert nameless.fetch(text).status == "refused"


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


def test_a_name_is_resolved_once_and_the_checked_address_is_dialled(server: Server) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "10.0.0.1"], ["127.0.0.1"]]
    server.pages["/"] = page(b"x", length=1)  # closes the connection, so that each fetch must connect anew
    with fast(allow=LOOPBACK, resolve=lambda *_: answers.pop(0)) as fetcher:
        url = f"http://shop.example:{server.server_port}/"
        reasons = [fetcher.fetch(url).reason for _ in range(4)]
    assert reasons == ["", "ADDRESS", "ADDRESS", ""]
    assert server.asked == ["/", "/"] and server.headers[0]["host"] == f"shop.example:{server.server_port}"


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluribus.web.dial.RESOLVE_S", 0.05)
    awake = threading.Event()
    with fast(resolve=lambda *_: [str(awake.wait())], pause_s=0.0) as fetcher:
        assert fetcher.fetch("http://shop.example/").reason == "TIMEOUT"
        awake.set()


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
    with ThreadPoolExecutor(12) as threads:
        fetched = list(threads.map(fetcher.fetch, [f"{server.url}/"] * 24))
    assert {f.body for f in fetched} == {b"x"} and most == [2]


@pytest.fixture
def https(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server that proves to be shop.example; the fetcher trusts its issuer."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(_certificate("shop.example"))
    ours, theirs = ssl.create_default_context(cafile=certificate), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    monkeypatch.setattr("httpx.create_ssl_context", lambda **_: ours)
    server = Server()
    server.socket = theirs.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield server


def _certificate(name: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(issuer, issuer, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return builder.sign(key, hashes.SHA256()).public_bytes(pem) + secret


def test_tls_is_checked_against_the_name(https: Server) -> None:
    https.pages |= {"/": page(b"x"), "/down": page(status=302, Location=f"http://shop.example:{https.server_port}/")}
    with fast(allow=LOOPBACK, resolve=lambda *_: ["127.0.0.1"], pause_s=0.0) as fetcher:
        assert fetcher.fetch(f"https://shop.example:{https.server_port}/").body == b"x"
        assert fetcher.fetch(f"https://other.example:{https.server_port}/").reason == "CONNECT"
        assert fetcher.fetch(f"https://shop.example:{https.server_port}/down").reason == "REDIRECT"
    assert https.asked == ["/", "/down"]


# ----------------------------------------------------------------------------------------------------------- manners


def polite(**settings: object) -> Fetcher:
    """One that asks for robots.txt, in a world where every name is this machine's."""
    ours = {"allow": LOOPBACK, "requests_per_s": 1e6, "pause_s": 0.0, "resolve": lambda *_: ["127.0.0.1"]}
    return Fetcher(**{"user_agent": "pluribus (test)"} | ours | settings)  # type: ignore[arg-type]


def test_one_address_of_many_names_is_one_place(server: Server) -> None:
    """Ten thousand names that all resolve to one victim."""
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
    urls = [f"http://name{n}.example{n}.org:{server.server_port}/" for n in range(24)]
    with polite(own_domains=["*"]) as fetcher, ThreadPoolExecutor(12) as threads:
        assert {f.body for f in threads.map(fetcher.fetch, urls)} == {b"x"} and most == [2]


def test_requests_to_one_place_keep_their_distance(server: Server) -> None:
    times: list[float] = []

    def answer(handler: Handler) -> None:
        times.append(time.monotonic())
        page(b"x")(handler)

    server.pages["/"] = answer
    with polite(own_domains=["*"], requests_per_s=20) as fetcher, ThreadPoolExecutor(4) as threads:
        list(threads.map(fetcher.fetch, [f"http://{n}.shop.example:{server.server_port}/" for n in range(6)]))
    assert times[-1] - times[0] >= 5 / 20 * 0.9


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("shop.example", "shop.example"), ("a.b.shop.example.", "shop.example"), ("cdn.shop.co.uk", "shop.co.uk"),
        ("co.uk", "co.uk"), ("img.hm.com", "hm.com"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
    ],
)  # fmt: skip
def test_a_domain_is_what_somebody_registered(host: str, domain: str) -> None:
    assert domain_of(host) == domain


ROBOTS = b"""
User-agent: *
Disallow: /

User-agent: Pluribus
User-agent: other
Disallow: /private
Disallow: /*.gif$
Allow: /private/open
"""


def test_robots_txt_is_asked_once_and_obeyed(server: Server) -> None:
    paths = {"/a.jpg": "", "/private/b.jpg": "ROBOTS", "/private/open/c.jpg": "", "/d.gif": "ROBOTS", "/d.gif?x": ""}
    server.pages |= {"/robots.txt": page(ROBOTS)} | dict.fromkeys(paths, page(b"x"))
    with polite() as fetcher:
        assert {path: fetcher.fetch(server.url + path).reason for path in paths} == paths
    assert server.asked.count("/robots.txt") == 1 and "/private/b.jpg" not in server.asked
    with polite(user_agent="some other robot") as fetcher:
        assert fetcher.fetch(f"{server.url}/a.jpg").reason == "ROBOTS"


def test_the_robots_txt_of_a_domain_of_ones_own_is_not_asked(server: Server) -> None:
    server.pages |= {"/robots.txt": page(ROBOTS), "/private": page(b"x", X_Robots_Tag="noindex")}
    url = f"http://cdn.shop.example:{server.server_port}/private"
    with polite(own_domains=["shop.example"]) as fetcher:
        assert fetcher.fetch(url).body == b"x"
    assert server.asked == ["/private"]
    with polite(own_domains=["hop.example", "example.org"]) as fetcher:
        assert fetcher.fetch(url).reason == "ROBOTS"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (page(status=404), ""), (page(status=403), ""), (page(b"\xff\xfe garbage"), ""),
        (page(status=302, Location="http://169.254.169.254/"), ""), (page(status=302, Location="/robots.txt"), ""),
        (page(b"#" * 600_000), "ROBOTS"), (page(gzip.compress(b"a"), Content_Encoding="gzip"), "ROBOTS"),
        (page(status=503), "HTTP_503"), (page(b"x", length=99), "PROTOCOL"),
    ],
)  # fmt: skip
def test_a_robots_txt_that_cannot_be_read(
    server: Server, answer: Callable[[Handler], None], reason: str, dialled: list[object]
) -> None:
    server.pages |= {"/robots.txt": answer, "/a.jpg": page(b"x")}
    with polite(resolve=resolve) as fetcher:
        assert fetcher.fetch(f"{server.url}/a.jpg").reason == reason
    assert set(dialled) == {("127.0.0.1", server.server_port)}


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("noindex", "ROBOTS"), ("nofollow, NOIMAGEINDEX", "ROBOTS"), ("none", "ROBOTS"), ("noai", "ROBOTS"),
        ("pluribus: noindex", "ROBOTS"), ("otherbot: noindex", ""), ("otherbot: noindex, none", ""),
        ("all", ""), ("unavailable_after: 25 Jun 2030 15:00:00 PST", ""), ("nofollow", ""), (",:,::,", ""),
    ],
)  # fmt: skip
def test_x_robots_tag_is_honoured(server: Server, tag: str, reason: str) -> None:
    server.pages |= {"/robots.txt": page(status=404), "/a.jpg": page(b"x", X_Robots_Tag=tag)}
    with polite() as fetcher:
        assert fetcher.fetch(f"{server.url}/a.jpg").reason == reason


@given(st.text(), st.text(), st.text())
@settings(max_examples=200, deadline=None)
def test_rules_of_strangers_are_read_or_passed_over(text: str, path: str, pattern: str) -> None:
    rules = robots.parse(f"{text}\nUser-agent: *\nDisallow: {pattern}\n", "pluribus")
    assert rules.allows("/" + path) in (True, False)
    assert robots.forbids(text, "pluribus") in (True, False)
    assert isinstance(seconds(text), float)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    rules = robots.parse("User-agent: *\nDisallow: /" + "a*" * 1_000 + "b$\n", "pluribus")
    assert rules.allows("/" + "a" * 2_000)


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


def test_a_tls_handshake_that_drips_meets_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")
                while not over.wait(0.05):
                    connection.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with fast(allow=LOOPBACK, total_s=0.5) as fetcher:
                reason = fetcher.fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/").reason
            assert reason == "TIMEOUT"
        finally:
            over.set()
            thread.join()
