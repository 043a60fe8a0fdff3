"""Behavioural tests: RecList's, with verdicts. One entry of BEHAVIOURS is one test; its threshold is configuration.

A test fails when even the favourable end of its 95 % interval misses the threshold: noise does not fail it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pluribus.evaluate.crowding import CROWDING
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.evaluate.mistakes import MISTAKES
from pluribus.evaluate.slices import SLICES
from pluribus.evaluate.stability import STABILITY
from pluribus.records import Observed

RUN: dict[str, Callable[[Exam], Observed]] = SLICES | MISTAKES | STABILITY | CROWDING


@dataclass(frozen=True)
class Behaviour:
    """One test: what its number means, in which unit, and which end of it is good."""

    means: str
    unit: str
    better: Literal["higher", "lower"]
    run: Callable[[Exam], Observed]


def _entry(name: str, better: Literal["higher", "lower"], unit: str, means: str) -> tuple[str, Behaviour]:
    return name, Behaviour(means, unit, better, RUN[name])


BEHAVIOURS: dict[str, Behaviour] = dict(
    [
        _entry(
            "slice_gap", "lower", "hits@5", "No category, brand, price band, title length or locale is left behind."
        ),
        _entry("mred", "higher", "miss rate", "Misses are spread evenly over slices (EvalRS's MRED; 0 is even)."),
        _entry("tail_gap", "lower", "hits@5", "Rarely seen products are found about as well as the others."),
        _entry("cold_start", "lower", "hits@5", "New products are found about as well as the others."),
        _entry("wrong_category", "lower", "× chance", "What comes first by mistake is at least of a near category."),
        _entry("wrong_vector", "higher", "cosine above chance", "What comes first by mistake at least looks alike."),
        _entry("price_spread", "lower", "× chance", "Results cost about what the product meant costs."),
        _entry("typo", "higher", "share kept", "Two swapped letters leave the answer mostly as it was."),
        _entry("case", "higher", "share kept", "CAPITALS leave the answer as it was."),
        _entry("word_order", "higher", "share kept", "Other word order leaves the answer mostly as it was."),
        _entry(
            "synonym", "higher", "share kept", "Another word for the same thing leaves the answer mostly as it was."
        ),
        _entry("crop", "higher", "hits@5", "A picture with its rim cut off still finds its product."),
        _entry("flip", "higher", "hits@5", "A mirrored picture still finds its product."),
        _entry("grey", "higher", "hits@5", "A picture without colour still finds its product."),
        _entry("coverage", "higher", "× even", "Answers show many different products."),
        _entry("hubs", "lower", "share of answers", "No few products stand in answers to everything."),
        _entry("duplicates", "lower", "share of places", "One answer does not show one product several times."),
    ]
)


def observe(exam: Exam) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every test's row: verdict, value, limit, interval, n, meaning, worst cases; and why others were not measured."""
    rows: list[dict[str, Any]] = []
    not_measured: dict[str, str] = {}
    for name in BEHAVIOURS:
        try:
            rows.append(test(name, exam))
        except Unmeasured as why:
            not_measured[name] = str(why)
    return rows, not_measured


def test(name: str, exam: Exam) -> dict[str, Any]:
    """One test's row. Raises Unmeasured."""
    behaviour = BEHAVIOURS[name]
    found = behaviour.run(exam)
    limit = float(getattr(exam.gate.thresholds, name))
    passed = found.low <= limit if behaviour.better == "lower" else found.high >= limit
    about = {"better": behaviour.better, "unit": behaviour.unit, "means": behaviour.means}
    return {"name": name, "passed": passed, "limit": limit} | about | vars(found)
