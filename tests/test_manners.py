"""What a guest keeps to: distance between requests, robots.txt, what a page says of itself."""

import gzip
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strangers import LOOPBACK, Handler, Server, crowd, page

from pluribus.web import Fetcher, robots
from pluribus.web.dial import resolve
from pluribus.web.manners import domain_of, seconds


def polite(**settings: object) -> Fetcher:
    """One that asks for robots.txt, in a world where every name is this machine's."""
    ours = {"allow": LOOPBACK, "requests_per_s": 1e6, "pause_s": 0.0, "resolve": lambda *_: ["127.0.0.1"]}
    return Fetcher(**{"user_agent": "pluribus (test)"} | ours | settings)  # type: ignore[arg-type]


def test_one_address_of_many_names_is_one_place(server: Server) -> None:
    """Ten thousand names that all resolve to one victim."""
    most = crowd(server)
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
