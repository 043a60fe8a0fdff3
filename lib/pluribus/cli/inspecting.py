"""Verbs that say what happened: to a release, to a product, to the fleet."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app


@app.command()
def diff(
    context: typer.Context,
    shop: str,
    before: Annotated[str, typer.Argument(help='a release, its beginning, a run, "previous" or "live"')] = "previous",
    after: Annotated[str, typer.Argument(help="the same")] = "live",
    most: Annotated[int, typer.Option(help="product ids shown of each kind")] = 10,
    as_json: RESULTS = False,
) -> None:
    """What changed between two releases of a shop: products, neighbours, scores, quarantine."""
    from pluribus import inspect

    found = inspect.compare(context.obj.shop_store(shop), shop=shop, before=before, after=after)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    kinds = {
        "added": found.added,
        "removed": found.removed,
        "changed": list(found.changed),
        "into quarantine": found.into_quarantine,
        "out of quarantine": found.out_of_quarantine,
    }
    rows = [{"products": kind, "n": len(ids), "for example": ", ".join(ids[:most])} for kind, ids in kinds.items()]
    answers.table(f"{shop}: {found.before[:12]} → {found.after[:12]}, {found.kept:,} products in both", rows)
    if found.columns:
        answers.table("what changed in them", [{"column": name, "products": n} for name, n in found.columns.items()])
    if found.churn is not None:
        moved = "models differ" if found.moved is None else f"{found.moved:.4f}"
        nearest = {"of the ten nearest, others now": f"{found.churn:.1%}", "over products": found.seeds}
        answers.table("neighbours", [nearest | {"cosine of a vector then and now": moved}])
    if found.model[0] != found.model[1]:
        answers.table("model", [{"then": found.model[0], "now": found.model[1]}])
    scores = [
        {"score": name, "then": then, "now": now, "change": "" if then is None or now is None else f"{now - then:+.3f}"}
        for name, (then, now) in found.scores.items()
    ]
    answers.table("scores", scores)
    if found.quarantine:
        rows = [{"reason": reason, "rows then": a, "now": b} for reason, (a, b) in found.quarantine.items()]
        answers.table("quarantine", rows)


@app.command()
def lineage(
    context: typer.Context,
    shop: str,
    product_id: str,
    release: Annotated[str, typer.Option(help="a release in place of the live one")] = "live",
    as_json: RESULTS = False,
) -> None:
    """Where a product came from: feed row, snapshot, judgement, vectors, release; each with its object in the store."""
    from pluribus import inspect

    context.obj.shop_store(shop)
    stations = inspect.trace(context.obj.open_store(), shop=shop, product_id=product_id, release=release)
    answers.answer([asdict(station) for station in stations], as_json, title=f"{shop}: {product_id}")


@app.command()
def status(context: typer.Context, as_json: RESULTS = False) -> None:
    """The whole fleet on one screen: how many shops are live, held, overdue or in trouble, and which need somebody."""
    from pluribus import inspect

    store = context.obj.open_store()
    found = asdict(inspect.open(store).status(context.obj.settings().shops))
    if as_json:
        print(json.dumps(found))
        return
    trouble, run = found.pop("trouble"), found.pop("last_run")
    answers.table(f"fleet in {store.url}", [{name.replace("_", " "): value for name, value in found.items()}])
    if run:
        states = ", ".join(f"{n:,} {state}" for state, n in run.pop("states").items())
        answers.table("last run", [run | {"shops": states}])
    answers.table("who needs somebody", trouble)
