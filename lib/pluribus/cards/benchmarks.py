"""The chapters of a benchmark's card: a chart of what was measured, and the table with what was published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pluribus import plots
from pluribus.benchmark import RETRIEVAL, ZERO_SHOT, Row, tables
from pluribus.cards import layout
from pluribus.records import Score

LEDE = tables.LEDE
CHAPTERS = {RETRIEVAL: ("hits@5", tables.retrieval), ZERO_SHOT: ("F1", tables.zero_shot)}


def sections(rows: Sequence[Row]) -> list[Any]:
    """One for each table that has rows."""
    return [
        layout.section(tables.TITLES[kind], "", [_chart(_measured(rows, kind, metric)), layout.table(table)])
        for kind, (metric, of) in CHAPTERS.items()
        if (table := of(rows))
    ]


def _measured(rows: Sequence[Row], kind: str, metric: str) -> dict[str, Score]:
    """The scores of a table, each under a name of its own; fixed galleries are told apart by theirs."""
    return {f"{row.model} · {row.data} · {row.of}" + (f", {row.scores[metric].note}" if kind == RETRIEVAL else ""):
            row.scores[metric] for row in rows if row.table == kind and metric in row.scores}  # fmt: skip


def _chart(found: Mapping[str, Score]) -> Any:
    """The first of them; None where there are none."""
    shown = {name: replace(score, name=name) for name, score in list(found.items())[: plots.MOST_SHOPS]}
    return layout.chart(plots.scores(shown)) if shown else None
