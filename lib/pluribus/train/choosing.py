"""Choosing: which of the trained candidates becomes the model, if any, and the table that says why.

Loss in the shop's own domain chooses badly for others (FashionCLIP's authors took 1e-6 although 1e-5 lost less, and
advise to watch a set from elsewhere), so the choice looks at both sides: the shops' VALID split, and external sets.
TEST, held-out categories, brands and shops are reported and never chosen by.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pluribus import costs
from pluribus.costs import Cost
from pluribus.records import Score

CHOSEN_BY = "VALID hits@5"
RULE = (
    "Of the candidates that lose at most {forget:.3f} of the start model's F1 on every external set, the one with the "
    "highest mean of VALID hits@5 and mean external F1; it must beat the start model in that."
)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One row of the table: a training, or the start model itself (learning rate 0), with all that was measured."""

    learning_rate: float
    seed: int = 0
    share: float = 1.0  # of the way from the start weights to the trained ones (WiSE-FT)
    steps: int = 0
    batch_size: int = 0
    loss: float = math.nan  # over the last tenth of the steps
    chance_loss: float = math.nan
    cost: Cost | None = None
    watts: float | None = None  # measured; None where no GPU reports them
    scores: Mapping[str, Score] = field(default_factory=dict)  # title → picture by split
    external: Mapping[str, Score] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short and unique in its table."""
        if not self.learning_rate:
            return "start"
        mixed = "" if self.share == 1 else f" x {self.share:g}"
        return f"{self.learning_rate:g}{mixed}" + (f" seed {self.seed}" if self.seed else "")

    @property
    def standing(self) -> float:
        """What the rule maximises."""
        outside = [score.value for score in self.external.values()]
        return (self.scores[CHOSEN_BY].value + sum(outside) / len(outside)) / 2


def candidate(
    learning_rate: float, seed: int, batch_size: int, result: Mapping[str, Any], prices: Mapping[str, float]
) -> Candidate:
    """A candidate that is not judged yet, from what its training said of itself; nothing for the start model."""
    if not result:
        return Candidate(learning_rate=learning_rate, seed=seed)
    cost = costs.cost(result["minutes"], gpus=result["processes"], **prices)
    return Candidate(learning_rate=learning_rate, seed=seed, steps=result["steps"], batch_size=batch_size,
                     loss=result["loss"], chance_loss=result["chance"], cost=cost, watts=result["watts"])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The winner, None when the start model stays; and why each of the others is not it."""

    winner: Candidate | None
    reasons: tuple[str, ...]


def choose(candidates: Sequence[Candidate], forget: float) -> Choice:
    """Apply RULE; the start model is among the candidates."""
    start = next(candidate for candidate in candidates if not candidate.learning_rate)
    tuned = [candidate for candidate in candidates if candidate.learning_rate]
    forgot = {c.name: lost for c in tuned if (lost := _forgotten(c, start, forget))}
    able = [c for c in tuned if c.name not in forgot]
    best = max(able, key=lambda c: c.standing, default=None)
    reasons = [f"{name} is refused: {lost}" for name, lost in forgot.items()]
    if best and best.standing <= start.standing:
        reasons.append(f"{best.name} stands at {best.standing:.3f}, the start model at {start.standing:.3f}")
        best = None
    return Choice(winner=best, reasons=tuple(reasons))


def _forgotten(candidate: Candidate, start: Candidate, forget: float) -> str:
    lost = {name: start.external[name].value - score.value for name, score in candidate.external.items()}
    return ", ".join(f"{name} fell from {start.external[name].value:.3f} to {candidate.external[name].value:.3f}"
                     for name, much in lost.items() if much > forget)  # fmt: skip


def rows(candidates: Sequence[Candidate], winner: Candidate | None) -> list[dict[str, str]]:
    """The table, in words: the keynote's Table 1 with what was measured beside it."""
    return [
        {
            "LR": np.format_float_scientific(c.learning_rate, trim="-", exp_digits=1) if c.learning_rate else "start",
            "seed": str(c.seed) if c.learning_rate else "",
            "mix": f"{c.share:g}" if c.learning_rate else "",
            "loss": _number(c.loss, ".3f"),
            "ln(batch)": _number(c.chance_loss, ".3f"),
            "minutes": _number(c.cost and c.cost.minutes, ".2f"),
            "USD": _number(c.cost and c.cost.usd, ".2f"),
            "kgCO2eq": _number(c.cost and c.cost.kg_co2eq, ".3f"),
            "watts": _number(c.watts, ".0f"),
            **{name: f"{score.value:.3f}" for name, score in (*c.scores.items(), *c.external.items())},
            "": "chosen" if c is winner else "",
        }
        for c in candidates
    ]


def markdown(table: Sequence[Mapping[str, str]]) -> str:
    """A table of `rows` for a model card."""
    head = list(table[0])
    lines = [head, ["---"] * len(head), *(list(row.values()) for row in table)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_csv(table: Sequence[Mapping[str, str]]) -> str:
    """A table of `rows` for other programs."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def _number(value: Any, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)
