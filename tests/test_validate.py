"""Great Expectations judge; every bad row carries every reason; nothing is lost; unfit catalogs are refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pluribus import tables, validate
from pluribus.errors import CatalogRejected, ConfigError
from pluribus.records import SNAPSHOT, Limits
from pluribus.store import Store, open_store

SUITES = Path(__file__).parents[1] / "expectations"


def row(number: int, **fields: Any) -> dict[str, Any]:
    healthy = {
        "row": number, "product_id": f"p{number}", "title": f"Red dress {number}", "price": 10.0, "currency": "EUR",
        "images": ["a.jpg"], "pictures": ["c0"], "picture_faults": [], "deleted": False, "defects": [], "extra": [],
    }  # fmt: skip
    return healthy | fields


def judge(
    tmp_path: Path,
    rows: list[dict[str, Any]],
    *,
    vertical: str = "",
    limits: Limits | None = None,
    live: int = 0,
) -> tuple[validate.Validation, Store]:
    store = open_store(str(tmp_path / "store"))
    path = tmp_path / "rows.parquet"
    tables.write(path, pa.Table.from_pylist(rows, schema=SNAPSHOT).to_batches(), SNAPSHOT)
    store.create("snapshots/s/rows.parquet", path)
    found = validate.validate(
        store,
        snapshot="s",
        rows_key="snapshots/s/rows.parquet",
        suites=validate.suites(open_store(str(SUITES)), vertical),
        limits=limits or Limits(quarantine=1.0),
        live_products=live,
    )
    return found, store


def reasons(store: Store) -> dict[int, list[str]]:
    _, path = validate.newest(store)
    return {r["row"]: sorted(r["reasons"]) for r in tables.read(path).to_pylist()}


def test_every_bad_row_is_set_apart_with_every_reason(tmp_path: Path) -> None:
    rows = [
        row(0),
        row(1, product_id=None, title=None),
        row(2, product_id="twice"),
        row(3, product_id="twice"),
        row(4, price=None, defects=["PRICE"]),
        row(5, title=None, pictures=[], picture_faults=["a.jpg: MISSING"]),
        row(6, product_id=None, title=None, pictures=[], defects=["COLUMNS"], extra=[("raw", "a;b;c")]),
        row(7, sale_price=99.0),  # only a warning
        row(8, price=None, currency=None),  # only warnings
    ]
    found, store = judge(tmp_path, rows)
    assert reasons(store) == {
        1: ["NOID", "NOTITLE"],
        2: ["DUP"],
        3: ["DUP"],
        4: ["PRICE"],
        5: ["NOCONTENT", "NOTITLE"],
        6: ["COLUMNS", "NOCONTENT", "NOID", "NOTITLE"],
    }
    assert (found.rows, found.accepted, found.quarantined) == (9, 3, 6)
    accepted = tables.read(store.local(found.key + "products.parquet"))
    assert accepted["product_id"].to_pylist() == ["p0", "p7", "p8"]
    warnings = {f.code: f.failed for f in found.findings if f.severity == "warning" and f.failed}
    assert warnings["SALE"] == 1
    assert found.reasons["NOID"] == 2


def test_a_vertical_adds_its_own(tmp_path: Path) -> None:
    found, _ = judge(tmp_path, [row(0, colour="red"), row(1, colour="red")], vertical="fashion")
    assert {"NOCOLOUR", "PRICEY"} <= {finding.code for finding in found.findings}


def test_too_many_bad_rows_refuse_the_catalog_and_can_still_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(CatalogRejected, match=r"2 of 4 rows are unfit \(NOID 2.*at most 20%"):
        judge(tmp_path, [row(0), row(1), row(2, product_id=None), row(3, product_id=None)], limits=Limits())
    assert reasons(open_store(str(tmp_path / "store"))) == {2: ["NOID"], 3: ["NOID"]}


def test_a_catalog_that_shrank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogRejected, match="shrank from 30 to 10"):
        judge(tmp_path, [row(i) for i in range(10)], live=30, limits=Limits())


def test_a_shrink_within_the_limit_passes(tmp_path: Path) -> None:
    found, _ = judge(tmp_path, [row(i) for i in range(10)], live=20, limits=Limits())
    assert found.accepted == 10


def suite(**expectation: Any) -> dict[str, Any]:
    return {"name": "s", "expectations": [expectation]}


@pytest.mark.parametrize(
    "bad",
    [
        suite(type="expect_column_values_to_be_splendid", kwargs={"column": "title"}),
        suite(type="expect_column_values_to_not_be_null", kwargs={"colum": "title"}),
        suite(type="expect_column_values_to_not_be_null", kwargs={"column": "no_such_column"}),
    ],
)
def test_an_expectation_that_cannot_be_meant_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    """Great Expectations drops unknown types with a log line, and the suite passes."""
    table = pa.table({"row": [0], "title": ["x"]})
    with pytest.raises(ConfigError, match="suite 's'"):
        validate._judge(table, [bad])


def test_suites_that_are_not_there_or_not_suites(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no suite toys.json.*fashion.*products"):
        validate.suites(open_store(str(SUITES)), "toys")
    (tmp_path / "products.json").write_text('{"expectations": []')
    with pytest.raises(ConfigError, match="is not a suite"):
        validate.suites(open_store(str(tmp_path)), "")


def test_every_bundled_suite_loads_and_explains_itself() -> None:
    for file in SUITES.glob("*.json"):
        found = json.loads(file.read_text())
        validate._load_suite(found)
        assert found["meta"]["about"]
        for expectation in found["expectations"]:
            assert expectation["severity"] in ("critical", "warning"), file.name
            assert expectation["meta"]["code"].isupper()
            assert expectation["meta"]["says"].endswith((".", ")."))
