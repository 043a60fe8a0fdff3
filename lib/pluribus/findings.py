"""Findings: an evaluation as tables, made once, for the card and the command line alike.

`told` is a release's evaluation.json. Every number has its unit, its n and its 95 % interval; what was not measured
says why. A release evaluated by an older pluribus lacks some of it, and so do its tables.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pluribus import metrics

Rows = list[dict[str, str]]
RESULT = {True: "passed", False: "failed"}
SLICES = 12  # the worst


def verdict(told: Mapping[str, Any]) -> Rows:
    """The outcome, and a line for each reason."""
    found = told["verdict"]
    outcome = found.get("outcome", "")
    reasons = [reason for reason in found["reasons"] if isinstance(reason, Mapping)] or [{}]
    return [{"verdict": outcome, "code": one.get("code", ""), "because": one.get("says", "")} for one in reasons]


def comparison(told: Mapping[str, Any]) -> Rows:
    """This release and the live one on the same queries."""
    return [
        {
            "on the same queries": row["name"],
            "live": _number(row["then"]),
            "this release": _number(row["now"]),
            "difference": f"{row['now'] - row['then']:+.3f} ({row['low']:+.3f} – {row['high']:+.3f})",
            "n": f"{row['n']:,}",
            "gallery": f"{row['n_gallery']:,}",
        }
        for row in told.get("comparison", ())
    ]


def rankings(told: Mapping[str, Any]) -> Rows:
    """A line for each retrieval task, baseline and gallery; a column for each metric; intervals of hits@5."""
    tasks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for score in told["scores"].values():
        task, _, metric = score["name"].rpartition(" ")
        if metric in metrics.METRICS:
            tasks.setdefault(task.removesuffix(":"), {})[metric] = score
    rows = []
    for task, of in tasks.items():
        first = of.get("hits@5") or next(iter(of.values()))
        row = {"found (share of queries)": task, "n": f"{first['n']:,}", "of": first["note"]}
        row |= {metric: _number(of[metric]["value"]) if metric in of else "" for metric in metrics.METRICS}
        rows.append(row | {"hits@5, 95 %": _interval(first), "by chance": _number(first["chance"])})
    return rows


def labels(told: Mapping[str, Any]) -> Rows:
    """Zero-shot and probe: F1 and accuracy."""
    scores = told["scores"].values()
    return _scored(
        "named right", (score for score in scores if score["name"].rpartition(" ")[2] not in metrics.METRICS)
    )


def behaviours(told: Mapping[str, Any]) -> Rows:
    """RecList's tests with their verdicts, those that failed first."""
    sign = {"higher": "≥", "lower": "≤"}
    return [
        {
            "behaviour": row["name"].replace("_", " "),
            "verdict": RESULT[row["passed"]],
            "value": _number(row["value"]),
            "limit": f"{sign[row['better']]} {row['limit']:g}",
            "95 %": _interval(row),
            "unit": row["unit"],
            "n": f"{row['n']:,}",
            "means": f"{row['means']} {row['note']}".strip(),
        }
        for row in sorted(told.get("behaviours", ()), key=lambda row: row["passed"])
    ]


def cases(told: Mapping[str, Any], most: int) -> list[dict[str, str]]:
    """The worst cases, of failed tests first, in turns: test, product_id, asked, got, says."""
    tests = sorted(told.get("behaviours", ()), key=lambda row: row["passed"])
    deepest = max((len(row["worst"]) for row in tests), default=0)
    found = [{"behaviour": row["name"].replace("_", " "), **row["worst"][depth]} for depth in range(deepest)
             for row in tests if depth < len(row["worst"])]  # fmt: skip
    return found[:most]


def slices(told: Mapping[str, Any]) -> Rows:
    """The slices served worst."""
    return [
        {
            "slice": f"{row['slicing']}: {row['slice']}",
            "hits@5": _number(row["value"]),
            "95 %": _interval(row),
            "n": f"{row['n']:,}",
        }
        for row in told.get("slices", ())[:SLICES]
    ]


def cutoff(told: Mapping[str, Any]) -> Rows:
    """Where a search finds no good match, and what that is worth."""
    found = told.get("cutoff")
    if not found or "evidence" not in found:
        return []
    parts = {f"{name} kept": share for name, share in found["kept"].items()} | {
        "foreign, empty": found["foreign empty"]
    }
    return [
        {"no good match": f"evidence below {found['evidence']:.3f}", "queries": name, "share": _number(share["value"]),
         "95 %": _interval(share), "n": f"{share['n']:,}"}
        for name, share in parts.items()
    ]  # fmt: skip


def concepts(told: Mapping[str, Any]) -> Rows:
    """What the model understands of drawn products."""
    return _scored("of the model", (told.get("concepts") or {}).values())


def release(told: Mapping[str, Any]) -> Rows:
    """What was measured."""
    found = _beside(told, "release")
    if not found:
        return []
    fused = " + ".join(f"{weight:g} {what}" for what, weight in found["fusion"].items())
    return [{"products": f"{found['products']:,}", "live": "yes" if found["live"] else "no", "fused vector": fused,
             "index": found["index"]}]  # fmt: skip


