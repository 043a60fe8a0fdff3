"""Verbs that change what a shop serves, and verbs for its operator."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import FLOW, RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def rollback(
    context: typer.Context,
    shop: str,
    to: Annotated[str, typer.Option(help="a release id; default: the one before")] = "",
    why: str = "by hand",
) -> None:
    """Put an earlier release live again, and hold the shop there until `unhold`."""
    from pluribus import publish

    release = publish.rollback(context.obj.shop_store(shop), shop=shop, to=to or None, why=why)
    print(f"{shop} serves {release} and is held there; `pluribus unhold {shop}` lets the next refresh publish again")


@app.command()
def hold(context: typer.Context, shop: str, why: str = "by hand") -> None:
    """Keep a shop on its live release until `unhold`."""
    from pluribus import publish

    publish.hold(context.obj.shop_store(shop), shop=shop, why=why)
    print(f"{shop} is held")


@app.command()
def unhold(context: typer.Context, shop: str, why: str = "by hand") -> None:
    """Let the next refresh of a shop publish again."""
    from pluribus import publish

    publish.unhold(context.obj.shop_store(shop), shop=shop, why=why)
    print(f"{shop} is no longer held")


@app.command()
def collect(
    context: typer.Context, shop: str, grace_days: Annotated[float, typer.Option(min=0)] = 7.0, keep: int = 3
) -> None:
    """Delete releases of a shop that nobody can need any more."""
    from pluribus import publish

    gone = publish.collect(context.obj.shop_store(shop), shop=shop, grace_s=grace_days * 86_400, keep=keep)
    print(f"{shop}: {len(gone)} releases deleted" + "".join(f"\n  {release}" for release in gone))


@app.command()
def new_shop(
    context: typer.Context,
    feed: Annotated[str, typer.Option(help="a file of the shop's feed")],
    name: Annotated[str, typer.Option(help="the shop's name; default: the feed's file name")] = "",
    out: Annotated[str, typer.Option(help="where to write the shop's file; - only shows it")] = "",
) -> None:
    """Look at a feed and write a shop file with a proposed column mapping."""
    from pluribus import newshop

    folder = Path(out) if out else Path(context.obj.config) / "shops"
    print(newshop.propose(Path(feed), name=name, folder=None if out == "-" else folder))


@app.command()
def doctor(context: typer.Context, as_json: RESULTS = False) -> None:
    """Say what is missing or misconfigured on this machine."""
    from pluribus import doctor as checks

    found = checks.examine(context.obj.config, context.obj.store)
    answers.answer([asdict(check) for check in found], as_json, title="doctor")
    if any(check.state == "wrong" for check in found):
        raise typer.Exit(1)


@app.command()
def cards(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="a run id; default: the newest")] = "",
    as_json: RESULTS = False,
) -> None:
    """Where the cards of a run are: HTML files, one per task."""
    from pluribus import launch, runs

    newest = [] if run else runs.reports(context.obj.open_store(), 1)
    asked = run or (newest[0]["run"] if newest else "")
    found = [card for flow in launch.FLOWS.values() for card in launch.cards(launch.datastore(FLOW), asked, flow)]
    if run and not found:
        raise ConfigError(f"no cards of run {run!r} on this machine", do="see: pluribus runs")
    answers.answer([{"step": step, "card": str(path)} for step, path in found], as_json, title="cards")
