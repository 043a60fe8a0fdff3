"""Feeds: from the files a shop delivers to rows of `schemas.PRODUCT`, batch by batch.

A format is one entry of FEEDS: how to recognise a file, how to read it into columns of text, and a small example.
What the columns mean and what their text says is the same for all (`canonical`). No row is lost: what cannot be read
becomes a row that says so in `defects`, with its text in `extra`.
"""

import io
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluribus.errors import FeedError
from pluribus.feeds import delimited, dialects, elements, fields, objects, parquet, raws, streams, values
from pluribus.feeds.canonical import Reading, configured
from pluribus.feeds.raws import Raw
from pluribus.records import Feed, Limits

Item = dict[str, Any] | str
RAISE = "raise limits.feed_bytes"

#: columns by which the exports of shop systems are known
SHOPIFY = ("Handle", "Variant Price")
WOOCOMMERCE = ("ID", "Type", "SKU", "Regular price")
MAGENTO = ("sku", "product_type", "attribute_set_code")


@dataclass(frozen=True)
class Format:
    """One kind of file. `fixed`: every row has every column. `usual`: what the alias table would not know."""

    means: str
    fits: Callable[["Opening"], bool]
    read: Callable[["Source"], Iterator[Raw]]
    example: bytes
    fixed: bool = True
    usual: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Opening:
    """What a file shows of itself: its family, the names in its header or first item (also plain), and a mark.

    The mark is the delimiter of a table, "lines", "list" or "object" of JSON, the item's element of XML.
    """

    family: str
    names: frozenset[str] = frozenset()
    mark: str = ""


@dataclass(frozen=True)
class Source:
    """One file of a delivery with all that is needed to read it, as often as needed."""

    stream: streams.Stream
    feed: Feed
    limits: Limits
    opened: list[streams.Counted] = field(default_factory=list)

    @cached_property
    def encoding(self) -> str:
        with self.bytes() as file:
            encoding = self.feed.encoding or streams.encoding_of(file)
        try:
            "".encode(encoding)
        except LookupError:
            raise FeedError(f"encoding {encoding!r} is unknown", expected="a name such as utf-8 or cp1252") from None
        return encoding

    def bytes(self) -> io.BufferedReader:
        self.opened.append(self.stream.open())
        return io.BufferedReader(self.opened[-1], 1 << 18)

    def text(self) -> io.TextIOWrapper:
        """The characters; bytes that are none become lone surrogates."""
        return io.TextIOWrapper(self.bytes(), self.encoding, "surrogateescape", newline="")


# ---------------------------------------------------------------------------------------------------------- products


def products(paths: Sequence[Path], *, feed: Feed, limits: Limits) -> Iterator[pa.RecordBatch]:
    """The delivery's rows as batches of schemas.PRODUCT; `row` counts from 0 over all files.

    Memory is bounded by a batch of at most 20,000 rows. Raises FeedError when a file cannot be read, when the
    delivery holds no rows or goes beyond `limits`, when a column that the mapping names is missing, and when no
    column is known for the product id.
    """
    mapping = configured(feed.columns)
    row, left_bytes, unfolded_bytes = 0, limits.feed_bytes, 0
    for stream in (stream for path in paths for stream in streams.unwrap(path, left_bytes)):
        source = Source(stream, feed, limits)
        for raw, reading in read(source, mapping):
            if "product_id" not in reading.mapping and len(raw.broken) < raw.rows:
                raise no_id(stream.name, list(raw.columns))
            row += raw.rows
            if row > limits.rows:
                raise FeedError(f"the delivery has more than {limits.rows:,} rows", do="raise limits.rows")
            unfolded_bytes += sum(column.nbytes - 4 * raw.rows for column in raw.columns.values())
            if unfolded_bytes > max(limits.feed_bytes, streams.HARMLESS_BYTES):  # variants repeat a product's texts
                raise FeedError(f"the delivery unfolds to more than {limits.feed_bytes:,} bytes", do=RAISE)
            yield reading.batch(raw, row - raw.rows)
        left_bytes -= max(file.total for file in source.opened)
        if left_bytes < 0:
            raise FeedError(f"the delivery is larger than {limits.feed_bytes:,} bytes", do=RAISE)
    if not row:
        raise FeedError("the delivery holds no products", expected="at least one row", do="deliver the file again")


