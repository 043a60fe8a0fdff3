"""Feeds of every format and dialect become canonical rows; nothing is lost, nothing hostile gets in."""

import contextlib
import csv
import gzip
import io
import json
import random
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluribus.errors import FeedError
from pluribus.feeds import FEEDS, detect, products
from pluribus.records import Feed, Limits
from pluribus.schemas import AVAILABILITY, PRODUCT

Rows = list[dict[str, Any]]


def read(*paths: Path, limits: Limits | None = None, **feed: Any) -> Rows:
    """The canonical rows, `extra` as a dict."""
    batches = list(products(paths, feed=Feed(source=(), **feed), limits=limits or Limits()))
    assert all(batch.schema == PRODUCT for batch in batches)
    rows: Rows = pa.Table.from_batches(batches, PRODUCT).to_pylist()
    assert [row["row"] for row in rows] == list(range(len(rows)))
    return [row | {"extra": dict(row["extra"])} for row in rows]


@pytest.fixture
def feed(tmp_path: Path) -> Callable[..., Rows]:
    """Reads one file with the given content."""

    def read_content(content: str | bytes, **options: Any) -> Rows:
        path = tmp_path / "feed"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return read(path, **options)

    return read_content


# ------------------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("name", FEEDS)
def test_every_format_reads_its_example(name: str, tmp_path: Path) -> None:
    path = tmp_path / "example"
    path.write_bytes(FEEDS[name].example)
    assert detect(path) == name
    rows = read(path)
    assert rows == read(path, format=name)
    assert rows
    assert len({row["product_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["product_id"] and row["title"] and not row["defects"] and not row["deleted"]
        assert row["price"] is None or row["price"] > 0
        assert row["availability"] in (None, *AVAILABILITY)
        assert row["images"] is None or all(row["images"])


@pytest.mark.parametrize("name", [name for name in FEEDS if name != "parquet"])
def test_every_format_reads_its_example_packed(name: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(FEEDS[name].example)
    (tmp_path / "gz").write_bytes(gzip.compress(FEEDS[name].example))
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("../a".replace("../", ""), FEEDS[name].example)
    assert read(tmp_path / "plain") == read(tmp_path / "gz") == read(tmp_path / "zip")


def test_rows_are_counted_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,a\n2,b\n")
    (tmp_path / "b.jsonl").write_text('{"id": 3, "title": "c"}\n{"id": 4, "title": "d"}\n')
    assert [(row["row"], row["product_id"]) for row in read(tmp_path / "a.csv", tmp_path / "b.jsonl")] == [
        (0, "1"),
        (1, "2"),
        (2, "3"),
        (3, "4"),
    ]


WOO = """ID,Type,SKU,Name,Description,"In stock?","Sale price","Regular price",Categories,Images,Parent,\
"Attribute 1 name","Attribute 1 value(s)"
10,variable,TEE,T-Shirt,"<p>Long <b>text</b></p>",1,,,"Clothing > Tshirts, Clothing","https://x/a.jpg, https://x/b.jpg",,\
Color,"Blue, Green"
11,variation,TEE-B,T-Shirt - Blue,,1,18,20,,https://x/c.jpg,id:10,Color,Blue
"""
PRESTA = """Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Reference #;Manufacturer;Quantity;\
Image URLs (x,y,z...)
1;1;Shirt;Women > Tops;16.510000;demo_1;Acme;5;https://x/1.jpg,https://x/2.jpg
"""
AMAZON = "item-name\titem-description\tseller-sku\tprice\tquantity\tasin1\nWidget\tA widget\tSKU1\t9.99\t5\tB000\n"
GERMAN = """Artikelnr;Bezeichnung;Warengruppe;Preis;Währung;Farbe;Größe;Bild 1;Bild 2\r
A1;Hülle für Übergröße;Mode > Hüllen;1.234,50;EUR;grün;XL;a.jpg;b.jpg\r
A2;Socken;Mode > Socken;1.999;EUR;weiß;M;c.jpg;\r
"""
GOOGLE = """id\ttitle\tlink\timage_link\tadditional_image_link\tavailability\tprice\tsale_price\tproduct_type\t\t
1\tShirt 12" long\thttps://x/1\thttps://x/1.jpg\thttps://x/2.jpg,https://x/3.jpg\tin stock\t\
10.00 USD\t8.00 USD\tHome > Shirts\t\t
2\t"Best" pants\thttps://x/2\thttps://x/4.jpg\t\tpreorder\t20.00 USD\t\tPants\t\t
"""
FACEBOOK = """# Required | A unique ID for the item.,# Required | A title,,,
id,title,availability,price,image_link
1,Shirt,available for order,"1,010.00 USD",https://x/1.jpg
"""
NESTED = """{"id": "P", "title": "Tee", "price": {"amount": 12.5, "currency": "EUR"}, \
"images": [{"url": "https://x/1.jpg"}], \
"variants": [{"sku": "P-S", "size": "S", "stock": 3}, {"sku": "P-M", "size": "M", "stock": 0}]}
{"id": "Q", "title": "Cap", "price": {"amount": 5, "currency": "EUR"}, "categories": ["Hats", "Caps"]}
"""
SCHEMA_ORG = """[{"@type": "Product", "sku": "1", "name": "Shirt", "image": ["https://x/1.jpg", "https://x/2.jpg"],
"brand": {"@type": "Brand", "name": "Acme"}, "offers": {"price": "12.50", "priceCurrency": "EUR",
"availability": "https://schema.org/InStock", "url": "https://x/1"}}]"""
YML = """<?xml version="1.0" encoding="windows-1251"?><yml_catalog><shop><categories><category id="1">Техника</category>
<category id="10" parentId="1">Мелкая</category></categories><offers><offer id="9012" available="true">
<price>8990</price><currencyId>RUB</currencyId><categoryId>10</categoryId><picture>http://x/1.jpg</picture><picture>http://x/2.jpg</picture>
<name>Мороженица</name><vendor>Brand</vendor><param name="Цвет">белый</param></offer></offers></shop></yml_catalog>"""
HEUREKA = """<SHOP><SHOPITEM><ITEM_ID>AB1</ITEM_ID><PRODUCTNAME>Nokia 5800</PRODUCTNAME><IMGURL>http://x/1.jpg</IMGURL>
<IMGURL_ALTERNATIVE>http://x/2.jpg</IMGURL_ALTERNATIVE><PRICE_VAT>6 000,90</PRICE_VAT><MANUFACTURER>NOKIA</MANUFACTURER>
<CATEGORYTEXT>Elektronika | Telefony</CATEGORYTEXT><PARAM><PARAM_NAME>Barva</PARAM_NAME><VAL>černá</VAL></PARAM>
<ITEMGROUP_ID>G</ITEMGROUP_ID></SHOPITEM></SHOP>"""


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        pytest.param(WOO.encode(), "woocommerce-csv", [
            {"product_id": "10", "group_id": "TEE", "description": "Long text", "category": "Clothing > Tshirts",
             "images": ["https://x/a.jpg", "https://x/b.jpg"], "price": None},
            {"product_id": "11", "group_id": "TEE", "colour": "Blue", "price": 20.0, "sale_price": 18.0,
             "availability": "in_stock", "title": "T-Shirt - Blue"},
        ], id="woocommerce"),
        pytest.param(PRESTA.encode(), "csv", [
            {"product_id": "1", "title": "Shirt", "category": "Women > Tops", "price": 16.51, "brand": "Acme",
             "availability": "in_stock", "images": ["https://x/1.jpg", "https://x/2.jpg"]},
        ], id="prestashop"),
        pytest.param(AMAZON.encode(), "tsv", [
            {"product_id": "SKU1", "title": "Widget", "price": 9.99, "extra": {"asin1": "B000"}},
        ], id="amazon"),
        pytest.param(GERMAN.encode("latin-1"), "csv", [
            {"product_id": "A1", "title": "Hülle für Übergröße", "price": 1234.5, "currency": "EUR", "size": "XL",
             "category": "Mode > Hüllen", "colour": "grün", "images": ["a.jpg", "b.jpg"]},
            {"product_id": "A2", "price": 1999.0, "images": ["c.jpg"]},
        ], id="german"),
        pytest.param(GOOGLE.encode("utf-16"), "google-tsv", [
            {"title": 'Shirt 12" long', "price": 10.0, "sale_price": 8.0, "category": "Home > Shirts",
             "images": ["https://x/1.jpg", "https://x/2.jpg", "https://x/3.jpg"]},
            {"title": '"Best" pants', "availability": "preorder", "sale_price": None, "extra": {}},
        ], id="google, UTF-16, empty columns"),
        pytest.param(FACEBOOK.encode(), "csv", [
            {"product_id": "1", "availability": "in_stock", "price": 1010.0, "currency": "USD"},
        ], id="facebook"),
        pytest.param(b'\xef\xbb\xbfsep=;\r\nSKU;Name;Price\r\n1;"Shirt; blue";12,50\r\n', "csv", [
            {"product_id": "1", "title": "Shirt; blue", "price": 12.5},
        ], id="excel"),
        pytest.param(NESTED.encode(), "jsonl", [
            {"product_id": "P-S", "group_id": "P", "size": "S", "price": 12.5, "currency": "EUR",
             "availability": "in_stock", "images": ["https://x/1.jpg"]},
            {"product_id": "P-M", "group_id": "P", "title": "Tee", "availability": "out_of_stock"},
            {"product_id": "Q", "group_id": None, "category": "Hats > Caps", "price": 5.0},
        ], id="nested variants"),
        pytest.param(SCHEMA_ORG.encode(), "json", [
            {"product_id": "1", "brand": "Acme", "price": 12.5, "currency": "EUR", "availability": "in_stock",
             "link": "https://x/1", "category": None, "images": ["https://x/1.jpg", "https://x/2.jpg"]},
        ], id="schema.org"),
        pytest.param(YML.encode("cp1251"), "xml", [
            {"product_id": "9012", "title": "Мороженица", "category": "Техника > Мелкая", "colour": "белый",
             "price": 8990.0, "currency": "RUB", "images": ["http://x/1.jpg", "http://x/2.jpg"]},
        ], id="YML"),
        pytest.param(HEUREKA.encode(), "xml", [
            {"product_id": "AB1", "group_id": "G", "price": 6000.9, "category": "Elektronika > Telefony",
             "colour": "černá", "images": ["http://x/1.jpg", "http://x/2.jpg"]},
        ], id="heureka"),
    ],
)  # fmt: skip
def test_dialects_of_the_world(content: bytes, kind: str, expected: Rows, tmp_path: Path) -> None:
    (tmp_path / "feed").write_bytes(content)
    assert detect(tmp_path / "feed") == kind
    rows = read(tmp_path / "feed")
    assert [{name: row[name] for name in wanted} for row, wanted in zip(rows, expected, strict=True)] == expected
    assert not any(row["defects"] for row in rows)


def test_parquet_of_any_types(tmp_path: Path) -> None:
    table = pa.table({
        "id": [1, 2],
        "title": pa.array(["Shirt", None]).dictionary_encode(),
        "price": pa.array([12.5, None]),
        "images": [["https://x/1.jpg", "https://x/2.jpg"], []],
        "brand": [{"name": "Acme"}, None],
        "never": pa.nulls(2),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = read(tmp_path / "a.parquet", columns={"colour": "never"})
    assert (first["product_id"], first["price"], first["brand"]) == ("1", 12.5, "Acme")
    assert first["images"] == ["https://x/1.jpg", "https://x/2.jpg"]
    assert second["title"] is None


# ------------------------------------------------------------------------------------------------------------ mapping


def test_a_configured_mapping_wins(feed: Callable[..., Rows]) -> None:
    [row] = feed(
        "id,sku,title,name,a,b,c\n1,S,T,N,Women,Shoes,red\n",
        columns={"product_id": "sku", "title": ["name", "title"], "category": ["a", "b"], "brand": ""},
        locale="en-GB",
        currency="EUR",
    )
    assert (row["product_id"], row["title"], row["category"]) == ("S", "N T", "Women > Shoes")
    assert row["extra"] == {"id": "1", "c": "red"}
    assert row["locale"] == "en-GB"


def test_a_mapping_can_leave_a_column_out(feed: Callable[..., Rows]) -> None:
    [row] = feed("id,title,vendor\n1,T,V\n", columns={"brand": ""})
    assert row["brand"] is None
    assert row["extra"] == {"vendor": "V"}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"title": "Nmae"}, r"columns.title names 'Nmae', .*expected one of 'Name'"),
        ({"product_id": "nope"}, "columns.product_id names 'nope'"),
        ({"titel": "Name"}, r"columns names 'titel'.*expected one of title"),
    ],
)
def test_a_mapping_of_what_is_not_there_is_refused(
    columns: dict[str, str], says: str, feed: Callable[..., Rows]
) -> None:
    with pytest.raises(FeedError, match=says):
        feed("id,Name,price\n1,a,2\n", columns=columns)


