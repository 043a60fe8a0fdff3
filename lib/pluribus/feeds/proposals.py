"""What a feed shows at first sight: its format, its columns, and the mapping that `new-shop` proposes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pluribus.errors import FeedError, printable
from pluribus.feeds import Source, fields, format_of, no_id, read, streams
from pluribus.feeds.canonical import configured
from pluribus.feeds.raws import Raw
from pluribus.records import Feed, Limits


@dataclass(frozen=True)
class Look:
    """What the first rows of a file show."""

    format: str
    rows: int
    columns: dict[str, tuple[float, str]]  # source name -> share of the rows that hold something, an example
    mapping: dict[str, tuple[str, ...]]  # canonical column -> source columns
    missing: tuple[str, ...]  # canonical columns for which nothing was found
    extra: tuple[str, ...]  # source columns that get no canonical place
    warnings: tuple[str, ...]


def look(path: Path, *, rows: int = 1000, feed: Feed | None = None) -> Look:
    """A file (of a zip, its first) judged by its first `rows` rows or more. Raises FeedError when it is unreadable."""
    limits = Limits()
    source = Source(streams.unwrap(path, limits.feed_bytes)[0], feed or Feed(source=()), limits)
    texts: list[Raw] = []
    made: list[pa.RecordBatch] = []
    for raw, reading in read(source, configured(source.feed.columns)):
        texts.append(raw)
        made.append(reading.batch(raw, 0))
        mapping = reading.mapping
        if sum(batch.num_rows for batch in made) >= rows:
            break
    if not made:
        raise FeedError(f"{path.name} holds no products", expected="at least one row", do="deliver the file again")
    products = pa.Table.from_batches(made)
    columns = {
        name: _column(name, texts, products.num_rows) for name in dict.fromkeys(n for t in texts for n in t.columns)
    }
    used = {name for names in mapping.values() for name in names}
    return Look(
        format=format_of(source),
        rows=products.num_rows,
        columns=columns,
        mapping=mapping,
        missing=tuple(name for name in fields.ALIASES if name not in mapping and name not in ("deleted", "locale")),
        extra=tuple(name for name in columns if name not in used),
        warnings=tuple(_warnings(path.name, products, mapping, columns)),
    )


def _column(name: str, texts: list[Raw], rows: int) -> tuple[float, str]:
    """Share of the rows in which a source column holds something, and an example."""
    held = [value for text in texts if name in text.columns for value in text.columns[name].to_pylist() if value]
    return len(held) / rows, printable(held[0], 80) if held else ""


def _warnings(
    name: str, products: pa.Table, mapping: dict[str, tuple[str, ...]], columns: dict[str, tuple[float, str]]
) -> Iterator[str]:
    """What a person should know before trusting the mapping."""
    ids = products["product_id"].drop_null()
    if "product_id" not in mapping:
        yield str(no_id(name, list(columns)))
    elif repeated := len(ids) - len(ids.unique()):
        yield f"{repeated} of {len(ids)} product ids repeat"
    currencies = sorted(products["currency"].drop_null().unique().to_pylist())
    if len(currencies) > 1:
        yield f"the prices are in several currencies: {', '.join(currencies)}"
    elif "price" in mapping and not currencies:
        yield "the prices name no currency: set currency"
    if products["images"].null_count == products.num_rows:
        yield 'no column holds pictures: set path in [images], such as "{product_id}.jpg"'
    for column, (share, example) in columns.items():
        if column.startswith("column ") and share:
            yield f"{column} has no name but holds text ({example!r}): join it to the column that it continues"
    defects = Counter(code for codes in products["defects"].to_pylist() for code in codes or ())
    yield from (f"{count} of {products.num_rows} rows have the defect {code}" for code, count in defects.items())
