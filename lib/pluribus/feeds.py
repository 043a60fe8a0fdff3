"""Feeds: from the files a shop delivers to rows of `records.PRODUCT`, batch by batch.

A format is one entry of FEEDS: how to read its files into columns of text, and a small example. What the columns
mean (`fields`) and what their text says (`values`, `prices`) is the same for all. No row is lost: what cannot be
read becomes a row that says so in `defects`, with its text in `extra`.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import delimited, dialects, documents, fields, prices, values
from pluribus.errors import FeedError, printable
from pluribus.records import PRODUCT, Feed, Limits
from pluribus.streams import Stream, unwrap

RAW_CHARS = 4_000  # of a row that could not be read
CELLS = 4_000_000  # of one batch of a sparse document
SAMPLE_CHARS = 1 << 18


@dataclass(frozen=True)
class Raw:
    """Some consecutive rows as text: columns by source name, null where there is nothing. Several values are lines.

    `broken`: rows that could not be read (well), by position, as (defect, text).
    """

    columns: dict[str, pa.Array]
    rows: int
    broken: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """One kind of file. `fixed`: every row has every column. `mapping`: columns that the alias table would misread."""

    means: str
    read: Callable[[Stream, Feed, Limits], Iterator[Raw]]
    example: bytes
    fits: Callable[["Beginning"], bool]
    fixed: bool = True
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Beginning:
    """What a file shows of itself: its family ("csv", "json", "xml", "parquet"), delimiter, and first names."""

    family: str
    names: frozenset[str] = frozenset()
    mark: str = ""  # csv: the delimiter; json: "lines", "list" or "object"; xml: the element of an item


# ---------------------------------------------------------------------------------------------------------- products


def products(paths: Sequence[Path], *, feed: Feed, limits: Limits) -> Iterator[pa.RecordBatch]:
    """The delivery's rows as batches of records.PRODUCT; `row` counts from 0 over all files.

    Memory is bounded by a batch of about 20,000 rows. Raises FeedError when a file cannot be read, when the delivery
    holds no rows or more than `limits.rows`, or when the column of a mapping is missing.
    """
    configured = fields.explicit(feed.columns)
    row = 0
    for path in paths:
        for stream in unwrap(path, limits.feed_bytes):
            format = FEEDS[_format(stream, feed)]
            reading = Reading(stream.name, feed, limits, configured, format)
            for raw in format.read(stream, feed, limits):
                if row + raw.rows > limits.rows:
                    raise FeedError(f"more than {limits.rows:,} rows", do="raise limits.rows")
                yield reading.batch(raw, row)
                row += raw.rows
    if not row:
        raise FeedError("the delivery holds no products", expected="at least one row", do="deliver the file again")


def detect(path: Path) -> str:
    """The name in FEEDS of the file's format, by its content. Raises FeedError when none fits."""
    return _format(unwrap(path, Limits().feed_bytes)[0], Feed(source=(str(path),)))


def _format(stream: Stream, feed: Feed) -> str:
    if feed.format != "auto":
        if feed.format not in FEEDS:
            raise FeedError(f"format {feed.format!r} is unknown", expected="auto, " + ", ".join(FEEDS))
        return feed.format
    beginning = _beginning(stream, feed)
    return next(name for name, format in FEEDS.items() if format.fits(beginning))


def _beginning(stream: Stream, feed: Feed) -> Beginning:
    with stream.open() as file:
        head = file.read(4096) or b""
    if head.startswith(b"PAR1"):
        return Beginning("parquet")
    with _text(stream, feed) as text:
        start = text.read(4096).lstrip("\ufeff \t\r\n")
    if re.match(r"<(!doctype html|html)", start, re.IGNORECASE):
        raise FeedError(f"{stream.name} is a web page", expected="a feed", do="check the address, or the login")
    if start.startswith("<"):
        first = next(documents.xml_items(lambda: io.BufferedReader(stream.open())), {})
        return Beginning("xml", frozenset(first))
    if start.startswith(("[", "{")):
        return _json_beginning(stream, feed)
    with _text(stream, feed) as text:
        sample = _sample(text)
    dialect = delimited.sniff(sample, feed.delimiter, len(feed.header))
    names = feed.header or delimited.header_of(delimited.Lines(io.StringIO(sample)), dialect)
    return Beginning("csv", frozenset(map(fields.plain, names)), dialect.delimiter)