def test_where_items_need_not_name_everything_only_the_id_must_be_there(feed: Callable[..., Rows]) -> None:
    [row] = feed('[{"nr": 1, "title": "a"}]', columns={"product_id": "nr", "sale_price": "special"})
    assert row["product_id"] == "1"
    with pytest.raises(FeedError, match="'no'"):
        feed('[{"nr": 1, "title": "a"}]', columns={"product_id": "no"})


def test_a_file_without_header(feed: Callable[..., Rows]) -> None:
    content = "0,2156,Rye,39.99\n1,1980,Gin,NULL\n"
    rows = feed(content, header=("row", "ID", "Name", "price"))
    assert [(row["product_id"], row["price"]) for row in rows] == [("2156", 39.99), ("1980", None)]
    with pytest.raises(FeedError, match="first line looks like data"):
        feed(content)


def test_a_feed_without_ids_is_refused(feed: Callable[..., Rows]) -> None:
    with pytest.raises(FeedError, match=r"no column known as a product id.*'Object', 'Price'.*columns.product_id"):
        feed("Object,Price\na,1\n")


def test_prices_in_cents_and_currencies_beside_them(feed: Callable[..., Rows]) -> None:
    content = "id,price,sale_price,currency\n1,4995,,CAD\n2,$1999,1500,CAD\n3,100,,\n4,5 GBP,,CAD\n"
    rows = feed(content, price_unit="cents", currency="AUD")
    assert [row["price"] for row in rows] == [49.95, 19.99, 1.0, 0.05]
    assert [row["sale_price"] for row in rows] == [None, 15.0, None, None]
    assert [row["currency"] for row in rows] == ["CAD", "AUD", "AUD", "GBP"]
    assert feed("id,price\n1,\n", currency="AUD")[0]["currency"] is None


