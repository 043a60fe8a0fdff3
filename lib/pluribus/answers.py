"""Answers: how the command line shows rows to people and to machines."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pluribus.errors import printable


def answer(rows: Sequence[Mapping[str, Any]], as_json: bool, *, title: str) -> None:
    """Rows as JSON or as a table."""
    if as_json:
        print(json.dumps(list(rows), default=str))
    else:
        table(title, rows)


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table for people. Shops' text is shown as text: no markup, no control characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(f"{printable(title)}: nothing")
        return
    grid = Table(header_style="bold", box=None, pad_edge=False)
    for name, value in rows[0].items():
        grid.add_column(str(name), justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_cell(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width, highlight=False)
    if title:  # not the table's own, which would be folded to its width
        console.print(Text(printable(title), style="italic"), soft_wrap=True)
    console.print(grid)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else printable(str(value), 300)


def price(product: Mapping[str, Any]) -> str:
    """What is to be paid for a product, with its currency, and what it was; blank when it has no price."""
    paid, was = product.get("sale_price"), product["price"]
    if paid is None or paid == was:
        return "" if was is None else f"{was:,.2f} {product['currency'] or ''}".strip()
    return f"{paid:,.2f} {product['currency'] or ''}".strip() + ("" if was is None else f", was {was:,.2f}")


def job_row(job: Mapping[str, Any]) -> dict[str, Any]:
    """One line on how a shop came through a run."""
    counts, scores = job["counts"], job["scores"]
    return {
        "shop": job["shop"],
        "state": job["state"],
        "rows": counts.get("rows", 0),
        "accepted": counts.get("accepted", 0),
        "quarantined": counts.get("quarantined", 0),
        "embedded": counts.get("embedded", 0),
        "reused": counts.get("reused", 0),
        "title→product@5": scores.get("title→product hits@5", ""),
        "title→picture@5": scores.get("title→picture hits@5", ""),
        "category F1": scores.get("zero-shot category F1", ""),
        "seconds": round(sum(job["seconds"].values()), 1),
        "MB written": round(sum(job["size_bytes"].values()) / 1e6, 1),
    }


def report(run: Mapping[str, Any]) -> None:
    """What a run did, shop by shop and stage by stage; reasons go to standard error."""
    jobs = run["jobs"]
    table(f"run {run['run']}", [job_row(job) for job in jobs])
    stages = list(dict.fromkeys(stage for job in jobs for stage in job["seconds"]))
    table(
        "seconds, and MB written, per stage",
        [
            {"shop": job["shop"]}
            | {
                stage: f"{job['seconds'].get(stage, 0):.1f} s {job['size_bytes'].get(stage, 0) / 1e6:.1f} MB"
                for stage in stages
            }
            for job in jobs
        ],
    )
    for job in jobs:
        if job["reason"]:
            print(f"{job['shop']}: {job['state']}: {job['reason']}", file=sys.stderr)
