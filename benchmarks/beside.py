"""How every benchmark is measured: ours and its peers on the same input, in one interleaved run.

Each side runs in a fresh process on one core (threads that wait for each other would count as work) and reports
CPU-seconds (its children's included), wall seconds and peak memory, and whatever else it returns. Rounds alternate the
order; a ratio is the median of the rounds' ratios. Machines are noisy: read ratios, not seconds.
"""

import json
import operator
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONG_S = 10.0  # a round that takes longer is measured three times only
Took = Mapping[str, Any]
Side = Callable[[Path], Took | None]


@dataclass(frozen=True)
class Goal:
    """What must hold: `least`, how many times a peer's figure ours is at least (1 / ours), or `most`, the share of the
    peer's it is at most; without a peer, of our figure itself."""

    of: str = "CPU-s"
    peer: str = ""
    least: float | None = None
    most: float | None = None

    def reached(self, value: float) -> bool:
        """Whether this value is as asked."""
        return value >= self.least if self.least is not None else value <= (self.most or 0.0)


@dataclass(frozen=True)
class Benchmark:
    """`prepare(folder)` makes the input once; each side works on it; `check(folder)` compares what they left.

    A side may return figures of its own. CPU-s among them replaces the measured one, where set-up is not what counts
    (`counted`).
    """

    means: str
    prepare: Side
    ours: Side
    peers: Mapping[str, Side]
    goals: tuple[Goal, ...]
    check: Side | None = None
    rounds: int = 5


@dataclass
class counted:  # noqa: N801 - used as a with statement
    """CPU- and wall seconds of this block, children included: `with counted() as took: ...`, then `took.of`."""

    of: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> "counted":
        self._began, self._wall = _cpu_s(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.of |= {"CPU-s": _cpu_s() - self._began, "wall s": time.perf_counter() - self._wall}


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def run_here(benchmark: Benchmark, side: str, folder: Path) -> None:
    """In the child: run one side on one core, print what it took."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    work = {"prepare": benchmark.prepare, "check": benchmark.check, "ours": benchmark.ours, **benchmark.peers}[side]
    assert work is not None
    with counted() as took:
        told = work(folder) or {}
    most = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({**took.of, "peak MB": max(most), **told}))


def run_side(name: str, side: str, folder: str) -> dict[str, Any]:
    """One side in a fresh process."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("run.py")), "--only", name]
    done = subprocess.run([*command, "--side", side, "--folder", folder], stdout=subprocess.PIPE, text=True, check=True)
    took: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return took


def measure(name: str, benchmark: Benchmark, rounds: int) -> dict[str, Any]:
    """All sides, `rounds` times, in alternating order: medians, and each goal with what was reached of it."""
    sides = ["ours", *benchmark.peers]
    took: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="pluribus-bench-") as folder:
        run_side(name, "prepare", folder)  # in a process of its own too: a child's peak memory begins at its parent's
        number = 0
        while number < rounds:
            began = time.perf_counter()
            for side in sides if number % 2 else reversed(sides):
                took[side].append(run_side(name, side, folder))
            number += 1
            if time.perf_counter() - began > LONG_S:
                rounds = min(rounds, 3)
        checked = run_side(name, "check", folder) if benchmark.check else {}
    return {
        "means": benchmark.means,
        "rounds": rounds,
        "sides": {side: {of: _middle(took[side], of) for of in took[side][0]} for side in sides},
        "goals": [_judged(goal, took, checked) for goal in benchmark.goals],
    }


def _middle(runs: list[dict[str, Any]], of: str) -> Any:
    values = [run[of] for run in runs]
    return round(statistics.median(values), 4) if isinstance(values[0], int | float) else values[-1]


def _judged(goal: Goal, took: Mapping[str, list[dict[str, Any]]], checked: Mapping[str, Any]) -> dict[str, Any]:
    """The value that a goal speaks of, as the median over rounds."""
    ours = [run[goal.of] for run in took["ours"]] if goal.of in took["ours"][0] else [checked[goal.of]]
    if goal.peer:
        theirs = [run[goal.of] for run in took[goal.peer]]
        ours = list(map(operator.truediv, *((theirs, ours) if goal.least is not None else (ours, theirs))))
    value = statistics.median(ours)
    asked = {"least": goal.least} if goal.least is not None else {"most": goal.most}
    return {"of": goal.of, "peer": goal.peer, **asked, "value": round(value, 7), "reached": goal.reached(value)}
