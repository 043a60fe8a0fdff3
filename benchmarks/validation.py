"""Validation beside Great Expectations alone: clean rows, and rows of which half are bad and must be named."""

import json
from pathlib import Path
from typing import Any

from beside import Benchmark, Goal, Side, counted

ROOT = Path(__file__).resolve().parents[1]
ROWS = 1_000_000


def written(bad: float) -> Side:
    """A million rows of which this share is bad."""
    return lambda folder: write(folder, bad)


def write(folder: Path, bad: float) -> None:
    """A million judged rows; of the `bad` share each has one to three reasons."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    ill = rng.random(ROWS) < bad
    same = {"brand": "b", "category": "c", "colour": "red", "size": "m", "gender": "f", "material": "x", "locale": "en",
            "currency": "EUR", "availability": "in_stock", "link": "https://shop.example/p",
            "content": "picture and text"}  # fmt: skip
    numbers = {"n_images": 1, "n_pictures": 1, "n_picture_faults": 0, "title_chars": 9, "description_chars": 9}
    columns = {"row": np.arange(ROWS), "product_id": np.arange(ROWS).astype(str)}
    columns |= {name: np.full(ROWS, value) for name, value in (same | numbers).items()}
    columns["title"] = np.where(ill & (rng.random(ROWS) < 0.5), None, "red dress")
    columns["price"], columns["sale_price"] = rng.random(ROWS) * 50 + 20, rng.random(ROWS) * 20
    columns["defects"] = np.where(ill, "PRICE", "").astype(object)
    columns["copies"] = np.where(ill & (rng.random(ROWS) < 0.3), 2, 1)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), folder / "judged.parquet")


def ours(folder: Path) -> dict[str, Any]:
    """Findings, and every bad row with its reasons. The imports of Great Expectations are not what is measured."""
    from pluribus.validate import judges

    table, suites = _given(folder)
    with counted() as took:
        findings, bad = judges.judge(table, suites)
    told = sorted([f.expectation, f.column, f.failed] for f in findings)
    (folder / "ours.json").write_text(json.dumps({"counts": told, "rows": bad.num_rows}))
    return took.of


def counts(folder: Path) -> dict[str, Any]:
    """Great Expectations alone: counts and verdicts, no row named."""
    return _alone(folder, {"result_format": "BASIC", "partial_unexpected_count": 5})


def complete(folder: Path) -> dict[str, Any]:
    """Great Expectations alone, naming rows as one would ask them to."""
    return _alone(folder, {"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]})


def _alone(folder: Path, result_format: dict[str, Any]) -> dict[str, Any]:
    """Great Expectations as they come: fingerprints of the frame, which `judges` does without, included."""
    from great_expectations.execution_engine import pandas_execution_engine

    from pluribus.validate import judges

    fingerprints = pandas_execution_engine.HASH_THRESHOLD
    table, suites = _given(folder)
    pandas_execution_engine.HASH_THRESHOLD = fingerprints
    with counted() as took:
        results = list(judges._results(table.to_pandas(), suites, result_format))
    told, rows = [], set()
    for result in results:
        config, found = result.expectation_config, result.result
        column = str(config.kwargs.get("column", config.kwargs.get("column_A", "")))
        told.append([config.type, column, int(found.get("unexpected_count") or 0)])
        if config.severity.value == "critical":
            rows |= {item["row"] for item in found.get("unexpected_index_list") or []}
    (folder / "theirs.json").write_text(json.dumps({"counts": sorted(told), "rows": len(rows)}))
    return took.of


def same(folder: Path) -> dict[str, Any]:
    """Every expectation counted the same, and as many rows named."""
    mine, theirs = (json.loads((folder / f"{name}.json").read_text()) for name in ("ours", "theirs"))
    unlike = sum(a != b for a, b in zip(mine["counts"], theirs["counts"], strict=True))
    return {"counts unlike": unlike + (mine["rows"] != theirs["rows"])}


def _given(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    from pluribus import contracts, tables
    from pluribus.store import open_store
    from pluribus.validate import judges

    suites = contracts.suites(open_store(str(ROOT / "expectations")), "fashion")
    table = tables.read(folder / "judged.parquet")
    list(judges._results(table.slice(0, 10).to_pandas(), suites, judges.COUNTS))  # imports, registries
    return table, suites


SAME = Goal("counts unlike", most=0)
BENCHMARKS = {
    "validation, clean": Benchmark(
        "1,000,000 rows judged by 24 expectations, none bad", written(0.0), ours, {"GE's counts alone": counts},
        (Goal(peer="GE's counts alone", most=1.3), SAME, Goal("peak MB", most=2_000)), same,
    ),
    "validation, half bad": Benchmark(
        "the same, half of the rows bad, each named with its reasons", written(0.5), ours, {"GE's COMPLETE": complete},
        (Goal(peer="GE's COMPLETE", least=6), SAME, Goal("peak MB", most=2_000)), same, rounds=3,
    ),
}  # fmt: skip
