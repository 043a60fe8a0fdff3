"""Only addresses that were checked are dialled: of names, numbers, rebinding resolvers, and under TLS."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strangers import LOOPBACK, Server, fast, page, running

from pluribus.web import Fetcher
from pluribus.web.dial import is_public


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
