"""Benchmarks: ours beside a named peer, on the same input, in one interleaved run.

    make bench            (or: python benchmarks/run.py --rounds 5 --only ingest)

Each side runs in a fresh process and reports CPU-seconds and peak memory; rounds alternate the order; what counts is
the median of the rounds' ratios. Machines are noisy: read ratios, not seconds.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import decoding
import encoding
import validation

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Benchmark:
    """What is measured: `prepare(folder)` makes the input once, each side works on it.

    A side whose set-up is not what is measured returns the processor time at which its work began.
    """

    means: str
    peer: str
    prepare: Callable[[Path], None]
    ours: Callable[[Path], float | None]
    theirs: Callable[[Path], float | None]


def write_csv(folder: Path, n_rows: int = 1_000_000) -> None:
    """A million products, 10 columns, about 250 MB: ids, titles, HTML, prices with currency, categories."""
    with (folder / "feed.csv").open("w") as file:
        file.write("id,title,description,brand,category,color,size,price,availability,image_link\n")
        for i in range(n_rows):
            file.write(
                f"sku-{i},Product {i} in colour {i % 97},<p>A fine thing number {i % 5000} made of matter &amp; care. "
                f"It has been described at some length so that rows weigh what rows weigh.</p>,Brand {i % 300},"
                f"Home > Room {i % 12} > Kind {i % 150},colour {i % 97},{i % 40},{i % 900}.{i % 100:02d} EUR,in stock,"
                f"https://shop.example/{i}.jpg\n"
            )


def read_ours(folder: Path) -> None:
    """Feed to canonical Parquet: sniff, map, clean HTML, parse prices, keep what has no column."""
    from pluribus import feeds, tables
    from pluribus.records import PRODUCT, Feed, Limits

    rows = feeds.products([folder / "feed.csv"], feed=Feed(source=()), limits=Limits())
    assert tables.write(folder / "ours.parquet", rows, PRODUCT) == 1_000_000


def read_pandas(folder: Path) -> None:
    """What one would write with pandas: the same columns cleaned with its string methods."""
    import pandas as pd

    frame = pd.read_csv(folder / "feed.csv", dtype=str)
    frame["description"] = frame["description"].str.replace(r"<[^>]+>", " ", regex=True).str.replace("&amp;", "&")
    price = frame["price"].str.extract(r"([\d.]+) (\w+)")
    frame["price"], frame["currency"] = price[0].astype(float), price[1]
    frame["availability"] = frame["availability"].str.replace(" ", "_")
    frame["category"] = frame["category"].str.strip()
    frame.drop_duplicates("id").to_parquet(folder / "theirs.parquet")


def write_shop(folder: Path) -> None:
    """A demo shop, ingested once: the store as the second refresh of an unchanged delivery finds it."""
    from pluribus import demo

    demo.write_shops(folder / "demo")
    ingest_into(folder / "demo", folder / "warm")


def ingest_into(demo: Path, store: Path) -> None:
    """One ingest of the demo shop `atelier`."""
    from datetime import UTC, datetime

    from pluribus import ingest, settings
    from pluribus.store import open_store

    shop = settings.parse_shop((ROOT / "config/shops/atelier.toml").read_bytes(), "atelier.toml", data_root=str(demo))
    own = open_store(str(store)).within("shops/atelier")
    ingest.ingest(own, feeds=shop.feeds, images=shop.images, limits=shop.limits, now=datetime.now(UTC))


def write_vectors(folder: Path) -> None:
    """100,000 unit vectors of 512 dimensions, fp16."""
    import numpy as np

    rows = np.random.default_rng(0).normal(size=(100_000, 512))
    np.save(folder / "vectors.npy", (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))


def shelve_ours(folder: Path) -> None:
    """Onto the vector shelf and back."""
    import uuid

    import numpy as np

    from pluribus import vectors
    from pluribus.store import open_store

    rows = np.load(folder / "vectors.npy")
    keys = [i.to_bytes(32, "big") for i in range(len(rows))]
    own = open_store(str(folder / uuid.uuid4().hex))
    vectors.Shelf(own, "m", 512).add(keys, rows)
    assert np.array_equal(vectors.Shelf(own, "m", 512).get(keys), rows)


def shelve_lists(folder: Path) -> None:
    """The same through Parquet's list column, as pyarrow writes it by default."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.load(folder / "vectors.npy")
    keys = pa.array([i.to_bytes(32, "big") for i in range(len(rows))], pa.binary(32))
    pq.write_table(
        pa.table({"key": keys, "vector": pa.array(list(rows), pa.list_(pa.float16()))}), folder / "lists.parquet"
    )
    column = pq.read_table(folder / "lists.parquet")["vector"].combine_chunks()
    assert np.array_equal(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, 512), rows)


