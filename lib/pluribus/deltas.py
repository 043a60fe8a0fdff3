"""Deltas: a catalog and a change to it become the next catalog.

Only the rows that a delta names are joined; the others pass by, so a delta costs what reading and writing costs.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import tables
from pluribus.schemas import PRODUCT

#: A delta carries a column when any of its rows has a value there; what it does not carry stays as it was.
CHANGED = """
    with first as (select * from old qualify row_number() over (partition by product_id order by row) = 1),
    merged as (
        select delta.row, delta.product_id, {columns}, delta.deleted, delta.defects,
            map_concat(coalesce(first.extra, map {{}}), coalesce(delta.extra, map {{}})) as extra
        from delta left join first using (product_id) where not delta.deleted)
    select {names} from merged order by row"""


def apply(old: Path | None, delta: Path) -> Iterator[pa.RecordBatch]:
    """A catalog's rows after a delta, piece by piece: those it does not name as they were, then those it brings.

    Only the rows it names are joined, so what a delta costs is reading and writing the catalog.
    """
    n_rows = 0
    for batch in _changed(old, delta) if old else _as_they_are(delta):
        yield _numbered(batch, n_rows)
        n_rows += batch.num_rows


def _changed(old: Path, delta: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a catalog and a delta to it."""
    ids = tables.query("select distinct product_id as id from delta where product_id is not null", delta=delta)["id"]
    named = [tables.empty(PRODUCT)]
    for batch in tables.batches(old, tables.BATCH_ROWS, PRODUCT.names):
        there = batch.filter(batch["product_id"].is_valid()) if batch["product_id"].null_count else batch
        told = pc.is_in(there["product_id"], value_set=ids)
        named.append(pa.Table.from_batches([there.filter(told)]))
        yield there.filter(pc.invert(told))
    yield from tables.stream(_sql(delta), old=pa.concat_tables(named), delta=delta)


def _as_they_are(delta: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a first delivery, without a query: its sort would hold them all."""
    for batch in tables.batches(delta, tables.BATCH_ROWS, PRODUCT.names):
        yield batch.filter(pc.invert(batch["deleted"]))


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    row = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
    return batch.set_column(batch.schema.get_field_index("row"), "row", row)


def _sql(delta: Path) -> str:
    """CHANGED with the columns this delta carries taken from it, the others from the product as it was."""
    names = [n for n in PRODUCT.names if n not in ("row", "product_id", "deleted", "defects", "extra")]
    counts = ", ".join(
        f"count({n}) filter (where len({n}) > 0) as {n}" if n == "images" else f"count({n}) as {n}" for n in names
    )
    carried = tables.query(f"select {counts} from delta", delta=delta).to_pylist()[0]  # noqa: S608 - names of PRODUCT
    columns = ", ".join(f"{'delta' if carried[n] else 'first'}.{n} as {n}" for n in names)
    return CHANGED.format(columns=columns, names=", ".join(PRODUCT.names))
