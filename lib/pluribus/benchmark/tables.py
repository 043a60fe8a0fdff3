"""Tables: the rows as the keynote's Tables 2 and 3 for people, as one CSV for programs, and both in the store."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pluribus.benchmark import RETRIEVAL, ZERO_SHOT, Row
from pluribus.classify.spreadsheets import harmless
from pluribus.errors import printable
from pluribus.store import Store
from pluribus.train.choosing import as_csv, markdown

UNMEASURED = "not measured, because"
TITLES = {
    RETRIEVAL: "Table 2: title → picture, HITS@5",
    ZERO_SHOT: "Table 3: zero-shot classification, label vectors of length one",
}
LEDE = (
    "A title asks its own picture among all pictures of the split (the gallery); HITS@5 depends on its size: compare "
    "at equal galleries only. F1 is weighted by the size of the classes. In brackets: 95 % bootstrap intervals. "
    "Rows that are published were printed by others, on sets that need not be the same pictures."
)


def retrieval(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Table 2, set by set."""
    return [
        {
            "data": row.data,
            "model": row.model,
            "split": row.of,
            "gallery": _of(row, "hits@5", "gallery of ") or ("not stated" if row.printed else ""),
            "n": _n(row, "hits@5"),
            "HITS@5": _value(row, "hits@5"),
            "chance": _chance(row, "hits@5"),
            "MRR": _value(row, "mrr"),
            "source": _source(row),
        }
        for row in _ordered(rows, RETRIEVAL)
    ]


def zero_shot(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Table 3, set by set."""
    return [
        {
            "data": row.data,
            "model": row.model,
            "labels as": row.of,
            "classes": _of(row, "F1", "", " classes"),
            "n": _n(row, "F1"),
            "weighted F1": _value(row, "F1"),
            "chance": _chance(row, "F1"),
            "macro F1": _value(row, "macro F1"),
            "accuracy": _value(row, "accuracy"),
            "source": _source(row),
        }
        for row in _ordered(rows, ZERO_SHOT)
    ]


def lines(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Every measurement in full: one line each, and one for what could not be measured."""
    found = []
    for row in rows:
        base = {"table": row.table, "model": row.model, "data": row.data, "of": row.of}
        blank = dict.fromkeys(("metric", "value", "low", "high", "chance", "n", "among"), "")
        ends = {"source": row.source if not row.why else "", "note": row.note, UNMEASURED: row.why}
        told = [{"metric": metric, **{name: repr(getattr(score, name)) for name in ("value", "low", "high", "chance")},
                 "n": str(score.n), "among": score.note} for metric, score in row.scores.items()]  # fmt: skip
        told += [{"metric": metric, "value": repr(value)} for metric, value in row.printed.items()]
        found += [base | blank | line | ends for line in told or [{}]]
    return found


def keep(store: Store, prefix: str, rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """Write table.csv, tables.md and report.json; returns the key of the report."""
    two, three = retrieval(rows), zero_shot(rows)
    files = {"csv": f"{prefix}table.csv", "markdown": f"{prefix}tables.md"}
    report = {**facts, "files": files, "retrieval": two, "zero_shot": three, "rows": lines(rows)}
    store.create(files["csv"], as_csv([_harmless(line) for line in report["rows"]]).encode())
    store.create(files["markdown"], page(two, three).encode())
    store.create(f"{prefix}report.json", json.dumps(report, ensure_ascii=False, allow_nan=False, default=str).encode())
    return f"{prefix}report.json"


def page(two: Sequence[Mapping[str, str]], three: Sequence[Mapping[str, str]]) -> str:
    """Both tables in Markdown; nothing in a name becomes markup."""
    parts = ["# Benchmark", LEDE]
    for title, table in ((TITLES[RETRIEVAL], two), (TITLES[ZERO_SHOT], three)):
        if table:
            safe = [{name: html.escape(printable(cell), quote=False) for name, cell in row.items()} for row in table]
            parts += [f"## {title}", markdown(safe)]
    return "\n\n".join(parts) + "\n"


def _ordered(rows: Sequence[Row], table: str) -> list[Row]:
    """By set, in the order of their first rows; what is published after what is ours."""
    of = [row for row in rows if row.table == table]
    places = {name: n for n, name in enumerate(dict.fromkeys(row.data for row in of))}
    return sorted(of, key=lambda row: (places[row.data], bool(row.printed)))


def _value(row: Row, metric: str) -> str:
    if metric in row.printed:
        return f"{row.printed[metric]:.2f}"
    score = row.scores.get(metric)
    return f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" if score else ""


def _chance(row: Row, metric: str) -> str:
    return f"{row.scores[metric].chance:.3f}" if metric in row.scores else ""


def _n(row: Row, metric: str) -> str:
    return f"{row.scores[metric].n:,}" if metric in row.scores else ""


def _of(row: Row, metric: str, before: str, after: str = "") -> str:
    return row.scores[metric].note.removeprefix(before).removesuffix(after) if metric in row.scores else ""


def _source(row: Row) -> str:
    if row.why:
        return f"{UNMEASURED} {row.why}"
    return f"{row.source} ({row.note})" if row.note else row.source


def _harmless(line: Mapping[str, str]) -> dict[str, str]:
    """A name that would begin a formula gets an apostrophe, as in `classify.spreadsheets`; numbers stay numbers."""
    named = ("model", "data", "of", "note", UNMEASURED)
    return {name: str(harmless(cell)) if name in named else cell for name, cell in line.items()}
