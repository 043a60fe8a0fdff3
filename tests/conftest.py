"""What many tests need: a store over each ground, a real S3 server process, and the shared real data."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server process that lives as long as the tests; the environment points at it.

    PLURIBUS_TEST_S3 names a server that runs already, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of its own.
    """
    running = os.environ.get("PLURIBUS_TEST_S3")
    keys = {name: os.environ[name] if running else "test" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
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
