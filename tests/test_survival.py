"""A refresh survives what machines do: kills, full disks, a store that is away, GPUs too small, clocks that are wrong.

Real runs of the flow are slow: `make faults` plays them, the suite the rest.
"""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets import ROOT, Fleet, fleet
from trial import FILES, SHOP, build, content, read_whole

from pluribus import publish, releases, tables
from pluribus.errors import ModelError, StoreError
from pluribus.models.encoders import in_memory
from pluribus.store import open_store

slow = pytest.mark.skipif(not os.environ.get("PLURIBUS_FAULTS"), reason="minutes of real runs: make faults")
STEPS = ("ingest", "validate", "embed", "build", "evaluate", "publish")


# --------------------------------------------------------------------------------------------------------- memory, disk


def test_a_gpu_without_memory_halves_its_batch_and_goes_on() -> None:
    from torch import OutOfMemoryError

    tried: list[int] = []

    def see(batch: np.ndarray) -> np.ndarray:
        tried.append(len(batch))
        if len(batch) > 5:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return batch * 2

    rows = np.arange(64 * 3).reshape(64, 3)
    assert np.array_equal(in_memory(see, rows), rows * 2)
    assert max(tried) == 64
    assert sum(n for n in tried if n <= 5) == 64  # each row once

    def never(batch: np.ndarray) -> np.ndarray:
        raise OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelError, match="not the memory for one picture"):
        in_memory(never, rows)
    with pytest.raises(RuntimeError, match="shape"):  # any other failure is nobody's to mend
        in_memory(lambda batch: (_ for _ in ()).throw(RuntimeError("shape")), rows)


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from trial import build, publish, SHOP
from pluribus.store import open_store
shop = open_store(sys.argv[1]).within("shops/" + SHOP)
release = build(shop, "2025-11-22T10:00:00+00:00")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    publish.publish(shop, shop=SHOP, release=release, why="x")
    build(shop, "2025-11-22T11:00:00+00:00")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("limit", [100, 700, 1500])  # of a file's bytes: CURRENT, a release's file, its manifest