def relevance(told: Mapping[str, Any]) -> Rows:
    """How well search ranks what people judged."""
    return [
        {"ranked by": row["way"], "n": f"{row['n']:,} queries", "gallery": f"{row['gallery']:,}"}
        | {name: f"{row[name]:.3f} ({low:.3f} – {high:.3f})" for name, (low, high) in row["95 %"].items()}
        | {"left out": f"{row['unknown']:,} ratings of unknown products, {row['hopeless']:,} hopeless queries"}
        for row in _beside(told, "graded relevance")
    ]


def demand(told: Mapping[str, Any]) -> Rows:
    """Which law the shop's log follows, and what its head makes of all events."""
    found = _beside(told, "demand")
    if not found:
        return []
    head = [{"of the log": f"the first {row['top']:.1%} ({row['items']:,})", "events": f"{row['events']:.1%}"}
            for row in found["head"]]  # fmt: skip
    n = f"{found['items']:,} different in {found['column']}, {found['events']:,} events"
    return [{"of the log": found["fit"]["verdict"], "events": "", "n": n}, *(row | {"n": n} for row in head)]


def apart(told: Mapping[str, Any]) -> Rows:
    """How far the shop's categories and brands are from all other shops'."""
    return [
        {
            "of": row["of"],
            "bits (0 equal, 1 nothing in common)": "" if row["bits"] is None else _number(row["bits"]),
            "by chance": "" if row["bits"] is None else _number(row["chance"]),
            "n": f"{row['n']:,} products",
            "against": f"{row['pool']:,} of {row['shops']:,} other shops",
            "not measured, because": row["why_not"] if row["bits"] is None else "",
        }
        for row in _beside(told, "apart")
    ]


def cost(told: Mapping[str, Any]) -> Rows:
    """What the last run that measured the shop took, stage by stage."""
    found = _beside(told, "cost")
    if not found:
        return []
    took, written, usd = found["seconds"], found["bytes"], found["usd"]
    n = f"{found['accepted']:,} products, {found['embedded']:,} embedded"
    lines = [(stage, took[stage], written.get(stage, 0), usd.get(stage, 0.0)) for stage in took]
    lines.append(("all, and a month's storage", sum(took.values()), sum(written.values()), sum(usd.values())))
    return [
        {"stage": name, "seconds": f"{seconds:,.1f}", "MB written": f"{size / 1e6:,.1f}", "USD": f"{dear:.6f}", "n": n}
        for name, seconds, size, dear in lines
    ]


def not_measured(told: Mapping[str, Any]) -> Rows:
    """What could not be measured, and why."""
    found = told["not_measured"] | told.get("beside", {}).get("not_measured", {})
    return [{"not measured": name.replace("_", " "), "because": why} for name, why in found.items()]


TABLES: dict[str, Callable[[Mapping[str, Any]], Rows]] = {
    "Release": release,
    "Verdict": verdict,
    "Against the live release": comparison,
    "Retrieval": rankings,
    "Labels": labels,
    "Behaviour": behaviours,
    "Slices served worst": slices,
    "No good match": cutoff,
    "Graded relevance": relevance,
    "Demand": demand,
    "Apart from the other shops": apart,
    "Cost": cost,
    "Concepts": concepts,
    "Not measured": not_measured,
}


def across(told: Mapping[str, Mapping[str, Any]]) -> Rows:
    """How evenly several shops are served: each one's miss rate, and MRED over shops, for what most shops have."""
    rows = []
    for name in ("title→product hits@5", "title→picture hits@5", "title→product, 1,000: hits@5"):
        missed = {shop: 1 - of["scores"][name]["value"] for shop, of in told.items() if name in of["scores"]}
        if len(missed) > 1:
            mean = sum(missed.values()) / len(missed)
            mred = -sum(abs(one - mean) for one in missed.values()) / len(missed)
            worst = max(missed, key=lambda shop: missed[shop])
            rows.append(
                {
                    "over shops": name.replace(":", ""),
                    "shops": f"{len(missed)}",
                    "mean miss rate": _number(mean),
                    "MRED (0 is even)": _number(mred),
                    "worst": f"{worst}, {missed[worst]:.3f}",
                }
            )
    return rows


def tables(told: Mapping[str, Any]) -> dict[str, Rows]:
    """Every table that has a row."""
    return {title: rows for title, of in TABLES.items() if (rows := of(told))}


def _beside(told: Mapping[str, Any], name: str) -> Any:
    return told.get("beside", {}).get(name, [])


def _scored(head: str, scores: Iterable[Mapping[str, Any]]) -> Rows:
    """A line for each score, with its interval and what chance would give."""
    return [
        {
            head: score["name"],
            "value": _number(score["value"]),
            "95 %": _interval(score),
            "n": f"{score['n']:,}",
            "of": score["note"],
            "by chance": _number(score["chance"]),
        }
        for score in scores
    ]


def _number(value: float) -> str:
    return f"{value:.3f}"


def _interval(of: Mapping[str, Any]) -> str:
    return f"{of['low']:.3f} – {of['high']:.3f}"
