"""How many searches a second the service answers, how fast, and what one costs.

    python benchmarks/serving.py --store .pluribus [--seconds 20] [--rates 100,200,300,400] [--new 0.5,1]

A shop is made of a published one (`make demo`): its products again and again, with their real vectors under a little
noise, the index and the words that a refresh would build. The service runs in a process of its own. Requests leave at
fixed times, answered or not (an open loop: a slow server cannot slow its own clients), over kept connections; a
request's time counts from when it should have left. Of the queries a stated share is new to the service, so that their
words have to be encoded; the others are among 200 that were asked before. What the generator itself takes of the
machine is told as well.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOISE = 0.15  # of a unit vector's length: neighbours stay neighbours, no two rows are equal
CONNECTIONS = 64
COLOURS = ("red", "green", "blue", "black", "white", "yellow", "pink", "grey", "orange", "brown")
MOTIFS = ("plain", "striped", "checked", "dotted", "floral", "camouflage", "starred", "")
KINDS = ("dress", "shirt", "boots", "scarf", "hat", "bag", "coat", "skirt", "trousers", "sandals")
WORDS = ("small", "large", "cotton", "silk", "denim", "long", "short", "cheap", "summer", "winter", "")


def make_shop(source: str, to: Path, n_products: int) -> None:
    """The shop `bench` in a store at `to`."""
    import numpy as np
    import pyarrow as pa

    from pluribus import build, indexes, lexical, publish, releases, search, tables, texts, vectors
    from pluribus.records import Index
    from pluribus.store import open_store

    opened = search.open(source, "atelier")
    shutil.copytree(Path(source) / "models", to / "models")
    own, release = open_store(str(to)).within("shops/bench"), "b" * 32
    rng = np.random.default_rng(0)
    at = np.resize(np.arange(opened.products.num_rows), n_products)
    noisy = lambda v: build.unit(
        v[at].astype(np.float32) + rng.normal(0, NOISE / np.sqrt(v.shape[1]), (n_products, v.shape[1]))
    ).astype(np.float16)
    space = opened.space
    parts = {"fused": noisy(space.fused), "image": noisy(space.image), "text": noisy(space.text)}
    there = {"has_image": space.has_image[at], "has_text": space.has_text[at]}
    rows = opened.products.take(pa.array(at)).replace_schema_metadata(None)
    for name in ("product_id", "group_id"):
        said = [f"{value}-{i // opened.products.num_rows}" for i, value in enumerate(rows[name].to_pylist())]
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(said, pa.string()))
    queries = {"picture": parts["image"][:200].astype(np.float32), "text": parts["text"][:200].astype(np.float32)}
    built = indexes.build(Index(), parts["fused"], queries=queries)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        vectors.write_space(here / vectors.SPACE, vectors.Space(**parts, **there), own.owner)
        tables.write(here / "products.parquet", rows.to_batches(), rows.schema, own.owner)
        (here / "index.faiss").write_bytes(built.data)
        lexical.build(texts.words(rows)).write(here / "words.npz")
        for name in ("build.json", "evaluation.json"):
            shutil.copy(opened.release.path(name), here / name)
        files = {f.name: releases.add(own, release=release, name=f.name, data=f) for f in sorted(here.iterdir())}
    facts = dict(opened.release.manifest.facts) | {"products": n_products}
    now = datetime.now(UTC).isoformat()
    publish.seal(own, shop="bench", release=release, files=files, asof=now, input_key="0" * 64, facts=facts)
    assert publish.publish(own, shop="bench", release=release, why="benchmark") == "published"
    print(f"{n_products:,} products, index {built.kind}, recall@10 {built.recall}", flush=True)


def request(key: str, query: str) -> bytes:
    """One search, as bytes on the wire."""
    body = json.dumps({"query": query, "k": 10}).encode()
    head = f"POST /v1/shops/bench/search HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def queries(n: int, seed: int, new: float = 0.5) -> list[tuple[str, bool]]:
    """Queries, and whether each is new; the others are among 200, the same for every seed."""
    rng = random.Random(0)
    said = lambda: " ".join(
        filter(None, (rng.choice(WORDS), rng.choice(COLOURS), rng.choice(MOTIFS), rng.choice(KINDS)))
    )
    known = [said() for _ in range(200)]
    rng.seed(seed)
    drawn = (rng.random() < new for _ in range(n))
    return [(f"{said()} {rng.randrange(10**9)}", True) if fresh else (rng.choice(known), False) for fresh in drawn]


async def fire(port: int, key: str, rate: float, seconds: float, seed: int, new: float) -> dict[str, Any]:
    """Requests at a fixed rate, this share of them with new words; what came of them."""
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        waiting.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    said = queries(int(rate * seconds), seed, new)
    began = time.perf_counter() + 0.1
    took: dict[bool, list[float]] = {True: [], False: []}
    bad = 0

    async def one(n: int, query: str, fresh: bool) -> None:
        nonlocal bad
        due = began + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        link = await waiting.get()
        reader, writer = link
        writer.write(request(key, query))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        waiting.put_nowait(link)
        bad += not head.startswith(b"HTTP/1.1 200")
        took[fresh].append(time.perf_counter() - due)

    await asyncio.gather(*(one(n, *query) for n, query in enumerate(said)))
    reached, every = len(said) / (time.perf_counter() - began), took[True] + took[False]
    return {"asked/s": rate, "new": new, "answered/s": round(reached), "not 200": bad, "p50 ms": at(every, 0.5),
            "p95 ms": at(every, 0.95), "p99 ms": at(every, 0.99), "p95 ms of new": at(took[True], 0.95),
            "p95 ms of known": at(took[False], 0.95)}  # fmt: skip


def at(seconds: list[float], share: float) -> float | str:
    """A quantile in milliseconds."""
    return round(1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))], 1) if seconds else ""


def cpu_s(pid: int) -> float:
    """CPU-seconds of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(store: Path, rates: list[float], seconds: float, shares: list[float]) -> list[dict[str, Any]]:
    """The service over the store, at each rate and share of new queries."""
    from pluribus.serve import keys
    from pluribus.store import open_store

    key = keys.new(open_store(str(store)), "bench")
    command = [sys.executable, "-c", "from pluribus.cli import main; main()", "--store", str(store), "serve"]
    command += ["--port", "0", "--rate", "1000000", "--timeout-s", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline().split("http://127.0.0.1:")[1].split()[0])
        asyncio.run(fire(port, key, 50, 8, seed=0, new=0.2))  # opens the release, asks what is known later
        rows = []
        for n, (new, rate) in enumerate(itertools.product(shares, rates), 1):
            before, mine = cpu_s(server.pid), time.process_time()
            row = asyncio.run(fire(port, key, rate, seconds, seed=n, new=new))
            row["server CPU ms/search"] = round(1000 * (cpu_s(server.pid) - before) / (rate * seconds), 2)
            row["generator CPU ms/search"] = round(1000 * (time.process_time() - mine) / (rate * seconds), 2)
            print(row, flush=True)
            rows.append(row)
        status = Path(f"/proc/{server.pid}/status").read_text()
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        print(f"the server's peak memory: {int(peak) // 1024} MB; the generator's: "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")  # fmt: skip
        server.terminate()
    return rows


def main() -> None:
    """Make the shop, ask it, keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--store", default=".pluribus", help="with the demo shop atelier")
    parser.add_argument("--products", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", default="100,200,300,400")
    parser.add_argument("--new", default="0.5,1", help="shares of queries that were not asked before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pluribus-bench-") as folder:
        make_shop(options.store, Path(folder) / "store", options.products)
        rates, shares = ([float(part) for part in text.split(",")] for text in (options.rates, options.new))
        rows = measure(Path(folder) / "store", rates, options.seconds, shares)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    about = f"{options.products:,} products, {os.cpu_count()} cores, generator on the same machine"
    (results / "serving.md").write_text("\n".join([*lines, "", about, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
