"""Rows before any meaning: flattened, in bounded batches, with their broken ones in place."""

from typing import Any

import pytest

from pluribus.feeds import raws
from pluribus.feeds.raws import flat, of_items, of_records, rows_of


def test_flat_keeps_all_that_is_said() -> None:
    item: dict[str, Any] = {
        "id": 1,
        "price": {"amount": 2.5, "tax": {"rate": 0.2}},
        "tags": ["a", "b\nc", None, True],
        "colours": [{"hex": "#fff"}],
        "new": False,
        "none": None,
        "empty": "",
    }
    assert flat(item, 99) == {
        "id": "1",
        "price.amount": "2.5",
        "price.tax.rate": "0.2",
        "tags": "a\nb c\ntrue",
        "colours": '[{"hex": "#fff"}]',
        "new": "false",
    }


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"id": str(n), f"x{n % 10}": "y" * 100} for n in range(100)]
    for limit, most in (("BATCH_ROWS", 30), ("BATCH_CELLS", 110), ("BATCH_CHARS", 1020)):
        with monkeypatch.context() as patch:
            patch.setattr(raws, limit, most)
            batches = list(of_items(items, "JSON", 2_000))
        assert len(batches) >= 4
        assert [row["id"] for batch in batches for row in rows_of(batch) if isinstance(row, dict)] == [
            item["id"] for item in items
        ]


def test_broken_rows_keep_their_place() -> None:
    batch = of_records(["a", "b"], [["1", "x"], "2", ["3", "caf\udce9"]], "COLUMNS")
    assert batch.broken == {1: ("COLUMNS", "2"), 2: ("ENC", "caf\ufffd")}
    assert batch.columns["b"].to_pylist() == ["x", "", "caf\ufffd"]
    [batch] = of_items([{"a": "1"}, "oops", {"b": "\ud800"}], "JSON", 9)
    assert batch.broken == {1: ("JSON", "oops"), 2: ("ENC", "\ufffd")}
    assert batch.columns["a"].to_pylist() == ["1", None, None]
