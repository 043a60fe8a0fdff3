"""Judging: Great Expectations decide what a table is worth, DuckDB names the rows.

Great Expectations count what fails fast, yet name the rows slowly: a table with half its rows bad took them 13 times
a clean one's time. So they count, and each critical expectation is also said in SQL (`conditions`), which names the
rows. An expectation that has no SQL here, or whose SQL finds another number of rows than they counted, is asked of
them again, with the rows: they stay the reference.

They want the whole table as a data frame. A large one is judged column by column, so that only one of them is held.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pluribus import tables
from pluribus.errors import ConfigError
from pluribus.validate import conditions, library

COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 5}
ROWS = {"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]}

#: Every reason of each bad row, in the order of the expectations.
REASONS = """
    select row, list(code order by n) as reasons from (select row, code, min(n) as n from failed group by row, code)
    group by row order by row"""

#: Rows whose columns are judged all at once. Of more, one column at a time: a turn takes 20 CPU-ms.
AT_ONCE = 100_000

FAILED = pa.schema([("row", pa.int64()), ("code", pa.string()), ("n", pa.int32())])


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


def judge(judged: pa.Table, suites: list[dict[str, Any]]) -> tuple[list[Finding], pa.Table]:
    """Every finding on these rows, the gravest first, and the bad rows: row, and reasons as a list of codes.

    Raises ConfigError for a suite that does not load or cannot be judged.
    """
    findings, failed = [], [tables.empty(FAILED)]
    for turn in [suites] if judged.num_rows <= AT_ONCE else _turns(suites):
        table = judged.select(_seen(judged.column_names, turn))
        frame = _frame(table)
        for result in _results(frame, turn, COUNTS):
            found = _finding(result, judged.num_rows)
            findings.append(found)
            if found.severity == "critical" and found.failed:
                rows = _failing_rows(table, frame, result.expectation_config, found.failed)
                failed.append(_labelled(rows, found.code, len(findings)))
        for name in table.column_names:  # Great Expectations' context would keep them
            del frame[name]
    bad = tables.query(REASONS, failed=pa.concat_tables(failed))
    return sorted(findings, key=lambda f: (f.severity != "critical", -f.failed, f.code)), bad


def named(columns: list[str], suites: list[dict[str, Any]]) -> list[str]:
    """The row's number, and the columns that a suite names, be it within a condition ("price > 10")."""
    said = json.dumps(suites)
    return [name for name in columns if name == "row" or re.search(rf"\b{name}\b", said)]


def _turns(suites: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The suites in parts, each about one column, in the order in which Great Expectations would judge them anyway."""
    for suite in suites:
        parts: dict[str, list[dict[str, Any]]] = {}
        for expectation in suite["expectations"]:
            parts.setdefault(str(expectation.get("kwargs", {}).get("column", "")), []).append(expectation)
        yield from ([suite | {"expectations": part}] for part in parts.values())


def _seen(columns: list[str], suites: list[dict[str, Any]]) -> list[str]:
    """The columns that Great Expectations need for these suites: all of them to judge which columns there are."""
    return columns if "expect_table_column" in json.dumps(suites) else named(columns, suites)


def _frame(judged: pa.Table) -> Any:
    """What Great Expectations look at, texts as Arrow holds them: a data frame's own take 60 bytes and more each."""
    import pandas as pd

    return judged.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)


def _failing_rows(judged: pa.Table, frame: Any, config: Any, expected: int) -> pa.Array:
    kwargs = {name: value for name, value in config.kwargs.items() if name != "batch_id"}
    said = conditions.condition(config.type, kwargs, judged.schema)
    if said:
        sql = f"select row from judged where {said.sql}"  # noqa: S608 - SQL of ours; values are parameters
        rows = tables.query(sql, said.values, judged=judged)["row"].combine_chunks()
        if len(rows) == expected:
            return rows
    alone = {"name": "again", "expectations": [{"type": config.type, "kwargs": kwargs, "severity": "critical"}]}
    (result,) = _results(frame, [alone], ROWS)
    return pa.array([int(item["row"]) for item in result.result["unexpected_index_list"]], pa.int64())


def _labelled(rows: pa.Array, code: str, number: int) -> pa.Table:
    n = len(rows)
    return pa.table([rows.cast(pa.int64()), pa.array([code] * n), pa.array([number] * n, pa.int32())], schema=FAILED)


def _finding(result: Any, n_rows: int) -> Finding:
    config = result.expectation_config
    meta = config.meta or {}
    observed = result.result.get("observed_value")
    failed = int(result.result.get("unexpected_count") or 0)
    return Finding(
        code=str(meta.get("code", config.type)),
        says=str(meta.get("says", config.type)),
        expectation=config.type,
        column=str(config.kwargs.get("column", config.kwargs.get("column_A", ""))),
        severity=config.severity.value,
        passed=bool(result.success),
        failed=failed,
        share=failed / max(1, n_rows),
        examples=tuple(str(value)[:80] for value in result.result.get("partial_unexpected_list") or []),
        observed="" if observed is None else str(observed)[:80],
    )


def _results(frame: Any, suites: list[dict[str, Any]], result_format: dict[str, Any]) -> Iterator[Any]:
    """Every result of Great Expectations for these suites over one data frame."""
    gx = library.ready()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    for number, suite in enumerate(suites):
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


def _exception(info: Mapping[str, Any]) -> str:
    """What went wrong inside an expectation; Great Expectations nests it under a metric's name, or does not."""
    if info.get("raised_exception"):
        return str(info.get("exception_message"))
    return next(filter(None, (_exception(part) for part in info.values() if isinstance(part, Mapping))), "")


def _load_suite(suite: Mapping[str, Any]) -> Any:
    """A suite as Great Expectations' object. It drops unknown expectation types silently; we refuse them."""
    gx = library.ready()
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
