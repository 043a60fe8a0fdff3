"""Rows of a stranger's Parquet file: a footer is no proof of what follows, and few bytes may decode to very many.

Arrow's reader is C++ and knows types that run code, so it works in a limited child (`sandbox`), which is handed the
file and nothing else. What comes back is JSON: no bytes of a child are given to a decoder of the parent.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import pyarrow as pa

from pluribus.errors import FeedError
from pluribus.feeds import raws, streams
from pluribus.sandbox import HANDLE, Sandbox

CHILD = "pluribus.feeds.parquet:answer"
BATCH_ROWS = 500
ANSWER_BYTES = 2**28
CUSTOM = b"ARROW:extension:name"  # says of a column that its type is not one of Arrow's own


# -------------------------------------------------------------------------------------------------------- the parent


@contextmanager
def opened(open_bytes: Callable[[], IO[bytes]], most_names: int) -> Iterator["Asked"]:
    """The file, handed to a child. Raises FeedError for what is not sound and for what is beyond limits."""
    with tempfile.TemporaryFile() as file, open_bytes() as packed:
        shutil.copyfileobj(packed, file)
        file.flush()
        handle = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)  # the child shall not write
        try:
            options = {"most_names": most_names}
            with closing(Sandbox(CHILD, options, handle=handle, most_bytes=ANSWER_BYTES)) as child:
                yield Asked(child, file.tell())
        finally:
            os.close(handle)


class Asked:
    """A Parquet file that a child reads for us."""

    def __init__(self, child: Sandbox, size_bytes: int) -> None:
        self.child, self.size_bytes = child, size_bytes

    def names(self) -> list[str]:
        """The names of its columns."""
        return [str(name) for name in self._ask(b"names")["names"]]

    def rows(self, most_bytes: int) -> Iterator[dict[str, Any]]:
        """Its rows, flattened. Raises FeedError when too many bytes come out of it."""
        likely_bytes, decoded_bytes = max(streams.HARMLESS_BYTES, streams.RATIO * self.size_bytes), 0
        while rows := (said := self._ask(b"rows"))["rows"]:
            decoded_bytes += int(said["decoded_bytes"])
            if decoded_bytes > most_bytes:
                raise FeedError(f"the Parquet file holds more than {most_bytes:,} bytes", do="raise limits.feed_bytes")
            if decoded_bytes > likely_bytes:
                raise FeedError(f"the Parquet file unpacks to more than {streams.RATIO} times its size")
            yield from (row for row in rows if isinstance(row, dict))

    def _ask(self, question: bytes) -> dict[str, Any]:
        reply = self.child.call(question)
        if reply is None:
            raise FeedError("the Parquet file cannot be read within its limits", do="deliver it in smaller row groups")
        said: dict[str, Any] = json.loads(reply)
        if "refused" in said:
            raise FeedError(*said["refused"][:1], expected=said["refused"][1], do=said["refused"][2])
        return said


# --------------------------------------------------------------------------------------------------------- the child

_reading: dict[str, Any] = {}


def answer(question: bytes, *, most_names: int) -> bytes:
    """What the parent asks of the file: "names", or its next "rows". Nothing at all is a rehearsal."""
    try:
        if not question:
            said = _rehearsal()
        elif question == b"names":
            said = {"names": _opened(most_names).schema_arrow.names}
        else:
            said = next(_reading["rows"])
    except FeedError as error:
        said = {"refused": [error.came, error.expected, error.do]}
    except MemoryError:
        raise  # Arrow's is an ArrowException too; both end the child
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = {"refused": [f"the Parquet file is not sound: {error}", "", "deliver it again"]}
    return json.dumps(said).encode()


def _opened(most_names: int) -> Any:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(os.fdopen(HANDLE, "rb", closefd=False), buffer_size=2**20, pre_buffer=False)
    schema = file.schema_arrow
    if len(schema.names) > most_names:
        raise FeedError(f"the file has {len(schema.names):,} columns", expected=f"at most {most_names:,}")
    if any(_is_custom(column) for column in schema):
        raise FeedError("the Parquet file has extension types", expected="plain columns")
    _reading["rows"] = _batches(file, most_names)
    return file


def _is_custom(column: pa.Field) -> bool:
    """Whether it or a part of it has a type of somebody's own; this process knows none, so none can run."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) or CUSTOM in (column.metadata or {}):
        return True
    return any(_is_custom(kind.field(place)) for place in range(kind.num_fields))


def _batches(file: Any, most_names: int) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        batch.validate(full=True)
        columns = [_written_out(column) for column in batch.columns]
        rows = pa.record_batch(columns, batch.schema.names).to_pylist()
        flat = [raws.flat(row, most_names) for row in rows]
        yield {"rows": flat, "decoded_bytes": sum(column.nbytes for column in columns)}
    yield {"rows": []}


def _written_out(column: pa.Array) -> pa.Array:
    """A dictionary says in few bytes what takes many."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _rehearsal() -> dict[str, Any]:
    """Reads a small file of every common type: what is loaded on demand is loaded while files can be opened."""
    import io
    from datetime import UTC, datetime
    from decimal import Decimal

    import pyarrow.parquet as pq

    values = ["a", 1, 1.5, True, datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.50"), ["a"], {"a": 1}, b"a"]
    table = pa.table({f"c{n}": [value] for n, value in enumerate(values)})
    for compression in ("snappy", "zstd", "gzip", "lz4", "brotli"):
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression=compression)
        said = next(_batches(pq.ParquetFile(buffer), len(values)))
    return said
