"""The cards of a run's first and last step: which shops it refreshes, and what became of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pluribus.cards import STATES, TROUBLE, layout
from pluribus.cards.layout import unfailing
from pluribus.jobs import STAGES, Job
from pluribus.plan import Batch
from pluribus.records import Shop


@unfailing
def plan(batches: Sequence[Batch], expected: Mapping[str, int]) -> list[Any]:
    """Which shops this run refreshes, in which tasks, and how each is read and judged."""
    filled = [batch for batch in batches if batch.shops]
    tasks = [
        {
            "task": number,
            "shops": len(batch.shops),
            "products expected": sum(expected[shop.name] for shop in batch.shops),
            "model": batch.model.name,
            "its fingerprint": batch.fingerprint[:12],
            "which shops": ", ".join(shop.name for shop in batch.shops),
        }
        for number, batch in enumerate(filled, 1)
    ]
    shops = [_shop_row(batch, shop, expected[shop.name]) for batch in filled for shop in batch.shops]
    about = f"{len(shops)} shops in {len(tasks)} tasks." if shops else "No shop is due."
    commands = {
        "pluribus shops": "every configured shop, and what is live of it",
        "pluribus runs": "how each shop came through the last runs",
        "pluribus doctor": "what is missing or wrong on this machine",
    }
    return layout.page("Plan", about, [layout.table(tasks), layout.table(shops), layout.commands(commands)])


@unfailing
def report(jobs: Sequence[Job], started: datetime, finished: datetime) -> list[Any]:
    """One table of all shops."""
    minutes = (finished - started).total_seconds() / 60
    ends = {state: sum(job.state == state for job in jobs) for state in STATES}
    boxes = {state: (f"{n:,}", STATES[state]) for state, n in ends.items() if n or state in ("published", "set aside")}
    trouble = [{"shop": job.shop, "state": job.state, "why": job.reason} for job in jobs if job.state in TROUBLE]
    return layout.page(
        "Report",
        f"{len(jobs)} shops in {minutes:,.1f} minutes, started {started:%Y-%m-%d %H:%M} UTC.",
        [layout.boxes(boxes)],
        [
            layout.section("In trouble", "each keeps the release it had", [layout.table(trouble)]) if trouble else None,
            layout.section(
                "All shops",
                "of every shop judged in this run, rows = accepted + quarantined",
                [layout.table(_report_rows(jobs))],
            ),
            layout.section("Seconds and bytes written", "per stage", _stages(jobs)),
            layout.section("What to type next", "", [layout.commands(_afterwards(jobs))]),
        ],
    )


def _shop_row(batch: Batch, shop: Shop, expected: int) -> dict[str, Any]:
    return {
        "shop": shop.name,
        "title": shop.title,
        "vertical": shop.vertical,
        "feeds": "\n".join(f"{_file(source)} ({f.format}, {f.mode})" for f in shop.feeds for source in f.source),
        "pictures from": "\n".join(map(_file, shop.images.source)) or "addresses in the feed",
        "expectations": sum(len(suite["expectations"]) for suite in batch.suites[shop.vertical]),
        "products expected": expected,
        "every": f"{shop.every_hours:g} h",
    }


def _file(source: str) -> str:
    """The last part of a path or address; what stands before it, or after a "?", may be a secret."""
    return urlsplit(source).path.rstrip("/").rpartition("/")[2]


def _report_rows(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    counted = ("rows", "accepted", "quarantined", "embedded", "reused")
    rows = [
        {
            "shop": job.shop,
            "state": job.state,
            **{name: job.counts.get(name, "") for name in counted},
            "title→product hits@5": job.scores.get("title→product hits@5"),
            "title→picture hits@5": job.scores.get("title→picture hits@5"),
            "recall@10": min((v for name, v in job.scores.items() if name.startswith("recall")), default=None),
            "seconds": f"{sum(job.seconds.values()):,.1f}",
            "written": layout.size(sum(job.size_bytes.values())),
        }
        for job in jobs
    ]
    total: dict[str, Any] = {name: sum(job.counts.get(name, 0) for job in jobs) for name in counted}
    total |= {"seconds": f"{sum(sum(job.seconds.values()) for job in jobs):,.1f}"}
    total |= {"written": layout.size(sum(sum(job.size_bytes.values()) for job in jobs))}
    return [*rows, dict.fromkeys(rows[0], "") | {"shop": "all shops"} | total] if rows else []


def _stages(jobs: Sequence[Job]) -> list[Any]:
    table = layout.table([*map(_stages_row, jobs)])
    worked = {job.shop: job.seconds for job in jobs if len(job.seconds) > 1}
    if not worked:  # nothing to compare
        return [table]
    from pluribus import plots

    return [layout.chart(plots.stage_seconds(worked)), table]


def _stages_row(job: Job) -> dict[str, Any]:
    cells = {
        stage: f"{job.seconds[stage]:,.1f} s, {layout.size(job.size_bytes.get(stage, 0))}"
        for stage in STAGES
        if stage in job.seconds
    }
    return {"shop": job.shop} | {stage: cells.get(stage, "") for stage in STAGES}


def _afterwards(jobs: Sequence[Job]) -> dict[str, str]:
    lines = {"pluribus shops": "what is live of every shop"}
    for job in jobs:
        if job.state == "published":
            lines[f'pluribus search {job.shop} "what a shopper would type"'] = "search what was just published"
            break
    for job in jobs:
        if job.counts.get("quarantined"):
            lines[f"pluribus quarantine {job.shop}"] = "its refused rows, with every reason"
            break
    return lines
