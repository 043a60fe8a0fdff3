"""Prices as shops write them: "35.00 USD", "$2,030", "1.234,56 €", "1 234,50 kr".

What a number leaves open ("1.234") is decided by the other prices of its column, then by its currency. What is no
price is said to be illegible, never guessed.
"""

import html
import math
import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

#: what shops write for "no price"
NOTHING = frozenset(("", "-", "--", "–", "—", "null", "none", "n/a", "na", "\\n", "#n/a"))

#: ISO 4217, funds and metals left out
_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG
    HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS
    VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"""
CURRENCIES = frozenset(_CODES.split())
THREE_DECIMALS = " BHD IQD JOD KWD LYD OMR TND "
COMMA_DECIMALS = " EUR DKK NOK SEK ISK PLN CZK HUF RON BGN RSD BAM TRY RUB UAH BYN KZT BRL ARS CLP COP UYU PYG IDR VND "
#: signs that mean one currency, in lower case and without their dots
SIGNS = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "£": "GBP", "₹": "INR", "rs": "INR", "₽": "RUB", "руб": "RUB",
    "р": "RUB", "₩": "KRW", "원": "KRW", "₺": "TRY", "tl": "TRY", "₴": "UAH", "грн": "UAH", "₸": "KZT", "тг": "KZT",
    "₫": "VND", "đ": "VND", "฿": "THB", "₪": "ILS", "₱": "PHP", "₦": "NGN", "zł": "PLN", "zl": "PLN", "kč": "CZK",
    "ft": "HUF", "r$": "BRL", "rp": "IDR", "rm": "MYR", "fr": "CHF", "sfr": "CHF", "lei": "RON", "лв": "BGN",
    "us$": "USD", "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD", "cdn$": "CAD", "nz$": "NZD", "hk$": "HKD",
    "s$": "SGD", "nt$": "TWD", "mx$": "MXN", "円": "JPY", "元": "CNY", "rmb": "CNY", "₾": "GEL", "֏": "AMD",
    "₼": "AZN", "₡": "CRC", "₲": "PYG", "৳": "BDT", "s/": "PEN", "r": "ZAR",
}  # fmt: skip
#: signs that several countries use: what they mean where nothing is configured, and what else they may mean
SHARED = {
    "$": ("USD", " USD AUD CAD NZD HKD SGD TWD MXN ARS CLP COP UYU BBD BMD BSD BZD FJD JMD NAD TTD XCD "),
    "¥": ("JPY", " JPY CNY "),
    "￥": ("CNY", " JPY CNY "),
    "kr": ("", " SEK NOK DKK ISK "),
    "₨": ("PKR", " PKR INR LKR NPR MUR "),
}
SHORT_CHARS = 50
_NUMBER = re.compile(r"\d[\d.,' ]*(?:[eE][+-]?\d+)?|[.,]\d+")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\xa0\u202f\u2009\u2007\t\r\n", " ") | {"٫": ".", "٬": ",", "．": ".", "，": ",", "−": "-", "’": "'"}
)


@dataclass(frozen=True)
class Money:
    """One price as read. `amount` is None for "no price", and for a text that is none: then `legible` is False."""

    amount: float | None = None
    currency: str = ""
    legible: bool = True


ILLEGIBLE = Money(legible=False)


def money(value: str, currency: str = "", decimal: str = "") -> Money:
    """Reads "35.00 USD", "$2,030", "1.234,56 €", "1 234,50 kr", "EUR 12", "12,-". Negative prices are illegible.

    `currency` decides what "$" and other shared signs mean; `decimal` is the mark this feed uses, for the numbers
    that do not say it themselves ("1.234").
    """
    return (_short_money if len(value) <= SHORT_CHARS else _money)(value, currency, decimal)


def _money(value: str, currency: str, decimal: str) -> Money:
    plain = (html.unescape(value) if "&" in value else value).translate(_TYPOGRAPHY).strip()
    if plain.casefold() in NOTHING:
        return Money()
    numbers = _NUMBER.findall(plain)
    if len(numbers) != 1:
        return ILLEGIBLE
    before, number, after = plain.partition(numbers[0])
    negative = "-" in before or "(" in before or (number[-1].isdigit() and after.startswith("-"))
    said = _currency(f"{before} {after}", currency)
    amount = _amount(number.rstrip(" .,'"), said or currency, decimal)
    if negative or said is None or amount is None or not math.isfinite(amount):
        return ILLEGIBLE
    return Money(amount, said)


_short_money = lru_cache(2**14)(_money)  # a million rows repeat few prices


def _currency(said: str, hint: str) -> str | None:
    """The ISO code for what stands beside a number, "" for nothing, None for what is no currency."""
    words = list(filter(None, (word.strip(".,-–—:;*/=+()").casefold() for word in said.split())))
    words = ["".join(words)] if "".join(words) in SIGNS else words  # "US $"
    codes = {SIGNS.get(word, word.upper()) for word in words if word not in SHARED}
    if not codes and words:
        usual, others = SHARED[words[0]]
        return hint if hint and f" {hint} " in others else usual
    return (codes.pop() if codes <= CURRENCIES and len(codes) == 1 else None) if codes else ""


def _amount(number: str, currency: str, decimal: str) -> float | None:
    try:
        if "e" in number.casefold():
            return float(number)
        mark = _decimal_mark(number) or _customary_mark(number, currency, decimal)
        whole, _, fraction = number.rpartition(mark) if mark else (number, "", "")
        first, *groups = re.split(r"[., ']", whole)
        alike = len({c for c in whole if not c.isdigit()}) <= 1
        if groups and not (alike and 0 < len(first) <= 3 and len(groups[-1]) == 3 and {*map(len, groups)} <= {2, 3}):
            return None
        return float(f"{first}{''.join(groups)}.{fraction}" if fraction else f"{first}{''.join(groups)}")
    except ValueError:
        return None


def _decimal_mark(number: str) -> str:
    """The decimal mark that the number itself shows ("1.234,5": the comma), "" where it leaves it open."""
    marks = [c for c in number if c in ".,"]
    if not marks:
        return ""
    whole, _, fraction = number.rpartition(marks[-1])
    if marks.count(marks[-1]) > 1:
        return ""
    grouped = len(fraction) == 3 and whole.isdigit() and len(whole) <= 3 and whole != "0"
    return "" if grouped else marks[-1]


def _customary_mark(number: str, currency: str, decimal: str) -> str:
    """What the only mark of an open number is: the feed's decimal mark, else as usual for its currency."""
    marks = [c for c in number if c in ".,"]
    if len(marks) != 1:
        return ""
    if decimal:
        return marks[0] if marks[0] == decimal else ""
    if f" {currency} " in THREE_DECIMALS:
        return marks[0]
    return "" if marks[0] == "," or f" {currency} " in COMMA_DECIMALS else "."


def decimal_mark(column: pa.Array) -> str:
    """The decimal mark that most prices of a column show, "" when none does."""
    marks = [
        mark
        for value in pc.unique(column.drop_null()).to_pylist()
        for number in _NUMBER.findall(value.translate(_TYPOGRAPHY))
        if (mark := _decimal_mark(number.rstrip(" .,'")))
    ]
    return max(".,", key=marks.count) if marks else ""


def prices(column: pa.Array, currency: str, decimal: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Amounts, currency codes (null where unsaid), and where the text is illegible."""
    coded = column.dictionary_encode()
    read = [money(value, currency, decimal) for value in coded.dictionary.to_pylist()]
    return (
        pa.array([price.amount for price in read], pa.float64()).take(coded.indices),
        pa.array([price.currency or None for price in read], pa.string()).take(coded.indices),
        pc.fill_null(pa.array([not price.legible for price in read], pa.bool_()).take(coded.indices), False),
    )


def currencies(column: pa.Array, hint: str) -> pa.Array:
    """ISO codes of a column of currencies; null for what is none."""
    coded = column.dictionary_encode()
    codes = [_currency(value, hint) or None for value in coded.dictionary.to_pylist()]
    return pa.array(codes, pa.string()).take(coded.indices)
