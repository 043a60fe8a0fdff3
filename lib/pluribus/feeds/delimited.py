"""CSV and its relatives, read so that no row is lost.

Shops write CSV with unescaped quotes, with a quote that never closes, with line breaks inside fields, in the wrong
encoding. Fast readers answer such rows with silence: DuckDB and pyarrow take an unterminated quote and everything up
to the next one as a single value. So pyarrow reads here only what is proven clean, a block at a time (eight times
faster); from the first doubtful block on, Python's strict `csv` reads, and where that objects, the lines it had taken
are gone through again one by one. Every physical line ends up in exactly one record.
"""

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from pluribus.errors import FeedError
from pluribus.feeds import fields, raws

#: A record, or the text of one that could not be split into the header's columns.
Record = list[str] | str

DELIMITERS = (",", ";", "\t", "|")
LINE_CHARS = 1 << 24
BLOCK_BYTES = 1 << 23
SAMPLE_CHARS = 1 << 18
MEND_LINES = 200  # how far the end of a record that went wrong is looked for
RECORD_LINES = 20_000  # `x","` on every line is one record without end
#: Lines that may be gone through again, and so many more per line of the file: `x","` on every line would otherwise
#: take time quadratic in the file.
EFFORT_LINES, EFFORT = 200_000, 40


@dataclass(frozen=True)
class Dialect:
    """How a file separates its fields; `skip` lines ("sep=;") come before the header."""

    delimiter: str
    escape: str | None = None
    skip: int = 0


# ---------------------------------------------------------------------------------------------------------- dialect


def sniff(text: IO[str], delimiter: str = "", width: int = 0) -> Dialect:
    """The dialect that makes the best table of the beginning of `text`: most rows are as wide as the header (or
    `width`), and most names in the header are known. Raises FeedError when none makes a table of it.
    """
    sample = text.read(SAMPLE_CHARS)
    if len(sample) == SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    skip, said = _preamble(sample)
    sample = "".join(sample.splitlines(keepends=True)[skip:]) if skip else sample
    found = []
    for mark in [delimiter or said] if delimiter or said else DELIMITERS:
        for escape in (None, "\\") if '\\"' in sample else (None,):
            dialect = Dialect(mark, escape, skip)
            names = [] if width else _first(Lines(io.StringIO(sample)), dialect)
            share = _share(sample, dialect, width or len(names), headed=not width)
            known = sum(map(fields.is_known, names))
            score = (share >= 0.5, known, share >= 0.9, len(names), share, escape is None)
            if len(names) > 1 or width or delimiter:
                found.append((score, dialect))
    best = max(found, key=lambda candidate: candidate[0], default=None)
    if best is None or not (delimiter or best[0][0] or best[0][1] > 1):
        raise FeedError("the text is no table", expected="columns separated by , ; | or tab", do="set delimiter")
    return best[1]


def _preamble(sample: str) -> tuple[int, str]:
    """How many lines come before the header, and the delimiter that they tell: Excel's "sep=;", Facebook's remarks."""
    said = re.match(r'"?sep=(.)"?\r?\n', sample, re.IGNORECASE)
    remarks = re.match(r'("?# ?(Required|Optional).*\n)*', sample[said.end() :] if said else sample)
    return bool(said) + (remarks[0].count("\n") if remarks else 0), said[1] if said else ""


def _share(sample: str, dialect: Dialect, width: int, *, headed: bool) -> float:
    """Share of the rows that have `width` fields."""
    records = list(_records(Lines(io.StringIO(sample)), dialect, width))[headed:]
    return sum(isinstance(record, list) for record in records) / len(records) if records else float(headed)


def header_of(text: IO[str], dialect: Dialect) -> tuple[list[str], int]:
    """The names in the first record, as they are, and how many characters the header and what precedes it take."""
    lines = Lines(text)
    passed = sum(len(text.readline(LINE_CHARS)) for _ in range(dialect.skip))
    names = _first(lines, dialect)
    return names, passed + lines.chars - sum(map(len, lines.returned))


def _first(lines: "Lines", dialect: Dialect) -> list[str]:
    try:
        names = next((record for record in _strict(lines, dialect) if any(record)), [])
    except csv.Error:
        names = _tolerant(lines.take_back(1).rstrip("\r\n"), dialect)[0]
    lines.taken.clear()
    return names


# ------------------------------------------------------------------------------------------------------------ tables