BENCHMARKS = {
    "ingest": Benchmark("1,000,000-row CSV to canonical Parquet", "pandas", write_csv, read_ours, read_pandas),
    "unchanged": Benchmark(
        "ingest of an unchanged delivery", "the first ingest of it", write_shop,
        lambda folder: ingest_into(folder / "demo", folder / "warm"),
        lambda folder: ingest_into(folder / "demo", folder / f"cold{os.getpid()}"),
    ),
    "vectors": Benchmark(
        "100,000 × 512 fp16 vectors written and read", "Parquet lists", write_vectors, shelve_ours, shelve_lists
    ),
    "validation, clean": Benchmark(
        "1,000,000 rows judged by 24 expectations, none bad", "Great Expectations' counts",
        lambda folder: validation.write(folder, 0.0), validation.ours, validation.counts,
    ),
    "validation, half bad": Benchmark(
        "the same with half the rows bad, each named with its reasons", "Great Expectations' COMPLETE",
        lambda folder: validation.write(folder, 0.5), validation.ours, validation.complete,
    ),
    "decoders": Benchmark(
        f"{decoding.PICTURES} photographs decoded in limited children", "the same in process, unguarded",
        decoding.write, decoding.pooled, decoding.in_process,
    ),
    "encoder ready": Benchmark(
        "process start to a text's vector", "open_clip eager", encoding.write,
        encoding.ready_ours, encoding.ready_theirs,
    ),
    "pictures": Benchmark(
        "600 stored JPEGs to vectors of mini", "open_clip's preprocessing and eager fp32", encoding.write,
        encoding.pictures_ours, encoding.pictures_theirs,
    ),
    "texts": Benchmark(
        "6,000 titles to vectors of mini", "open_clip, padded to the context, eager fp32", encoding.write,
        encoding.texts_ours, encoding.texts_theirs,
    ),
}  # fmt: skip


def side(name: str, which: str, folder: Path) -> None:
    """In the child: run one side, print what it took."""
    began, wall = time.process_time(), time.perf_counter()
    began = getattr(BENCHMARKS[name], which)(folder) or began
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {
        "cpu_s": time.process_time() - began + children.ru_utime + children.ru_stime,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(took))


def run_side(name: str, which: str, folder: str) -> dict[str, float]:
    """One side in a fresh process."""
    command = [sys.executable, __file__, "--side", which, "--only", name, "--folder", folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return took


def measure(name: str, rounds: int) -> dict[str, object]:
    """Both sides, `rounds` times, alternating."""
    benchmark = BENCHMARKS[name]
    took: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory(prefix="pluribus-bench-") as folder:
        run_side(name, "prepare", folder)  # in a process of its own too: a child's peak memory begins at its parent's
        for number in range(rounds):
            for which in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                took[which].append(run_side(name, which, folder))
    ratios = [b["cpu_s"] / a["cpu_s"] for a, b in zip(took["ours"], took["theirs"], strict=True)]
    middle = lambda which, what: statistics.median(run[what] for run in took[which])
    return {
        "benchmark": name,
        "what": benchmark.means,
        "peer": benchmark.peer,
        "times faster": round(statistics.median(ratios), 2),
        "ours CPU-s": round(middle("ours", "cpu_s"), 2),
        "peer CPU-s": round(middle("theirs", "cpu_s"), 2),
        "ours peak MB": round(middle("ours", "peak_mb")),
        "peer peak MB": round(middle("theirs", "peak_mb")),
        "rounds": rounds,
    }


def main() -> None:
    """Run the benchmarks, print and keep their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=BENCHMARKS)
    parser.add_argument("--side", choices=("prepare", "ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(options.only, options.side, options.folder)
        return
    rows = [measure(name, options.rounds) for name in ([options.only] if options.only else BENCHMARKS)]
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "results.md").write_text("\n".join([*lines, "", machine, ""]))
    (RESULTS / "results.json").write_text(json.dumps({"machine": machine, "results": rows}, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
