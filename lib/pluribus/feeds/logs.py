"""Logs: how often each query was asked, or each product looked at, from a file of any format that feeds have.

A line is an event, or a name with its count. A log comes from strangers as a feed does, and is read by the same readers
under the same limits; of a line that cannot be used, its kind is counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pluribus.errors import FeedError
from pluribus.feeds import FEEDS, RAISE, Source, _decoded, fields, format_of, raws, streams
from pluribus.records import Feed, Limits

COLUMNS = ("query", "product_id")  # what is counted, unless another column is named
JUDGED = (("query", "searchterm"), ("productid", "docid", "id", "sku"), ("rating", "relevance", "grade", "label"))
COUNT = "count"  # how often, where there is such a column
NAME_CHARS = 200  # five million names stay in memory
MOST_COUNT = 10**12


@dataclass
class Log:
    """What was counted. Queries are compared without case and surplus blanks, ids as they are."""

    column: str
    counts: Counter[str] = field(default_factory=Counter)
    blank: int = 0  # lines without a name
    unreadable: int = 0  # lines that could not be split, or whose count is no whole number


def read(path: Path, *, limits: Limits, column: str = "", count: str = "") -> Log:
    """The counts of a log. Raises FeedError where it cannot be read, has no such column, or goes beyond `limits`."""
    log = Log("")
    for name, raw in _lines(path, limits):
        if not log.column:
            log.column, count = _columns(name, list(raw.columns), column, count)
        _add(log, raw, count)
    return log


def judgements(path: Path, *, limits: Limits) -> dict[str, dict[str, float]]:
    """How good products are for queries: query -> product id -> rating. Raises FeedError as `read` does."""
    found: dict[str, dict[str, float]] = {}
    names: list[str] = []
    for name, raw in _lines(path, limits):
        names = names or [_named(name, list(raw.columns), wanted) for wanted in JUDGED]
        for row in raws.rows_of(raw):
            said = [] if isinstance(row, str) else [(row.get(one) or "").strip() for one in names]
            try:
                query, product_id, rating = said[0], said[1], float(said[2])
            except (IndexError, ValueError):
                continue
            if query and product_id and 0 <= rating < 100:
                found.setdefault(query, {})[product_id] = rating
    if not found:
        raise FeedError(f"no judgement in {path.name}", expected="queries, product ids, and ratings from 0 on")
    return found


def _lines(path: Path, limits: Limits) -> Iterator[tuple[str, raws.Raw]]:
    """The batches of a file with its name, within the limits."""
    rows, left_bytes = 0, limits.feed_bytes
    for stream in streams.unwrap(path, left_bytes):
        source = Source(stream, Feed(source=()), limits)
        with _decoded(source):
            for raw in FEEDS[format_of(source)].read(source):
                rows += raw.rows
                if rows > limits.rows:
                    raise FeedError(f"the log has more than {limits.rows:,} lines", do="raise limits.rows")
                yield stream.name, raw
        left_bytes -= max(file.total for file in source.opened)
        if left_bytes < 0:
            raise FeedError(f"the log is larger than {limits.feed_bytes:,} bytes", do=RAISE)


def _named(name: str, there: Sequence[str], wanted: Sequence[str]) -> str:
    """The first of the `wanted` columns that there is."""
    known = {fields.plain(found): found for found in reversed(there)}
    for one in wanted:
        if one in known:
            return known[one]
    shown = ", ".join(map(repr, there[:30]))
    raise FeedError(f"{name} has no column {' or '.join(wanted)}", expected=f"one of {shown}")


def _columns(name: str, there: Sequence[str], column: str, count: str) -> tuple[str, str]:
    """The column of names and the one of counts ("": each line counts once)."""
    known = {fields.plain(found): found for found in reversed(there)}
    wanted = [column] if column else COLUMNS
    chosen = next((known[fields.plain(one)] for one in wanted if fields.plain(one) in known), "")
    counted = known.get(fields.plain(count or COUNT), "")
    if not chosen or (count and not counted):
        shown = ", ".join(repr(one) for one in there[:30])
        lost = " or ".join(repr(one) for one in ([count] if chosen else wanted))
        raise FeedError(f"{name} has no column {lost}", expected=f"one of {shown}", do="name it with --column, --count")
    return chosen, counted


def _add(log: Log, raw: raws.Raw, count: str) -> None:
    folds = fields.plain(log.column) == COLUMNS[0]
    for row in raws.rows_of(raw):
        if isinstance(row, str):
            log.unreadable += 1
            continue
        name = " ".join((row.get(log.column) or "").split())[:NAME_CHARS]
        times = _whole(row.get(count) or "") if count else 1
        if times is None:
            log.unreadable += 1
        elif not name:
            log.blank += 1
        else:
            log.counts[name.casefold() if folds else name] += times


def _whole(text: str) -> int | None:
    """A count as it was written, "12" or "12.0"; None for what is none."""
    try:
        number = float(text[:30])
    except ValueError:
        return None
    return int(number) if 0 <= number <= MOST_COUNT and number.is_integer() else None
