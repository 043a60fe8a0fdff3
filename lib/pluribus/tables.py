"""Tables: Arrow or our own Parquet in, Arrow out, DuckDB between. The only owner of duckdb.

DuckDB never opens a tenant's file and never sees a name that a tenant chose: queries run over Arrow tables and Parquet
files that we wrote, whose column names are ours (`records`). A connection may read exactly the files it was given, and
is locked against all others, extensions and configuration.

Starting a DuckDB costs 20 CPU-ms, more than most queries over a small shop, and a refresh asks twenty. So small tables
are read by Arrow and asked in one DuckDB of the process, which may open no file at all; large ones get their own.

(pyarrow.dataset, the other way to query files, imports pandas: 1.2 CPU-s in every process.)
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from pluribus.errors import ReleaseError, check_owner

if TYPE_CHECKING:
    from pluribus.store import Store

#: DuckDB spills beyond it, and takes what it may before. What cannot be spilled (a list of each group) is asked again
#: with more. Arrow buffers come on top. Each thread wants memory: with four, sorting six million rows failed at 256 MB;
#: one has enough of 96 MB (a million rows in the same CPU time, six million in half as much again).
MEMORY_LIMITS = ("112MB", "4GB")
BATCH_ROWS = 20_000
MAPPED = b"ARROW1"  # how an Arrow file begins
SMALL_BYTES = 2 * 2**20  # of all tables of a query together, Parquet as it lies on disk


def query(sql: str, parameters: dict[str, Any] | None = None, **tables: Any) -> pa.Table:
    """The whole answer to `sql` over `tables`, named as in the SQL: Arrow tables, or paths of Parquet files we wrote.

    `$name` in the SQL takes `parameters`. Of a file only the columns and rows that are needed are read.
    """
    for limit, last in zip(MEMORY_LIMITS, (False, True), strict=True):
        with _connection(tables, limit) as connection:
            try:
                return connection.sql(sql, params=parameters or {}).to_arrow_table()
            except _too_little():
                if last:
                    raise
    raise AssertionError


def stream(sql: str, parameters: dict[str, Any] | None = None, **tables: Any) -> Iterator[pa.RecordBatch]:
    """The answer to `sql` batch by batch: for tables larger than memory."""
    for limit, last in zip(MEMORY_LIMITS, (False, True), strict=True):
        n_given = 0
        with _connection(tables, limit) as connection:
            try:
                for batch in connection.sql(sql, params=parameters or {}).to_arrow_reader(BATCH_ROWS):
                    n_given += 1
                    yield batch
                return
            except _too_little():
                if n_given or last:
                    raise


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file in memory."""
    with pq.ParquetFile(path) as file:
        return file.read(columns)


def whole(path: Path) -> pa.Table:
    """A Parquet file in memory, each column in one piece, and never more than one column twice."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        return pa.table([one_piece(file.read([name])[name]) for name in names], schema=file.schema_arrow)


def unpacked(path: Path, columns: list[str]) -> pa.Table:
    """Columns of a Parquet file, outside of memory (`scratch`)."""
    with pq.ParquetFile(path) as file:
        schema = pa.schema([field for field in file.schema_arrow if field.name in columns])
    return scratch(batches(path, BATCH_ROWS, schema.names), schema)


def scratch(pieces: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Rows to work with, outside of memory: mapped from a file, so that the kernel may drop what is not touched.

    Written in half the time of Parquet, read in none. The file has no name any more and goes with the table.
    """
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        there = str(Path(folder) / "rows.arrow")
        with pa.OSFile(there, "wb") as sink, ipc.new_file(sink, schema) as writer:
            for batch in pieces:
                writer.write_batch(batch.select(schema.names).cast(schema))
        return ipc.open_file(pa.memory_map(there)).read_all()