def test_a_full_disk_is_told_and_what_is_live_stays_whole(tmp_path: Path, limit: int) -> None:
    shop = open_store(str(tmp_path)).within(f"shops/{SHOP}")
    first = build(shop, "2025-11-21T10:00:00+00:00")
    publish.publish(shop, shop=SHOP, release=first, why="x")
    command = [sys.executable, "-c", FULL, str(tmp_path), str(Path(__file__).parent), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert re.match(r"StoreError .* cannot be written: File too large", done.stdout), done.stdout + done.stderr
    assert read_whole(shop).manifest.release in (first, *(e.release for e in releases.history(shop, shop=SHOP)))
    assert not list((tmp_path / ".tmp").iterdir())
    assert content(first, FILES[0]) == shop.get(releases.key(first, FILES[0]))


# --------------------------------------------------------------------------------------------------------- the store


class Line:
    """A line to the S3 server that can be cut: then nobody answers at its address."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self.far = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.near = self.listener.getsockname()
        self.cut = threading.Event()
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_for(self, seconds: float) -> None:
        self.cut.set()
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        threading.Timer(seconds, self.cut.clear).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.cut.is_set():
                near.close()
                continue
            far = socket.create_connection(self.far)
            self.open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    if not s3_endpoint.startswith("http://127.0.0.1:"):
        pytest.skip("the server is elsewhere")
    made = Line(s3_endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.near[1]}")
    yield made
    made.listener.close()


def test_every_call_outlasts_a_store_that_is_away_for_a_while(
    line: Line, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "14")
    shop = open_store(f"s3://{bucket}").within(f"shops/{SHOP}")
    release = build(shop, "2025-11-22T10:00:00+00:00")
    for work in (
        lambda: publish.publish(shop, shop=SHOP, release=release, why="away"),
        lambda: read_whole(shop),
        lambda: list(shop.items()),
        lambda: publish.hold(shop, shop=SHOP, why="away"),
        lambda: shop.delete("absent"),
        lambda: shop.create("new", b"x"),
    ):
        line.cut_for(1.0)
        work()
    assert read_whole(shop).seq == 2


def test_a_store_that_stays_away_is_told(line: Line, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    shop = open_store(f"s3://{bucket}").within(f"shops/{SHOP}")
    line.cut_for(60)
    with pytest.raises(StoreError, match=r"does not answer.*check AWS_ENDPOINT_URL and the network"):
        build(shop, "2025-11-22T10:00:00+00:00")


# --------------------------------------------------------------------------------------------------------------- clocks


def test_a_machine_whose_clock_is_ahead_keeps_nobody_out(tmp_path: Path) -> None:
    shop = open_store(str(tmp_path)).within(f"shops/{SHOP}")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ahead = build(shop, tomorrow)
    assert publish.publish(shop, shop=SHOP, release=ahead, why="ahead") == "published"
    time.sleep(1.1)
    right = build(shop, datetime.now(UTC).isoformat())
    assert publish.publish(shop, shop=SHOP, release=right, why="right") == "published"
    behind = build(shop, (datetime.now(UTC) - timedelta(days=1)).isoformat())
    assert publish.publish(shop, shop=SHOP, release=behind, why="behind") == "superseded"
    assert publish.rollback(shop, shop=SHOP, to=ahead, why="back") == ahead
    assert datetime.fromisoformat(read_now(shop)) < datetime.now(UTC) + timedelta(seconds=2)


def read_now(shop: Any) -> str:
    found = releases.current(shop, shop=SHOP)
    assert found
    return found.asof


# --------------------------------------------------------------------------------------------------------- real runs


def product_rows(made: Fleet, shop: str) -> list[dict[str, Any]]:
    opened = releases.open_release(open_store(made.store).within(f"shops/{shop}"), shop=shop)
    opened.verify()
    return tables.read(opened.path("products.parquet")).to_pylist()


def vectors_of(made: Fleet, shop: str) -> bytes:
    opened = releases.open_release(open_store(made.store).within(f"shops/{shop}"), shop=shop)
    return bytes(tables.mapped(opened.path("vectors.arrow"))["fused"].buffers()[1])


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("untouched")
    made = fleet(folder, str(folder / "store"), shops=("outpost",))
    made.first = made.refresh()
    return made


@slow
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_in_any_step_is_finished_without_repeating_the_others(
    untouched: Fleet, tmp_path: Path, step: str
) -> None:
    made = fleet(tmp_path, str(tmp_path / "store"), shops=("outpost",))
    command = [sys.executable, str(ROOT / "flows" / "refresh.py"), "--no-pylint", "run", "--shops", "outpost"]
    command += ["--config", str(tmp_path / "config")]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path)}
    seen = ""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        start_new_session=True,
        cwd=tmp_path,
    ) as child:
        assert child.stdout
        for said in child.stdout:
            seen += said
            if f"/{step}/" in said and "Task is starting" in said:
                time.sleep(np.random.default_rng(STEPS.index(step)).uniform(0.5, 4))
                os.killpg(child.pid, signal.SIGKILL)
                break
    run = re.search(r"run-id (\d+)", seen)
    assert run, seen
    done = made.run("--debug", "refresh", "--resume", run[1], "--shops", "outpost")
    again = set(re.findall(r"\[\d+/(\w+)/\d+ \(pid \d+\)\] Task is starting", done.stdout))
    assert not again & set(STEPS[: STEPS.index(step)]), again
    assert made.live("outpost")
    assert product_rows(made, "outpost") == product_rows(untouched, "outpost")
    assert vectors_of(made, "outpost") == vectors_of(untouched, "outpost")
    parts = list((tmp_path / "store" / "shops" / "outpost" / "vectors").rglob("*.parquet"))
    keys = [key for part in parts for key in tables.read(part, ["key"])["key"].to_pylist()]
    assert len(keys) == len(set(keys)), "something was encoded twice"


@slow
def test_two_refreshes_of_a_shop_at_once(tmp_path: Path) -> None:
    made = fleet(tmp_path, str(tmp_path / "store"), shops=("outpost",))
    with ThreadPoolExecutor(2) as pool:
        states = sorted(
            job["outpost"]["state"] for job in pool.map(lambda _: made.refresh("--shops", "outpost"), range(2))
        )
    assert states in (["published", "unchanged"], ["published", "superseded"]), states
    assert made.live("outpost")


@slow
def test_one_poisoned_shop_of_twenty_leaves_nineteen_published(tmp_path: Path) -> None:
    made = fleet(tmp_path, str(tmp_path / "store"), shops=("outpost",))
    text = (tmp_path / "config" / "shops" / "outpost.toml").read_text()
    for n in range(19):
        poison = text.replace("outpost/", "poison/") if n == 7 else text
        (tmp_path / "config" / "shops" / f"o{n}.toml").write_text(poison)
    shutil.copytree(tmp_path / "data" / "outpost", tmp_path / "data" / "poison")
    next((tmp_path / "data" / "poison").glob("*.csv")).write_bytes(b"PK\x03\x04" + b"\xff" * 4000)
    states = {name: job["state"] for name, job in made.refresh().items()}
    assert states.pop("o7") == "set aside"
    assert set(states.values()) == {"published"}
    assert len(states) == 19


@slow
@pytest.mark.parametrize("step", STEPS)
def test_a_run_outlasts_a_store_that_is_away_for_a_minute(line: Line, bucket: str, tmp_path: Path, step: str) -> None:
    made = fleet(tmp_path, f"s3://{bucket}/fleet", shops=("outpost",))
    command = [sys.executable, str(ROOT / "flows" / "refresh.py"), "--no-pylint", "run", "--shops", "outpost"]
    command += ["--config", str(tmp_path / "config")]
    env = os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path)}
    seen = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=tmp_path
    ) as child:
        assert child.stdout
        for said in child.stdout:
            seen += said
            if f"/{step}/" in said and "Task is starting" in said:
                line.cut_for(60)
    assert child.returncode == 0, seen
    assert "retrying" not in seen.lower(), seen  # by the client's patience, not by Metaflow's
    assert made.live("outpost")


@slow
def test_a_full_disk_in_a_run_is_told_and_the_next_run_finishes(tmp_path: Path) -> None:
    made = fleet(tmp_path, str(tmp_path / "store"), shops=("outpost",))
    limit = 120_000  # bytes of a file: the picture pack is larger
    command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--config", str(tmp_path / "config")]
    done = subprocess.run(
        [*command, "refresh"],
        capture_output=True, text=True, env=os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode != 0
    assert "File too large" in done.stderr, done.stderr
    assert not made.live("outpost")
    assert made.refresh("--shops", "outpost")["outpost"]["state"] == "published"
