"""The cards of models: what a fine-tuning tried and chose, and how models did on data sets."""

from collections.abc import Mapping, Sequence
from typing import Any

from pluribus import plots
from pluribus.benchmark import Row
from pluribus.cards import benchmarks, layout
from pluribus.cards.layout import unfailing
from pluribus.train.choosing import Candidate, Choice


@unfailing
def finetune(
    candidates: Sequence[Candidate],
    choice: Choice,
    table: Sequence[Mapping[str, str]],
    rule: str,
    counts: Mapping[str, int],
) -> list[Any]:
    """Every candidate of a fine-tuning, what it took, what it can do, and which was chosen."""
    winner = choice.winner.name if choice.winner else "the start model stays"
    boxes = {"chosen": (winner, "success" if choice.winner else "warning")}
    boxes |= {name: (f"{n:,}", "default") for name, n in counts.items()}
    reasons = [{"why not": reason} for reason in choice.reasons]
    about = "At home against abroad: what a candidate gained on the shops, and what it kept of everything else."
    return layout.page("Fine-tuning", rule, [layout.boxes(boxes), layout.table(reasons)], [
        layout.section("Candidates", "LR `start` is the untouched model", [layout.table(table)]),
        layout.section("Gained and kept", about, [layout.chart(plots.tradeoff(candidates))]),
    ])  # fmt: skip


@unfailing
def benchmark(rows: Sequence[Row]) -> list[Any]:
    """Models on data sets: the keynote's Tables 2 and 3, ours beside what was published."""
    return layout.page("Benchmark", benchmarks.LEDE, [], benchmarks.sections(rows))
