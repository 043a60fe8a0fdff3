"""Ledger: what a run cost, by shop and stage, at the configured prices; and what one shared model saves.

Seconds are those that the stages took. A second of `embed` is one of the GPU machine, a second of every other stage one
of two processors: where the run was on a laptop, these are what it would cost there at the laptop's speed.
"""

from collections.abc import Mapping
from typing import Any

from pluribus import costs
from pluribus.fleet import Rates

USES = ("search", "recommendation", "classification")  # each would have a model of its own
CORES = 2  # of a task
OBJECTS = 12  # written for a shop that is published, and as many read: counted on a first refresh of a demo shop


def of_job(job: Mapping[str, Any], rates: Rates) -> dict[str, float]:
    """USD of one shop in one run, by stage; what it keeps and asks of the store is "storage", a month of it."""
    spent = {}
    for stage, seconds in job["seconds"].items():
        hourly = rates.gpu_hour if stage == "embed" else CORES * rates.cpu_hour
        spent[stage] = seconds / 3600 * hourly
    written = sum(job["size_bytes"].values())
    asked = OBJECTS * (rates.thousand_writes + rates.thousand_reads) / 1000 if written else 0.0
    return spent | {"storage": written / 1e9 * rates.gb_month + asked}


def of_run(report: Mapping[str, Any], rates: Rates) -> dict[str, Any]:
    """A run in figures: its cost, and the encoder's work for a thousand new products."""
    jobs = report["jobs"]
    each = [of_job(job, rates) for job in jobs]
    stages = list(dict.fromkeys(stage for one in each for stage in one))
    loads = [seconds for seconds in report.get("loads", []) if seconds]
    new = sum(job["counts"].get("accepted", 0) for job in jobs if job["counts"].get("embedded"))
    embed_s = sum(job["seconds"].get("embed", 0.0) for job in jobs)
    return {
        "run": report["run"],
        "shops": len(jobs),
        "USD": sum(sum(one.values()) for one in each) + sum(loads) / 3600 * rates.gpu_hour,
        "by stage": {stage: sum(one.get(stage, 0.0) for one in each) for stage in stages},
        "model loads": len(loads),
        "load s": sum(loads),
        "embed s for 1,000 new products": (embed_s + sum(loads)) / new * 1000 if new else None,
    }


def saved(report: Mapping[str, Any], rates: Rates, *, training_minutes: float) -> dict[str, Any]:
    """The encoder's cost of this run by one shared model, and by one for each shop and each of USES.

    Everything but the training is measured in this run: own models would be loaded once for each shop and use, and
    each would look at the whole catalog. Their training is `training_minutes` on one GPU, once, after `costs`.
    """
    encoded = [job for job in report["jobs"] if job["counts"].get("embedded")]
    loads = [seconds for seconds in report.get("loads", []) if seconds]
    embed_s = sum(job["seconds"].get("embed", 0.0) for job in encoded)
    load_s = sum(loads) / len(loads) if loads else 0.0
    models = len(encoded) * len(USES)
    shared_s, own_s = embed_s + sum(loads), len(USES) * embed_s + models * load_s
    hourly = rates.gpu_hour / 3600
    training = costs.cost(training_minutes, usd_per_gpu_hour=rates.gpu_hour).usd
    return {
        "shops": len(encoded),
        "models": f"1 in place of {models:,}",
        "embed s, shared": shared_s,
        "embed s, own": own_s,
        "times less": own_s / shared_s if shared_s else None,
        "USD a refresh, shared": shared_s * hourly,
        "USD a refresh, own": own_s * hourly,
        "USD of training, shared": training,
        "USD of training, own": models * training,
    }
