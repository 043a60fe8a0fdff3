"""Rows before any meaning: columns of text under the names that the shop gave them.

A value is text or nothing. Several values of one name are lines; what JSON nests has dotted names ("price.amount"),
and a list of objects stays JSON text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pluribus.errors import FeedError

BATCH_ROWS = 20_000
BATCH_CHARS = 1 << 25
BATCH_CELLS = 4_000_000  # of items with many names
NAME_CHARS, DEPTH = 1_000, 64  # of what is nested: a name of 1 MB above 200,000 values makes 200 GB of dotted names

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Raw:
    """Some consecutive rows: columns by source name, null or "" where there is nothing.

    `broken`: rows that could not be read, or not well, by position: (defect, text).
    """

    columns: dict[str, pa.Array]
    rows: int
    broken: dict[int, tuple[str, str]] = field(default_factory=dict)


def of_items(items: Iterable[dict[str, Any] | str], broken: str, most_names: int) -> Iterator[Raw]:
    """Items in bounded batches; one that is text could not be read, and its defect is `broken`.

    Raises FeedError for an item of more than `most_names` values.
    """
    batch: list[dict[str, str] | str] = []
    names: set[str] = set()
    chars = 0
    for item in items:
        values = {"": item} if isinstance(item, str) else flat(item, most_names)
        batch.append(item if isinstance(item, str) else values)
        names |= values.keys()
        chars += sum(map(len, values.values()))
        if len(batch) >= BATCH_ROWS or len(batch) * len(names) >= BATCH_CELLS or chars >= BATCH_CHARS:
            yield _sparse(batch, broken)
            batch, names, chars = [], set(), 0
    if batch:
        yield _sparse(batch, broken)


def of_records(names: Sequence[str], records: Sequence[list[str] | str], broken: str) -> Raw:
    """Records as wide as `names`; one that is text could not be split."""
    texts = {i: (broken, record) for i, record in enumerate(records) if isinstance(record, str)}
    blank = [""] * len(names)
    columns = zip(*(blank if isinstance(record, str) else record for record in records), strict=True)
    return _checked(dict(zip(names, columns, strict=True)), len(records), texts)


def rows_of(raw: Raw) -> Iterator[dict[str, str] | str]:
    """The rows one by one: values by name, or the text of a broken one."""
    columns = [column.to_pylist() for column in raw.columns.values()]
    for i, row in enumerate(zip(*columns, strict=True)):
        yield raw.broken[i][1] if i in raw.broken else dict(zip(raw.columns, row, strict=True))


def flat(item: Mapping[str, Any], most_names: int) -> dict[str, str]:
    """An item's values as text by dotted name; what is null or empty is left out. Raises FeedError beyond bounds."""
    values: dict[str, str] = {}
    try:
        for name, value in _leaves(item, "", DEPTH):
            if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
                values[name] = json.dumps(value, ensure_ascii=False, default=str)
            elif isinstance(value, list):
                values[name] = "\n".join(_plain(part).replace("\n", " ") for part in value if part is not None)
            else:
                values[name] = _plain(value)
            if len(values) > most_names:
                raise FeedError(f"an item has more than {most_names:,} names", do="raise limits.columns")
    except RecursionError as error:
        raise FeedError("an item is nested too deeply", expected="plain products") from error
    return values


def _leaves(item: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The values that are no mappings, under their dotted names."""
    if not depth:
        raise FeedError("an item is nested too deeply", expected=f"at most {DEPTH} levels")
    for key, value in item.items():
        name = f"{prefix}{key}"
        if len(name) > NAME_CHARS:
            raise FeedError(f"a name has {len(name):,} characters", expected=f"at most {NAME_CHARS:,}")
        if isinstance(value, dict):
            yield from _leaves(value, f"{name}.", depth - 1)
        elif value is not None and value != "":
            yield name, value


def mended(text: str) -> str:
    """`text` with U+FFFD for what is no character."""
    return _SURROGATES.sub("\ufffd", text)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sparse(batch: Sequence[dict[str, str] | str], broken: str) -> Raw:
    columns: dict[str, list[str | None]] = {}
    for i, item in enumerate(batch):
        for name, value in item.items() if isinstance(item, dict) else ():
            if name not in columns:
                columns[name] = [None] * len(batch)
            columns[name][i] = value
    texts = {i: (broken, item) for i, item in enumerate(batch) if isinstance(item, str)}
    return _checked(columns, len(batch), texts)


def _checked(columns: Mapping[str, Sequence[str | None]], rows: int, broken: dict[int, tuple[str, str]]) -> Raw:
    """Columns as Arrow text; rows with bytes or escapes that are no characters are broken too ("ENC")."""
    arrays: dict[str, pa.Array] = {}
    for name, column in columns.items():
        try:
            array = pa.array(column, pa.string())
        except UnicodeEncodeError:
            broken |= {i: ("ENC", v) for i, v in enumerate(column) if v and _SURROGATES.search(v) and i not in broken}
            array = pa.array([value and mended(value) for value in column], pa.string())
        arrays[mended(name)] = array
    return Raw(arrays, rows, {i: (code, mended(text)) for i, (code, text) in broken.items()})
