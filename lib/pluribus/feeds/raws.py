"""Rows before any meaning: columns of text under the names that the shop gave them. Imports nothing of ours.

A value is text or nothing. Several values of one name are lines; what JSON nests has dotted names ("price.amount"),
and a list of objects stays JSON text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

BATCH_ROWS = 20_000
BATCH_CHARS = 1 << 25
BATCH_CELLS = 4_000_000  # of items with many names

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Raw:
    """Some consecutive rows: columns by source name, null or "" where there is nothing.

    `broken`: rows that could not be read, or not well, by position: (defect, text).
    """

    columns: dict[str, pa.Array]
    rows: int
    broken: dict[int, tuple[str, str]] = field(default_factory=dict)


def of_items(items: Iterable[dict[str, Any] | str], broken: str) -> Iterator[Raw]:
    """Items in bounded batches; one that is text could not be read, and its defect is `broken`."""
    batch: list[dict[str, str] | str] = []
    names: set[str] = set()
    chars = 0
    for item in items:
        values = {"": item} if isinstance(item, str) else flat(item)
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


def flat(item: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """An item's values as text by dotted name; what is null or empty is left out."""
    values: dict[str, str] = {}
    for key, value in item.items():
        name = f"{prefix}{key}"
        if isinstance(value, str):
            if value:
                values[name] = value
        elif isinstance(value, dict):
            values |= flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
            values[name] = json.dumps(value, ensure_ascii=False, default=str)
        elif isinstance(value, list):
            values[name] = "\n".join(_plain(part).replace("\n", " ") for part in value if part is not None)
        elif value is not None:
            values[name] = _plain(value)
    return values


def mended(text: str) -> str:
    """`text` with U+FFFD for what is no character."""
    return _SURROGATES.sub("\ufffd", text)


def _plain(value: Any) -> str:
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
