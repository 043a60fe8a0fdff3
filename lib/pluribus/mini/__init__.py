"""`mini`, the embedded model: how it is taught, from data whose licence lets its weights be published, and examined.

Two courses: all teachers of `lessons`, then the same with captions that name a pattern or a colour alone. What the
exam uses is never taught: the benchmarks' own pictures, drawn products of other seeds, and every drawn (kind, colour,
pattern) of `lessons.held_out`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pluribus import train
from pluribus.mini import exam, lessons
from pluribus.models import towers_torch
from pluribus.models.weights import sha256_of
from pluribus.records import Model, Score

MARK = "<!-- written by `mini.make` -->"


def make(
    model: Model,
    data: Path,
    card: Path,
    *,
    steps: int = 3200,
    property_steps: int = 1600,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    drawn: int = 90_000,
    seed: int = 0,
    checkpoint: Path | None = None,
    report: Callable[[train.Progress], None] = lambda progress: None,
) -> list[Score]:
    """Train mini from nothing, write its weights where `model` says, pin them in its model file, fill in its card.

    `data` is laid out as its README says. A killed run goes on from `checkpoint`. Raises ConfigError without the data.
    """
    import torch

    torch.manual_seed(seed)
    encoder = towers_torch.untrained(model)
    started = time.process_time()
    losses: list[float] = []

    def note(progress: train.Progress) -> None:
        losses.append(progress.loss)
        report(progress)

    first, second = lessons.sources(model, data, drawn)
    courses = [(first, steps, learning_rate), (second, property_steps, learning_rate / 2)]
    for number, (taught, course_steps, rate) in enumerate(courses):
        train.fit(encoder, taught, steps=course_steps, batch_size=batch_size, learning_rate=rate, seed=seed + number,
                  checkpoint=checkpoint and checkpoint.with_suffix(f".{number}"), report=note)  # fmt: skip
    weights = Path(model.weights)
    digest = towers_torch.save(
        encoder, weights, recipe=f"{steps=} {property_steps=} {batch_size=} {learning_rate=} {drawn=} {seed=}"
    )
    file = weights.with_suffix(".toml")
    file.write_text(re.sub(r'^sha256 = ".*"$', f'sha256 = "{digest}"', file.read_text(), flags=re.MULTILINE))
    found = exam.scores(towers_torch.read(replace(model, sha256=digest), "cpu"), data)
    facts = {
        "pictures seen": f"{(steps + property_steps) * batch_size:,} in {steps:,} and {property_steps:,} steps",
        "batch": f"{batch_size} pictures",
        "learning rate": f"{learning_rate}, then {learning_rate / 2}; each with warm-up 5 % and cosine to 0",
        "optimizer": "AdamW, weight decay 0.1, gradients clipped to 1",
        "drawn products": f"{drawn:,}, less the {lessons.HELD_OUT:.0%} of compositions kept for the exam",
        "seed": str(seed),
        "processor time since the last start": f"{(time.process_time() - started) / 60:.0f} minutes",
        "loss, mean of the last 100 steps": f"{np.mean(losses[-100:]):.3f} (ln(batch) = {np.log(batch_size):.3f})",
        "weights": f"{weights.stat().st_size:,} bytes, sha256 {digest}",
    } | {name: f"sha256 {sha256_of(data / name)}" for name in lessons.TAUGHT}
    fill_in(card, facts, found)
    return found


def fill_in(card: Path, facts: dict[str, str], found: list[Score]) -> None:
    """Replace what stands between the card's two marks by these figures."""
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    table = [f"| {s.name} | **{s.value:.3f}** | {s.low:.3f} to {s.high:.3f} | {s.chance:.3f} | {s.n:,} | {s.note} |"
             for s in found]  # fmt: skip
    head = "| Exam | score | 95 % interval | chance | cases | |"
    figures = "\n".join(["| Recipe | |", "|---|---|", *rows, "", head, "|---|---|---|---|---|---|", *table])
    before, _, rest = card.read_text().partition(MARK)
    after = rest.partition(MARK)[2]
    card.write_text(f"{before}{MARK}\n{figures}\n{MARK}{after}")
