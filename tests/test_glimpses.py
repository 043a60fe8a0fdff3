"""Glimpses and thumbnails: bounded looks into files of any size, right about what they count."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from pluribus import pictures, tables
from pluribus.cards import glimpses
from pluribus.cards.thumbnails import thumbnails
from pluribus.schemas import PICTURE, SNAPSHOT
from pluribus.store import Store, open_store
from pluribus.validate import QUARANTINE

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rows(path: Path, products: list[dict[str, Any]], schema: pa.Schema = SNAPSHOT) -> Path:
    blank = {"deleted": False, "images": [], "pictures": [], "picture_faults": [], "defects": [], "extra": []}
    table = pa.Table.from_pylist([{"row": n} | blank | product for n, product in enumerate(products)], schema=schema)
    tables.write(path, table.to_batches(), schema)
    return path


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    """Three packs of three pictures: a0 … a2, b0 … b2, c0 … c2."""
    store = open_store(str(tmp_path / "store"))
    for hours, pack in enumerate("abc"):
        lines = [
            {"ref": f"{pack}{n}.jpg", "content": f"{pack}{n}", "checked": NOW, "picture": jpeg(50 * n + hours)}
            for n in range(3)
        ]
        known, now = pictures.ledger(store, "r"), NOW + timedelta(hours=hours)
        pictures.shelve(store, [pa.RecordBatch.from_pylist(lines, schema=PICTURE)], known=known, recipe="r", now=now)
    return store


def jpeg(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 400), (shade, 0, 0)).save(out, "JPEG")
    return out.getvalue()


def test_thumbnails_open_few_packs_and_take_what_lies_together(shelf: Store) -> None:
    wanted = ["a0", "b0", "b1", "b2", "c0", "c1", "unknown"]
    assert set(thumbnails(shelf, wanted)) == set(wanted) - {"unknown"}
    assert set(thumbnails(shelf, wanted, packs=1)) == {"b0", "b1", "b2"}
    assert set(thumbnails(shelf, wanted, packs=2, most=4)) == {"b0", "b1", "b2", "c0"}
    assert thumbnails(shelf, []) == thumbnails(shelf, ["unknown"]) == {}
    assert all(address.startswith("data:image/jpeg;base64,") for address in thumbnails(shelf, wanted).values())


def test_a_catalog_is_described(tmp_path: Path) -> None:
    products: list[dict[str, Any]] = [
        {"product_id": "a", "title": "A", "category": "x", "price": 1.0, "currency": "EUR", "pictures": ["c0"]},
        {"product_id": "b", "category": "x", "price": 2.0, "currency": "USD", "picture_faults": ["u: v.jpg: MISSING"]},
        {"product_id": "c", "title": "C", "price": 3.0, "currency": "EUR", "extra": [("odd", "1")]},
        {"picture_faults": ["w.jpg: HTTP_404", "v.jpg: HTTP_404"]},
    ]
    path = rows(tmp_path / "rows.parquet", products)
    filled = glimpses.filled(path)
    assert (filled["title"], filled["product_id"], filled["pictures"], filled["images"]) == (0.5, 0.75, 0.25, 0.0)
    assert glimpses.tally(path, "category") == {"x": 2}
    assert glimpses.prices(path, 4) == ("EUR", [1.0, 3.0])
    assert glimpses.unplaced(path) == {"odd": 1}
    assert [(fault["reason"], fault["n"]) for fault in glimpses.faults(path)] == [("HTTP_404", 2), ("MISSING", 1)]
    assert glimpses.coverage(path) == {"neither": 2, "picture and text": 1, "text only": 1}


def test_rows_are_spread_over_a_large_catalog(tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.parquet", [{"product_id": f"p{n}"} for n in range(1000)])
    places = [row["row"] for row in glimpses.spread(path, 1000)]
    assert len(places) == glimpses.CANDIDATES and places[-1] > 900


def test_a_rare_reason_is_seen_beside_a_frequent_one(tmp_path: Path) -> None:
    bad: list[dict[str, Any]] = [{"product_id": f"p{n}", "reasons": ["DUP"]} for n in range(50)]
    bad += [{"reasons": ["COLUMNS", "NOID"], "extra": [("raw", "a;b")]}]
    bad += [{"product_id": "q", "reasons": ["PRICE"], "extra": [("price", "on request"), ("g:odd", "x")]}]
    found = glimpses.refused(rows(tmp_path / "bad.parquet", bad, QUARANTINE), 15)
    assert [row["reasons"][0] for row in found] == ["COLUMNS", "DUP", "DUP", "DUP", "DUP", "PRICE"]
    assert [row["came"] for row in found if row["came"]] == ["a;b", "price on request"]


def test_releases_are_compared_product_by_product(tmp_path: Path) -> None:
    def product(name: str, **fields: Any) -> dict[str, Any]:
        return {"product_id": name, "title": name, "price": 1.0, "pictures": ["c0"]} | fields

    old = rows(tmp_path / "old.parquet", [product(name) for name in "abcde"])
    new = [product("a"), product("b", price=2.0), product("c", title="C"), product("d", pictures=["c1"]), product("f")]
    counts, added = glimpses.changes(old, rows(tmp_path / "new.parquet", new))
    assert counts == dict.fromkeys(["unchanged", "other price", "other title", "other pictures", "removed", "added"], 1)
    assert [row["product_id"] for row in added] == ["f"]