def read(source: Source, mapping: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[Raw, Reading]]:
    """The batches of one file, and what has been learnt of it with each."""
    with _decoded(source):
        kind = FEEDS[format_of(source)]
        reading = Reading(
            source.feed, configured=mapping, usual=kind.usual, fixed=kind.fixed, field_chars=source.limits.field_chars
        )
        for raw in kind.read(source):
            reading.learn(raw)
            yield raw, reading


@contextmanager
def _decoded(source: Source) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        name, encoding = source.stream.name, source.encoding
        raise FeedError(f"{name} is not in the encoding {encoding}: {error}", do="set encoding") from error


def no_id(name: str, columns: Sequence[str]) -> FeedError:
    """The refusal of a file whose products cannot be told apart, with what is likely to help."""
    data = any(re.fullmatch(r"[\d.,:/ -]+|https?://.*", column) for column in columns)
    advice = "name the columns in header: its first line looks like data" if data else "name one in columns.product_id"
    shown = ", ".join(repr(column) for column in columns[:30])
    return FeedError(f"{name} has no column known as a product id", expected=f"one of {shown}", do=advice)


# ---------------------------------------------------------------------------------------------------------- formats


def detect(path: Path) -> str:
    """The name in FEEDS of a file's format, by its content. Raises FeedError when none fits."""
    limits = Limits()
    source = Source(streams.unwrap(path, limits.feed_bytes)[0], Feed(source=()), limits)
    with _decoded(source):
        return format_of(source)


def format_of(source: Source) -> str:
    """The name in FEEDS of the configured format, else of the one that fits."""
    name = source.feed.format
    if name == "auto":
        opening = _opening(source)
        return next(name for name, kind in FEEDS.items() if kind.fits(opening))
    if name not in FEEDS:
        raise FeedError(f"format {name!r} is unknown", expected="auto, " + ", ".join(FEEDS))
    return name


def _opening(source: Source) -> Opening:
    with source.bytes() as file:
        head = file.peek(4096)[:4096]
    if head.startswith(b"PAR1"):
        return Opening("parquet")
    start = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")  # whatever the encoding
    if re.match(rb"<(!doctype html|html)\b", start, re.IGNORECASE):
        raise FeedError(f"{source.stream.name} is a web page", expected="a feed", do="check its address and login")
    if start.startswith(b"<"):
        mark, names = elements.xml_opening(source.bytes)
        return Opening("xml", frozenset(names), mark)
    if start.startswith((b"[", b"{")):
        mark, names = objects.json_opening(source.text)
        return Opening("json", frozenset(map(fields.plain, names)), mark)
    dialect, header, _ = _table(source)
    return Opening("table", frozenset(header) | frozenset(map(fields.plain, header)), dialect.delimiter)


def _table(source: Source) -> tuple[delimited.Dialect, list[str], int]:
    """The dialect of a table, its column names, and how many characters come before its first row."""
    feed = source.feed
    with source.text() as text:
        dialect = delimited.sniff(text, feed.delimiter, len(feed.header))
    if feed.header:
        return dialect, list(feed.header), 0
    with source.text() as text:
        return dialect, *delimited.header_of(text, dialect)


def _names(header: Sequence[str], source: Source) -> list[str]:
    """Usable column names: one without a name is called by its place. Raises FeedError for two of one name."""
    name, limits = source.stream.name, source.limits
    if len(header) > limits.columns:
        raise FeedError(f"{name} has {len(header):,} columns", expected=f"at most {limits.columns:,}")
    names = [values.text(raws.mended(text)) or f"column {place}" for place, text in enumerate(header, 1)]
    twice = sorted({text for text in names if names.count(text) > 1})
    if twice:
        raise FeedError(f"{name} has two columns named {twice[0]!r}", expected="different names", do="rename one")
    return names


# ---------------------------------------------------------------------------------------------------------- reading


