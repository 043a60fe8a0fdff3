"""One shop's way through one run, and how its failure stays its own.

Every step reads it, and many have nothing else to do: it imports nothing heavy.
"""

import errno
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pluribus.errors import CatalogRejected, Missing, ModelError, PluribusError, RunError, ShopError, printable

if TYPE_CHECKING:
    from pluribus.records import Limits

STAGES = ("ingest", "validate", "embed", "build", "evaluate", "publish")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
SAID = "» "  # begins every line that a step means for people; `launch` shows those and hides Metaflow's

State = Literal["running", "unchanged", "published", "beside", "superseded", "held", "failed gate", "set aside"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One shop's way through one run: small enough to travel as a Metaflow artifact. Keys, counts, scores only."""

    shop: str
    model: str = ""
    state: State = "running"
    reason: str = ""
    asof: str = ""  # when the feed was read, ISO 8601 UTC: a release never gives way to an older one
    snapshot: str = ""  # id of the shop's canonical rows
    validation: str = ""  # key prefix of what validation made of them
    release: str = ""  # id of the release being built
    files: dict[str, Any] = field(default_factory=dict)  # of that release: name -> sha256 and size
    input_key: str = ""  # sha256 of everything the release is a function of
    counts: dict[str, int] = field(default_factory=dict)  # rows, accepted, quarantined, embedded, reused ...
    scores: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # per stage
    size_bytes: dict[str, int] = field(default_factory=dict)  # written, per stage

    def after(self, stage: str, size_bytes: int, counts: dict[str, int], **changes: Any) -> "Job":
        """This job once a stage is done with it."""
        written = self.size_bytes | {stage: size_bytes}
        return replace(self, counts=self.counts | counts, size_bytes=written, **changes)

    def spent(self, stage: str, seconds: float) -> "Job":
        """This job with seconds that were spent on it together with others."""
        return replace(self, seconds=self.seconds | {stage: self.seconds.get(stage, 0.0) + seconds})


def advance(
    jobs: Sequence[Job],
    stage: str,
    work: Callable[[Job], Job],
    *,
    look: Callable[[Job], Job] | None = None,
    together: Callable[[], None] | None = None,
    run: str = "",
    as_json: bool = False,
) -> list[Job]:
    """Run one stage for every job still running. The only place where a shop's failure is caught.

    A stage that serves all its shops at once first looks at each (`look`) and then does its work (`together`).
    A model that does not serve is that of all these jobs, and of no other batch: they are set aside. Another RunError
    (the store) is everybody's and goes on up; anything else is this shop's alone: it is set aside with its reason,
    keeps its current release, and the others go on.
    """
    if look:
        jobs = [_one(job, stage, look) if job.state == "running" else job for job in jobs]
    if together and any(job.state == "running" for job in jobs):
        try:
            together()
        except ModelError as error:
            why = f"{stage}: {error}"
            jobs = [replace(job, state="set aside", reason=why) if job.state == "running" else job for job in jobs]
    done = []
    for job in jobs:
        was_running = job.state == "running"
        done.append(_one(job, stage, work) if was_running else job)
        if was_running or (look and stage in job.seconds):
            line = _json_line(done[-1], stage, run) if as_json else _line(done[-1], stage)
            print(line, flush=True)  # noqa: T201 - the run's log: one line per shop and stage
    return done


def afford(job: Job, limits: "Limits", hour_price: float) -> None:
    """Raises CatalogRejected when what a shop used so far in this run is beyond its share of the fleet."""
    used_s = sum(job.seconds.values())
    spent = used_s / 3600 * hour_price
    if used_s > limits.seconds:
        most = f"at most {limits.seconds:,.0f} s a run"
        raise CatalogRejected(f"the shop took {used_s:,.0f} s so far", expected=most, do="raise limits.seconds")
    if spent > limits.spend:
        raise CatalogRejected(f"the shop cost {spent:,.2f} so far", expected=f"at most {limits.spend:,.2f} a run",
                              do="raise limits.spend, or correct run.hour_price")  # fmt: skip


def _one(job: Job, stage: str, work: Callable[[Job], Job]) -> Job:
    began = time.perf_counter()
    try:
        done = work(job)
    except Missing as error:  # only a shop's own objects are asked for in here
        reason = f"{stage}: {error}; if the shop was removed during the run, nothing is lost"
        done = replace(job, state="set aside", reason=reason)
    except RunError:
        raise
    except ShopError as error:
        done = replace(job, state="set aside", reason=f"{stage}: {error}")
    except PluribusError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug met by one shop must not cost the others their refresh
        done = replace(job, state="set aside", reason=f"{stage}: {_why(error)}")
    seconds = done.seconds.get(stage, 0.0) + time.perf_counter() - began
    return replace(done, seconds=done.seconds | {stage: round(seconds, 3)})


def _why(error: Exception) -> str:
    """What to do about an error that is none of ours."""
    if getattr(error, "errno", None) in NO_ROOM:
        return f"{type(error).__name__}: {error}; give this machine's TMPDIR ({tempfile.gettempdir()}) more room"
    traceback.print_exc()
    return f"internal error {type(error).__name__}: {printable(str(error), 300)}; please report it"


def _line(job: Job, stage: str) -> str:
    counts = " ".join(f"{name}={n:,}" for name, n in job.counts.items())
    tail = f"{job.state}: {job.reason}" if job.reason else counts if job.state == "running" else job.state
    return f"{SAID}{stage:<9}{job.shop:<24}{job.seconds[stage]:>8.1f} s  {tail}"


def _json_line(job: Job, stage: str, run: str) -> str:
    """For machines that read logs: one object a line, with run, shop and stage on each."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    said: dict[str, Any] = {
        "at": at,
        "run": run,
        "shop": job.shop,
        "stage": stage,
        "state": job.state,
        "reason": job.reason,
    }
    said |= {"seconds": job.seconds[stage], "counts": job.counts}
    return SAID + json.dumps(said, ensure_ascii=True)