def test_a_delta_carries_tombstones(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title,deleted\n1,a,\n2,,true\n3,,1\n", mode="delta")
    assert [row["deleted"] for row in rows] == [False, True, True]


# ------------------------------------------------------------------------------------------------- nothing is lost


def test_broken_rows_keep_their_place_and_text(feed: Callable[..., Rows]) -> None:
    rows = feed('id,title,price\n1,a,5\n2,b\n3,"c,6\n4,d,7,8\n5,e,9\n')
    assert [row["product_id"] for row in rows] == ["1", None, "3", None, "5"]
    assert [row["defects"] for row in rows] == [None, ["COLUMNS"], None, ["COLUMNS"], None]
    assert rows[1]["extra"] == {"raw": "2,b"}
    assert rows[2]["title"] == '"c'
    rows = feed('{"id": 1, "title": "a"}\n{"id": nope}\n{"id": 3, "title": "c"}\n')
    assert [row["defects"] for row in rows] == [None, ["JSON"], None]
    assert rows[1]["extra"] == {"raw": '{"id": nope}'}


def test_the_text_of_a_broken_row_is_bounded_and_harmless(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title,price\n1,a,5\n2,\x1b[31m\x00" + "x" * 9000 + "\n")
    assert len(rows[1]["extra"]["raw"]) < 5000
    assert rows[1]["extra"]["raw"].startswith("2,\\x1b[31m\\x00x")


@pytest.mark.parametrize("price", ["NaN", "inf", "1e309", "-5", "on request", "1-2"])
def test_an_illegible_price_is_a_defect_and_kept(price: str, feed: Callable[..., Rows]) -> None:
    [row] = feed(f"id,title,price,sale_price\n1,a,{price},{price}\n")
    assert (row["price"], row["sale_price"]) == (None, None)
    assert row["defects"] == ["PRICE", "SALE_PRICE"]
    assert row["extra"] == {"price": price, "sale_price": price}


def test_unusable_ids_are_a_defect_and_kept(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title\na\x00b,x\n" + "y" * 513 + ",x\n../../etc/passwd,x\n,x\n")
    assert [row["product_id"] for row in rows] == [None, None, "../../etc/passwd", None]
    assert [row["defects"] for row in rows] == [["ID"], ["ID"], None, None]
    assert rows[0]["extra"] == {"product_id": "a\\x00b"}


def test_undecodable_rows_are_a_defect_and_the_others_are_well(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title\n1,größer schöner\n2,caf".encode() + b"\xe9\n3,c\n")
    assert [row["defects"] for row in rows] == [None, ["ENC"], None]
    assert rows[1]["title"] == "caf\ufffd"
    rows = feed('[{"id": 1, "title": "a"}, {"id": 2, "title": "b\\ud800"}, {"id": "\\udfff", "title": "c"}]')
    assert [row["defects"] for row in rows] == [None, ["ENC"], ["ENC", "ID"]]


def test_long_fields_are_cut_and_said(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title,x\n1," + "t" * 1_000_000 + ",\n2,ok," + "y" * 200_000 + "\n3,ok,\n")
    assert [row["defects"] for row in rows] == [["LEN"], ["LEN"], None]
    assert len(rows[0]["title"]) == len(rows[1]["extra"]["x"]) == 100_000


def test_what_has_no_place_is_kept(feed: Callable[..., Rows]) -> None:
    rows = feed("id,title,availability,image,note,more\n1,a,Promo,FALSE,n,\n2,b,in stock,x.jpg,,m\n")
    assert rows[0]["extra"] == {"availability": "Promo", "image": "FALSE", "note": "n"}
    assert rows[1]["extra"] == {"more": "m"}
    assert rows[1]["images"] == ["x.jpg"]


def test_names_of_columns_are_only_names(feed: Callable[..., Rows]) -> None:
    hostile = '"a"" FROM x; COPY t TO \'/tmp/y\' --"'
    [row] = feed(f"id,title,{hostile},<script>\n1,=HYPERLINK(1),v,w\n")
    assert row["title"] == "=HYPERLINK(1)"
    assert row["extra"] == {"a\" FROM x; COPY t TO '/tmp/y' --": "v", "column 4": "w"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=6)] * 2), max_size=8),
    st.sampled_from(["csv", "jsonl", "json"]),
)
def test_rows_in_are_rows_out(feed: Callable[..., Rows], cells: list[tuple[str, str]], kind: str) -> None:
    rows = [{"id": str(n), "title": title, "note": note} for n, (title, note) in enumerate(cells)] or [{"id": "0"}]
    written = io.StringIO(newline="")
    if kind == "csv":
        table = csv.DictWriter(written, ["id", "title", "note"], quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(rows)
    else:
        written.write(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)))
    back = feed(written.getvalue())
    assert [row["product_id"] for row in back] == [row["id"] for row in rows]
    assert [row["extra"].get("note", "") for row in back] == [row.get("note", "") for row in rows]


# ---------------------------------------------------------------------------------------------------------- refusals


class Uuid(pa.ExtensionType):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(pa.string(), "test.uuid")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> "Uuid":
        return cls()


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"id,title\n", "no products"),
        (b"[]", "no products"),
        (b"just words\nand more\n", "no table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "no table|no column known|columns named"),
        (b"<!DOCTYPE html><html><body>Login</body></html>", "web page"),
        (b"<x><item><id>1</id>", "not well-formed"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "office document"),
        ("id,title\n1,a\n".encode("utf-16")[:-1], "not in the encoding utf-16"),
        (b"id,title,title\n1,a,b\n", "two columns named 'title'"),
        (("id," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + "1," * 10_000 + "\n").encode(), "10,001 columns"),
        (json.dumps([{f"c{n}": 1 for n in range(3000)} | {"id": 1}]).encode(), "more than 2,000 names"),
        (b"[" * 100_000, "breaks|nested"),
        (gzip.compress(b"id,title\n1,a\n" * 9)[:-10], "cannot be unpacked"),
        (b"PAR1 no footer PAR1", "not sound"),
        (parquet(pa.table({"id": pa.array(["1"])}))[:-20] + b"\xff" * 16 + b"PAR1", "not sound"),
        (parquet(pa.table({f"c{n}": [1] for n in range(3000)})), "3,000 columns"),
    ],
)
def test_refuses_a_file(content: bytes, says: str, feed: Callable[..., Rows]) -> None:
    with pytest.raises(FeedError, match=says):
        feed(content)


