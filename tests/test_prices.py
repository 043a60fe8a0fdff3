"""Prices as shops write them are read exactly, or said to be illegible."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluribus.feeds.prices import CURRENCIES, Money, currencies, decimal_mark, money, prices


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("35.00 USD", 35.0, "USD"),
        ("USD 35", 35.0, "USD"),
        ("$2,030", 2030.0, "USD"),
        ("1.234,56 €", 1234.56, "EUR"),
        ("1 234,50 kr", 1234.5, ""),
        ("1\u202f234,50\xa0€", 1234.5, "EUR"),
        ("CHF 1'299.50", 1299.5, "CHF"),
        ("1’299.– CHF", 1299.0, "CHF"),
        ("EUR 12", 12.0, "EUR"),
        ("39.99 ", 39.99, ""),
        ("12,-", 12.0, ""),
        ("1.299,- €", 1299.0, "EUR"),
        ("₹1,23,456.00", 123456.0, "INR"),
        ("1.234.567", 1234567.0, ""),
        ("R$ 1.234,56", 1234.56, "BRL"),
        ("US $12.50", 12.5, "USD"),
        ("$12.50 CAD", 12.5, "CAD"),
        ("Rs. 1,299", 1299.0, "INR"),
        ("2 490 руб.", 2490.0, "RUB"),
        ("374990 KZT", 374990.0, "KZT"),
        ("&euro;12", 12.0, "EUR"),
        ("١٢٫٥", 12.5, ""),
        (".99", 0.99, ""),
        ("0", 0.0, ""),
        ("1e3", 1000.0, ""),
    ],
)
def test_reads(text: str, amount: float, currency: str) -> None:
    assert money(text) == Money(amount, currency)


@pytest.mark.parametrize("text", ["", " ", "-", "–", "NULL", "null", "None", "n/a", "\\N", "#N/A"])
def test_reads_no_price(text: str) -> None:
    assert money(text) == Money(None)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "inf",
        "1e309",
        "-5",
        "−5.00",
        "(5.00)",
        "5.00-",
        "-$5",
        "$-5",
        "on request",
        "10 - 20",
        "2 for 10",
        "$",
        "12 XYZ",
        "12 USD EUR",
        "1.234,567.89",
        "12 34",
        "ab 12 €",
        "5 E10",
    ],
)
def test_never_guesses(text: str) -> None:
    assert not money(text).legible


@pytest.mark.parametrize(
    ("text", "currency", "decimal", "amount"),
    [
        ("1.234", "", "", 1.234),  # as computers write it
        ("1.234", "EUR", "", 1234.0),  # as people write it
        ("1.234", "EUR", ".", 1.234),  # as this feed writes it
        ("1,234", "", "", 1234.0),
        ("1,234", "", ",", 1.234),
        ("12.500 KWD", "", "", 12.5),
        ("0,999", "", "", 0.999),
        ("1234.567", "EUR", "", 1234.567),
    ],
)
def test_an_open_number_is_read_as_usual(text: str, currency: str, decimal: str, amount: float) -> None:
    assert money(text, currency, decimal).amount == amount


def test_the_other_prices_of_a_column_tell_the_decimal_mark() -> None:
    assert decimal_mark(pa.array(["12.99 EUR", "1.234 EUR", None])) == "."
    assert decimal_mark(pa.array(["12,99", "1.234"])) == ","
    assert decimal_mark(pa.array(["$2,030", "$1,020"])) == ""


def test_the_configured_currency_decides_what_a_shared_sign_means() -> None:
    assert [money("$5", hint).currency for hint in ("", "CAD", "EUR")] == ["USD", "CAD", "USD"]
    assert [money("5 kr", hint).currency for hint in ("", "SEK", "EUR")] == ["", "SEK", ""]
    assert currencies(pa.array(["usd", "€", "$", "dollars", None]), "AUD").to_pylist() == [
        "USD",
        "EUR",
        "AUD",
        None,
        None,
    ]


def test_a_column_keeps_its_rows() -> None:
    amounts, codes, illegible = prices(pa.array(["5 USD", None, "x", "5 USD", ""]), "", "")
    assert amounts.to_pylist() == [5.0, None, None, 5.0, None]
    assert codes.to_pylist() == ["USD", None, None, "USD", None]
    assert illegible.to_pylist() == [False, False, True, False, False]


@given(
    st.integers(0, 10**9),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", "."), ("", "."), ("", ",")]),
    st.sampled_from(sorted(CURRENCIES)),
)
def test_every_custom_of_writing_comes_back(cents: int, marks: tuple[str, str], currency: str) -> None:
    thousands, decimal = marks
    written = f"{cents // 100:,}".replace(",", thousands) + f"{decimal}{cents % 100:02}"
    for text in (f"{written} {currency}", f"{currency} {written}", f"{currency}{written}"):
        assert money(text) == Money(cents / 100, currency)


@given(st.text(max_size=30))
def test_any_text_is_a_price_or_none(text: str) -> None:
    price = money(text)
    assert price.amount is None or (price.legible and math.isfinite(price.amount) and price.amount >= 0)
