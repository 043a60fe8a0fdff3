"""What many tests need: a store over each ground, a real S3 server process, and the shared real data."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fleets import Fleet, fleet
from hypothesis import settings
from strangers import dialled, fetcher, server  # noqa: F401 - fixtures

from pluribus.store import Store, open_store

S3_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()  # until the tests are gone, however they ended
server.stop()
"""


# The suite answers the same for the same commit; `make fuzz` draws other examples every time.
settings.register_profile("suite", derandomize=True)
settings.register_profile("fuzz", derandomize=False)
settings.load_profile("suite")

CANARY = "canary-5f2c81d0"  # the credentials of our own S3 server: nothing that is written may hold them


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server process that lives as long as the tests; the environment points at it.

    PLURIBUS_TEST_S3 names a server that runs already, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of its own.
    """
    running = os.environ.get("PLURIBUS_TEST_S3")
    keys = {name: os.environ[name] if running else CANARY for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, key in keys.items():
            patch.setenv(name, key)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        if running:
            patch.setenv("AWS_ENDPOINT_URL", running)
            yield running
            return
        command = [sys.executable, "-W", "ignore", "-c", S3_SERVER]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin and server.stdout
            endpoint = server.stdout.readline().strip()
            assert endpoint.startswith("http://127.0.0.1:"), "the S3 server did not start"
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            yield endpoint
            server.stdin.close()


@pytest.fixture(scope="session")
def s3_client(s3_endpoint: str) -> Iterator[Any]:
    import boto3  # 0.3 s that most tests need not pay

    with closing(boto3.session.Session().client("s3")) as client:
        yield client


@pytest.fixture
def bucket(s3_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket of the S3 server; downloads are cached in this test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = f"test-{uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, once over a plain folder and once over a bucket."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some/prefix")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared real data: PLURIBUS_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("PLURIBUS_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the shared real data is not at {folder}; PLURIBUS_DATA says where it is")
    return folder


def publish_shop(store: Store, shop: Any, configured: Any, *, products_least: int = 2) -> None:
    """A configured shop through the real stages, by the real model, without the flow around them."""
    from dataclasses import replace

    from pluribus import build, contracts, embed, evaluate, ingest, models, publish, validate

    root = Path(__file__).parents[1]
    own, model, release = store.within(f"shops/{shop.name}"), configured.models[shop.model], uuid4().hex
    fingerprint = models.register(store, model)
    of: dict[str, Any] = {"model": model, "fingerprint": fingerprint}
    taken = ingest.ingest(own, feeds=shop.feeds, images=shop.images, limits=shop.limits, now=datetime.now(UTC))
    suites = contracts.suites(open_store(str(root / "expectations")), shop.vertical)
    limits = replace(shop.limits, quarantine=1.0)
    rows_key = ingest.rows_key(taken.id)
    judged = validate.validate(own, snapshot=taken.id, rows_key=rows_key, suites=suites, limits=limits)
    key = judged.key + "products.parquet"
    embed.embed(own, products_key=key, encoder=lambda: models.load(store, fingerprint), **of)
    made = build.build(own, release=release, products_key=key, fusion=shop.fusion, index=shop.index, **of)
    gate = replace(shop.gate, products_least=products_least)
    _, scores = evaluate.evaluate(own, release=release, live=None, gate=gate, **of)
    facts = {"fingerprint": fingerprint, "width": model.width, "products": judged.accepted}
    files = made.files | {"evaluation.json": scores}
    publish.seal(own, shop=shop.name, release=release, files=files, asof=taken.asof, input_key="0" * 64, facts=facts)
    assert publish.publish(own, shop=shop.name, release=release, why="test") == "published"


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The three demo shops, 40 products each, published into a folder store; for reading only."""
    from pluribus import demo, settings

    folder, root = tmp_path_factory.mktemp("demo"), Path(__file__).parents[1]
    demo.write_shops(folder / "data", n_products=40)
    configured = settings.load(str(root / "config"))
    store = open_store(str(folder / "store"))
    for name in demo.DEMOS:
        text = (root / "config" / "shops" / f"{name}.toml").read_bytes()
        shop = settings.parse_shop(text, f"{name}.toml", data_root=str(folder / "data"))
        publish_shop(store, shop, configured)
    return store.url


@pytest.fixture(scope="session")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two demo shops refreshed twice; between the runs, atelier lost a product and another got a new title.

    Tests may add runs and releases, and leave both shops live and not held.
    """
    folder = tmp_path_factory.mktemp("operated")
    made = fleet(folder, str(folder / "store"), shops=("atelier", "outpost"))
    made.first = made.refresh()
    made.runs.append(made.last_run)
    feed = folder / "data" / "atelier" / "feed.xml"
    head, *items = feed.read_text("utf-8").split("<item>")
    items[1] = items[1].replace("<title>", "<title>Renamed ", 1)
    feed.write_text("<item>".join([head, *items[:2], *items[3:]]), "utf-8")
    made.refresh()
    made.runs.append(made.last_run)
    return made
