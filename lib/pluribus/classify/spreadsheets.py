"""Tables for merchandisers: Parquet, or CSV that no spreadsheet takes for formulas."""

import csv
from pathlib import Path

import pyarrow as pa

from pluribus import tables
from pluribus.errors import ConfigError

#: What a spreadsheet may run when a cell begins with it (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(table: pa.Table, to: Path) -> None:
    """Write `.parquet`, or `.csv` with tenants' text made harmless. Raises ConfigError on any other ending."""
    if to.suffix == ".parquet":
        tables.write(to, table.to_batches(), table.schema)
    elif to.suffix == ".csv":
        with to.open("w", encoding="utf-8-sig", newline="") as file:
            lines = csv.writer(file)
            lines.writerow([harmless(name) for name in table.column_names])
            for batch in table.to_batches():
                lines.writerows(map(harmless, row.values()) for row in batch.to_pylist())
    else:
        raise ConfigError(f"a table named {to.name!r}", expected="a name that ends in .csv or .parquet")


def harmless(value: object) -> object:
    """Text that would begin a formula gets an apostrophe before it, as spreadsheets themselves mark text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
