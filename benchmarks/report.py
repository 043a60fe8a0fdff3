"""What was measured, as people read it: a table, a chart, and the figures themselves for machines."""

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "pyarrow", "duckdb", "pandas", "torch", "open_clip_torch", "openvino", "faiss-cpu", "pillow",
             "great_expectations", "metaflow")  # fmt: skip
COLUMNS = ("benchmark", "against", "of", "ours", "theirs", "ratio", "goal", "")


def keep(name: str, result: dict[str, Any], order: Sequence[str]) -> None:
    """Add one result to the files; those of benchmarks that are no more go."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "results.json"
    found = json.loads(path.read_text())["results"] if path.exists() else {}
    found[name] = result | {"machine": machine(), "on": time.strftime("%Y-%m-%d")}
    kept = {name: found[name] for name in order if name in found}
    libraries = {library: version(library) for library in LIBRARIES}
    path.write_text(json.dumps({"libraries": libraries, "results": kept}, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / "results.md").write_text(table() + "\n")
    chart(kept)


def machine() -> str:
    """Processor, cores, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def table() -> str:
    """One line a goal, in Markdown."""
    found = json.loads((RESULTS / "results.json").read_text())
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for result in found["results"].values():
        for number, goal in enumerate(result["goals"]):
            said = "" if number else f"{result['means']} (rounds: {result['rounds']})"
            lines.append("| " + " | ".join([said, *_cells(goal, result["sides"])]) + " |")
    machines = sorted({(result["machine"], result["on"]) for result in found["results"].values()})
    versions = ", ".join(f"{library} {number}" for library, number in found["libraries"].items())
    reached = [goal["reached"] for result in found["results"].values() for goal in result["goals"]]
    lines += ["", f"{sum(reached)} of {len(reached)} goals reached. Ratios are medians over rounds."]
    lines += ["With ×: how many times less than the peer; without: the share of the peer's."]
    return "\n".join([*lines, "", *("; ".join(one) for one in machines), "", versions])


def _cells(goal: dict[str, Any], sides: dict[str, dict[str, Any]]) -> list[str]:
    ours = sides["ours"].get(goal["of"], goal["value"])
    theirs = sides[goal["peer"]].get(goal["of"]) if goal["peer"] else None
    sign, bound = ("≥", goal["least"]) if "least" in goal else ("≤", goal["most"])
    shown = _number if not goal["peer"] else (lambda x: f"{x:.3g}×") if "least" in goal else (lambda x: f"{x:.3g}")
    ratio = shown(goal["value"]) if goal["peer"] else ""
    return [goal["peer"], goal["of"], _number(ours), "" if theirs is None else _number(theirs), ratio,
            f"{sign} {shown(bound)}", "" if goal["reached"] else "**missed**"]  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.5g}" if 0.99 < value < 1 else f"{value:.3g}"


def chart(results: dict[str, dict[str, Any]]) -> None:
    """How far each ratio is from its goal: bars from 1 (as the peer), logarithmic, a mark where the goal is.

    Nothing at all (0 encoded) is no bar.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    bars = [(f"{result['means']}\n{goal['of']}, beside {goal['peer']}", goal)
            for result in results.values() for goal in result["goals"] if goal["peer"] and goal["value"]]  # fmt: skip
    better = [goal["value"] if "least" in goal else 1 / goal["value"] for _, goal in bars]
    wanted = [goal["least"] if "least" in goal else 1 / goal["most"] for _, goal in bars]
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(bars) + 1), layout="constrained")
    colours = ["#2a6f97" if goal["reached"] else "#c1666b" for _, goal in bars]
    places = range(len(bars))
    axes.barh(places, better, color=colours, height=0.62)
    axes.plot(wanted, places, linestyle="", marker="|", markersize=12, markeredgewidth=2, color="black", label="goal")
    for place, value in zip(places, better, strict=True):
        axes.text(value, place, f" {value:.3g}×", va="center", fontsize=7)
    axes.set_yticks(places, [name for name, _ in bars], fontsize=6.5)
    axes.set(xscale="log", xlabel="times less than the peer (1: the same); a black mark is the goal, red misses it")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS / "results.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