@pytest.mark.parametrize("name", FEEDS)
def test_damaged_files_are_read_or_refused(name: str, feed: Callable[..., Rows]) -> None:
    """Never a foreign exception, whatever bytes are lost, flipped or slipped in."""
    dice = random.Random(name)
    for _ in range(6 if name == "parquet" else 60):  # each Parquet file starts a child
        content = bytearray(FEEDS[name].example)
        for _ in range(dice.choice([1, 2, 5])):
            place = dice.randrange(len(content) + 1)
            slipped_in = dice.choice(
                [b'"', b",", b"\n", b"\0", b"\xff", b"{", b"]", b"<", b"&", b"\\", b"1e999", b"\r", b""]
            )
            content[place : place + dice.choice([0, 0, 1, 9])] = slipped_in
        with contextlib.suppress(FeedError):
            assert feed(bytes(content))


def test_refuses_extension_types(feed: Callable[..., Rows]) -> None:
    pa.register_extension_type(Uuid())
    try:
        content = parquet(pa.table({"id": pa.ExtensionArray.from_storage(Uuid(), pa.array(["1"]))}))
        with pytest.raises(FeedError, match="extension types"):
            feed(content)
    finally:
        pa.unregister_extension_type("test.uuid")


def test_refuses_more_than_the_limits(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("id,title\n" + "".join(f"{name}{n},x\n" for n in range(60)))
    both = (tmp_path / "a", tmp_path / "b")
    assert len(read(*both, limits=Limits(rows=120, feed_bytes=1000))) == 120
    with pytest.raises(FeedError, match="more than 119 rows"):
        read(*both, limits=Limits(rows=119))
    with pytest.raises(FeedError, match="larger than"):
        read(*both, limits=Limits(feed_bytes=500))
    with pytest.raises(FeedError, match="larger than 100 bytes"):
        read(*both, limits=Limits(feed_bytes=100))


def test_refuses_a_parquet_that_swells(tmp_path: Path) -> None:
    """Few bytes on disk, gigabytes when decoded: reading ends at the limit."""
    table = pa.table(
        {"id": pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 1000]))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    with pytest.raises(FeedError, match="more than 10,000,000 bytes"):
        read(tmp_path / "a.parquet", limits=Limits(feed_bytes=10**7))


