"""The cards of a refresh's stages: a table of all shops of the task, then a section for some of them (`chapters`).

Shops in trouble and the first few others have one; a shop that did not change has none, its last run's cards show it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluribus.cards import TROUBLE, layout
from pluribus.cards.layout import unfailing
from pluribus.jobs import Job
from pluribus.store import Store

MOST_SECTIONS = 6  # shops of a task shown in detail, and as many more in trouble


def _count(name: str) -> Callable[[Job], Any]:
    return lambda job: job.counts.get(name, "")


def _score(name: str) -> Callable[[Job], Any]:
    return lambda job: job.scores.get(name)


@dataclass(frozen=True)
class Shown:
    """What the card of a stage says, and what its table shows of each shop that came through."""

    about: str
    columns: dict[str, Callable[[Job], Any]]


STAGES = {
    "ingest": Shown(
        "Feeds and pictures became one immutable snapshot per shop.",
        {"rows": _count("rows"), "pictures": _count("pictures"), "references settled": _count("fetched")},
    ),
    "validate": Shown(
        "Great Expectations judged every row: accepted ones go on, the others are quarantined with every reason.",
        {
            "rows": _count("rows"),
            "accepted": _count("accepted"),
            "quarantined": _count("quarantined"),
            "share": lambda job: f"{job.counts['quarantined'] / max(1, job.counts['rows']):.1%}",
        },
    ),
    "embed": Shown(
        "New pictures and texts became vectors, once and for all; what was known is reused.",
        {
            "embedded now": _count("embedded"),
            "reused": _count("reused"),
            "embedded per second": lambda job: f"{job.counts['embedded'] / max(1e-3, job.seconds['embed']):,.0f}",
        },
    ),
    "build": Shown(
        "Vectors became an index and the other files of a release, which nobody sees yet.",
        {
            "products": _count("accepted"),
            "with picture": _count("with picture"),
            "with text": _count("with text"),
            "recall@10 by picture": _score("recall@10 picture"),
            "recall@10 by text": _score("recall@10 text"),
        },
    ),
    "evaluate": Shown(
        "Each release was measured before anybody sees it. hits@5: the right product is among the first five.",
        {
            "verdict": lambda job: "failed" if job.state == "failed gate" else "passed",
            "title→product hits@5": _score("title→product hits@5"),
            "title→picture hits@5": _score("title→picture hits@5"),
        },
    ),
    "publish": Shown(
        "Shops that passed were switched to their new release, each in one atomic step.",
        {"release": lambda job: job.release[:12]},
    ),
}


@unfailing
def card(stage: str, store: Store, jobs: Sequence[Job]) -> list[Any]:
    """The card of one stage: its table of all shops, then a chapter for some of those that went through it."""
    shown = STAGES[stage]
    here = [job for job in jobs if stage in job.seconds]
    trouble = [job for job in here if job.state in TROUBLE][:MOST_SECTIONS]
    asleep = ("unchanged",) if stage == "ingest" else ()
    well = [job for job in here if job.state not in (*TROUBLE, *asleep)][:MOST_SECTIONS]
    sections = [_section(stage, store.within(f"shops/{job.shop}"), job) for job in trouble + well]
    left_out = len(here) - len(sections)
    more = f" {left_out} shops have no section of their own." if left_out else ""
    table = [_stage_row(stage, job, shown.columns) for job in jobs]
    return layout.page(stage.capitalize(), shown.about + more, [layout.table(table)], sections)


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