def tables(
    open_bytes: Callable[[], IO[bytes]], encoding: str, dialect: Dialect, header: Sequence[str], passed: int
) -> Iterator[pa.Table | list[Record]]:
    """Records as wide as `header`, after `passed` characters, in bounded batches: columns of text, or records.

    A record that cannot be split comes as its text, with bytes that are no characters as lone surrogates. Empty
    fields beyond the header are cut, blank records left out. Raises FeedError for a line longer than LINE_CHARS.
    """
    with open_bytes() as file:
        text = io.TextIOWrapper(file, encoding, "surrogateescape", newline="")
        skipped = text.read(passed)
        if encoding not in ("utf-8", "utf-8-sig") or dialect.escape:
            yield from _batches(Lines(text), dialect, len(header))
            return
    mark = codecs.BOM_UTF8 if encoding == "utf-8-sig" else b""
    with open_bytes() as file:
        marked = file.read(len(mark)) == mark
    with open_bytes() as file:
        file.read(len(skipped.encode("utf-8", "surrogateescape")) + marked * len(mark))
        rest = yield from _clean_blocks(file, dialect.delimiter, header)
        left = io.BufferedReader(_Chained(rest, file))  # type: ignore[type-var]
        yield from _batches(Lines(io.TextIOWrapper(left, "utf-8", "surrogateescape", newline="")), dialect, len(header))