def _tables(source: Source) -> Iterator[Raw]:
    dialect, header, passed = _table(source)
    names = _names(header, source)
    for batch in delimited.tables(source.bytes, source.encoding, dialect, names, passed):
        if isinstance(batch, list):
            yield raws.of_records(names, batch, "COLUMNS")
        else:
            yield Raw({name: batch[name].combine_chunks() for name in names}, batch.num_rows)


def _rows(source: Source, *needs: str) -> Iterator[Item]:
    for raw in _tables(source):
        if missing := [name for name in needs if name not in raw.columns]:
            raise FeedError(f"{source.stream.name} has no column {missing[0]!r}", do="set another format")
        yield from raws.rows_of(raw)


def _items(items: Iterable[Item], source: Source, broken: str) -> Iterator[Raw]:
    return raws.of_items(items, broken, source.limits.columns)


def _parquet(source: Source) -> Iterator[Raw]:
    with parquet.opened(source.bytes, source.limits.columns) as file:
        names = file.names()
        for raw in _items(file.rows(source.limits.feed_bytes), source, "COLUMNS"):
            unused = dict.fromkeys(names, pa.nulls(raw.rows, pa.string()))
            yield replace(raw, columns=unused | raw.columns)


def _json(source: Source) -> Iterator[Raw]:
    return _items(_unfolded(objects.json_items(source.text)), source, "JSON")


def _json_lines(source: Source) -> Iterator[Raw]:
    with source.text() as text:
        yield from _items(_unfolded(objects.json_lines(text)), source, "JSON")


