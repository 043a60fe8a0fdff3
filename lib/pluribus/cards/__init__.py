"""Cards: what an engineer sees of each step of a refresh, with pictures.

Every function reads what a stage left in the store and returns the components of one Metaflow card: a table of all
shops of the task, then a section for each of the first few and for those in trouble (`chapters`). Nothing is written,
and nothing in here can fail a run: what cannot be drawn says so in one line.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import urlsplit

from pluribus import plots
from pluribus.benchmark import Row
from pluribus.cards import benchmarks, chapters, layout, verdicts
from pluribus.plan import Batch
from pluribus.records import Job, Shop
from pluribus.store import Store
from pluribus.train.choosing import Candidate, Choice

MOST_SECTIONS = 6  # shops of a task shown in detail, and as many more in trouble
TROUBLE = ("set aside", "failed gate")
STATES = {"published": "success", "unchanged": "default", "held": "warning", "superseded": "warning",
          "failed gate": "danger", "set aside": "danger"}  # fmt: skip

P = ParamSpec("P")


def card(draw: Callable[P, list[Any]]) -> Callable[P, list[Any]]:
    """A function whose card is at worst one line that says what went wrong."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> list[Any]:
        return layout.unfailing(lambda: draw(*args, **kwargs))

    return drawn


@card
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


@card
def ingest(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What came in: products with their pictures, how full the columns are, which pictures could not be had."""
    columns = {"rows": _count("rows"), "pictures": _count("pictures"), "references settled": _count("fetched")}
    about = "Feeds and pictures became one immutable snapshot per shop."
    return _step("ingest", about, store, jobs, columns, chapters.ingest)


@card
def validate(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What was accepted, what was quarantined, and why."""
    columns = {
        "rows": _count("rows"),
        "accepted": _count("accepted"),
        "quarantined": _count("quarantined"),
        "share": lambda job: f"{job.counts['quarantined'] / max(1, job.counts['rows']):.1%}",
    }
    about = "Great Expectations judged every row: accepted ones go on, the others are quarantined with every reason."
    return _step("validate", about, store, jobs, columns, chapters.validate)


@card
def embed(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What the model had to look at, and what it had seen before."""
    columns = {
        "embedded now": _count("embedded"),
        "reused": _count("reused"),
        "embedded per second": lambda job: f"{job.counts['embedded'] / max(1e-3, job.seconds['embed']):,.0f}",
    }
    about = "New pictures and texts became vectors, once and for all; what was known is reused."
    return _step("embed", about, store, jobs, columns, chapters.embed)


@card
def build(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What the release is made of: the index, its measured recall, and who is whose neighbour."""
    columns = {
        "products": _count("accepted"),
        "with picture": _count("with picture"),
        "with text": _count("with text"),
        "recall@10 by picture": lambda job: job.scores.get("recall@10 picture"),
        "recall@10 by text": lambda job: job.scores.get("recall@10 text"),
    }
    about = "Vectors became an index and the other files of a release, which nobody sees yet."
    return _step("build", about, store, jobs, columns, chapters.build)


@card
def evaluate(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """Every score against chance and the live release, and the verdict."""
    columns = {
        "verdict": lambda job: "failed" if job.state == "failed gate" else "passed",
        "title→product hits@5": lambda job: job.scores.get("title→product hits@5"),
        "title→picture hits@5": lambda job: job.scores.get("title→picture hits@5"),
    }
    about = "Each release was measured before anybody sees it. hits@5: the right product is among the first five."
    return _step("evaluate", about, store, jobs, columns, verdicts.evaluate)


@card
def publish(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What is live now, what changed by it, and how to go back."""
    columns = {"release": lambda job: job.release[:12]}
    about = "Shops that passed were switched to their new release, each in one atomic step."
    return _step("publish", about, store, jobs, columns, chapters.publish)


@card
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


def _step(
    stage: str,
    about: str,
    store: Store,
    jobs: Sequence[Job],
    columns: Mapping[str, Callable[[Job], Any]],
    chapter: Callable[[Store, Job], list[Any]],
) -> list[Any]:
    """The card of one stage: its table of all shops, then a chapter for some of those that went through it."""
    here = [job for job in jobs if stage in job.seconds]
    trouble = [job for job in here if job.state in TROUBLE][:MOST_SECTIONS]
    shown = trouble + [job for job in here if job.state not in TROUBLE][:MOST_SECTIONS]
    sections = [_section(chapter, store.within(f"shops/{job.shop}"), job) for job in shown]
    left_out = len(here) - len(shown)
    more = f" {left_out} shops have no section of their own." if left_out else ""
    table = [_stage_row(stage, job, columns) for job in jobs]
    return layout.page(stage.capitalize(), about + more, [layout.table(table)], sections)


def _section(chapter: Callable[[Store, Job], list[Any]], store: Store, job: Job) -> Any:
    state = "" if job.state == "running" else job.state
    return layout.section(job.shop, state, layout.unfailing(lambda: chapter(store, job)))


def _stage_row(stage: str, job: Job, columns: Mapping[str, Callable[[Job], Any]]) -> dict[str, Any]:
    """A line of a stage's table; blank where the shop did not get through it."""
    through = stage in job.seconds and stage in job.size_bytes
    return {
        "shop": job.shop,
        "state": "goes on" if job.state == "running" else job.state,
        **{name: of(job) if through else "" for name, of in columns.items()},
        "seconds": f"{job.seconds[stage]:,.1f}" if stage in job.seconds else "",
        "written": layout.size(job.size_bytes[stage]) if through else "",
        "why": job.reason,
    }


def _count(name: str) -> Callable[[Job], Any]:
    return lambda job: job.counts.get(name, "")


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
    seconds = {job.shop: job.seconds for job in jobs if job.seconds}
    return [
        layout.chart(plots.stage_seconds(seconds)) if seconds else None,
        layout.table([*map(_stages_row, jobs)]),
    ]


def _stages_row(job: Job) -> dict[str, Any]:
    cells = {
        stage: f"{job.seconds[stage]:,.1f} s, {layout.size(job.size_bytes.get(stage, 0))}"
        for stage in plots.STAGES
        if stage in job.seconds
    }
    return {"shop": job.shop} | {stage: cells.get(stage, "") for stage in plots.STAGES}


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


@card
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


@card
def benchmark(rows: Sequence[Row]) -> list[Any]:
    """Models on data sets: the keynote's Tables 2 and 3, ours beside what was published."""
    return layout.page("Benchmark", benchmarks.LEDE, [], benchmarks.sections(rows))
