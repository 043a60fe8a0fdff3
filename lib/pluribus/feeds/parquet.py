"""Rows of a stranger's Parquet file: a footer is no proof of what follows, and few bytes may decode to very many."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa

from pluribus.errors import FeedError

BATCH_ROWS = 1_000


@contextmanager
def opened(open_bytes: Callable[[], IO[bytes]]) -> Iterator[Any]:
    """The file as a `pyarrow.parquet.ParquetFile`, through a temporary file, since packed bytes cannot be sought in.

    Raises FeedError, also for what goes wrong while it is read, and for extension types: they can carry code.
    """
    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as file, open_bytes() as packed:
        shutil.copyfileobj(packed, file)
        try:
            parquet = pq.ParquetFile(file)
            if any(isinstance(column.type, pa.BaseExtensionType) for column in parquet.schema_arrow):
                raise FeedError("the Parquet file has extension types", expected="plain columns")
            yield parquet
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FeedError(f"the Parquet file is not sound: {error}", do="deliver it again") from error


def rows(parquet: Any, most_bytes: int) -> Iterator[dict[str, Any]]:
    """The rows as Python values. Raises FeedError when more than `most_bytes` have been decoded."""
    decoded_bytes = 0
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        batch.validate(full=True)
        columns = [_written_out(column) for column in batch.columns]
        decoded_bytes += sum(column.nbytes for column in columns)
        if decoded_bytes > most_bytes:
            raise FeedError(f"the Parquet file holds more than {most_bytes:,} bytes", do="raise limits.feed_bytes")
        yield from pa.record_batch(columns, batch.schema.names).to_pylist()


def _written_out(column: pa.Array) -> pa.Array:
    """A dictionary says in few bytes what takes many."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
