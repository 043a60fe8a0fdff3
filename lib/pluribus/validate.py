"""Validate: judge a snapshot with Great Expectations; accepted rows go on, the others are quarantined with reasons.

The suites are files in expectations/: `products.json` for every shop, then the overlay of the shop's vertical. What an
expectation means is in its file: `severity` critical quarantines the rows that fail it (or refuses a table that fails
it), any other is counted; `meta.code` is the reason a row carries, `meta.says` the sentence people read.

    snapshots/<id>/checks/<validation>/products.parquet · quarantine.parquet · report.json
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluribus import tables
from pluribus.errors import CatalogRejected, ConfigError
from pluribus.records import SNAPSHOT, Limits
from pluribus.store import Store

VERSION = 1  # raise when the same snapshot and suites would now be judged otherwise

QUARANTINE = SNAPSHOT.append(pa.field("reasons", pa.list_(pa.string())))

#: What the suites may speak of: canonical columns, and facts about a row that need the whole table.
JUDGED = """
    select row, product_id, title, brand, category, colour, size, gender, material, price, sale_price, currency,
        availability, link, locale, coalesce(array_to_string(defects, ' '), '') as defects,
        case when product_id is null then 0 else count(*) over (partition by product_id) end as copies,
        coalesce(len(images), 0) as n_images, len(pictures) as n_pictures, len(picture_faults) as n_picture_faults,
        length(title) as title_chars, length(description) as description_chars,
        case when len(pictures) > 0 and coalesce(title, description) is not null then 'picture and text'
             when len(pictures) > 0 then 'picture' when coalesce(title, description) is not null then 'text'
             else 'nothing' end as content
    from rows order by row"""

SPLIT_BAD = "select rows.*, bad.reasons from rows join bad using (row) order by row"
SPLIT_GOOD = "select * from rows where row not in (select row from bad) order by product_id, row"


@dataclass(frozen=True)
class Finding:
    """What one expectation found in one snapshot."""

    code: str
    says: str
    expectation: str
    column: str
    severity: str
    passed: bool
    failed: int  # rows; 0 for expectations about the whole table
    share: float
    examples: tuple[str, ...]
    observed: str = ""


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


def suites(store: Store, vertical: str) -> list[dict[str, Any]]:
    """The core suite and the vertical's overlay. Raises ConfigError on a missing or malformed file."""
    names = ["products", vertical] if vertical else ["products"]
    there = {item.key for item in store.items()}
    found = []
    for name in names:
        if f"{name}.json" not in there:
            known = ", ".join(sorted(key.removesuffix(".json") for key in there if key.endswith(".json")))
            raise ConfigError(f"no suite {name}.json in {store.url}", expected=f"vertical = one of {known}")
        try:
            suite = json.loads(store.get(f"{name}.json"))
            assert isinstance(suite["expectations"], list) and suite["expectations"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AssertionError):
            raise ConfigError(
                f"{store.url}/{name}.json is not a suite",
                expected='JSON: {"name": …, "expectations": [{"type": …, "kwargs": {…}}, …]}',
            ) from None
        found.append(suite)
    return found


def validation_prefix(snapshot: str, suites: list[dict[str, Any]]) -> str:
    """Where the judgement of a snapshot by these suites lies."""
    import hashlib

    digest = hashlib.sha256(json.dumps([VERSION, suites], sort_keys=True).encode()).hexdigest()
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
    judged = tables.query(JUDGED, rows=path)
    findings, bad = _judge(judged, suites)
    quarantined = pa.table(
        {"row": pa.array(bad.keys(), pa.int64()), "reasons": pa.array(bad.values(), pa.list_(pa.string()))}
    )
    with tempfile.TemporaryDirectory(prefix="pluribus-") as folder:
        products, quarantine = Path(folder) / "products.parquet", Path(folder) / "quarantine.parquet"
        rows = path
        n_good = tables.write(products, tables.stream(SPLIT_GOOD, rows=rows, bad=quarantined), SNAPSHOT, store.owner)
        n_bad = tables.write(quarantine, tables.stream(SPLIT_BAD, rows=rows, bad=quarantined), QUARANTINE, store.owner)
        assert n_good + n_bad == judged.num_rows, "every row is accepted or quarantined"
        size_bytes = products.stat().st_size + quarantine.stat().st_size
        tally = _tally(bad.values())
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


