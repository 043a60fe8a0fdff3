"""Validate: judge a snapshot with Great Expectations; accepted rows go on, the others are quarantined with reasons.

The suites are files in expectations/: `products.json` for every shop, then the overlay of the shop's vertical. What an
expectation means is in its file: `severity` critical quarantines the rows that fail it (or refuses a table that fails
it), any other is counted; `meta.code` is the reason a row carries, `meta.says` the sentence people read.

    snapshots/<id>/checks/<validation>/products.parquet · quarantine.parquet · report.json
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluribus import tables, versions
from pluribus.errors import CatalogRejected, check_owner
from pluribus.records import Limits
from pluribus.schemas import SNAPSHOT
from pluribus.store import Store
from pluribus.validate import judges
from pluribus.validate.judges import Finding

QUARANTINE = SNAPSHOT.append(pa.field("reasons", pa.list_(pa.string())))

#: What the suites may speak of: canonical columns, and facts about a row that need the whole table.
JUDGED = """
    select row, product_id, title, brand, category, colour, size, gender, material, price, sale_price, currency,
        availability, link, locale, coalesce(array_to_string(defects, ' '), '') as defects,
        case when product_id is null then 0 else coalesce(n, 1) end as copies,
        coalesce(len(images), 0) as n_images, len(pictures) as n_pictures, len(picture_faults) as n_picture_faults,
        length(title) as title_chars, length(description) as description_chars,
        case when len(pictures) > 0 and coalesce(title, description) is not null then 'picture and text'
             when len(pictures) > 0 then 'picture' when coalesce(title, description) is not null then 'text'
             else 'nothing' end as content
    from rows left join
        (select product_id, count(*) as n from rows where product_id is not null group by product_id having n > 1)
        using (product_id)"""

TALLY = "select code, count(*) as n from (select unnest(reasons) as code from bad) group by code order by n desc, code"
SPLIT_BAD = "select rows.*, bad.reasons from rows join bad using (row) order by row"
SPLIT_GOOD = "select * from rows where row not in (select row from bad) order by product_id, row"


@dataclass(frozen=True)
class Validation:
    """The judgement on a snapshot: ids, counts and findings."""

    shop: str
    key: str  # prefix of its files
    rows: int
    accepted: int
    quarantined: int
    findings: tuple[Finding, ...]
    reasons: dict[str, int]  # code -> quarantined rows
    size_bytes: int  # of the products and the quarantine


def validation_prefix(snapshot: str, suites: list[dict[str, Any]]) -> str:
    """Where the judgement of a snapshot by these suites lies."""
    import hashlib

    digest = hashlib.sha256(json.dumps([versions.VALIDATE, suites], sort_keys=True).encode()).hexdigest()
    return f"snapshots/{snapshot}/checks/{digest[:16]}/"


def validate(
    store: Store, *, snapshot: str, rows_key: str, suites: list[dict[str, Any]], limits: Limits, live_products: int = 0
) -> Validation:
    """Judge a snapshot. Its files are written before any refusal, so that a refused catalog can be looked at.

    Raises CatalogRejected when a critical table expectation fails, when too many rows are quarantined, or when the
    catalog shrank too far below `live_products`; ConfigError when a suite does not load.
    """
    prefix = validation_prefix(snapshot, suites)
    path = tables.local(store, rows_key)
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        products, quarantine = Path(folder) / "products.parquet", Path(folder) / "quarantine.parquet"
        judged = _judged(path, suites)
        findings, bad = judges.judge(judged, suites)
        pa.default_memory_pool().release_unused()  # Arrow keeps what it freed; sorting needs the room
        n_good = tables.write(products, tables.stream(SPLIT_GOOD, rows=path, bad=bad), SNAPSHOT, store.owner)
        n_bad = tables.write(quarantine, tables.stream(SPLIT_BAD, rows=path, bad=bad), QUARANTINE, store.owner)
        assert n_good + n_bad == judged.num_rows, "every row is accepted or quarantined"
        size_bytes = products.stat().st_size + quarantine.stat().st_size
        tally = {row["code"]: row["n"] for row in tables.query(TALLY, bad=bad).to_pylist()}
        validation = Validation(store.owner, prefix, judged.num_rows, n_good, n_bad, tuple(findings), tally, size_bytes)
        contents: dict[str, bytes | Path] = {
            "products.parquet": products,
            "quarantine.parquet": quarantine,
            "report.json": json.dumps(validation, default=vars, ensure_ascii=True).encode(),
        }
        for name, content in contents.items():
            if not any(store.items(prefix + name)):
                store.create(prefix + name, content)
    _refuse(validation, limits, live_products)
    return validation


def _judged(rows: Path, suites: list[dict[str, Any]]) -> pa.Table:
    """What is judged: only the columns that a suite names."""
    there = tables.query(JUDGED, rows=SNAPSHOT.empty_table()).schema
    schema = pa.schema([there.field(name) for name in judges.named(there.names, suites)])
    sql = f"select {', '.join(schema.names)} from ({JUDGED}) order by row"  # noqa: S608 - our names
    return tables.scratch(tables.stream(sql, rows=rows), schema)


def newest(store: Store) -> tuple[dict[str, Any], Path]:
    """The report and the quarantine file of the last judgement on a shop. Raises CatalogRejected when there is none."""
    prefix, report = _newest(store)
    return report, tables.local(store, prefix + "quarantine.parquet")


def accepted(store: Store) -> Path:
    """The products that the last judgement on a shop accepted. Raises CatalogRejected when there is none."""
    return tables.local(store, _newest(store)[0] + "products.parquet")


def _newest(store: Store) -> tuple[str, dict[str, Any]]:
    """Where the last judgement lies, and its report."""
    reports = [item for item in store.items("snapshots/") if item.key.endswith("/report.json")]
    if not reports:
        raise CatalogRejected("no catalog of this shop was ever judged", do="refresh the shop first")
    key = max(reports, key=lambda item: (item.modified, item.key)).key
    report: dict[str, Any] = json.loads(store.get(key))
    check_owner(f"{store.url}/{key}", report.get("shop", ""), store.owner)
    return key.removesuffix("report.json"), report


def _refuse(validation: Validation, limits: Limits, live_products: int) -> None:
    for finding in validation.findings:
        if finding.severity == "critical" and not finding.passed and not finding.failed:
            raise CatalogRejected(f"{finding.code}: came {finding.observed or 'something else'}", expected=finding.says)
    share = validation.quarantined / validation.rows
    if share > limits.quarantine or not validation.accepted:
        worst = ", ".join(f"{code} {n:,}" for code, n in list(validation.reasons.items())[:4])
        raise CatalogRejected(
            f"{validation.quarantined:,} of {validation.rows:,} rows are unfit ({worst})",
            expected=f"at most {limits.quarantine:.0%}",
            do="see `pluribus quarantine`, then mend the feed, its column mapping, or limits.quarantine",
        )
    if validation.accepted < live_products * (1 - limits.shrink):
        raise CatalogRejected(
            f"the catalog shrank from {live_products:,} to {validation.accepted:,} products",
            expected=f"a loss of at most {limits.shrink:.0%}",
            do="if it is meant, raise limits.shrink for one run",
        )
