"""Verbs that take shops through the DAG again: backfill, and the swap of a model under all of them."""

import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import FLOW, RESULTS, Context, app
from pluribus.errors import ConfigError

SHOPS = Annotated[str, typer.Option(help="names separated by commas, or all")]
AT_MOST = Annotated[int, typer.Option(min=1, help="shops in one run of the flow")]
PAUSE = Annotated[float, typer.Option(min=0, help="seconds of rest between two runs")]
DRY = Annotated[bool, typer.Option("--dry-run", help="only say what it would take")]


@app.command()
def backfill(
    context: typer.Context,
    shops: SHOPS = "all",
    since: Annotated[str, typer.Option(help="snapshots read from this day or moment on, UTC")] = "",
    until: Annotated[str, typer.Option(help="and up to this one")] = "",
    every: Annotated[bool, typer.Option("--every", help="every snapshot of that time, not only the newest")] = False,
    model: Annotated[str, typer.Option(help="a model in place of the shops' own")] = "",
    stage: Annotated[
        str, typer.Option(help="from where on: ingest reads the raw feeds again, or validate")
    ] = "validate",
    at_most: AT_MOST = 200,
    pause_s: PAUSE = 0.0,
    dry_run: DRY = False,
    give_up: Annotated[str, typer.Option(help="let the shops of an unfinished backfill go: its id")] = "",
    as_json: RESULTS = False,
) -> None:
    """Run earlier catalogs through the DAG again; goes on where it was cut short; never takes a live release back."""
    from pluribus import backfill as fills

    at: Context = context.obj
    store = at.open_store()
    if give_up:
        _no_dry_run(dry_run, "--give-up")
        fills.end(store, give_up)
        print(f"backfill {give_up} is given up; what it published stays")
        return
    if stage not in ("ingest", "validate"):
        raise ConfigError(f"stage {stage!r}", expected="ingest or validate")
    if model:
        at.settings().model(model)
    made = fills.make(
        store, _names(at, shops), since=_moment(since, "--since"), until=_moment(until, "--until"), every=every,
        at_most=at_most, model=model, stage=stage,
    )  # fmt: skip
    if dry_run or not as_json:
        _announce(at, made, as_json)
    if dry_run:
        return
    jobs = _waves(at, made, pause_s, quiet=as_json)
    fills.end(store, made.id)
    answers.answer([answers.job_row({"scores": {}, "seconds": {}, "size_bytes": {}} | job) for job in jobs], as_json,
                   title=f"backfill {made.id}")  # fmt: skip
    if jobs and all(job["state"] in ("set aside", "failed gate") for job in jobs):
        raise typer.Exit(1)


@app.command()
def swap(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="the new model")] = "",
    shops: SHOPS = "all",
    failures: Annotated[int, typer.Option(min=1, help="stop at this many shops that could not be switched")] = 3,
    back: Annotated[str, typer.Option(help="take a swap back: its id")] = "",
    at_most: AT_MOST = 200,
    pause_s: PAUSE = 0.0,
    dry_run: DRY = False,
    as_json: RESULTS = False,
) -> None:
    """Another model under all shops: embed and judge beside the live releases, then switch shop by shop."""
    from pluribus import backfill as fills

    at: Context = context.obj
    store = at.open_store()
    if back:
        _no_dry_run(dry_run, "--back")
        ends = fills.flip_back(store, back)
    else:
        at.settings().model(model)
        made = fills.make(store, _names(at, shops), since=None, until=None, every=False, at_most=at_most, model=model,
                          beside=True)  # fmt: skip
        if dry_run or not as_json:
            _announce(at, made, as_json)
        if dry_run:
            return
        jobs = _waves(at, made, pause_s, quiet=as_json)
        ends = fills.flip(store, made, jobs, failures=failures)
        fills.end(store, made.id)
    done = back or made.id
    answers.answer([asdict(one) for one in ends], as_json, title=f"swap {done}")
    lost = [one for one in ends if one.state not in ("published", "already", "unchanged", "back", "left alone")]
    if not as_json and not back and any(one.state == "published" for one in ends):
        print(f"take it back with: pluribus swap --back {done}")
        print(f'keep it with model = "{model}" in the configuration: the next refresh goes by that')
    if lost:
        raise typer.Exit(1)


def _no_dry_run(asked: bool, option: str) -> None:
    if asked:
        raise ConfigError(f"{option} with --dry-run", expected="one of them", do=f"leave out --dry-run to {option[2:]}")


def _waves(at: Context, made: Any, pause_s: float, quiet: bool) -> list[dict[str, Any]]:
    """Run every wave that is not done yet; the jobs of all."""
    from pluribus import backfill as fills
    from pluribus import launch

    settings, store = at.settings(), at.open_store()
    fills.begin(store, made)
    done = fills.finished(store, made)
    for n in range(len(made.waves)):
        if n in done:
            continue
        arguments = {"replay": fills.wave_key(made, n), "model": made.model, "config": settings.location}
        arguments |= {"store": settings.store}
        report = launch.run(FLOW, arguments, workers=settings.run.workers, store=store, debug=at.debug, quiet=quiet)
        fills.finish(store, made, n, report["jobs"])
        if n + 1 < len(made.waves):
            time.sleep(pause_s)
    return [job for _, jobs in sorted(fills.finished(store, made).items()) for job in jobs]


def _announce(at: Context, made: Any, as_json: bool) -> None:
    """What it will take, before anything is done."""
    from pluribus import backfill as fills
    from pluribus import models

    settings, store = at.settings(), at.open_store()
    of = {shop: made.model or settings.shop(shop).model for shop in made.shops}
    known = {name: models.register(store, settings.model(name)) for name in sorted(set(of.values()))}
    fingerprints = {shop: known[name] for shop, name in of.items()}
    told = fills.estimate(store, made, fingerprints=fingerprints, rates=settings.rates)
    answers.answer([{"id": made.id, **told}], as_json, title="estimate")


def _names(at: Context, shops: str) -> list[str]:
    from pluribus import plan

    if shops == "due":
        raise ConfigError("--shops due", expected="names separated by commas, or all")
    return [shop.name for shop in plan.choose(at.settings().shops, shops, past=[], now=datetime.now(UTC))]


def _moment(text: str, option: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(
            f"{option} {text!r}", expected="a day or a moment, like 2026-01-31 or 2026-01-31T08:00"
        ) from None
    if found and option == "--until" and len(text) == len("2026-01-31"):
        found += timedelta(days=1, microseconds=-1)  # the day itself
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