def newest(store: Store) -> tuple[dict[str, Any], Path]:
    """The report and the quarantine file of the last judgement on a shop. Raises CatalogRejected when there is none."""
    reports = [item for item in store.items("snapshots/") if item.key.endswith("/report.json")]
    if not reports:
        raise CatalogRejected("no catalog of this shop was ever judged", do="refresh the shop first")
    key = max(reports, key=lambda item: (item.modified, item.key)).key
    report: dict[str, Any] = json.loads(store.get(key))
    if report.get("shop", "") != store.owner:
        raise CatalogRejected(f"{store.url}/{key} is of shop {report.get('shop')!r:.80}", expected=repr(store.owner),
                              do="find out who wrote it")  # fmt: skip
    return report, tables.local(store, key.removesuffix("report.json") + "quarantine.parquet")


def _judge(judged: pa.Table, suites: list[dict[str, Any]]) -> tuple[list[Finding], dict[int, list[str]]]:
    """Run the suites over the judged columns: every finding, and the reasons of each bad row."""
    findings: list[Finding] = []
    bad: dict[int, list[str]] = {}
    for result in _great_expectations(judged.to_pandas(), suites):
        config = result.expectation_config
        meta, severity = config.meta or {}, config.severity.value
        rows = [int(item["row"]) for item in result.result.get("unexpected_index_list") or []]
        code = str(meta.get("code", config.type))
        if severity == "critical":
            for row in rows:
                if code not in bad.setdefault(row, []):
                    bad[row].append(code)
        observed = result.result.get("observed_value")
        failed = int(result.result.get("unexpected_count") or 0)
        findings.append(
            Finding(
                code=code,
                says=str(meta.get("says", config.type)),
                expectation=config.type,
                column=str(config.kwargs.get("column", config.kwargs.get("column_A", ""))),
                severity=severity,
                passed=bool(result.success),
                failed=failed,
                share=failed / max(1, judged.num_rows),
                examples=tuple(str(v)[:80] for v in (result.result.get("partial_unexpected_list") or [])[:5]),
                observed="" if observed is None else str(observed)[:80],
            )
        )
    return sorted(findings, key=lambda f: (f.severity != "critical", -f.failed, f.code)), dict(sorted(bad.items()))


def _great_expectations(frame: Any, suites: list[dict[str, Any]]) -> Iterable[Any]:
    """Every result of Great Expectations for these suites over one data frame."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    for number, (suite, result_format) in enumerate(_by_severity(suites)):
        loaded = _load_suite(suite)
        loaded.name = f"{number}"  # a context wants them unlike
        loaded = context.suites.add(loaded)
        definition = gx.ValidationDefinition(name=f"{number}", data=batch, suite=loaded)
        outcome = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame},
            result_format=result_format,
        )
        for result in outcome.results:
            problem = _exception(result.exception_info)
            if problem:
                config = result.expectation_config
                raise ConfigError(
                    f"suite {suite['name']!r}: {config.type} on {config.kwargs} cannot be judged: {problem}",
                    do="mend the expectation",
                )
        yield from outcome.results


def _by_severity(suites: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each suite in two: only critical expectations need the failed rows, which cost Great Expectations dearly."""
    rows = {"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]}
    for suite in suites:
        for critical, result_format in ((True, rows), (False, {"result_format": "SUMMARY"})):
            chosen = [e for e in suite["expectations"] if (e.get("severity", "critical") == "critical") == critical]
            if chosen:
                yield suite | {"expectations": chosen}, result_format


def _exception(info: Mapping[str, Any]) -> str:
    """What went wrong inside an expectation; Great Expectations nests it under a metric's name, or does not."""
    if info.get("raised_exception"):
        return str(info.get("exception_message"))
    return next(filter(None, (_exception(part) for part in info.values() if isinstance(part, Mapping))), "")


def _load_suite(suite: Mapping[str, Any]) -> Any:
    """A suite as Great Expectations' object. It drops unknown expectation types silently; we refuse them."""
    import great_expectations as gx
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known = set(list_registered_expectation_implementations())
    unknown = [e.get("type") for e in suite["expectations"] if e.get("type") not in known]
    if unknown:
        raise ConfigError(
            f"suite {suite.get('name')!r} has unknown expectations {unknown}",
            expected="types that Great Expectations knows",
        )
    try:
        loaded = gx.ExpectationSuite(**suite)
    except Exception as error:  # noqa: BLE001 - pydantic v1, jsonschema or TypeError, by expectation
        raise ConfigError(f"suite {suite.get('name')!r} does not load: {error}", do="mend the file") from None
    assert len(loaded.expectations) == len(suite["expectations"]), "Great Expectations dropped an expectation"
    return loaded


def _tally(reasons: Iterable[list[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for codes in reasons:
        for code in codes:
            counts[code] = counts.get(code, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


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
