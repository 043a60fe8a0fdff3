"""CSV and its relatives, read so that no row is lost.

Shops write CSV with unescaped quotes, with a quote that never closes, with line breaks inside fields, in the wrong
encoding. Fast readers answer such rows with silence: DuckDB and pyarrow take an unterminated quote and everything up
to the next one as a single value. Here every physical line ends up in exactly one record: well-formed records come
from Python's strict `csv`, and where it objects, the lines it had taken are gone through again one by one.
"""

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from pluribus.errors import FeedError

#: A record, or the text of one that could not be split into the header's columns.
Record = list[str] | str

DELIMITERS = (",", ";", "\t", "|")
LINE_CHARS = 1 << 24
BATCH_ROWS = 20_000
BATCH_CHARS = 1 << 25
MEND_LINES = 200  # how far the end of a record that went wrong is looked for
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Dialect:
    """How a file separates its fields; `skip` lines ("sep=;") come before the header."""

    delimiter: str
    escape: str | None = None
    skip: int = 0


# --------------------------------------------------------------------------------------------------------- encoding


def encoding_of(stream: IO[bytes]) -> str:
    """The encoding of a text: its byte order mark, else UTF-8 if it is mostly that, else a legacy guess.

    Reads the whole stream: a Latin-1 feed may show its first umlaut after megabytes of ASCII. A file of UTF-8 with
    some bad bytes stays UTF-8, so that only those rows suffer.
    """
    chunk = stream.read(1 << 20) or b""
    for mark, name in BOMS.items():
        if chunk.startswith(mark):
            return name
    if 0 in chunk[:2]:
        return "utf-16-be" if chunk[0] == 0 else "utf-16-le"
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good, bad, odd = 0, 0, b""
    while chunk:
        text = decoder.decode(chunk)
        if not text.isascii():
            wrong = len(re.findall("[\udc80-\udcff]", text))
            bad += wrong
            good += len(re.findall("[^\x00-\x7f]", text)) - wrong
            odd += chunk if wrong and len(odd) < 1 << 20 else b""
        chunk = stream.read(1 << 20) or b""
    return "utf-8" if good >= bad else _legacy(odd)


def _legacy(sample: bytes) -> str:
    """Windows-1252, unless so many letters lie beyond ASCII that another script is likelier."""
    beyond = sum(byte > 127 for byte in sample)
    if beyond * 4 < sum(byte > 127 or chr(byte).isalpha() for byte in sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample[: 1 << 17]).best()
    return best.encoding if best else "cp1252"


# ---------------------------------------------------------------------------------------------------------- dialect


def sniff(sample: str, delimiter: str = "", width: int = 0) -> Dialect:
    """The dialect that reads most of `sample` as records as wide as the first one (or `width`).

    Raises FeedError when no delimiter makes a table of it.
    """
    preamble = re.match(r'"?sep=(.)"?\r?\n', sample, re.IGNORECASE)
    skip, delimiter = (1, delimiter or preamble[1]) if preamble else (0, delimiter)
    sample = sample[preamble.end() :] if preamble else sample
    found = []
    for candidate in [delimiter] if delimiter else DELIMITERS:
        for escape in (None, "\\"):
            dialect = Dialect(candidate, escape, skip)
            columns = width or len(_first(Lines(io.StringIO(sample)), dialect))
            records = list(_records(Lines(io.StringIO(sample)), dialect, columns)) if columns > 1 or delimiter else []
            if records:
                share = sum(not isinstance(record, str) for record in records) / len(records)
                found.append((share >= 0.5, columns if share >= 0.9 else 0, share, escape is None, dialect))
    best = max(found, key=lambda score: score[:4], default=None)
    if best is None or not (best[0] or delimiter):
        raise FeedError("the text is no table", expected="columns separated by , ; | or tab", do="set feed.delimiter")
    return best[4]


def header_of(lines: "Lines", dialect: Dialect) -> list[str]:
    """The names in the first record, as they are; the preamble before it is passed over."""
    for _ in range(dialect.skip):
        next(iter(lines), None)
    lines.taken.clear()
    return _first(lines, dialect)


def _first(lines: "Lines", dialect: Dialect) -> list[str]:
    try:
        names: list[str] = next((record for record in _strict(lines, dialect) if any(record)), [])
    except csv.Error:
        names = _tolerant(lines.take_back(1).rstrip("\r\n"), dialect)[0]
    lines.taken.clear()
    return names


# ---------------------------------------------------------------------------------------------------------- records


class Lines:
    """Physical lines that can be given back: `taken` are those of the record under way."""

    def __init__(self, text: IO[str]) -> None:
        self.text, self.chars = text, 0
        self.taken: list[str] = []
        self.returned: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        readline, returned = self.text.readline, self.returned
        while line := returned.popleft() if returned else readline(LINE_CHARS):
            if len(line) == LINE_CHARS:
                raise FeedError(f"a line is longer than {LINE_CHARS:,} characters", expected="one product per line")
            self.chars += len(line)
            self.taken.append(line)
            yield line

    def take_back(self, keep: int) -> str:
        """Gives back all but the first `keep` lines of the record under way; returns the text of those kept."""
        text = "".join(self.taken[:keep])
        self.returned.extendleft(reversed(self.taken[keep:]))
        self.taken.clear()
        return text


def batches(lines: Lines, dialect: Dialect, width: int) -> Iterator[list[Record]]:
    """Records of `width` fields in their order, in lists of bounded rows and characters.

    A record that cannot be split into `width` fields comes as its text. Empty fields beyond `width` are cut, blank
    records left out. Raises FeedError for a line longer than LINE_CHARS.
    """
    batch: list[Record] = []
    for record in _records(lines, dialect, width):
        batch.append(record)
        if len(batch) >= BATCH_ROWS or lines.chars >= BATCH_CHARS:
            yield batch
            batch, lines.chars = [], 0
    if batch:
        yield batch


def _records(lines: Lines, dialect: Dialect, width: int) -> Iterator[Record]:
    going = True
    while going:
        sound = True
        try:
            for record in _strict(lines, dialect):
                if len(record) == width and (len(lines.taken) < 3 or not _swallowed(lines.taken, dialect, width)):
                    lines.taken.clear()
                    if any(record):
                        yield record
                elif not any(record[width:]) and (len(record) > width or not any(record)):
                    lines.taken.clear()
                    if any(record):
                        yield record[:width]
                else:
                    break
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
        iter(lines),
        delimiter=dialect.delimiter,
        escapechar=dialect.escape,
        skipinitialspace=True,
        strict=True,
    )


def _swallowed(taken: list[str], dialect: Dialect, width: int) -> bool:
    """Whether a record over several lines is rather a quote never closed: its first and an inner line are rows."""
    return len(taken) > 2 and any(
        len(_tolerant(line.rstrip("\r\n"), dialect)[0]) == width for line in taken[1:-1]
    ) and len(_tolerant(taken[0].rstrip("\r\n"), dialect)[0]) == width


def _mend(lines: Lines, dialect: Dialect, width: int) -> Record:
    """The fewest lines that make `width` fields when stray quotes count as text; else the first line's text."""
    for end in range(1, min(len(lines.taken), MEND_LINES) + 1):
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
            fields.append(parts[start])
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
