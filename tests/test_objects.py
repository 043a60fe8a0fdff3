"""Items are found wherever a JSON document keeps them, and a broken document is refused."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluribus.errors import FeedError
from pluribus.feeds.objects import Cursor, json_items, json_lines, json_opening


class Drip(io.StringIO):
    """A text that comes in small pieces."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read(min(size or 7, 7))


def items(text: str) -> list[Any]:
    assert list(json_items(lambda: Drip(text))) == list(json_items(lambda: io.StringIO(text)))
    return list(json_items(lambda: io.StringIO(text)))


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "1"}, {"id": "2"}]',
        '\ufeff [{"id": "1"},\n{"id": "2"}]\n',
        '{"products": [{"id": "1"}, {"id": "2"}], "total": 2}',
        '{"meta": {"shop": {"name": "x"}}, "data": {"products": [{"id": "1"}, {"id": "2"}]}}',
        '{"categories": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "products": [{"id": "1"}, {"id": "2"}]}',
        '[{"page": 1, "products": [{"id": "1"}]}, {"page": 2, "products": [{"id": "2"}]}]',
    ],
)
def test_finds_the_list(text: str) -> None:
    assert items(text) == [{"id": "1"}, {"id": "2"}]
    assert json_opening(lambda: io.StringIO(text))[0] == "list"


@pytest.mark.parametrize(
    "text", ['{"a.b": {"t": "x"}, "2": {"t": "y"}}', '{"products": {"a.b": {"t": "x"}, "2": {"t": "y"}}}']
)
def test_products_by_id_get_their_key(text: str) -> None:
    assert items(text) == [{"key": "a.b", "t": "x"}, {"key": "2", "t": "y"}]
    assert json_opening(lambda: io.StringIO(text))[0] == "object"


def test_lists_inside_products_are_no_products() -> None:
    text = json.dumps({str(n): {"t": "x", "items": [{"sku": m} for m in range(3)]} for n in range(20)})
    assert len(items(text)) == 20


def test_numbers_keep_their_digits_and_nan_is_text() -> None:
    assert items('[{"a": 1.50, "b": 1e309, "c": NaN, "d": -0, "e": 12345678901234567890}]') == [
        {"a": "1.50", "b": "1e309", "c": "NaN", "d": "-0", "e": "12345678901234567890"}
    ]


def test_raw_tabs_and_line_breaks_in_strings_are_read() -> None:
    assert items('[{"t": "a\tb\nc"}]') == [{"t": "a\tb\nc"}]


def test_elements_that_are_no_objects_come_as_text() -> None:
    assert items('[{"id": "1"}, "export failed", null, [1]]') == [{"id": "1"}, '"export failed"', "null", '["1"]']


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]x",
        '[{"id": 1}',
        '[{"id": 1}, {"id": ',
        '[{"id": 1} {"id": 2}]',
        '[{"id": 1}] [{"id": 2}]',
        '[{"id": 1,}]',
        "{}",
        "12",
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 5000 + "]" * 5000,
    ],
)
def test_refuses_broken_documents(text: str) -> None:
    with pytest.raises(FeedError):
        items(text)


def test_says_how_far_it_came() -> None:
    with pytest.raises(FeedError, match="after 3 items"):
        items('[{"id": 1}, {"id": 2}, {"id": 3}, {"id": nope}]')


def test_an_endless_item_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluribus.feeds.objects.ITEM_CHARS", 1000)
    with pytest.raises(FeedError, match="longer than 1,000"):
        list(json_items(lambda: Drip('[{"t": "' + "x" * 5000)))


def test_lines_that_are_no_objects_come_as_text() -> None:
    text = '\ufeff{"id": 1}\n\n{"id": broken}\r\n[1]\n{"id": 2}'
    assert list(json_lines(io.StringIO(text))) == [{"id": "1"}, '{"id": broken}\r\n', "[1]\n", {"id": "2"}]
    assert json_opening(lambda: io.StringIO('{"id": 1, "t": "a"}\n{"id": 2}\n')) == ("lines", ["id", "t"])


values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(values, max_size=5), st.booleans())
def test_any_document_comes_back(document: list[Any], ascii_only: bool) -> None:
    cursor = Cursor(Drip(json.dumps(document, ensure_ascii=ascii_only, indent=1)))
    assert cursor.value() == document
    assert cursor.peek() == ""
