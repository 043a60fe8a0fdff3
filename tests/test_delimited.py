"""CSV in every state: rows in are rows out, and a doubtful row is set apart, never swallowed."""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluribus.errors import FeedError
from pluribus.feeds import delimited
from pluribus.feeds.delimited import Dialect, Lines, header_of, sniff, tables

Rows = list[list[str] | str]


def read(data: bytes, dialect: Dialect, header: Sequence[str], *, passed: int = 0, encoding: str = "utf-8") -> Rows:
    rows: Rows = []
    for batch in tables(lambda: io.BytesIO(data), encoding, dialect, header, passed):
        if isinstance(batch, list):
            rows += batch
        else:
            rows += [list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
    return rows


def table(text: str) -> tuple[list[str], Rows]:
    dialect = sniff(io.StringIO(text, newline=""))
    header, passed = header_of(io.StringIO(text, newline=""), dialect)
    return header, read(text.encode(), dialect, header, passed=passed)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_finds_the_dialect(mark: str, end: str) -> None:
    lines = [["id", "title", "price"], ["1", "a, b; c", "1,5"], ["2", "", ""], ["3", "d", "2,5"]]
    text = end.join(mark.join(f'"{cell}"' if mark in cell else cell for cell in line) for line in lines)
    assert table(text) == (lines[0], lines[1:])


def test_the_header_tells_the_delimiter_where_rows_are_broken() -> None:
    assert sniff(io.StringIO("id;title;price\n1;a;b;c;1,5\n2;x;y;z;2,5\n")).delimiter == ";"


def test_preambles_are_passed_over() -> None:
    assert table('sep=;\r\nid;title\r\n1;"a;b"\r\n') == (["id", "title"], [["1", "a;b"]])
    assert table('"# Required | an id","# Optional"\nid,title\n1,a\n') == (["id", "title"], [["1", "a"]])


def test_text_without_columns_is_no_table() -> None:
    with pytest.raises(FeedError, match="no table"):
        sniff(io.StringIO("hello\nworld\n"))


def test_backslashes_may_escape_quotes() -> None:
    text = 'id,title\n1,"a \\"b\\", c"\n2,"d, \\"e\\""\n'
    assert table(text)[1] == [["1", 'a "b", c'], ["2", 'd, "e"']]


def test_line_breaks_in_fields_stay() -> None:
    assert table('id,title,price\n1,"two\nlines, and\r\nthree",10\n2,b,20\n')[1] == [
        ["1", "two\nlines, and\r\nthree", "10"],
        ["2", "b", "20"],
    ]


def test_stray_quotes_are_text() -> None:
    assert table('id,title,price\n1,"Shirt 5" wide",10\n2,5" heel,20\n3,"Best" pants,30\n')[1] == [
        ["1", 'Shirt 5" wide', "10"],
        ["2", '5" heel', "20"],
        ["3", '"Best" pants', "30"],
    ]


def test_a_quote_that_never_closes_costs_no_other_row() -> None:
    rows = [f"{n},Socks {n},5" for n in range(100)]
    rows[10] = '10,"Pants,12'
    rows[50] = '50,"Hat",7'
    read_rows = table("id,title,price\n" + "\n".join(rows) + "\n")[1]
    assert [row[0] for row in read_rows] == [str(n) for n in range(100)]
    assert read_rows[10] == ["10", '"Pants', "12"]
    assert read_rows[50] == ["50", "Hat", "7"]


def test_a_quote_that_closes_only_far_below_costs_no_other_row() -> None:
    """Strict CSV reads this as one well-formed record over four lines; pyarrow and DuckDB do."""
    text = 'id,title,price\n1,"Pants,12\n3,Socks,5\n4,Hat,7\n5,"",1\n6,x,1\n'
    assert [row[0] for row in table(text)[1]] == ["1", "3", "4", "5", "6"]


def test_rows_too_short_or_too_long_come_as_their_text() -> None:
    assert table("id,title,price\n1,a,1\n2,b\n3,c,d,1\n4,e,1,,\n")[1] == [
        ["1", "a", "1"],
        "2,b\n",
        "3,c,d,1\n",
        ["4", "e", "1"],
    ]


def test_a_broken_row_over_several_lines_is_one_row() -> None:
    assert table('id,title,price\n1,"a\nb\nc"\n2,d,1\n')[1] == ['1,"a\nb\nc"\n', ["2", "d", "1"]]


def test_blank_rows_are_no_rows() -> None:
    assert table("id,title\n\n1,a\n,\n \n  , \n2,b\n\n")[1] == [["1", "a"], ["2", "b"]]


def test_bad_bytes_stay_in_their_row() -> None:
    data = b"1,gr\xc3\xbcn\n2,caf\xe9\n3,blau\n"
    assert read(data, Dialect(","), ["id", "colour"]) == [["1", "grün"], ["2", "caf\udce9"], ["3", "blau"]]


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LINE_CHARS", 1000)
    with pytest.raises(FeedError, match="longer than 1,000 characters"):
        read(b'1,"' + b"x" * 5000, Dialect(","), ["id", "title"])


def test_clean_blocks_are_read_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100)
    data = "".join(f'{n},"a ""b"",\nc",é\n' for n in range(50)).encode()
    batches = list(tables(lambda: io.BytesIO(data), "utf-8", Dialect(","), ["a", "b", "c"], 0))
    assert len(batches) > 5
    assert all(isinstance(batch, pa.Table) for batch in batches)
    assert sum(len(batch) for batch in batches) == 50


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ['"', "\n", '""', "a,b"]
)


@given(
    st.lists(st.tuples(cells, cells, cells).filter(lambda row: row[0].strip()), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
)
def test_what_csv_writes_comes_back(rows: list[tuple[str, str, str]], mark: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=mark, quoting=csv.QUOTE_ALL).writerows(rows)
    back = read(written.getvalue().encode(), Dialect(mark), ["a", "b", "c"])
    assert back == [list(row) for row in rows]


pieces = st.sampled_from(
    ['"', ",", "\n", "x", " ", '""', "\r\n", '"a",', "a,b,c\n", '"p,q",2,"z"\n', "é", '1,"x\ny",2\n']
)


@settings(max_examples=300)
@given(st.lists(pieces, max_size=25).map("".join), st.sampled_from([7, 20, 1000]))
def test_the_fast_reader_and_the_careful_one_agree(text: str, block: int) -> None:
    lines = Lines(io.StringIO(text, newline=""))
    careful = [
        row if isinstance(row, str) else [c.lstrip(" ") for c in row]
        for row in delimited._records(lines, Dialect(","), 3)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        fast = read(text.encode(), Dialect(","), ["a", "b", "c"])
    assert [row if isinstance(row, str) else [c.lstrip(" ") for c in row] for row in fast] == careful


@given(st.lists(pieces, max_size=25).map("".join))
def test_every_line_is_in_exactly_one_record(text: str) -> None:
    """Whatever is not white space, delimiter or quote comes out as often as it went in."""
    rows = read(text.encode(), Dialect(","), ["a", "b", "c"])
    out = "".join(row if isinstance(row, str) else "".join(row) for row in rows)
    assert sorted(c for c in out if c.isalnum()) == sorted(c for c in text if c.isalnum())
