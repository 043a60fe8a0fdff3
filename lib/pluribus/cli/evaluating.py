"""Verbs that say whether a release can be trusted, and why."""

import json
from typing import Annotated, Any

import typer

from pluribus import answers
from pluribus.cli.context import RESULTS, app
from pluribus.errors import ConfigError


@app.command()
def evaluate(
    context: typer.Context,
    shop: Annotated[list[str], typer.Argument(help="shops, or all")],
    release: Annotated[str, typer.Option(help="a release id; default: the live one, else the newest")] = "",
    as_json: RESULTS = False,
) -> None:
    """What was measured of a shop's release: retrieval, labels, behaviour, slices, cut-off, the verdict and why."""
    from pluribus import findings

    names = list(context.obj.settings().shops) if shop == ["all"] else shop
    if release and len(names) > 1:
        raise ConfigError("--release belongs to one shop", expected=f"pluribus evaluate {names[0]} --release {release}")
    told = {name: _told(context, name, release) for name in names}
    if as_json:
        print(json.dumps(told))
        return
    for name, (of, evaluation) in told.items():
        for title, rows in findings.tables(evaluation).items():
            answers.table(f"{name} {of[:12]}: {title}", rows)
            print()
    if len(told) > 1:
        answers.table("All shops", findings.across({name: evaluation for name, (_, evaluation) in told.items()}))


def _told(context: typer.Context, shop: str, release: str) -> tuple[str, dict[str, Any]]:
    """A release's id and evaluation: the live one's, else the newest one's, which the gate may have refused."""
    from pluribus import releases

    store = context.obj.shop_store(shop)
    live = releases.current(store, shop=shop)
    if release or live:
        opened = releases.open_release(store, shop=shop, release=release or None)
        return opened.manifest.release, json.loads(opened.path("evaluation.json").read_bytes())
    for entry in releases.history(store, shop=shop):
        key = releases.key(entry.release, "evaluation.json")
        if any(item.key == key for item in store.items(key)):
            return entry.release, json.loads(store.get(key))
    raise ConfigError(f"no release of {shop!r} was evaluated", do=f"run: pluribus refresh --shops {shop}")