def test_an_unknown_format_or_encoding_names_the_known(feed: Callable[..., Rows]) -> None:
    with pytest.raises(FeedError, match=r"'xls' is unknown; expected auto, .*csv"):
        feed("id,title\n1,a\n", format="xls")
    with pytest.raises(FeedError, match="no column 'Handle'; set another format"):
        feed("id,title\n1,a\n", format="shopify-csv")
    with pytest.raises(FeedError, match="encoding 'utf-9' is unknown"):
        feed("id,title\n1,a\n", encoding="utf-9")


# ---------------------------------------------------------------------------------------------------------- real data


def filled(rows: Rows, name: str) -> int:
    return sum(row[name] not in (None, []) for row in rows)


def test_samsung(data: Path) -> None:
    path = data / "feeds" / "samsung_kz.google.atom.xml"
    rows = read(path)
    assert detect(path) == "google-atom"
    assert len(rows) == filled(rows, "product_id") == 663
    assert (filled(rows, "price"), filled(rows, "images")) == (661, 648)
    assert {row["currency"] for row in rows} == {"KZT", None}
    assert rows[1]["category"] == "Products > Бытовая техника > Стиральные машины > Стиральные машины"
    assert (rows[1]["price"], rows[1]["sale_price"], rows[1]["size"]) == (374990.0, 354990.0, "9 кг")
    assert len(rows[1]["images"]) == 3
    assert rows[0]["images"][0].startswith("/medias/Big-Box-150x150.jpg?context=")
    assert not any("&" in (row["category"] or "") and ";" in row["category"] for row in rows)
    assert set(Counter(row["availability"] for row in rows)) == {"in_stock", "out_of_stock", "preorder"}


