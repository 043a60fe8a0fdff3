"""What source text says, in canonical words."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluribus.feeds import values
from pluribus.schemas import AVAILABILITY


def strings(*texts: str | None) -> pa.Array:
    return pa.array(texts, pa.string())


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain", "plain"),
        ("  two \t words\n", "two words"),
        ("<p>one</p><p>two<br/>three</p>", "one two three"),
        ("<b>H</b>ello <span class='x'>wor</span>ld", "Hello world"),
        ("<ul><li>a</li><li>b</li></ul>", "a b"),
        ("&lt;p&gt;escaped &amp;amp; twice&lt;/p&gt;", "escaped & twice"),
        ("&amp;amp;gt;", ">"),
        ("caf&eacute; &bull; 5 < 6 & <3", "café • 5 < 6 & <3"),
        ("<script>alert(1)</script><style>p{}</style>safe<!-- no -->", "safe"),
        ("cafe\u0301", "café"),
        ("pass\u200bword \u202egnp.exe\u202c \ufeff\xad", "password gnp.exe"),
        ("a\x00b\x07c", "abc"),
        ("\u3164", None),
        ("NULL", None),
        ("\\N", None),
        ("<p></p>", None),
        ("", None),
        (None, None),
    ],
)
def test_text(markup: str | None, text: str | None) -> None:
    assert values.texts(strings(markup, "x")).to_pylist() == [text, "x"]


@given(st.text(max_size=60))
def test_text_is_tidy_and_stays_so(source: str) -> None:
    text = values.text(source)
    assert text is None or (text == " ".join(text.split()) and all(c.isprintable() for c in text if ord(c) < 256))


def test_identifiers() -> None:
    ids, bad = values.identifiers(strings(" a ", "../../x", "a\x00b", "x" * 513, "", None, "\ufeffé", "a\ufffd"))
    assert ids.to_pylist()[:2] == ["a", "../../x"]
    assert bad.to_pylist() == [False, False, True, True, False, False, False, True]
    assert ids.to_pylist()[4:7] == [None, None, "é"]


def test_links_are_not_read_as_markup() -> None:
    assert values.links(strings(" https://x/?a=1&amp;copy=2&copy=3 ", "", None)).to_pylist() == [
        "https://x/?a=1&copy=2&copy=3",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("known", "texts"),
    [
        (
            "in_stock",
            ["in stock", "In_Stock", "Available", "1", "true", "12", "10+", "https://schema.org/InStock", "auf Lager"],
        ),
        ("out_of_stock", ["out of stock", "0", "-3", "false", "Sold out", "outofstock", "0.0000", "нет в наличии"]),
        ("preorder", ["preorder", "pre-order"]),
        ("backorder", ["on backorder", "http://schema.org/BackOrder"]),
        ("discontinued", ["discontinued", "EOL"]),
        (None, ["Промо", "", "ask us"]),
    ],
)
def test_availabilities(known: str | None, texts: list[str]) -> None:
    assert known in (None, *AVAILABILITY)
    assert values.availabilities(strings(*texts)).to_pylist() == [known] * len(texts)


def test_tombstones() -> None:
    said = strings("true", "1", "Yes", "deleted", " REMOVED ", "false", "0", "", None, "no")
    assert values.flags(said).to_pylist() == [True] * 5 + [False] * 5


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        (["Women > Shoes", "Women>Boots", "Sale"], ["Women > Shoes", "Women > Boots", "Sale"]),
        (["A &amp;gt; B", "A &gt; C / D"], ["A > B", "A > C / D"]),
        (["A » B", "A » C"], ["A > B", "A > C"]),
        (["Electronics | Phones"], ["Electronics > Phones"]),
        (["Men/Tops/Tees", "Men/Tops/Tanks", "Men/Shoes"], ["Men > Tops > Tees", "Men > Tops > Tanks", "Men > Shoes"]),
        (["TV/Audio", "Coats/Jackets", "Shoes"], ["TV/Audio", "Coats/Jackets", "Shoes"]),
        (["Gear\nBags"], ["Gear > Bags"]),
        (['[{"id": 1, "name": "Audio"}, {"id": 2, "name": "Radios"}]'], ["Audio > Radios"]),
        (["<b>Food, Drinks</b> > Tea"], ["Food, Drinks > Tea"]),
        (["", None], [None, None]),
    ],
)
def test_categories(written: list[str | None], paths: list[str | None]) -> None:
    column = strings(*written)
    assert values.paths(column, values.level_mark(column), several=False)[0].to_pylist() == paths


def test_of_several_paths_the_deepest_is_kept() -> None:
    column = strings("Default Category/Men/Tops,Default Category/Sale,Default Category", "Default Category/Men/Shoes")
    paths, more = values.paths(column, values.level_mark(column), several=True)
    assert paths.to_pylist() == ["Men > Tops", "Men > Shoes"]
    assert more.to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("written", "pictures"),
    [
        ("https://x/a.jpg", ["https://x/a.jpg"]),
        ("https://x/a,w_300,h_200/b.jpg", ["https://x/a,w_300,h_200/b.jpg"]),
        ("https://x/a.jpg,https://x/b.jpg", ["https://x/a.jpg", "https://x/b.jpg"]),
        ("https://x/a.jpg|https://x/b.jpg ; //x/c.png", ["https://x/a.jpg", "https://x/b.jpg", "https://x/c.png"]),
        ("https://x/a.jpg https://x/b.jpg\nhttps://x/a.jpg", ["https://x/a.jpg", "https://x/b.jpg"]),
        ("/m/h/a.jpg,/m/h/b.JPG", ["/m/h/a.jpg", "/m/h/b.JPG"]),
        ("images/500.210.76.jpg", ["images/500.210.76.jpg"]),
        ("/medias/Big-Box.jpg?context=bWFz|dGVy", ["/medias/Big-Box.jpg?context=bWFz|dGVy"]),
        ("my photo (2).jpg", ["my photo (2).jpg"]),
        ("https://x/a.jpg?a=1&amp;b=2", ["https://x/a.jpg?a=1&b=2"]),
        (
            '[{"id": 3, "src": "https://x/a.jpg"}, {"url": "https://x/b.jpg"}, "c.jpg"]',
            ["https://x/a.jpg", "https://x/b.jpg", "c.jpg"],
        ),
        ("FALSE", None),
        ("no_selection", None),
        ("", None),
        (None, None),
    ],
)
def test_pictures(written: str | None, pictures: list[str] | None) -> None:
    assert values.pictures([strings("z.jpg", written)]).to_pylist() == [["z.jpg"], pictures]


def test_pictures_of_several_columns_come_in_their_order() -> None:
    columns = [strings("a.jpg", None, "", "a.jpg"), strings("b.jpg,a.jpg", "c.jpg", None, "FALSE")]
    assert values.pictures(columns).to_pylist() == [["a.jpg", "b.jpg"], ["c.jpg"], None, ["a.jpg"]]


@given(st.lists(st.none() | st.text("a/.:&;|,[{ \xa0\u2003-no\n", max_size=8), max_size=6))
def test_a_row_has_the_same_pictures_whatever_the_others_list(rows: list[str | None]) -> None:
    together = values.pictures([strings(*rows, "a.jpg, //b.jpg")]).to_pylist()
    alone = [values.pictures([strings(row)]).to_pylist()[0] for row in rows]
    assert together == [*alone, ["a.jpg", "https://b.jpg"]]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)), max_size=6))
def test_maps_hold_what_is_there(rows: list[dict[str, str]]) -> None:
    columns = {name: strings(*(row.get(name) for row in rows)) for name in "abc"}
    assert [dict(row) for row in values.maps(columns, len(rows)).to_pylist()] == [
        {name: text for name, text in row.items() if text} for row in rows
    ]


@given(st.lists(st.tuples(*[st.none() | st.text("ab", max_size=2)] * 3), max_size=6))
def test_join_keeps_every_row(rows: list[tuple[str | None, ...]]) -> None:
    joined = values.join([strings(*(row[i] for row in rows)) for i in range(3)], "-")
    assert joined.to_pylist() == ["-".join(filter(None, row)) or None for row in rows]