def one_piece(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; not copied where it is one (Arrow's `combine_chunks` copies it)."""
    if not column.num_chunks:  # of which it would make an array by way of pandas
        return pa.nulls(0, column.type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def batches(path: Path, n_rows: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A Parquet file piece by piece; mapped, since buffers for its pages cost more than decoding them."""
    with pq.ParquetFile(path, memory_map=True) as file:
        yield from file.iter_batches(n_rows, columns=columns)


def local(store: "Store", key: str) -> Path:
    """A table's file of a store, once it names the store's shop. Raises Missing, and ReleaseError."""
    path = store.local(key)
    try:
        said = ipc.open_file(pa.memory_map(str(path))).schema if is_mapped(path) else pq.read_metadata(path)
        found = (said.metadata or {}).get(b"shop", b"").decode("utf-8", "replace")
    except (pa.ArrowInvalid, OSError) as error:
        raise ReleaseError(f"{store.url}/{key} is damaged: {error}", do="refresh the shop anew") from error
    check_owner(f"{store.url}/{key}", found, store.owner)
    return path


#: Columns that say something else in nearly every row: a dictionary of them takes a quarter longer, and more room.
DISTINCT = frozenset({"row", "product_id", "title", "link", "images", "pictures", "ref", "content", "picture"})

#: Columns that rows are sought by: least and greatest values are kept of these only, a seventh of what writing costs.
SOUGHT = ["row", "product_id"]

#: For vectors: no two are alike, and trying to pack them takes ten times as long as writing them, for a tenth less.
UNPACKED: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}


def write(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    owner: str = "",
    *,
    packing: Mapping[str, Any] | None = None,
) -> int:
    """Write batches as one Parquet file, which says whose it is; returns how many rows there were.

    Packed to be kept, unless `packing` is UNPACKED.
    """
    n_rows = 0
    said = schema.with_metadata({"shop": owner}) if owner else schema
    kept = {"compression": "zstd", "use_dictionary": _repeated(said), "write_statistics": SOUGHT}
    with pq.ParquetWriter(path, said, **(packing or kept)) as writer:
        for batch in batches:
            n_rows += batch.num_rows
            writer.write_table(pa.Table.from_batches([batch]).cast(said), row_group_size=BATCH_ROWS)
    return n_rows


def _repeated(schema: pa.Schema) -> list[str]:
    """The columns worth a dictionary, as Parquet calls them."""
    inside = {"list": (".list.element",), "map": (".key_value.key", ".key_value.value")}
    return [
        name + end
        for name, kind in zip(schema.names, schema.types, strict=True)
        if name not in DISTINCT
        for end in inside.get(str(kind).partition("<")[0], ("",))
    ]


def flags(there: np.ndarray) -> pa.Array:
    """A column of what is true [n] bool; `pa.array` would import pandas for it, a quarter of a CPU-second."""
    packed = np.packbits(there, bitorder="little").tobytes()
    return pa.Array.from_buffers(pa.bool_(), len(there), [None, pa.py_buffer(packed)])


def bits(column: pa.BooleanArray) -> np.ndarray:
    """The same back [n] bool, of a column without nulls."""
    packed = np.frombuffer(column.buffers()[1], np.uint8)
    return np.unpackbits(packed, count=column.offset + len(column), bitorder="little")[column.offset :].astype(bool)


def empty(schema: pa.Schema) -> pa.Table:
    """A table without rows: `schema.empty_table` would import pandas."""
    return pa.Table.from_batches([], schema)


def keep(store: "Store", prefix: str, table: pa.Table, *, packing: Mapping[str, Any] | None = None) -> tuple[str, int]:
    """Put a table into a store as one more Parquet file, named by its bytes; returns its key and its size in bytes."""
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        path = Path(folder) / "part.parquet"
        write(path, table.to_batches(), table.schema, store.owner, packing=packing)
        with path.open("rb") as file:
            key = f"{prefix}{hashlib.file_digest(file, 'sha256').hexdigest()}.parquet"
        store.create(key, path, given=True)
        return key, path.stat().st_size


def write_mapped(path: Path, batch: pa.RecordBatch, owner: str = "") -> None:
    """Write a batch as a file that `mapped` opens, which says whose it is. What the batch maps is never held twice."""
    said = batch.schema.with_metadata({"shop": owner}) if owner else batch.schema
    with pa.OSFile(str(path), "wb") as sink, ipc.new_file(sink, said) as writer:
        writer.write_batch(batch.replace_schema_metadata(said.metadata))


def mapped(path: Path) -> pa.RecordBatch:
    """The batch of a file by `write_mapped`: a page is read when it is touched, and may be dropped again by the kernel.

    Raises ReleaseError when it is none.
    """
    try:
        batch = ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        batch.validate()
    except (pa.ArrowInvalid, OSError, IndexError) as error:
        raise ReleaseError(f"{path.name} is damaged: {error}", do="roll back, or refresh the shop anew") from error
    return batch


def is_mapped(path: Path) -> bool:
    """Whether a file is by `write_mapped`; else it is Parquet. (A cached download has no ending to tell by.)"""
    with path.open("rb") as file:
        return file.read(len(MAPPED)) == MAPPED


@contextmanager
def _connection(tables: dict[str, Any], limit: str) -> Iterator[Any]:
    sizes = [table.stat().st_size if isinstance(table, Path) else table.nbytes for table in tables.values()]
    if sum(sizes) <= SMALL_BYTES:
        with _shared(os.getpid()).cursor() as connection:  # names registered on a cursor are its own
            for name, table in tables.items():
                connection.register(name, read(table) if isinstance(table, Path) else table)
            yield connection
        return
    import duckdb

    with tempfile.TemporaryDirectory(prefix="pluribus-") as spill, duckdb.connect() as connection:
        connection.execute(f"set temp_directory = '{spill}'")
        files = {name: str(table) for name, table in tables.items() if isinstance(table, Path)}
        connection.execute("set allowed_paths = $paths", {"paths": list(files.values())})
        for name, table in tables.items():
            if name in files:
                connection.read_parquet(files[name]).create_view(name)
            else:
                connection.register(name, table)
        yield _locked(connection, limit)


@cache
def _shared(pid: int) -> Any:
    """The DuckDB of small queries; of this process, since threads do not survive a fork."""
    import duckdb

    return _locked(duckdb.connect(), MEMORY_LIMITS[-1])


def _too_little() -> type[Exception]:
    """What DuckDB raises when its memory does not suffice."""
    import duckdb

    return duckdb.OutOfMemoryException


def _locked(connection: Any, limit: str) -> Any:
    connection.execute(f"set memory_limit = '{limit}'")
    connection.execute("set threads = 1")
    connection.execute("set python_enable_replacements = false")
    connection.execute("set preserve_insertion_order = true")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection
