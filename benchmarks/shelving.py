"""Vectors onto their shelf and back, beside the list column that Parquet offers for them."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
from beside import Benchmark, Goal, counted

N, WIDTH = 100_000, 512


def write(folder: Path) -> None:
    """Unit vectors, fp16."""
    rows = np.random.default_rng(0).normal(size=(N, WIDTH))
    np.save(folder / "vectors.npy", (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))


def ours(folder: Path) -> dict[str, Any]:
    """Written, opened anew and read."""
    from pluribus import vectors
    from pluribus.store import open_store

    rows = np.load(folder / "vectors.npy")
    keys = [i.to_bytes(32, "big") for i in range(N)]
    own = open_store(str(folder / uuid.uuid4().hex))
    with counted() as took:
        size_bytes = vectors.Shelf(own, "m", WIDTH).add(keys, rows)
        found = vectors.Shelf(own, "m", WIDTH).get(keys)
    assert np.array_equal(found, rows)
    return took.of | {"bytes a vector": size_bytes / N - 32}  # beside its key


def lists(folder: Path) -> dict[str, Any]:
    """The same through Parquet's list column, as pyarrow writes it by default."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.load(folder / "vectors.npy")
    keys = pa.array([i.to_bytes(32, "big") for i in range(N)], pa.binary(32))
    offsets = np.arange(0, N * WIDTH + 1, WIDTH, dtype=np.int32)
    with counted() as took:
        column = pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()))
        pq.write_table(pa.table({"key": keys, "vector": column}), folder / "lists.parquet")
        read = pq.read_table(folder / "lists.parquet")["vector"].combine_chunks()
    assert np.array_equal(read.flatten().to_numpy(zero_copy_only=False).reshape(-1, WIDTH), rows)
    return took.of


BENCHMARKS = {
    "vectors": Benchmark(
        "100,000 × 512 fp16 vectors written and read", write, ours, {"Parquet lists": lists},
        (Goal(peer="Parquet lists", least=20), Goal("bytes a vector", most=1_040)),
    )
}  # fmt: skip
