"""Deltas: a catalog and a change to it become the next catalog.

Rows that only give a product other values change it where it stands, without a query. The others of a delta (new
products, deleted ones, extra columns, a product twice) are joined with what they name and go to the end. So a delta
costs what reading and writing the catalog costs.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import tables
from pluribus.schemas import PRODUCT

#: Rows of a delta that is held in memory, to change products where they stand. A larger one is joined.
IN_PLACE = 100_000

#: Batches of the catalog that are changed at once: what they are sought in is hashed for each piece anew.
PIECE = 10

#: What a delta may carry.
VALUES = [name for name in PRODUCT.names if name not in ("row", "product_id", "deleted", "defects", "extra")]

#: A map as Arrow can count it.
PAIRS = pa.list_(pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.string())]))

#: The last time that a delta deletes each product.
GONE = """
    select product_id, max(row) as last from delta where deleted and product_id is not null group by product_id"""

#: A delta carries a column when any of its rows has a value there; what it does not carry stays as it was.
CHANGED = """
    with first as (select * from old qualify row_number() over (partition by product_id order by row) = 1),
    gone as ({gone}),
    merged as (
        select delta.row, delta.product_id, {columns}, delta.deleted,
            list_concat(coalesce(delta.defects, []), list_filter(coalesce(first.defects, []), lambda code:
                not list_contains(coalesce(delta.defects, []), code) and
                case when code = 'TENANT' then not list_has_any(map_keys(coalesce(delta.extra, map {{}})), $own)
                     when code in ('PRICE', 'SALE_PRICE') then not list_contains($carried, lower(code))
                     else not list_contains($carried, 'title') end)) as defects,
            map_concat(coalesce(first.extra, map {{}}), coalesce(delta.extra, map {{}})) as extra
        from delta left join first using (product_id) left join gone using (product_id)
        where not delta.deleted and delta.row > coalesce(gone.last, -1))
    select * replace (case when len(defects) > 0 then defects end as defects) from (select {names} from merged)
    order by row"""


def apply(
    old: Iterable[pa.RecordBatch] | None, delta: pa.Table, *, own: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """A catalog's rows after a delta, piece by piece: products that stay keep their order, new ones follow.

    A defect stays until what it is about is delivered again: a price, a title for what concerns a row, one of the `own`
    columns (`Feed.own`) for whose row it is. A product that is given values and then deleted is deleted.
    """
    n_rows = 0
    for batch in _there(delta) if old is None else _changed(iter(old), delta, own):
        yield _numbered(batch, n_rows)
        n_rows += batch.num_rows


def _there(delta: pa.Table) -> Iterator[pa.RecordBatch]:
    """The rows of a first delivery, batch by batch: a sort would hold them all."""
    gone = tables.query(GONE, delta=delta.select(["row", "product_id", "deleted"]))
    ids, last = gone["product_id"], tables.one_piece(gone["last"])
    for batch in delta.to_batches():
        after = last.take(pc.index_in(batch["product_id"], value_set=ids))
        stays = pc.or_kleene(after.is_null(), pc.greater(batch["row"], after))
        yield batch.filter(pc.and_(stays, pc.invert(batch["deleted"])))


def _changed(old: Iterator[pa.RecordBatch], delta: pa.Table, own: Collection[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a catalog and a delta to it."""
    carried = {name for name in VALUES if _says(delta[name])}
    plain, rest = _parted(delta) if delta.num_rows <= IN_PLACE else (delta.slice(0, 0), delta)
    change = _Change(plain, carried)
    ids = rest["product_id"].drop_null().unique()
    named = [tables.empty(PRODUCT)]
    while batches := list(islice(old, PIECE)):
        there = pa.Table.from_batches(batches)
        there = there.filter(there["product_id"].is_valid()) if there["product_id"].null_count else there
        if len(ids):
            told = pc.is_in(there["product_id"], value_set=ids)
            named.append(there.filter(told))
            there = there.filter(pc.invert(told))
        yield from change.made(there).to_batches()
    rest = pa.concat_tables([change.left(), rest])
    if rest.num_rows:
        columns = ", ".join(f"{'delta' if name in carried else 'first'}.{name} as {name}" for name in VALUES)
        sql = CHANGED.format(gone=GONE, columns=columns, names=", ".join(PRODUCT.names))
        told = {"own": list(own), "carried": sorted(carried)}
        yield from tables.stream(sql, told, old=pa.concat_tables(named), delta=rest)


