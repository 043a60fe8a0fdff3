"""Filters: which products may answer at all, said as a shopper's interface says it.

    price<50   price>=10   brand=Nike   brand!=Nike   category^=Women > Shoes   availability=in_stock   season=summer

`price` is what is to be paid: the sale price where there is one. `^=` begins with (a category by whole levels), `~=`
contains. A name that is no column of ours is looked for among what else the shop delivered. Words are compared without
regard to case. Several filters must all hold; several `=` of one name are alternatives, as ticked boxes are, and `==`
holds beside them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluribus import tables
from pluribus.errors import ConfigError

WORDS = ("product_id", "group_id", "title", "description", "brand", "category", "colour", "size", "gender", "material",
         "currency", "availability", "locale")  # fmt: skip
MOST_FILTERS, MOST_CHARS = 32, 1_000
NUMBERS = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}
_FILTER = re.compile(r"(?P<name>[^<>=!^~]+)(?P<sign><=|>=|!=|\^=|~=|==|=|<|>)(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """One condition on a product's field."""

    name: str
    sign: str
    value: str


def parse(text: str | Filter) -> Filter:
    """A filter as it is typed. Raises ConfigError."""
    if isinstance(text, Filter):
        return parse(f"{text.name}{text.sign}{text.value}")
    match = _FILTER.fullmatch(text) if len(text) <= MOST_CHARS else None
    said = {name: part.strip() for name, part in match.groupdict().items()} if match else {}
    if not all(said.values()) or not said or not _is_text(text):
        raise ConfigError(f"filter {text!r:.80}", expected="like price<50, brand=Nike, category^=Women, title~=red")
    return Filter(**said)


def _is_text(text: str) -> bool:
    """Half a surrogate pair is a Python str and no text."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def mask(products: pa.Table, filters: Sequence[str | Filter]) -> np.ndarray:
    """Which rows [n] meet every filter, exactly. Raises ConfigError on a filter that means nothing here."""
    found = [parse(one) for one in filters]
    if len(found) > MOST_FILTERS:
        raise ConfigError(f"{len(found)} filters", expected=f"at most {MOST_FILTERS}")
    kept = np.ones(products.num_rows, dtype=bool)
    ticked: dict[str, np.ndarray] = {}
    for one in found:
        holds = _holds(products, one)
        if one.sign == "=":
            ticked[one.name] = ticked.get(one.name, np.zeros(len(kept), dtype=bool)) | holds
        else:
            kept &= holds
    for holds in ticked.values():
        kept &= holds
    return kept


def column(products: pa.Table, name: str) -> pa.Array:
    """The column that a name means: numbers for `price`, text for the others. Raises ConfigError."""
    if name == "price":
        return pc.coalesce(products["sale_price"], products["price"]).combine_chunks()
    if name in WORDS:
        return tables.one_piece(products[name])
    found = pc.map_lookup(tables.one_piece(products["extra"]), pa.scalar(name), "first")
    if found.null_count == len(found):
        raise ConfigError(
            f"{name!r:.80}, which no product of this shop has",
            expected=f"price, {', '.join(WORDS)}, or a column of the shop's own feed",
        )
    return found


def _holds(products: pa.Table, one: Filter) -> np.ndarray:
    found = column(products, one.name)
    by_number = one.sign in NUMBERS or one.name == "price"
    holds = _compared(found, one) if by_number else _worded(pc.utf8_lower(found), one)
    mask: np.ndarray = pc.fill_null(holds, False).to_numpy(zero_copy_only=False)
    return mask


def _worded(found: Any, one: Filter) -> Any:
    value = re.sub(r"\s*>\s*", " > ", one.value) if one.name == "category" else one.value
    wanted = pc.utf8_lower(pa.scalar(value)).as_py()  # as the column: Python's own differs for "Σ" and "İ"
    if one.sign in ("=", "=="):
        return pc.equal(found, wanted)
    if one.sign == "!=":
        return pc.fill_null(pc.not_equal(found, wanted), True)
    if one.sign == "~=":
        return pc.match_substring(found, wanted)
    if one.name == "category":
        return pc.or_(pc.equal(found, wanted), pc.starts_with(found, wanted + " > "))
    return pc.starts_with(found, wanted)


def _compared(found: Any, one: Filter) -> Any:
    """By number; what is no number meets no such filter."""
    try:
        wanted = float(one.value)
        if math.isnan(wanted):
            raise ValueError
    except ValueError:
        raise ConfigError(f"filter {one.name}{one.sign}{one.value!r:.40}", expected="a number") from None
    if pa.types.is_string(found.type):
        number = pc.match_substring_regex(found, r"^\s*-?\d+(\.\d+)?\s*$")
        found = pc.cast(pc.utf8_trim_whitespace(pc.if_else(number, found, None)), pa.float64())
    compare = {**NUMBERS, "=": pc.equal, "==": pc.equal, "!=": pc.not_equal}.get(one.sign)
    if compare is None:
        raise ConfigError(f"filter {one.name}{one.sign}{one.value}", expected=f"one of < <= > >= = != for {one.name}")
    return compare(found, wanted)
