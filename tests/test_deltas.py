"""Deltas: every way of applying one gives the catalog that a plain reading of the rules gives."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluribus import deltas, tables
from pluribus.schemas import PRODUCT

OWN = "k"  # says whose a row is
IDS = st.sampled_from(["a", "b", "c", "d", "e", None])
ROW = st.fixed_dictionaries(
    {
        "product_id": IDS,
        "title": st.sampled_from([None, "dress", "mug"]),
        "price": st.sampled_from([None, 1.0, 2.5]),
        "images": st.sampled_from([None, [], ["x.jpg"], ["x.jpg", "y.jpg"]]),
        "deleted": st.booleans(),
        "defects": st.sampled_from([None, ["PRICE"], ["TENANT"], ["LEN", "TENANT"]]),
        "extra": st.sampled_from([None, {}, {"k": "1"}, {"k": "2", "l": "3"}]),
    }
)
MANY = st.lists(ROW, max_size=12)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    full = [dict.fromkeys(PRODUCT.names) | row | {"row": i, "extra": list((row["extra"] or {}).items())}
            for i, row in enumerate(rows)]  # fmt: skip
    return pa.Table.from_pylist(full, PRODUCT)


def by_the_rules(old: list[dict[str, Any]], delta: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `apply` promises, product by product."""
    carried = {name for name in ("title", "price", "images") if any(row[name] not in (None, []) for row in delta)}
    named = {row["product_id"] for row in delta} - {None}
    first: dict[str, dict[str, Any]] = {}
    for row in old:
        first.setdefault(row["product_id"], row)
    stay = [row for row in old if row["product_id"] is not None and row["product_id"] not in named]
    brought = []

    def stays(code: str, row: dict[str, Any]) -> bool:
        """A defect is there until what it is about is delivered again."""
        if code == "TENANT":
            return OWN not in (row["extra"] or {})
        return ("price" if code == "PRICE" else "title") not in carried

    for place, row in enumerate(delta):
        later = [r for r in delta[place + 1 :] if r["product_id"] is not None and r["product_id"] == row["product_id"]]
        if row["deleted"] or any(r["deleted"] for r in later):
            continue
        before = first.get(row["product_id"], {}) if row["product_id"] is not None else {}
        new = row["defects"] or []
        kept = [code for code in before.get("defects") or [] if code not in new and stays(code, row)]
        values = {name: row[name] if name in carried else before.get(name) for name in ("title", "price", "images")}
        extra = (before.get("extra") or {}) | (row["extra"] or {})
        brought.append({"product_id": row["product_id"], "defects": [*new, *kept] or None, "extra": extra} | values)
    return stay + brought


def told(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as they compare, in no order."""
    names = ("product_id", "title", "price", "images", "defects")
    return sorted(repr([row[name] for name in names] + [sorted((row["extra"] or {}).items())]) for row in rows)


@pytest.mark.parametrize("in_place", [0, deltas.IN_PLACE])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=MANY, delta=MANY.filter(bool), batch=st.sampled_from([1, 5, 100]))
def test_a_delta_applied_is_what_the_rules_say(
    in_place: int, old: list[dict[str, Any]], delta: list[dict[str, Any]], batch: int
) -> None:
    old = [row | {"deleted": False} for row in old]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deltas, "IN_PLACE", in_place)
        made = tables.scratch(deltas.apply(table(old).to_batches(batch), table(delta), own=[OWN]), PRODUCT)
    assert made["row"].to_pylist() == list(range(made.num_rows))
    found = [row | {"extra": dict(row["extra"] or [])} for row in made.to_pylist()]
    assert told(found) == told(by_the_rules(old, delta))


@settings(max_examples=40, deadline=None)
@given(delta=MANY.filter(bool), batch=st.sampled_from([1, 5, 100]))
def test_a_first_delivery_deletes_what_it_brought_before(delta: list[dict[str, Any]], batch: int) -> None:
    given_in_pieces = pa.Table.from_batches(table(delta).to_batches(batch), PRODUCT)
    made = tables.scratch(deltas.apply(None, given_in_pieces), PRODUCT)
    last = {row["product_id"]: place for place, row in enumerate(delta) if row["deleted"] and row["product_id"]}
    left = [row for place, row in enumerate(delta)
            if not row["deleted"] and place > last.get(row["product_id"], -1)]  # fmt: skip
    assert [row["product_id"] for row in made.to_pylist()] == [row["product_id"] for row in left]


def test_a_value_for_a_product_that_stands_often_is_held_once() -> None:
    row = {
        "title": "mug",
        "price": 1.0,
        "images": [],
        "deleted": False,
        "defects": None,
        "extra": {},
        "product_id": "a",
    }
    before, change = table([row] * 40_000), table([row | {"title": "x" * 100_000}])  # 4 GB, were it held for each
    made = tables.scratch(deltas.apply(before.to_batches(), change), PRODUCT)
    assert [len(title) for title in made["title"].to_pylist()] == [100_000]


def test_products_that_stay_keep_their_order() -> None:
    row = {"title": "mug", "price": 1.0, "images": [], "deleted": False, "defects": None, "extra": {}}
    old = [row | {"product_id": name} for name in "abcd"]
    delta = [row | {"product_id": name, "price": 9.0} for name in "xcb"]
    made = tables.scratch(deltas.apply(table(old).to_batches(), table(delta)), PRODUCT)
    assert list(zip(made["product_id"].to_pylist(), made["price"].to_pylist(), strict=True)) == [
        ("a", 1.0), ("b", 9.0), ("c", 9.0), ("d", 1.0), ("x", 9.0)
    ]  # fmt: skip