class _Change:
    """The rows of a delta that change products where they stand."""

    def __init__(self, rows: pa.Table, carried: set[str]) -> None:
        self._rows = rows
        self._new = {name: tables.one_piece(rows[name]) for name in carried}
        self._defects = tables.one_piece(rows["defects"])
        self._settled = {"PRICE": "price" in carried, "SALE_PRICE": "sale_price" in carried, "TENANT": False}
        self._others_settled = "title" in carried
        self._ids = tables.one_piece(rows["product_id"])
        self._seen = np.zeros(rows.num_rows, bool)

    def made(self, piece: pa.Table) -> pa.Table:
        """Rows of the catalog with the values that the delta gives them; of a product that stood twice, the first."""
        at = pc.index_in(piece["product_id"], value_set=self._ids)
        if at.null_count == len(at):
            return piece
        kept = self._first(tables.one_piece(at))
        if kept is not None:
            piece, at = piece.filter(kept), at.filter(kept)
        told = at.is_valid()
        changed = {name: pc.if_else(told, new.take(at), piece[name]) for name, new in self._new.items()}
        if _says(self._defects) or _says(piece["defects"]):
            changed["defects"] = self._still(piece["defects"], at)
        for name, column in changed.items():
            piece = piece.set_column(piece.schema.get_field_index(name), PRODUCT.field(name), column)
        return piece

    def _still(self, before: pa.ChunkedArray, at: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """What is wrong with rows once they are changed: what the delta brings, and what it does not mend."""
        brought = self._defects.take(at)
        if before.null_count == len(before):
            return brought
        found = []
        for old, new, place in zip(before.to_pylist(), brought.to_pylist(), at.to_pylist(), strict=True):
            kept = [c for c in old or () if place is None or not self._settled.get(c, self._others_settled)]
            found.append([*(new or ()), *(c for c in kept if c not in (new or ()))] or None)
        return pa.array(found, before.type)

    def _first(self, at: pa.Array) -> pa.BooleanArray | None:
        """Which rows are not a product's second; None where all are the first."""
        told = tables.bits(at.is_valid())
        places = np.frombuffer(at.buffers()[1], np.int32, len(at), 4 * at.offset)[told]
        again = self._seen[places]
        order = np.argsort(places, kind="stable")  # np.unique would import numpy.ma, 0.06 s
        again[order[1:][np.diff(places[order]) == 0]] = True
        self._seen[places] = True
        if not again.any():
            return None
        kept = np.ones(len(at), bool)
        kept[np.flatnonzero(told)[again]] = False
        return tables.flags(kept)

    def left(self) -> pa.Table:
        """The rows whose products were not there to be changed."""
        return self._rows.filter(tables.flags(~self._seen))


def _parted(delta: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows of a delta that only give one product other values, and the others."""
    ids = delta["product_id"]
    twice = ids.filter(pc.not_equal(pc.index_in(ids, value_set=ids), delta["row"]))
    others = pc.or_(delta["deleted"], pc.or_(_filled(delta["extra"]), pc.is_in(ids, value_set=twice)))
    plain = pc.and_(ids.is_valid(), pc.invert(others))
    return delta.filter(plain), delta.filter(pc.invert(plain))


def _says(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether any row has a value here."""
    return bool(pc.any(_filled(column)).as_py())


def _filled(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Where a column has a value, as flags; an empty list is none. (A number in a comparison would import pandas.)"""
    if pa.types.is_map(column.type):  # has no length to Arrow, as a list of pairs it has
        column = column.cast(PAIRS)
    if not pa.types.is_list(column.type):
        return column.is_valid()
    return pc.and_kleene(column.is_valid(), pc.list_value_length(column).cast(pa.bool_()))


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    row = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
    return batch.set_column(batch.schema.get_field_index("row"), "row", row)
