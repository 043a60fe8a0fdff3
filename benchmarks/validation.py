"""Validation beside Great Expectations alone: clean rows, and rows of which half are bad and must be named."""

import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS = 1_000_000


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


def ours(folder: Path) -> float:
    """Findings, and every bad row with its reasons. The imports of Great Expectations are not what is measured."""
    from pluribus.validate import judges

    table, suites = _given(folder)
    started = time.process_time()
    _, bad = judges.judge(table, suites)
    (folder / "ours.txt").write_text(str(bad.num_rows))
    return started


def counts(folder: Path) -> float:
    """Great Expectations alone: counts and verdicts, no row named."""
    return _alone(folder, {"result_format": "BASIC", "partial_unexpected_count": 5})


def complete(folder: Path) -> float:
    """Great Expectations alone, naming rows as one would ask them to."""
    return _alone(folder, {"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]})


def _alone(folder: Path, result_format: dict[str, Any]) -> float:
    from pluribus.validate import judges

    table, suites = _given(folder)
    started = time.process_time()
    list(judges._results(table.to_pandas(), suites, result_format))
    return started


def _given(folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    from pluribus import tables, validate
    from pluribus.store import open_store
    from pluribus.validate import judges

    suites = validate.suites(open_store(str(ROOT / "expectations")), "fashion")
    table = tables.read(folder / "judged.parquet")
    list(judges._results(table.slice(0, 10).to_pandas(), suites, judges.COUNTS))  # imports, registries
    return table, suites
