"""Deltas: a catalog and a change to it become the next catalog.

Rows that only give a product other values change it where it stands, without a query. The others of a delta (new
products, deleted ones, extra columns, a product twice) are joined with what they name and go to the end. So a delta
costs what reading and writing the catalog costs.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import tables
from pluribus.schemas import PRODUCT

#: Rows of a delta that is held in memory, to change products where they stand. A larger one is joined.
IN_PLACE = 100_000

#: What a delta may carry.
VALUES = [name for name in PRODUCT.names if name not in ("row", "product_id", "deleted", "defects", "extra")]

#: The rows of a delta that only give one product other values.
PLAIN = """
    select * exclude n from (select *, count(*) over (partition by product_id) as n from delta)
    where n = 1 and not deleted and product_id is not null and cardinality(coalesce(extra, map {})) = 0"""

NAMED = "select distinct product_id as id from delta anti join plain using (product_id) where product_id is not null"

#: A delta carries a column when any of its rows has a value there; what it does not carry stays as it was.
CHANGED = """
    with first as (select * from old qualify row_number() over (partition by product_id order by row) = 1),
    gone as (select product_id, max(row) as last from delta where deleted group by product_id),
    merged as (
        select delta.row, delta.product_id, {columns}, delta.deleted,
            list_concat(coalesce(delta.defects, []), list_filter(coalesce(first.defects, []), lambda code:
                not list_contains(coalesce(delta.defects, []), code) and
                case when code = 'TENANT' then not list_has_any(map_keys(coalesce(delta.extra, map {{}})), $own)
                     when code in ('PRICE', 'SALE_PRICE') then not list_contains($carried, lower(code))
                     else not list_contains($carried, 'title') end)) as defects,
            map_concat(coalesce(first.extra, map {{}}), coalesce(delta.extra, map {{}})) as extra
        from delta anti join done using (product_id)
            left join first using (product_id) left join gone using (product_id)
        where not delta.deleted and delta.row > coalesce(gone.last, -1))
    select * replace (case when len(defects) > 0 then defects end as defects) from (select {names} from merged)
    order by row"""


def apply(old: Path | None, delta: Path, *, own: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
    """A catalog's rows after a delta, piece by piece: products that stay keep their order, new ones follow.

    A defect stays until what it is about is delivered again: a price, a title for what concerns a row, one of the `own`
    columns (`Feed.own`) for whose row it is. A product that is given values and then deleted is deleted.
    """
    n_rows = 0
    for batch in _changed(old, delta, own) if old else _as_they_are(delta):
        yield _numbered(batch, n_rows)
        n_rows += batch.num_rows


def _changed(old: Path, delta: Path, own: Collection[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a catalog and a delta to it."""
    carried = _carried(delta)
    few = tables.query("select count(*) as n from delta", delta=delta)["n"][0].as_py() <= IN_PLACE
    plain = tables.query(PLAIN, delta=delta).cast(PRODUCT) if few else tables.empty(PRODUCT)
    change = _Change(plain, carried)
    ids = tables.query(NAMED, delta=delta, plain=change.rows)["id"]
    named = [tables.empty(PRODUCT)]
    for batch in tables.batches(old, tables.BATCH_ROWS, PRODUCT.names):
        there = batch.filter(batch["product_id"].is_valid()) if batch["product_id"].null_count else batch
        if len(ids):
            told = pc.is_in(there["product_id"], value_set=ids)
            named.append(pa.Table.from_batches([there.filter(told)]))
            there = there.filter(pc.invert(told))
        yield change.made(there)
    columns = ", ".join(f"{'delta' if name in carried else 'first'}.{name} as {name}" for name in VALUES)
    sql = CHANGED.format(columns=columns, names=", ".join(PRODUCT.names))
    told = {"own": list(own), "carried": sorted(carried)}
    yield from tables.stream(sql, told, old=pa.concat_tables(named), delta=delta, done=change.done())


class _Change:
    """The rows of a delta that change products where they stand."""

    def __init__(self, rows: pa.Table, carried: set[str]) -> None:
        self.rows = rows
        self._new = {name: tables.one_piece(rows[name]) for name in carried}
        self._defects = tables.one_piece(rows["defects"])
        self._settled = {"PRICE": "price" in carried, "SALE_PRICE": "sale_price" in carried, "TENANT": False}
        self._others_settled = "title" in carried
        self._ids = tables.one_piece(rows["product_id"])
        self._seen = np.zeros(rows.num_rows, bool)

    def made(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of the catalog with the values that the delta gives them; of a product that stood twice, the first."""
        at = pc.index_in(batch["product_id"], value_set=self._ids)
        if at.null_count == len(at):
            return batch
        told = at.is_valid()
        for name, new in self._new.items():
            column = batch.schema.get_field_index(name)
            field = batch.schema.field(column)
            batch = batch.set_column(column, field, pc.if_else(told, new.take(at).cast(field.type), batch[name]))
        column = batch.schema.get_field_index("defects")
        field = batch.schema.field(column)
        batch = batch.set_column(column, field, self._still(batch["defects"], at).cast(field.type))
        return self._first(batch, told, at.drop_null())

    def _still(self, before: pa.Array, at: pa.Array) -> pa.Array:
        """What is wrong with rows once they are changed: what the delta brings, and what it does not mend."""
        brought = self._defects.take(at)
        if before.null_count == len(before):
            return brought
        found = []
        for old, new, place in zip(before.to_pylist(), brought.to_pylist(), at.to_pylist(), strict=True):
            kept = [c for c in old or () if place is None or not self._settled.get(c, self._others_settled)]
            found.append([*(new or ()), *(c for c in kept if c not in (new or ()))] or None)
        return pa.array(found, before.type)

    def _first(self, batch: pa.RecordBatch, told: pa.Array, at: pa.Array) -> pa.RecordBatch:
        places = np.frombuffer(at.buffers()[1], np.int32, len(at), 4 * at.offset)
        again = self._seen[places]
        order = np.argsort(places, kind="stable")  # np.unique would import numpy.ma, 0.06 s
        again[order[1:][np.diff(places[order]) == 0]] = True
        self._seen[places] = True
        if not again.any():
            return batch
        kept = np.ones(batch.num_rows, bool)
        kept[np.flatnonzero(tables.bits(told))[again]] = False
        return batch.filter(tables.flags(kept))

    def done(self) -> pa.Table:
        """The products that were there to be changed."""
        return pa.table({"product_id": self._ids.filter(tables.flags(self._seen))})


def _carried(delta: Path) -> set[str]:
    """The columns that this delta carries."""
    counts = ", ".join(
        f"count({n}) filter (where len({n}) > 0) as {n}" if n == "images" else f"count({n}) as {n}" for n in VALUES
    )
    (found,) = tables.query(f"select {counts} from delta", delta=delta).to_pylist()  # noqa: S608 - names of PRODUCT
    return {name for name in VALUES if found[name]}


def _as_they_are(delta: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a first delivery, without a query: its sort would hold them all."""
    for batch in tables.batches(delta, tables.BATCH_ROWS, PRODUCT.names):
        yield batch.filter(pc.invert(batch["deleted"]))


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    row = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
    return batch.set_column(batch.schema.get_field_index("row"), "row", row)