def _json_beginning(stream: Stream, feed: Feed) -> Beginning:
    with _text(stream, feed) as text:
        lines = [line for line in (text.readline(1 << 20) for _ in range(20)) if line.strip()][:2]
    if len(lines) == 2 and all(isinstance(item, dict) for item in documents.json_lines(io.StringIO("".join(lines)))):
        mark = "lines"
    else:
        with _text(stream, feed) as text:
            mark = documents.json_shape(text)
    items = documents.json_lines(io.StringIO(lines[0])) if mark == "lines" else documents.json_items(lambda: _text(stream, feed))
    first = next(items, {})
    return Beginning("json", frozenset(map(fields.plain, first)) if isinstance(first, dict) else frozenset(), mark)


# ----------------------------------------------------------------------------------------------------------- reading


def _text(stream: Stream, feed: Feed) -> io.TextIOWrapper:
    encoding = feed.encoding
    if not encoding:
        with stream.open() as file:
            encoding = delimited.encoding_of(file)
    try:
        return io.TextIOWrapper(io.BufferedReader(stream.open(), 1 << 18), encoding, "surrogateescape", newline="")
    except LookupError as error:
        raise FeedError(f"encoding {encoding!r} is unknown", expected="a name such as utf-8 or cp1252") from error


def _sample(text: io.TextIOWrapper) -> str:
    """The beginning of a text, in whole lines."""
    sample = text.read(SAMPLE_CHARS)
    return sample if len(sample) < SAMPLE_CHARS else sample[: sample.rfind("\n") + 1] or sample


