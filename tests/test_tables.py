"""Tables: what DuckDB cannot answer in little memory it answers in more."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pluribus import tables

LISTS = "select n % 1000 as g, list(n order by n desc) as all from rows group by g order by g"


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tables, "SMALL_BYTES", 0)
    monkeypatch.setattr(tables, "MEMORY_LIMITS", ("8MB", "1GB"))
    table = pa.table({"n": pa.array(np.arange(500_000))})
    tables.write(tmp_path / "rows.parquet", table.to_batches(), table.schema)
    return tmp_path / "rows.parquet"


def test_a_question_that_needs_more_memory_is_asked_again(rows: Path) -> None:
    assert tables.query(LISTS, rows=rows)["all"][7].as_py()[:2] == [499_007, 498_007]
    assert sum(batch.num_rows for batch in tables.stream(LISTS, rows=rows)) == 1_000


def test_and_refused_where_all_there_is_does_not_suffice(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MEMORY_LIMITS", ("8MB", "9MB"))
    with pytest.raises(Exception, match="Out of Memory"):
        tables.query(LISTS, rows=rows)
    with pytest.raises(Exception, match="Out of Memory"):
        list(tables.stream(LISTS, rows=rows))


def test_memory_suffices_however_many_cores_there_are() -> None:
    """Each thread of DuckDB wants memory of its own."""
    assert tables.query("select current_setting('threads')::int as n")["n"].to_pylist() == [1]


def test_what_is_unpacked_is_the_same_and_lies_outside_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "products.parquet"
    some = pa.table({"product_id": [*map(str, range(50_000))], "title": ["red sofa " * 20] * 50_000})
    tables.write(path, some.to_batches(), some.schema)
    before = pa.total_allocated_bytes()
    found = tables.unpacked(path, ["title", "product_id", "not of this release"])
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert found.equals(some.select(["product_id", "title"]))
