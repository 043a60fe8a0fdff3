"""The cards of a refresh's stages: a table of all shops of the task, then a section for some of them (`chapters`).

Shops in trouble and the first few others have one; a shop that did not change has none, its last run's cards show it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pluribus.cards import TROUBLE, layout
from pluribus.cards.layout import unfailing
from pluribus.jobs import Job
from pluribus.store import Store

MOST_SECTIONS = 6  # shops of a task shown in detail, and as many more in trouble


@unfailing
def ingest(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What came in: products with their pictures, how full the columns are, which pictures could not be had."""
    columns = {"rows": _count("rows"), "pictures": _count("pictures"), "references settled": _count("fetched")}
    about = "Feeds and pictures became one immutable snapshot per shop."
    return _step("ingest", about, store, jobs, columns)


@unfailing
def validate(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What was accepted, what was quarantined, and why."""
    columns = {
        "rows": _count("rows"),
        "accepted": _count("accepted"),
        "quarantined": _count("quarantined"),
        "share": lambda job: f"{job.counts['quarantined'] / max(1, job.counts['rows']):.1%}",
    }
    about = "Great Expectations judged every row: accepted ones go on, the others are quarantined with every reason."
    return _step("validate", about, store, jobs, columns)


@unfailing
def embed(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What the model had to look at, and what it had seen before."""
    columns = {
        "embedded now": _count("embedded"),
        "reused": _count("reused"),
        "embedded per second": lambda job: f"{job.counts['embedded'] / max(1e-3, job.seconds['embed']):,.0f}",
    }
    about = "New pictures and texts became vectors, once and for all; what was known is reused."
    return _step("embed", about, store, jobs, columns)


@unfailing
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
    return _step("build", about, store, jobs, columns)


@unfailing
def evaluate(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """Every score against chance and the live release, and the verdict."""
    columns = {
        "verdict": lambda job: "failed" if job.state == "failed gate" else "passed",
        "title→product hits@5": lambda job: job.scores.get("title→product hits@5"),
        "title→picture hits@5": lambda job: job.scores.get("title→picture hits@5"),
    }
    about = "Each release was measured before anybody sees it. hits@5: the right product is among the first five."
    return _step("evaluate", about, store, jobs, columns)


@unfailing
def publish(store: Store, jobs: Sequence[Job]) -> list[Any]:
    """What is live now, what changed by it, and how to go back."""
    columns = {"release": lambda job: job.release[:12]}
    about = "Shops that passed were switched to their new release, each in one atomic step."
    return _step("publish", about, store, jobs, columns)


def _step(
    stage: str, about: str, store: Store, jobs: Sequence[Job], columns: Mapping[str, Callable[[Job], Any]]
) -> list[Any]:
    """The card of one stage: its table of all shops, then a chapter for some of those that went through it."""
    here = [job for job in jobs if stage in job.seconds]
    trouble = [job for job in here if job.state in TROUBLE][:MOST_SECTIONS]
    asleep = ("unchanged",) if stage == "ingest" else ()
    well = [job for job in here if job.state not in (*TROUBLE, *asleep)][:MOST_SECTIONS]
    sections = [_section(stage, store.within(f"shops/{job.shop}"), job) for job in trouble + well]
    left_out = len(here) - len(sections)
    more = f" {left_out} shops have no section of their own." if left_out else ""
    table = [_stage_row(stage, job, columns) for job in jobs]
    return layout.page(stage.capitalize(), about + more, [layout.table(table)], sections)


def _section(stage: str, store: Store, job: Job) -> Any:
    from pluribus.cards import chapters, verdicts  # where nothing is new, nothing of it is imported

    chapter = verdicts.evaluate if stage == "evaluate" else getattr(chapters, stage)
    return layout.section(job.shop, "" if job.state == "running" else job.state, layout.unfailing(chapter)(store, job))


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
