"""The service answers what the library answers, to whom it may, and fails in one shape."""

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from services import SHOPS, Service
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pluribus import search
from pluribus.cli import app
from pluribus.search.terms import _child
from pluribus.serve import Limits, create_app, keys
from pluribus.store import open_store


@pytest.fixture(scope="module")
def service(demo_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service") / "store"
    shutil.copytree(demo_store, folder)
    running = Service(open_store(str(folder)), "--rate", "100000", "--timeout-s", "60")
    yield running
    running.close()
    _child()[0].close()  # the library's own, of the comparisons in this process


def failed(answer: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (told,) = answer.json().values()
    assert set(told) == {"code", "message", "expected", "do"}
    assert told["code"] == code
    return told


def command(service: Service, *arguments: str) -> Any:
    """What a verb says to machines."""
    done = CliRunner().invoke(app, ["--store", service.store.url, *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


# --------------------------------------------------------------------------------------------------------- who may


def routes(service: Service) -> list[tuple[str, str]]:
    """Every route of a shop: method, and path below the shop."""
    paths = service.client.get("/openapi.json").json()["paths"]
    prefix = "/v1/shops/{shop}"
    return [
        (method.upper(), path.removeprefix(prefix).replace("{product_id}", "HE-1001"))
        for path, methods in paths.items()
        for method in methods
        if path.startswith(prefix)
    ]


def test_no_key_opens_another_shop_on_any_route(service: Service) -> None:
    found = routes(service)
    assert len(found) >= 3
    nobody = "plu_" + "x" * 43
    for method, path in found:
        for shop in (*SHOPS, "nosuchshop", "..", "ATELIER"):
            strangers = [key for of, key in service.keys.items() if of != shop]
            for key in (*strangers, service.operator, nobody, "", "plu_", service.keys["atelier"][:-1] + "~"):
                headers = {"Authorization": f"Bearer {key}".strip()}
                answer = service.client.request(method, f"/v1/shops/{shop}{path}", headers=headers, content=b"{")
                if shop == "..":
                    assert answer.status_code in (401, 404)
                    continue
                failed(answer, 401, "unauthorised")
        for shop in SHOPS:
            headers = {"Authorization": f"Bearer {service.keys[shop]}"}
            answer = service.client.request(method, f"/v1/shops/{shop}{path}", headers=headers, content=b"{")
            assert answer.status_code != 401


def test_an_unknown_shop_and_a_wrong_key_are_told_the_same(service: Service) -> None:
    key = service.keys["atelier"]
    answers = [service.ask(shop, "/search", key=key, query="x") for shop in ("hearth", "nosuchshop")]
    assert len({(answer.status_code, answer.content, str(sorted(answer.headers))) for answer in answers}) == 1


def test_a_path_cannot_smuggle_another_shop(service: Service) -> None:
    headers = {"Authorization": f"Bearer {service.keys['atelier']}"}
    for path in (
        "atelier%2F..%2Fhearth",
        "atelier/../hearth",
        "%68earth",
        "hearth%00",
        "atelier%2Fproducts/../../hearth",
    ):
        answer = service.client.get(f"/v1/shops/{path}", headers=headers)
        assert answer.status_code in (401, 404), path


def test_metrics_open_to_the_operator_only_and_health_names_no_shop(service: Service) -> None:
    service.ask("atelier", "/search", query="red")
    failed(service.client.get("/metrics"), 401, "unauthorised")
    failed(
        service.client.get("/metrics", headers={"Authorization": f"Bearer {service.keys['atelier']}"}),
        401,
        "unauthorised",
    )
    told = service.client.get("/metrics", headers={"Authorization": f"Bearer {service.operator}"}).text
    assert 'pluribus_requests_total{shop="atelier",status="200",use="search"}' in told
    assert "nosuchshop" not in told
    healthy = service.client.get("/healthz").json()
    assert healthy["status"] == "ok"
    assert not any(shop in json.dumps(healthy) for shop in SHOPS)


def test_keys_are_shown_once_and_revoked_by_their_id(service: Service) -> None:
    made = command(service, "keys", "hearth", "--new")[0]["key"]
    held = b"".join(service.store.get(item.key) for item in service.store.items("shops/hearth/keys/"))
    assert made.encode() not in held
    assert service.ask("hearth", key=made).status_code == 200
    identity = command(service, "keys", "hearth")[-1]["key"]
    assert command(service, "keys", "hearth", "--revoke", identity) == [{"revoked": identity}]
    assert not keys.Keys(service.store).opens("hearth", made)
    assert keys.Keys(service.store).opens("hearth", service.keys["hearth"])


def test_a_key_copied_to_another_shops_place_does_not_open_it(service: Service) -> None:
    """Whoever can write one shop's prefix only must not gain from a record that says another shop."""
    made = keys.new(service.store, "atelier")
    name = f"keys/{hashlib.sha256(made.encode()).hexdigest()}.json"
    service.store.create(f"shops/outpost/{name}", service.store.get(f"shops/atelier/{name}"))
    assert not keys.Keys(service.store).opens("outpost", made)


# ------------------------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_meant_is_said_in_one_shape(service: Service) -> None:
    for wrong in (
        {"query": ""},
        {"query": "x", "k": 0},
        {"query": "x", "k": 101},
        {"query": "x", "kk": 1},
        {"query": 3},
    ):
        failed(service.ask("atelier", "/search", **wrong), 422, "invalid")
    failed(service.ask("atelier", "/search", query="  "), 422, "invalid")
    failed(service.ask("atelier", "/products/nope"), 404, "not_found")
    failed(service.ask("atelier", "/nothing"), 404, "not_found")
    failed(service.ask("atelier", "/search"), 405, "method_not_allowed")
    headers = {"Authorization": f"Bearer {service.keys['atelier']}", "Content-Type": "application/json"}
    for body in (b"", b"{", b'{"query": "\xff"}', rb'{"query": "\ud800"}', b"[" * 100_000, b'{"query": NaN}'):
        answer = service.client.post("/v1/shops/atelier/search", content=body, headers=headers)
        assert answer.status_code in (400, 422), (body[:20], answer.text)
        failed(answer, answer.status_code, "invalid" if answer.status_code == 422 else "bad_request")


def test_too_much_is_refused_before_it_is_read(service: Service) -> None:
    headers = {"Authorization": f"Bearer {service.keys['atelier']}"}
    address = service.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as link:  # only announced, never sent
        line = f"Authorization: {headers['Authorization']}\r\nContent-Length: {2**40}"
        link.sendall(f"POST /v1/shops/atelier/search HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
        assert link.recv(4096).startswith(b"HTTP/1.1 413 ")

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    with suppress(httpx.TransportError):  # it was closed on us while we went on sending: as good
        failed(service.client.post("/v1/shops/atelier/search", headers=headers, content=endless()), 413, "too_large")
    with suppress(httpx.TransportError):
        stranger = service.client.post("/v1/shops/atelier/search", content=b"x" * 2**24)
        failed(stranger, 401, "unauthorised")


def test_headers_without_an_end_are_hung_up_on(service: Service) -> None:
    address = service.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=30) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with suppress(ConnectionError):
            for _ in range(2**10):
                link.sendall(b"x" * 2**16)
            pytest.fail("64 MB of one header were taken")
    with socket.create_connection((address[0], int(address[1])), timeout=30) as link:  # and a head of 16 KB is no sin
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 2**14 + b"\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 200 ")


def inside(service: Service, **limits: Any) -> TestClient:
    """The same service in this process, under other limits."""
    return TestClient(
        create_app(service.store, limits=Limits(**limits)),
        headers={"Authorization": f"Bearer {service.keys['atelier']}"},
    )


def test_a_shop_that_asks_too_often_is_told_when_and_only_that_shop(service: Service) -> None:
    with inside(service, rate=0.01, burst=2) as client:
        answers = [client.get("/v1/shops/atelier/products/nope") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 429, 429]
        failed(answers[-1], 429, "too_many")
        assert int(answers[-1].headers["retry-after"]) >= 1
        hearth = {"Authorization": f"Bearer {service.keys['hearth']}"}
        assert client.get("/v1/shops/hearth/products/nope", headers=hearth).status_code == 404


def test_a_product_without_a_picture_is_explained_by_words(service: Service) -> None:
    rows = search.open(service.store.url, "atelier").products.to_pylist()
    bare = next(row["product_id"] for row in rows if not row["pictures"])
    told = service.ask("atelier", "/explain", query="red dress", product_id=bare).json()
    assert told["words"]
    assert (told["cosine"], told["grid"], told["overlay"]) == (None, [], "")


def test_an_answer_that_takes_too_long_is_given_up(service: Service) -> None:
    with inside(service, timeout_s=0.0001) as client:
        failed(client.post("/v1/shops/atelier/search", json={"query": "red"}), 504, "timeout")


def test_a_full_house_says_so(service: Service) -> None:
    with inside(service, at_once=0) as client:
        failed(client.get("/healthz"), 503, "unavailable")


def test_a_flood_of_guessed_keys_is_slowed_down_and_good_keys_are_not(service: Service) -> None:
    with inside(service, guesses=1.0) as client:
        assert client.get("/v1/shops/atelier").status_code == 200
        guesses = [{"Authorization": f"Bearer plu_{i:043d}"} for i in range(40)]
        statuses = [client.get("/v1/shops/atelier", headers=guess).status_code for guess in guesses]
        assert set(statuses) == {401, 429}
        assert client.get("/v1/shops/atelier").status_code == 200  # has shown its key before