def _delimited(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    for names, batch in _records(stream, feed, limits):
        blank = [None] * len(names)
        broken = {i: ("COLUMNS", row) for i, row in enumerate(batch) if isinstance(row, str)}
        rows = [blank if isinstance(row, str) else row for row in batch]
        yield _checked(dict(zip(names, zip(*rows, strict=True), strict=True)), len(batch), broken)


def _records(stream: Stream, feed: Feed, limits: Limits) -> Iterator[tuple[list[str], list[delimited.Record]]]:
    with _text(stream, feed) as text:
        dialect = delimited.sniff(_sample(text), feed.delimiter, len(feed.header))
    with _text(stream, feed) as text:
        lines = delimited.Lines(text)
        names = _names(feed.header or delimited.header_of(lines, dialect), stream.name, limits)
        for batch in delimited.batches(lines, dialect, len(names)):
            yield names, batch


def _rows(stream: Stream, feed: Feed, limits: Limits) -> Iterator[dict[str, str] | str]:
    for names, batch in _records(stream, feed, limits):
        for row in batch:
            yield row if isinstance(row, str) else dict(zip(names, row, strict=True))


def _names(header: Sequence[str], where: str, limits: Limits) -> list[str]:
    """Usable column names: one without a name is called by its place. Raises FeedError for two of one name."""
    if len(header) > limits.columns:
        raise FeedError(f"{where} has {len(header):,} columns", expected=f"at most {limits.columns:,}")
    names = [values.text(name.encode("utf-8", "replace").decode()) or f"column {i + 1}" for i, name in enumerate(header)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FeedError(f"{where} has two columns named {twice[0]!r}", expected="different names", do="rename one")
    return names


def _items(items: Iterable[documents.Item], broken_as: str) -> Iterator[Raw]:
    """Items as batches of columns, few rows at a time where items have many names."""
    batch: list[documents.Item] = []
    names: set[str] = set()
    chars = 0
    for item in items:
        batch.append(item)
        names.update(item if isinstance(item, dict) else ())
        chars += sum(map(len, item.values())) if isinstance(item, dict) else len(item)
        if len(batch) >= delimited.BATCH_ROWS or len(batch) * len(names) > CELLS or chars > delimited.BATCH_CHARS:
            yield _dense(batch, broken_as)
            batch, names, chars = [], set(), 0
    if batch:
        yield _dense(batch, broken_as)


def _dense(batch: list[documents.Item], broken_as: str) -> Raw:
    columns: dict[str, list[str | None]] = {}
    for i, item in enumerate(batch):
        for name, value in item.items() if isinstance(item, dict) else ():
            columns.setdefault(name, [None] * len(batch))[i] = value
    broken = {i: (broken_as, item) for i, item in enumerate(batch) if isinstance(item, str)}
    return _checked(columns, len(batch), broken)


def _checked(columns: Mapping[str, Sequence[str | None]], rows: int, broken: dict[int, tuple[str, str]]) -> Raw:
    """Columns as Arrow text; rows with bytes or escapes that are no characters are broken ("ENC")."""
    arrays: dict[str, pa.Array] = {}
    for name, column in columns.items():
        try:
            arrays[name] = pa.array(column, pa.string())
        except UnicodeEncodeError:
            for i, value in enumerate(column):
                if value and re.search("[\ud800-\udfff]", value):
                    broken.setdefault(i, ("ENC", value))
            arrays[name] = pa.array([value and _mended(value) for value in column], pa.string())
    return Raw(arrays, rows, {i: (code, _mended(text)) for i, (code, text) in broken.items()})


def _mended(value: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", value)


def _parquet(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    import tempfile
    import shutil

    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as file, stream.open() as source:
        shutil.copyfileobj(source, file)
        file.seek(0)
        try:
            table = pq.ParquetFile(file)
            for batch in table.iter_batches(batch_size=1_000):
                batch.validate(full=True)
                columns = {n: [v for v in c] for n, c in zip(batch.schema.names, batch.columns)}
                yield from _items((documents.flat(row) for row in batch.to_pylist()), "COLUMNS")
        except pa.ArrowException as error:
            raise FeedError(f"{stream.name} is no sound Parquet file: {error}", do="deliver it again") from error


def _json_lines(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    with _text(stream, feed) as text:
        yield from _items(documents.json_lines(text), "JSON")


def _json(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    return _items(documents.json_items(lambda: _text(stream, feed)), "JSON")


def _xml(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    return _items(documents.xml_items(lambda: io.BufferedReader(stream.open())), "XML")


def _shopify_csv(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    return _items(dialects.shopify_rows(_rows(stream, feed, limits)), "COLUMNS")


def _magento_csv(stream: Stream, feed: Feed, limits: Limits) -> Iterator[Raw]:
    return _items(dialects.magento_rows(lambda: _rows(stream, feed, limits)), "COLUMNS")


# --------------------------------------------------------------------------------------------------------- canonical

TEXTS = ("title", "description", "brand", "colour", "size", "gender", "material", "locale")


class Reading:
    """What is known while a file is read: which column means what, and how it writes prices and categories."""

    def __init__(
        self, where: str, feed: Feed, limits: Limits, configured: Mapping[str, tuple[str, ...]], format: Format
    ) -> None:
        self.where, self.feed, self.limits, self.format = where, feed, limits, format
        self.configured = configured
        self.mapping = dict(configured)
        self.decimal: dict[str, str] = {}
        self.level = ""

    def batch(self, raw: Raw, row: int) -> pa.RecordBatch:
        """Canonical rows, the first of which is number `row`."""
        self._map(raw)
        rows = Rows(raw, self.limits.field_chars)
        made = {name: self._made(name, rows) for name in self.mapping}
        made = {name: column for name, column in made.items() if column is not None}
        self._money(rows, made)
        blank = pa.nulls(raw.rows, pa.string())
        used = {source for sources in self.mapping.values() for source in sources}
        extra = {name: column for name, column in rows.columns.items() if name not in used}
        for name, texts in rows.notes.items():
            noted = pa.array([texts.get(i) for i in range(raw.rows)], pa.string())
            extra[name] = pc.coalesce(noted, extra.get(name, blank))
        if self.feed.locale:
            made["locale"] = pc.coalesce(made.get("locale", blank), pa.scalar(self.feed.locale))
        made |= {
            "row": pa.array(np.arange(row, row + raw.rows)),
            "deleted": made.get("deleted", pa.array(np.zeros(raw.rows, bool))),
            "defects": pa.array([rows.defects.get(i) for i in range(raw.rows)], PRODUCT.field("defects").type),
            "extra": values.maps(extra, raw.rows),
        }
        columns = [made[f.name] if f.name in made else pa.nulls(raw.rows, f.type) for f in PRODUCT]
        return pa.RecordBatch.from_arrays(columns, schema=PRODUCT)

    def _map(self, raw: Raw) -> None:
        strict = self.configured if self.format.fixed else {k: v for k, v in self.configured.items() if k == "product_id"}
        if error := fields.missing(strict, raw.columns):
            raise error
        names = [name for name, column in raw.columns.items() if pc.any(pc.not_equal(column, "")).as_py()]
        preset = {
            canonical: sources
            for canonical, sources in self.format.mapping.items()
            if canonical not in self.mapping and set(sources) & set(names)
        }
        self.mapping = fields.found(names, self.mapping | preset)
        if "product_id" not in self.mapping and len(raw.broken) < raw.rows:
            raise FeedError(
                f"{self.where} has no column for product_id",
                expected="one of its columns " + ", ".join(repr(name) for name in list(raw.columns)[:30]),
                do="name it in columns.product_id (or the columns in header, if the file has no header line)",
            )

    def _made(self, canonical: str, rows: "Rows") -> pa.Array | None:
        sources = self.mapping[canonical]
        joint = fields.JOINTS.get(canonical, " ")
        column = rows.joined(sources, joint)
        if column is None or canonical in ("price", "sale_price", "currency"):
            return None
        if canonical == "product_id":
            column, bad = values.identifiers(column)
            return rows.refuse(column, bad, "ID", "product_id")
        if canonical == "group_id":
            return values.identifiers(column)[0]
        if canonical == "link":
            return values.links(column)
        if canonical == "deleted":
            return values.flags(column)
        if canonical == "images":
            kept = [rows.columns[name] for name in sources if name in rows.columns]
            for name in sources:
                rows.keep(name, values.no_pictures)
            return values.pictures(kept)
        if canonical == "availability":
            known = values.availabilities(column)
            rows.keep(sources[0], lambda c: pc.and_(pc.is_null(known), pc.not_equal(c, "")))
            return known
        if canonical == "category":
            self.level = self.level or values.level_mark(column)
            path, more = values.paths(column, self.level, fields.plain(sources[0]) == "categories")
            rows.keep(sources[0], lambda c: more)
            return path
        if canonical != "description":
            column = pc.replace_substring(column, "\n", ", ")
        return values.texts(column)

    def _money(self, rows: "Rows", made: dict[str, pa.Array]) -> None:
        """price, sale_price and the currency of both: said beside the price, else in its own column, else configured."""
        said: list[pa.Array] = []
        for name, code in (("price", "PRICE"), ("sale_price", "SALE_PRICE")):
            column = rows.joined(self.mapping.get(name, ()), " ")
            if column is None:
                continue
            self.decimal[name] = self.decimal.get(name) or prices.decimal_mark(column)
            amounts, currency, illegible = prices.prices(
                column, self.feed.currency, self.decimal[name], self.feed.price_unit == "cents"
            )
            rows.note(name, column, illegible)
            rows.mark(illegible, code)
            made[name] = amounts
            said.append(currency)
        own = rows.joined(self.mapping.get("currency", ()), " ")
        if own is not None:
            said.append(prices.currencies(own, self.feed.currency))
            rows.keep(self.mapping["currency"][0], lambda c: pc.and_(pc.is_null(said[-1]), pc.not_equal(c, "")))
        if self.feed.currency:
            said.append(pa.array([self.feed.currency] * rows.count))
        if said:
            made["currency"] = pc.coalesce(*said)


class Rows:
    """A batch under way: its columns, and what has gone wrong in which row."""

    def __init__(self, raw: Raw, field_chars: int) -> None:
        self.columns, self.count = dict(raw.columns), raw.rows
        self.defects: dict[int, list[str]] = {}
        self.notes: dict[str, dict[int, str]] = {}
        for i, (code, text) in raw.broken.items():
            self.defects[i] = [code]
            self.notes.setdefault("raw", {})[i] = printable(text, RAW_CHARS)
        for name, column in raw.columns.items():
            if (pc.max(pc.binary_length(column)).as_py() or 0) > field_chars:
                self.mark(pc.fill_null(pc.greater(pc.utf8_length(column), field_chars), False), "LEN")
                self.columns[name] = pc.utf8_slice_codeunits(column, 0, field_chars)

    def joined(self, sources: Sequence[str], joint: str) -> pa.Array | None:
        """Source columns as one, with `joint` between what is there; None if none of them is."""
        columns = [self.columns[name] for name in sources if name in self.columns]
        return values.join(columns, joint) if columns else None

    def mark(self, where: pa.Array, code: str) -> None:
        for i in np.flatnonzero(where.to_numpy(zero_copy_only=False)).tolist():
            if code not in self.defects.setdefault(i, []):
                self.defects[i].append(code)

    def note(self, name: str, column: pa.Array, where: pa.Array) -> None:
        """Keeps the text of some rows in `extra`."""
        for i in np.flatnonzero(pc.fill_null(where, False).to_numpy(zero_copy_only=False)).tolist():
            if (text := column[i].as_py()) is not None:
                self.notes.setdefault(name, {})[i] = text

    def keep(self, source: str, where: Callable[[pa.Array], pa.Array]) -> None:
        """Keeps in `extra` what a source column says where that was not understood."""
        if source in self.columns:
            self.note(source, self.columns[source], where(self.columns[source]))

    def refuse(self, column: pa.Array, bad: pa.Array, code: str, name: str) -> pa.Array:
        """`column` without the `bad` values, which become a defect and a note."""
        self.note(name, pc.utf8_slice_codeunits(column, 0, RAW_CHARS), bad)
        self.mark(bad, code)
        return pc.if_else(bad, None, column)


# ------------------------------------------------------------------------------------------------------------ formats

_TABLE = b"id,title,price,image_link\n1,Red shirt,12.50 EUR,https://shop.example/1.jpg\n2,Blue shirt,15 EUR,\n"
_JSON = b'[{"id": 1, "title": "Red shirt", "price": 12.5}, {"id": 2, "title": "Blue shirt", "price": 15}]'
_G = b'xmlns:g="http://base.google.com/ns/1.0"'


def _named(*names: str) -> Callable[[Beginning], bool]:
    return lambda beginning: {*names} <= beginning.names


FEEDS: dict[str, Format] = {
    "shopify-csv": Format(
        "Shopify product export: one row per variant or further picture",
        _shopify_csv,
        b"Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price,Image Src\n"
        b"shirt,Shirt,Acme,Size,S,12.50,https://shop.example/1.jpg\nshirt,,,,M,13.50,\n",
        lambda b: b.family == "csv" and {"handle", "variantprice"} <= b.names,
        fixed=False,
    ),
    "magento-csv": Format(
        "Magento 2 product export: children and configurable parents",
        _magento_csv,
        b"sku,attribute_set_code,product_type,categories,name,price,additional_attributes,configurable_variations\n"
        b'S-1,Top,simple,Default Category/Men,Shirt-1,12,"size=S,color=Red",\n'
        b'S,Top,configurable,Default Category/Men,Shirt,12,,"sku=S-1,size=S,color=Red"\n',
        lambda b: b.family == "csv" and {"sku", "producttype", "attributesetcode"} <= b.names,
        fixed=False,
        mapping={"category": ("categories",)},
    ),
    "google-tsv": Format(
        "Google Merchant text feed, tab-separated",
        _delimited,
        b"id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\n"
        b"1\tRed shirt\tSoft\thttps://shop.example/1\thttps://shop.example/1.jpg\tin stock\t12.50 EUR\n",
        lambda b: b.family == "csv" and b.mark == "\t" and {"id", "title", "link", "imagelink"} <= b.names,
    ),
    "tsv": Format(
        "a table separated by tabs", _delimited, _TABLE.replace(b",", b"\t"), lambda b: b.family == "csv" and b.mark == "\t"
    ),
    "csv": Format("a table separated by commas, semicolons or bars", _delimited, _TABLE, lambda b: b.family == "csv"),
    "shopify-json": Format(
        "Shopify products.json: products with nested variants",
        _json,
        b'{"products": [{"id": 7, "title": "Shirt", "body_html": "<p>Soft</p>", "handle": "shirt", "options": '
        b'[{"name": "Size", "position": 1}], "variants": [{"id": 71, "title": "S", "option1": "S", "price": "12.50"}, '
        b'{"id": 72, "title": "M", "option1": "M", "price": "13.50"}]}]}',
        lambda b: b.family == "json" and {"handle", "bodyhtml"} <= b.names,
        fixed=False,
    ),
    "jsonl": Format(
        "one JSON object per line",
        _json_lines,
        b'{"id": 1, "title": "Red shirt", "price": 12.5}\n{"id": 2, "title": "Blue shirt", "price": 15}\n',
        lambda b: b.family == "json" and b.mark == "lines",
        fixed=False,
    ),
    "json-dict": Format(
        "a JSON object of products by id",
        _json,
        b'{"1": {"title": "Red shirt", "price": 12.5}, "2": {"title": "Blue shirt", "price": 15}}',
        lambda b: b.family == "json" and b.mark == "object",
        fixed=False,
    ),
    "json": Format("a JSON list of products, also wrapped", _json, _JSON, lambda b: b.family == "json", fixed=False),
    "google-atom": Format(
        "Google Merchant feed, Atom",
        _xml,
        b'<feed xmlns="http://www.w3.org/2005/Atom" ' + _G + b"><entry><g:id>1</g:id><title>Red shirt</title>"
        b"<g:price>12.50 EUR</g:price></entry></feed>",
        lambda b: b.family == "xml" and b.mark == "entry" and any(name.startswith("g:") for name in b.names),
        fixed=False,
    ),
    "google-rss": Format(
        "Google Merchant feed, RSS 2.0",
        _xml,
        b'<rss version="2.0" ' + _G + b"><channel><title>Shop</title><item><g:id>1</g:id><title>Red shirt</title>"
        b"<g:price>12.50 EUR</g:price></item></channel></rss>",
        lambda b: b.family == "xml" and any(name.startswith("g:") for name in b.names),
        fixed=False,
    ),
    "xml": Format(
        "XML with one element per product",
        _xml,
        b"<channel><item><id>1</id><title>Red shirt</title><price>$12.50</price></item></channel>",
        lambda b: b.family == "xml",
        fixed=False,
    ),
    "parquet": Format("a Parquet file", _parquet, b"", lambda b: b.family == "parquet"),
}