def _batches(lines: "Lines", dialect: Dialect, width: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in _records(lines, dialect, width):
        batch.append(record)
        if len(batch) >= raws.BATCH_ROWS or lines.chars >= raws.BATCH_CHARS:
            yield batch
            batch, lines.chars = [], 0
    if batch:
        yield batch


class _Chained(io.RawIOBase):
    """Bytes already read, then the stream they came from."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        super().__init__()
        self.head, self.stream = io.BytesIO(head), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self.head.read(len(buffer)) or self.stream.read(len(buffer)) or b""
        buffer[: len(data)] = data
        return len(data)


def _clean_blocks(stream: IO[bytes], delimiter: str, header: Sequence[str]) -> Generator[pa.Table, None, bytes]:
    """Tables of the blocks before the first doubtful one; returns the bytes read from there on."""
    rest = b""
    while True:
        data = stream.read(BLOCK_BYTES) or b""
        block, rest = rest + data, b""
        if not block:
            return b""
        cut = _clean_until(block, delimiter, last=not data)
        table = _parsed(block[:cut], delimiter, header) if cut else None
        if table is None:
            return block
        yield from (table.slice(start, raws.BATCH_ROWS) for start in range(0, table.num_rows, raws.BATCH_ROWS))
        rest = block[cut:]


def _clean_until(block: bytes, delimiter: str, *, last: bool) -> int:
    """Where the last whole record of a block ends; 0 if any quote in it is not in its place.

    In strict CSV, of all quotes counted from a record's start, each odd one opens a field (or is the second of a
    doubled quote), and each even one closes it (or is the first of a doubled one).
    """
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    end = len(block)
    if not last:
        newlines = np.flatnonzero(data == ord("\n"))
        whole = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        end = int(whole[-1]) + 1 if len(whole) else 0
    quotes = quotes[quotes < end]
    opening, closing = quotes[::2], quotes[1::2]
    before, after = data[opening[opening > 0] - 1], data[closing[closing < end - 1] + 1]
    edges = [ord(c) for c in (delimiter, "\n", "\r", '"')]
    sound = len(quotes) % 2 == 0 and np.isin(before, edges).all() and np.isin(after, edges).all()
    return end if sound else 0


def _parsed(block: bytes, delimiter: str, header: Sequence[str]) -> pa.Table | None:
    """The records of a block, or None when one of them has not the header's width or is not UTF-8."""
    if not block.strip(b"\r\n"):
        return pa.table({name: pa.array([], pa.string()) for name in header})
    try:
        table = pacsv.read_csv(
            io.BytesIO(block),
            read_options=pacsv.ReadOptions(column_names=header, use_threads=False, block_size=len(block) + 1),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if any(_may_swallow(column, delimiter, len(header)) for column in table.columns):
        return None
    blank = pc.equal(pc.utf8_trim_whitespace(table[0]), "")
    if pc.any(blank).as_py():
        for column in table.columns[1:]:
            blank = pc.and_(blank, pc.equal(pc.utf8_trim_whitespace(column), ""))
        table = table.filter(pc.invert(blank))
    return table.combine_chunks()


def _may_swallow(column: pa.ChunkedArray, delimiter: str, width: int) -> bool:
    """Whether a value holds a line that could be a record by itself."""
    long = pc.greater(pc.count_substring(column, "\n"), 1)
    if not pc.any(long).as_py():
        return False
    long = pc.and_(long, pc.greater_equal(pc.count_substring(column, delimiter), width - 1))
    values = column.filter(long).to_pylist()
    return any(line.count(delimiter) >= width - 1 for value in values for line in value.split("\n")[1:-1])


# ----------------------------------------------------------------------------------------------------------- records


class Lines:
    """Physical lines that can be given back: `taken` are those of the record under way."""

    def __init__(self, text: IO[str]) -> None:
        self.text, self.chars, self.read, self.effort = text, 0, 0, 0
        self.taken: list[str] = []
        self.returned: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        returned = self.returned
        while line := returned.popleft() if returned else self._next():
            if len(line) == LINE_CHARS:
                raise FeedError(f"a line is longer than {LINE_CHARS:,} characters", expected="one product per line")
            self.chars += len(line)
            self.taken.append(line)
            if len(self.taken) > RECORD_LINES:
                raise csv.Error("a record without end")
            yield line

    def _next(self) -> str:
        self.read += 1
        return self.text.readline(LINE_CHARS)

    def spend(self, lines: int) -> None:
        """Notes that so many lines are gone through again. Raises FeedError when that takes the upper hand."""
        self.effort += lines
        if self.effort > EFFORT_LINES + EFFORT * self.read:
            raise FeedError("the quotes of this table cannot be made sense of", expected='"" for a quote inside quotes')

    def take_back(self, keep: int) -> str:
        """Gives back all but the first `keep` lines of the record under way; returns the text of those kept."""
        self.spend(len(self.taken))
        text = "".join(self.taken[:keep])
        self.returned.extendleft(reversed(self.taken[keep:]))
        self.taken.clear()
        return text


def _records(lines: Lines, dialect: Dialect, width: int) -> Iterator[Record]:
    going = True
    while going:
        sound = True
        try:
            for record in _strict(lines, dialect):
                blank = not any(record) or not (record[0].strip() or "".join(record).strip())
                fits = len(record) == width or (len(record) > width and not any(record[width:])) or blank
                if not fits or (len(lines.taken) > 2 and _swallowed(lines.taken, dialect, width)):
                    break
                lines.taken.clear()
                if not blank:
                    yield record[:width]
            else:
                going = False
        except csv.Error:
            sound = False
        if lines.taken:
            going = True
            if sound and not _swallowed(lines.taken, dialect, width):
                yield lines.take_back(len(lines.taken))
            else:
                yield _mend(lines, dialect, width)


def _strict(lines: Lines, dialect: Dialect) -> Iterator[list[str]]:
    csv.field_size_limit(LINE_CHARS)  # Python's default of 128 KiB would refuse long descriptions
    return csv.reader(
        iter(lines), delimiter=dialect.delimiter, escapechar=dialect.escape, skipinitialspace=True, strict=True
    )


def _swallowed(taken: list[str], dialect: Dialect, width: int) -> bool:
    """Whether a record over several lines is rather a quote never closed: its first and an inner line are rows."""

    def is_row(line: str) -> bool:
        return line.count(dialect.delimiter) >= width - 1 and len(_tolerant(line.rstrip("\r\n"), dialect)[0]) == width

    return len(taken) > 2 and is_row(taken[0]) and any(map(is_row, taken[1:-1]))


def _mend(lines: Lines, dialect: Dialect, width: int) -> Record:
    """The fewest lines that make `width` fields when stray quotes count as text; else the first line's text."""
    for end in range(1, min(len(lines.taken), MEND_LINES) + 1):
        lines.spend(end)
        fields, closed = _tolerant("".join(lines.taken[:end]).rstrip("\r\n"), dialect)
        if (closed or end == 1) and len(fields) >= width and not any(fields[width:]):
            lines.take_back(end)
            return fields[:width]
    return lines.take_back(1)


def _tolerant(text: str, dialect: Dialect) -> tuple[list[str], bool]:
    """Fields of one record where a quote closes only before a delimiter or the end, and whether all did close.

    From a quote that never closes on, everything is taken literally.
    """
    fields: list[str] = []
    parts = text.split(dialect.delimiter)
    start = 0
    while start < len(parts):
        first = parts[start].lstrip(" ")
        if not first.startswith('"'):
            fields.append(first)
            start += 1
            continue
        if _closes(first[1:], dialect):
            end = start + 1
        else:
            end = next((i + 1 for i in range(start + 1, len(parts)) if _closes(parts[i], dialect)), 0)
        if not end:
            return fields + parts[start:], False
        whole = dialect.delimiter.join([first, *parts[start + 1 : end]]).rstrip(" ")
        field = whole[1:-1].replace('""', '"')
        fields.append(field.replace(dialect.escape + '"', '"') if dialect.escape else field)
        start = end
    return fields, True


def _closes(part: str, dialect: Dialect) -> bool:
    """Whether the text ends in a quote that is not an escaped one."""
    part = part.rstrip(" ")
    body = part.rstrip('"')
    return (len(part) - len(body)) % 2 == 1 and not (dialect.escape and body.endswith(dialect.escape))