def test_cuttysark(data: Path) -> None:
    path = data / "feeds" / "cuttysark_au.bigcommerce.rss.xml"
    rows = read(path)
    assert detect(path) == "google-rss"
    assert len(rows) == 251
    assert (filled(rows, "group_id"), filled(rows, "colour"), filled(rows, "price")) == (237, 234, 251)
    assert {row["currency"] for row in rows} == {"AUD"}
    assert not any(re.search(r"&\w+;", (row["title"] or "") + (row["description"] or "")) for row in rows)
    assert all("g:quantity" in row["extra"] for row in rows)


def test_farfetch(data: Path) -> None:
    rows = read(data / "feeds" / "farfetch_ru.channel.xml")
    assert len(rows) == 120
    assert (rows[0]["price"], rows[0]["currency"], rows[0]["group_id"]) == (2030.0, "USD", "22872454")
    assert rows[0]["category"].startswith("Для Нее > Одежда > Платья > Alexander McQueen")
    assert Counter(row["availability"] for row in rows) == {"in_stock": 115, None: 5}
    assert {row["extra"]["availability"] for row in rows if row["availability"] is None} == {"Промо"}


def test_makeup(data: Path) -> None:
    rows = read(data / "feeds" / "makeup_data.json")
    assert len(rows) == 931
    assert Counter(row["currency"] for row in rows) == {None: 563, "USD": 287, "GBP": 74, "CAD": 7}
    assert sum(not row["price"] for row in rows) == 54
    assert 931 - filled(rows, "brand") == 12
    assert not any("<" in (row["description"] or "") and "</" in row["description"] for row in rows)
    assert all(len(row["images"]) == 1 for row in rows)


