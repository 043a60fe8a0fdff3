"""Verbs that start and watch runs."""

import getpass
import json
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import FLOW, RESULTS, Context, app, as_it_was
from pluribus.errors import ConfigError


@app.command()
def refresh(
    context: typer.Context,
    shops: Annotated[str, typer.Option(help="names separated by commas, or all, or due")] = "all",
    model: Annotated[str, typer.Option(help="a model for this run, in place of the shops' own")] = "",
    snapshot: Annotated[str, typer.Option(help="re-run one shop on a snapshot it took earlier")] = "",
    strict: Annotated[bool, typer.Option(help="fail when any shop is set aside, not only when all are")] = False,
    resume: Annotated[str, typer.Option(help="finish an earlier run that was killed: its run id")] = "",
    anew: Annotated[
        bool, typer.Option("--anew", help="build and publish again, whatever is live and even if it is damaged")
    ] = False,
    force: Annotated[str, typer.Option(help="publish what the gate refuses, and why; it is recorded with who")] = "",
    log: Annotated[
        str, typer.Option(envvar="PLURIBUS_LOG", help="json: one object a line, with run, shop, stage")
    ] = "",
    as_json: RESULTS = False,
) -> None:
    """Refresh shops: newest catalogs in, published releases out."""

    from pluribus import launch, plan, runs

    if log not in ("", "json"):
        raise ConfigError(f"--log {log!r}", expected="json, or nothing")
    os.environ["PLURIBUS_LOG"] = log
    at: Context = context.obj
    settings, now = at.settings(), datetime.now(UTC)
    store = at.open_store()
    if resume:
        as_it_was(context, "resume", "as_json", "log", "strict")
        if any(item.key.endswith(f"-{resume}.json") for item in store.items("runs/")):
            raise ConfigError(f"run {resume} has ended", do="see: pluribus runs")
    if snapshot and (shops in ("all", "due") or "," in shops):
        raise ConfigError("--snapshot belongs to one shop", expected=f"--shops NAME --snapshot {snapshot}")
    settings.model(model or next(iter(settings.models)))
    past = runs.reports(store, since=runs.horizon(settings.shops.values(), now))
    if not plan.choose(settings.shops, shops, past=past, now=now) and not resume:
        print("no shop is due")
        return
    arguments = {
        "shops": shops,
        "model": model,
        "snapshot": snapshot,
        "config": settings.location,
        "store": settings.store,
        "anew": str(anew),
        "force": force,
        "forced-by": getpass.getuser() if force else "",
    }
    report = launch.run(
        FLOW,
        arguments,
        workers=settings.run.workers,
        resume=resume,
        store=store,
        debug=at.debug,
        quiet=as_json,
    )
    jobs = report["jobs"]
    if as_json:
        print(json.dumps(report))
    else:
        answers.report(report)
    lost = [job for job in jobs if job["state"] in ("set aside", "failed gate")]
    if lost and (strict or len(lost) == len(jobs)):
        raise typer.Exit(1)


@app.command()
def runs(
    context: typer.Context,
    shop: str = "",
    most: Annotated[int, typer.Option(min=1, help="how many runs")] = 20,
    as_json: RESULTS = False,
) -> None:
    """The newest runs, and how each shop came through."""
    from pluribus import runs as kept

    found = kept.of_shop(context.obj.open_store(), shop, most)
    rows = [{"started": job["started"][:19], "run": job["run"], **answers.job_row(job)} for job in found]
    answers.answer(rows, as_json, title="runs")
