"""Verbs on money and room: the ledger of runs, and what of the past can go."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def ledger(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="a run id; default: the newest")] = "",
    by_shop: Annotated[bool, typer.Option("--by-shop", help="one line a shop, the dearest first")] = False,
    training_minutes: Annotated[float, typer.Option(min=0, help="on one GPU, for each model that is trained")] = 60.0,
    as_json: RESULTS = False,
) -> None:
    """What a run cost by shop and stage, and what one shared model saves against one for each shop and use."""
    from pluribus import ledger as book
    from pluribus import runs

    rates = context.obj.settings().rates
    reports = runs.reports(context.obj.open_store())
    found = next((report for report in reports if run in ("", report["run"])), None)
    if found is None:
        raise ConfigError(f"no run {run!r} among the newest {len(reports)}", do="see pluribus runs")
    if by_shop:
        rows = [{"shop": job["shop"], **book.of_job(job, rates)} for job in found["jobs"]]
        rows = [row | {"USD": sum(v for k, v in row.items() if k != "shop")} for row in rows]
        rows.sort(key=lambda row: -row["USD"])
        answers.answer(rows if as_json else _rounded(rows), as_json, title=f"USD of run {found['run']}, by shop")
        return
    told = book.of_run(found, rates)
    saved = book.saved(found, rates, training_minutes=training_minutes)
    if as_json:
        answers.answer([told | {"saved": saved}], as_json, title="")
        return
    stages = told.pop("by stage")
    answers.table("run", _rounded([told]))
    answers.table("USD by stage", _rounded([stages]))
    answers.table("one shared model, and one for each shop and use", _rounded([saved]))


@app.command()
def prune(
    context: typer.Context,
    shops: Annotated[str, typer.Option(help="names separated by commas, or all")] = "all",
    keep_days: Annotated[float, typer.Option(min=0, help="nothing younger goes")] = 90.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    as_json: RESULTS = False,
) -> None:
    """Delete old snapshots and vectors that no release was made of, and old run reports. `collect` deletes releases."""
    from pluribus import models, plan
    from pluribus import prune as pruning
    from pluribus.errors import ReleaseError

    settings, store, now = context.obj.settings(), context.obj.open_store(), datetime.now(UTC)
    chosen = plan.choose(settings.shops, shops, past=[], now=now)
    configured = {name: models.register(store, settings.model(name)) for name in sorted({s.model for s in chosen})}
    rows = []
    for shop in chosen:
        own = store.within(f"shops/{shop.name}")
        try:
            kept = frozenset({configured[shop.model]})
            gone = pruning.garbage(own, shop=shop.name, now=now, keep_days=keep_days, models=kept)
        except ReleaseError as error:
            rows.append({"shop": shop.name, "objects": 0, "MB": 0.0, "why not": str(error)})
            continue
        rows.append(
            {"shop": shop.name, "objects": len(gone), "MB": sum(i.size_bytes for i in gone) / 1e6, "why not": ""}
        )
        for item in () if dry_run else gone:
            own.delete(item.key)
    old = pruning.reports(store, now=now, keep_days=keep_days) if shops == "all" else []
    for item in () if dry_run else old:
        store.delete(item.key)
    rows.append(
        {"shop": "(run reports)", "objects": len(old), "MB": sum(i.size_bytes for i in old) / 1e6, "why not": ""}
    )
    answers.answer(rows, as_json, title="would go" if dry_run else "gone")


def _rounded(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Figures to four digits, as people read them."""
    return [{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