def test_ebay(data: Path) -> None:
    rows = read(
        *sorted((data / "feeds" / "ebay_antiquities").iterdir()), columns={"product_id": "Link", "title": "Object"}
    )
    assert len(rows) == 15_143
    assert sum("Location" not in row["extra"] for row in rows) == 2_352
    assert not any(row["defects"] for row in rows)
    assert {row["currency"] for row in rows} == {"USD"}
    assert rows[0]["price"] == 9.59


@pytest.mark.parametrize(("name", "variants"), [("apparel", 22), ("home-and-garden", 21), ("jewelery", 23)])
def test_shopify_exports(name: str, variants: int, data: Path) -> None:
    path = data / "feeds" / "shopify_demo_csv" / f"{name}.csv"
    rows = read(path)
    assert detect(path) == "shopify-csv"
    assert len(rows) == len({row["product_id"] for row in rows}) == variants
    assert filled(rows, "price") == filled(rows, "images") == filled(rows, "title") == variants
    assert not any("<" in row["description"] for row in rows)


def test_myntra(data: Path) -> None:
    rows = read(
        data / "shops" / "myntra_fashion" / "styles.csv",
        columns={"title": ["productDisplayName", "column 11", "column 12"]},
    )
    assert len(rows) == len({row["product_id"] for row in rows}) == 41_025
    assert rows[0]["category"] == "Apparel > Topwear > Shirts"
    spilled = {row["product_id"]: row["title"] for row in rows}
    assert spilled["23124"] == "Converse Unisex Navy Blue Liv Laugh Love Flip-flops"
    assert spilled["44065"] == "Boss Men Perfume After Shave Balm and Shower Gel Set"


