"""Conditions: the SQL of an expectation, true of exactly the rows that Great Expectations would call unexpected.

Like theirs, a map expectation has no opinion on a missing value, unless missing values are what it is about. One entry
of CONDITIONS per type; what an entry does not know (`row_condition`, a bound of dates ...) makes it answer None, and
Great Expectations name the rows themselves.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

#: What these read; `mostly` changes the verdict, not the rows. Any other argument: ask Great Expectations.
HARMLESS = {"column", "mostly"}


@dataclass(frozen=True)
class Condition:
    """A boolean expression of DuckDB over the judged columns, and its parameters."""

    sql: str
    values: dict[str, Any]


def condition(expectation: str, kwargs: dict[str, Any], schema: pa.Schema) -> Condition | None:
    """The rows that fail, in SQL; None where only Great Expectations can say."""
    column = kwargs.get("column")
    entry = CONDITIONS.get(expectation)
    if entry is None or column not in schema.names:
        return None
    arguments = {name: value for name, value in kwargs.items() if name not in HARMLESS and value is not None}
    quoted = f'"{column}"'
    known = quoted + " is not null"
    if pa.types.is_floating(schema.field(column).type):
        known += f" and not isnan({quoted})"  # pandas takes one for the other
    try:
        found = entry(quoted, **arguments)
    except TypeError:  # an argument that the entry does not know
        return None
    if found is None or expectation == "expect_column_values_to_not_be_null":
        return found and Condition(f"not ({known})", {})
    return Condition(f"{known} and ({found.sql})", found.values)


def _not_null(column: str) -> Condition:
    return Condition(column, {})


def _in_set(column: str, *, value_set: list[Any]) -> Condition | None:
    if not value_set or not all(isinstance(value, str) for value in value_set):
        return None
    return Condition(f"not list_contains($wanted, {column})", {"wanted": value_set})


def _not_in_set(column: str, *, value_set: list[Any]) -> Condition | None:
    found = _in_set(column, value_set=value_set)
    return found and Condition(f"not ({found.sql})", found.values)


def _between(
    column: str, *, min_value: Any = None, max_value: Any = None, strict_min: bool = False, strict_max: bool = False
) -> Condition | None:
    bounds = {"low": min_value, "high": max_value}
    values = {name: value for name, value in bounds.items() if value is not None}
    if not values or not all(isinstance(value, int | float) for value in values.values()):
        return None
    below, above = "<=" if strict_min else "<", ">=" if strict_max else ">"
    said = {"low": f"{column} {below} $low", "high": f"{column} {above} $high"}
    return Condition(" or ".join(said[name] for name in values), values)


def _match(column: str, *, regex: str) -> Condition | None:
    found = _not_match(column, regex=regex)
    return found and Condition(f"not ({found.sql})", found.values)


def _not_match(column: str, *, regex: str) -> Condition | None:
    """Python's `re` and DuckDB's RE2 agree on plain characters, classes of them and anchors at the start.

    RE2's word boundaries are of ASCII: beside an "é" it sees more of them than Python, never fewer, so that equal
    counts are equal rows, and other counts go back to Great Expectations.
    """
    if not regex.isascii() or "(?" in regex or "$" in regex or re.search(r"\\(?![b.])[a-zA-Z0-9]", regex):
        return None
    return Condition(f"regexp_matches({column}, $pattern)", {"pattern": regex})


CONDITIONS: dict[str, Callable[..., Condition | None]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": _match,
    "expect_column_values_to_not_match_regex": _not_match,
}
