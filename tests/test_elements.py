"""Items are found in XML of any shop, flattened, and hostile documents are refused in bounded memory."""

import io
import tracemalloc

import pytest

from pluribus.errors import FeedError
from pluribus.feeds.elements import xml_items, xml_opening


def items(text: str | bytes) -> list[dict[str, str]]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(xml_items(lambda: io.BytesIO(data)))


def test_google_names_keep_their_prefix() -> None:
    text = """<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
    <item><g:id>1</g:id><title><![CDATA[A & B]]></title><g:additional_image_link>a</g:additional_image_link>
    <g:additional_image_link>b</g:additional_image_link><g:shipping><g:country>KZ</g:country></g:shipping><g:x/></item>
    </channel></rss>"""
    assert items(text) == [
        {"g:id": "1", "title": "A & B", "g:additional_image_link": "a\nb", "g:shipping.g:country": "KZ"}
    ]


def test_atom_links_are_their_address() -> None:
    text = '<feed xmlns="http://www.w3.org/2005/Atom"><link href="x"/><entry><id>1</id><link href="https://x/1"/></entry></feed>'
    assert items(text) == [{"id": "1", "link": "https://x/1"}]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<channel><item><id>1</id><t>x</t></item></channel>", "item"),
        ("<a><b><thing><id>1</id><t>x</t></thing><thing><id>1</id><t>x</t></thing></b></a>", "thing"),
        ("<SHOP><SHOPITEM><id>1</id><t>x</t></SHOPITEM></SHOP>", "SHOPITEM"),
        ('<products><product id="1" t="x"/></products>', "product"),
        (f"<p><product><id>1</id><t>x</t><v>{'<thing><a>1</a><b>2</b></thing>' * 3}</v></product></p>", "product"),
    ],
)
def test_finds_the_items(text: str, mark: str) -> None:
    assert xml_opening(lambda: io.BytesIO(text.encode()))[0] == mark
    assert {"id": "1", "t": "x"}.items() <= items(text)[0].items()


def test_parameters_become_columns() -> None:
    text = """<shop><offer id="1" available="true"><param name="Colour">red</param>
    <param name="Size" unit="EU">40</param>
    <PARAM><PARAM_NAME>Material</PARAM_NAME><VAL>wool</VAL></PARAM></offer></shop>"""
    assert items(text) == [
        {"id": "1", "available": "true", "Colour": "red", "Size": "40", "Size.unit": "EU", "Material": "wool"}
    ]


def test_markup_inside_a_value_is_text() -> None:
    assert items("<x><item><id>1</id><d><p>two <b>words</b></p></d></item></x>") == [{"id": "1", "d": "two  words"}]


def test_categories_named_by_number_are_looked_up() -> None:
    text = """<shop><categories><category id="1">Home</category><category id="7" parentId="1">Lamps</category>
    </categories><offers><offer id="a"><categoryId>7</categoryId></offer>
    <offer id="b"><categoryId>9</categoryId></offer>
    </offers></shop>"""
    assert [item.get("category") for item in items(text)] == ["Home > Lamps", None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1251", "iso-8859-5"])
def test_the_declared_encoding_counts(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><x><item><id>1</id><t>Платье</t></item></x>'
    assert items(text.encode(encoding))[0]["t"] == "Платье"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!DOCTYPE x><x><item><id>1</id><t>x</t></item></x>", "DOCTYPE"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x><item><id>&e;</id></item></x>', "DOCTYPE"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1/">]><x><item><id>&e;</id></item></x>', "DOCTYPE"),
        (BOMB + "]><x><item><id>&i;</id></item></x>", "DOCTYPE"),
        ("<x>" * 10_000, "too deep"),
        ("<x><item " + " ".join(f'a{n}="1"' for n in range(2000)) + "/></x>", "too many attributes"),
        ("<x><item><id>1</id><t>x</t></item><item><id>2</id>", "not well-formed"),
        ("<x><item><t>Bed & Bath</t></item></x>", "not well-formed"),
        ("<x></x>", "no items"),
        ("no XML at all", "not well-formed"),
        ('<?xml version="1.0" encoding="utf-8"?><x/>'.encode("utf-16"), "not well-formed|no items"),
    ],
)
def test_refuses(text: str | bytes, says: str) -> None:
    with pytest.raises(FeedError, match=says):
        items(text)


def test_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluribus.feeds.elements.SURVEYED", 10)
    with pytest.raises(FeedError, match=r"after 5,000 items the XML is not well-formed"):
        items("<x>" + "<item><id>1</id><t>x</t></item>" * 5000 + "<item>&</item></x>")


def test_memory_is_flat() -> None:
    """Neither many items, nor many elements beside them, nor one endless element are kept."""
    one = b"<item><id>1</id><t>" + b"x" * 4000 + b"</t></item><noise><a/></noise>"
    data = b"<x>" + one * 5_000 + b"</x>"
    tracemalloc.start()
    assert sum(1 for _ in xml_items(lambda: io.BytesIO(data))) == 5_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) / 4


def test_an_endless_element_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluribus.feeds.elements.ITEM_BYTES", 100_000)
    with pytest.raises(FeedError, match="larger than 100,000"):
        items("<x><item><t>" + "x" * 1_000_000)