def test_ikea(data: Path) -> None:
    rows = read(data / "shops" / "ikea_furniture" / "products.json")
    assert len(rows) == 2_191
    assert (rows[0]["product_id"], rows[0]["title"], rows[0]["category"]) == ("500.210.76", "MLA", "Easel")
    assert rows[0]["images"] == ["images/objects/500.210.76.jpg"]
    assert len({row["category"] for row in rows}) == 677


LATER = ("row", "ID", "Name", "Volume", "price", "date", "sale price", "until")


def test_liquor(data: Path) -> None:
    shop = data / "shops" / "nh_liquor"
    rows = read(shop / "spirits_10-14.csv")
    assert len(rows) == filled(rows, "price") == 2_080
    assert (rows[0]["price"], rows[0]["sale_price"], rows[0]["currency"]) == (39.99, 36.99, "USD")
    assert rows[1]["sale_price"] is None
    assert filled(rows, "images") == 0
    later = read(shop / "spirits11-07-16-09_17_53.csv", header=LATER, currency="USD")
    assert len(later) == filled(later, "price") == 2_140
    assert later[1]["sale_price"] is None
    patch = read(shop / "spirits_10-14-patch.csv", header=LATER)
    assert len(patch) == 19
    assert [row["defects"] for row in patch if row["defects"]] == [["COLUMNS"]] * 2
    assert all(re.match(r"\d+,\d+,", row["extra"]["raw"]) for row in patch if row["defects"])


def test_luma(data: Path) -> None:
    shop = data / "shops" / "luma_sport"
    path = shop / "products.csv"
    rows = read(path)
    assert detect(path) == "magento-csv"
    assert len(rows) == filled(rows, "group_id") == filled(rows, "images") == 1_994
    assert len({row["group_id"] for row in rows}) == 147
    assert filled(rows, "colour") == filled(rows, "size") == 1_847
    child = next(row for row in rows if row["product_id"] == "MH01-XS-Gray")
    assert (child["group_id"], child["colour"], child["size"], child["price"]) == ("MH01", "Gray", "XS", 52.0)
    assert child["category"] == "Men > Tops > Hoodies & Sweatshirts"
    assert child["images"] == [f"/m/h/mh01-gray_{view}.jpg" for view in ("main", "alt1", "back")]
    assert child["description"].endswith("Kangaroo pocket. • Machine wash/dry.") or "•" in child["description"]
    assert not any("<" in row["description"] for row in rows)
    counts = {file.name: len(read(file)) for file in shop.glob("*gear*.csv")}
    assert sum(n for name, n in counts.items() if name.startswith("products")) == 44
    assert sum(n for name, n in counts.items() if name.startswith("images")) == 50


def test_icecat(data: Path) -> None:
    paths = sorted((data / "shops" / "icecat_electronics").glob("*.zip"))
    settings = Feed(source=(), columns={"brand": "supplier"}, currency="EUR", price_unit="cents")
    batches = list(products(paths, feed=settings, limits=Limits()))
    assert sum(batch.num_rows for batch in batches) == 19_406
    first = batches[0].slice(0, 1).to_pylist()[0]
    assert (first["product_id"], first["price"], first["brand"]) == ("3920564", 49.95, "Xerox")
    assert dict(first["extra"])["attr_n_black_toner_page_yield"] == "23000.0"