def _unfolded(items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        yield from [item] if isinstance(item, str) else dialects.variants(item)


def _xml(source: Source) -> Iterator[Raw]:
    return _items(elements.xml_items(source.bytes), source, "JSON")


def _shopify_csv(source: Source) -> Iterator[Raw]:
    return _items(dialects.shopify_rows(_rows(source, *SHOPIFY)), source, "COLUMNS")


def _woocommerce_csv(source: Source) -> Iterator[Raw]:
    return _items(dialects.woocommerce_rows(_rows(source, *WOOCOMMERCE)), source, "COLUMNS")


def _magento_csv(source: Source) -> Iterator[Raw]:
    return _items(dialects.magento_rows(lambda: _rows(source, *MAGENTO)), source, "COLUMNS")


# ------------------------------------------------------------------------------------------------------------- FEEDS

_TABLE = b"id,title,price,image_link\n1,Red shirt,12.50 EUR,https://shop.example/1.jpg\n2,Blue shirt,15 EUR,\n"
_GOOGLE = b'xmlns:g="http://base.google.com/ns/1.0"'


def _shows(family: str, *names: str, mark: str = "") -> Callable[[Opening], bool]:
    """Whether a file is of this family, names all of these columns, and has this mark."""
    return lambda opening: opening.family == family and {*names} <= opening.names and mark in ("", opening.mark)


#: id and title of two products, written by pyarrow, then zlib and base64
_PARQUET = (
    "eNptkMEKwjAMhrNRi4rXFAs79LLiYRMn6GkXdxAEEfENhhY2mDq7qW/li/hSZiqyg4f87Z9+TUK2i12EgApVgIwuHLkHAC4FcxzS"
    "qJEpvSSY/EF6pDtzUFWW27pPJimu5uOQyXgGQ17tM3NMkQEOfHfo5gcf1k2Bt+3UeV2Yb0Yw6clAg4cD6XOQDYyUFUux1N2VR80B"
    "XYiJ41IDoy8t+FPqzWci05sWr3+8eDiC6S4dMFJlai9XU4f7sgxTa893dTO2ys8nNZ2PJ+NIBjRVM9iTYkubegGGMC3+"
)


#: Every format, the particular before the general: the first that fits a file reads it.
FEEDS: dict[str, Format] = {
    "shopify-csv": Format(
        "Shopify product export: a row per variant or further picture",
        _shows("table", *SHOPIFY),
        _shopify_csv,
        b"Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price,Image Src\n"
        b"shirt,Shirt,Acme,Size,S,12.50,https://shop.example/1.jpg\nshirt,,,,M,13.50,\n",
        fixed=False,
    ),
    "magento-csv": Format(
        "Magento 2 product export: configurable products and their children",
        _shows("table", *MAGENTO),
        _magento_csv,
        b"sku,attribute_set_code,product_type,categories,name,price,additional_attributes,configurable_variations\n"
        b'S-1,Top,simple,Default Category/Men,Shirt-1,12,"size=S,color=Red",\n'
        b'S,Top,configurable,Default Category/Men,Shirt,12,,"sku=S-1,size=S,color=Red"\n',
        fixed=False,
        usual={"category": ("categories",)},
    ),
    "woocommerce-csv": Format(
        "WooCommerce product export: attributes in pairs of columns, variations under their parent",
        _shows("table", *WOOCOMMERCE),
        _woocommerce_csv,
        b"ID,Type,SKU,Name,Regular price,Categories,Images,Parent,Attribute 1 name,Attribute 1 value(s)\n"
        b'1,variable,S,Shirt,12,"Men > Shirts, Sale",https://shop.example/1.jpg,,Size,"S, M"\n'
        b"2,variation,S-1,Shirt - S,12,,,id:1,Size,S\n",
        fixed=False,
    ),
    "google-tsv": Format(
        "Google Merchant text feed, separated by tabs",
        _shows("table", "id", "title", "link", "imagelink", mark="\t"),
        _tables,
        b"id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\n"
        b"1\tRed shirt\tSoft\thttps://shop.example/1\thttps://shop.example/1.jpg\tin stock\t12.50 EUR\n",
    ),
    "tsv": Format("a table separated by tabs", _shows("table", mark="\t"), _tables, _TABLE.replace(b",", b"\t")),
    "csv": Format("a table separated by commas, semicolons or bars", _shows("table"), _tables, _TABLE),
    "shopify-json": Format(
        "Shopify products.json: products with nested variants",
        _shows("json", "handle", "bodyhtml"),
        _json,
        b'{"products": [{"id": 7, "title": "Shirt", "body_html": "<p>Soft</p>", "handle": "shirt", "options": '
        b'[{"name": "Size", "position": 1}], "variants": [{"id": 71, "title": "S", "option1": "S", "price": "12.50"}, '
        b'{"id": 72, "title": "M", "option1": "M", "price": "13.50"}]}]}',
        fixed=False,
    ),
    "jsonl": Format(
        "a JSON object per line",
        _shows("json", mark="lines"),
        _json_lines,
        b'{"id": 1, "title": "Red shirt", "price": 12.5}\n{"id": 2, "title": "Blue shirt", "price": 15}\n',
        fixed=False,
    ),
    "json-dict": Format(
        "a JSON object of products by id",
        _shows("json", mark="object"),
        _json,
        b'{"1": {"title": "Red shirt", "price": 12.5}, "2": {"title": "Blue shirt", "price": 15}}',
        fixed=False,
    ),
    "json": Format(
        "a JSON list of products, also inside other objects",
        _shows("json"),
        _json,
        b'[{"id": 1, "title": "Red shirt", "price": 12.5}, {"id": 2, "title": "Blue shirt", "price": 15}]',
        fixed=False,
    ),
    "google-atom": Format(
        "Google Merchant feed, Atom",
        _shows("xml", "g:id", mark="entry"),
        _xml,
        b'<feed xmlns="http://www.w3.org/2005/Atom" ' + _GOOGLE + b"><entry><g:id>1</g:id><title>Red shirt</title>"
        b"<g:price>12.50 EUR</g:price></entry></feed>",
        fixed=False,
    ),
    "google-rss": Format(
        "Google Merchant feed, RSS 2.0",
        _shows("xml", "g:id"),
        _xml,
        b'<rss version="2.0" ' + _GOOGLE + b"><channel><title>Shop</title><item><g:id>1</g:id><title>Red shirt</title>"
        b"<g:price>12.50 EUR</g:price></item></channel></rss>",
        fixed=False,
    ),
    "xml": Format(
        "XML with an element per product",
        _shows("xml"),
        _xml,
        b"<channel><item><id>1</id><title>Red shirt</title><price>$12.50</price></item></channel>",
        fixed=False,
    ),
    "parquet": Format("a Parquet file", _shows("parquet"), _parquet, zlib.decompress(b64decode(_PARQUET))),
}
