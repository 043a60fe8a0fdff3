"""Tuning: what the steps of FineTuneFlow do with the store, one candidate at a time.

finetunes/<time>-<run>/examples.parquet · external-0.parquet …     what is learned from, what judges
                       <rate>-<seed>-<task>.safetensors · .jsonl   the weights of a candidate, its losses
                       table.csv · report.json                     what came of it
"""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pluribus import models, tables
from pluribus.models import towers_torch
from pluribus.records import Model, Score
from pluribus.store import Store
from pluribus.train import errands, gather, judging, mix, splits


def keep(store: Store, key: str, table: pa.Table) -> str:
    """Write a table into the store as Parquet; returns its key."""
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        path = Path(folder) / "table.parquet"
        tables.write(path, table.to_batches(), table.schema, store.owner)
        store.create(key, path)
    return key


def keep_examples(store: Store, prefix: str, rows: pa.Table) -> list[str]:
    """Write each shop's examples into its own part of the store; returns the shops."""
    of = rows["shop"].to_pylist()
    shops = list(dict.fromkeys(of))
    for shop in shops:
        own = rows.filter(pa.array([name == shop for name in of]))
        keep(store.within(f"shops/{shop}"), f"{prefix}examples.parquet", own)
    return shops


def examples(store: Store, prefix: str, shops: Sequence[str]) -> pa.Table:
    """The examples of all these shops."""
    stores = (store.within(f"shops/{shop}") for shop in shops)
    return pa.concat_tables([tables.read(tables.local(own, f"{prefix}examples.parquet")).cast(gather.EXAMPLE)
                             for own in stores])  # fmt: skip


def learn(
    store: Store,
    prefix: str,
    *,
    shops: Sequence[str],
    model: Model,
    fingerprint: str,
    learning_rate: float,
    seed: int,
    epochs: float,
    batch_size: int,
    piece_size: int | None,
    attempt: str,
) -> tuple[dict[str, Any], str]:
    """Train one candidate, one process a GPU; returns what it says of itself, and the key of its weights."""
    rows = examples(store, prefix, shops)
    start, tokenizer = models.placed(store, fingerprint, model)
    how = {"learning_rate": learning_rate, "seed": seed, "batch_size": batch_size, "piece_size": piece_size,
           "steps": max(1, math.ceil(epochs * taught(rows) / batch_size)), "still": True,
           "checkpoint_steps": 100}  # fmt: skip
    key = f"{prefix}{learning_rate:g}-{seed}-{attempt}"
    with errands.place(rows, fingerprint, how) as folder:
        if not (folder / errands.ERRAND).exists():
            errands.write(folder, start, gather.pairs(store, rows, start, folder), tokenizer=tokenizer, **how)
        result = errands.run(folder, max(1, models.gpus()))
        store.create(f"{key}.safetensors", folder / errands.WEIGHTS)
        store.create(f"{key}.jsonl", folder / errands.LOG)
    return result, f"{key}.safetensors"


def taught(rows: pa.Table) -> int:
    """How many pictures a training sees."""
    pictures = rows.filter(pc.equal(rows["split"], splits.TRAIN))["pictures"].to_pylist()
    return len({content for own in pictures for content in own})


def measure(
    store: Store,
    prefix: str,
    *,
    shops: Sequence[str],
    model: Model,
    fingerprint: str,
    weights: str,
    share: float,
    external: Mapping[str, str],
) -> dict[str, dict[str, Score]]:
    """Scores by split and by external set of weights that lie `share` of the way from the start to `weights`.

    With no `weights` the start model itself. `external` names the sets and their keys.
    """
    start, tokenizer = models.placed(store, fingerprint, model)
    encoder = towers_torch.read(start, models.device_of_choice(), tokenizer=tokenizer)
    if weights:
        before = encoder.network.state_dict()
        trained = replace(start, weights=str(store.local(weights)), layout="open_clip")
        encoder = towers_torch.read(trained, models.device_of_choice(), tokenizer=tokenizer)
        mix(encoder, before, share)
    rows = examples(store, prefix, shops)
    named = [judging.naming(encoder, name, tables.read(store.local(key))) for name, key in external.items()]
    return {"scores": {score.name: score for score in judging.judge(encoder, store, rows)},
            "external": {score.name: score for score in named}}  # fmt: skip


def report(store: Store, prefix: str, facts: Mapping[str, Any], table_csv: str) -> str:
    """Keep what came of it; returns the key of the report."""
    store.create(prefix + "table.csv", table_csv.encode())
    store.create(prefix + "report.json", json.dumps(facts, default=str).encode())
    return prefix + "report.json"
